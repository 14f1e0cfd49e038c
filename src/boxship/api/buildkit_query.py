"""`POST /build?version=2`: its parameters as a solve request, as dockerd makes of them."""

from __future__ import annotations

import json
from typing import Any, Final

from boxship.api.asked import refuse
from boxship.api.query import Query
from boxship.errors import InvalidRequest
from boxship.spec.buildkit.control_pb2 import Exporter, SolveRequest

FRONTEND: Final = "dockerfile.v0"
CLIENT: Final = "client-session"
UPLOAD: Final = "upload-request"
NETWORKS: Final = ("", "default", "bridge")
LIMIT: Final = 1 << 20


def read(query: Query) -> SolveRequest:
    """Return what the parameters ask; what this engine cannot do is refused by name."""
    refuse(query)
    options: dict[str, str] = {}
    for name, key in (("target", "target"), ("dockerfile", "filename"), ("platform", "platform")):
        if query.text(name):
            options[key] = query.text(name)
    remote = query.text("remote")
    if remote and remote not in (CLIENT, UPLOAD):
        options["context"] = remote
    if remote == UPLOAD:
        options["contextkey"] = "context"
    for key, value in _json(query, "buildargs", dict).items():
        if value is not None:  # not set where the client ran
            options[f"build-arg:{key}"] = str(value)
    for key, value in _json(query, "labels", dict).items():
        options[f"label:{key}"] = "" if value is None else str(value)
    if query.flag("nocache"):
        options["no-cache"] = ""
    options["image-resolve-mode"] = "pull" if query.flag("pull") else "default"
    network = query.text("networkmode")
    if network not in NETWORKS:
        if network.startswith("container:"):
            raise InvalidRequest("a build cannot join another container's network")
        options["force-network-mode"] = network
    hosts = [_host(text) for text in query.all("extrahosts")]
    if hosts:
        options["add-hosts"] = ",".join(hosts)
    for name in ("shmsize", "memory", "memswap", "cpushares", "cpuperiod", "cpuquota"):
        if number := query.integer(name):
            options[NAMES[name]] = str(number)
    for name in ("cpusetcpus", "cpusetmems", "cgroupparent"):
        if query.text(name):
            options[NAMES[name]] = query.text(name)
    if limits := _json(query, "ulimits", list):
        options["ulimit"] = ",".join(
            f"{one['Name']}={one.get('Soft', 0)}:{one.get('Hard', 0)}"
            for one in limits
            if isinstance(one, dict) and "Name" in one
        )
    cached = [str(name) for name in _json(query, "cachefrom", list) if name]
    if cached:
        options["cache-from"] = ",".join(cached)
    return SolveRequest(
        ref=query.text("buildid"),
        frontend=FRONTEND,
        frontend_attrs=options,
        session=query.text("session"),
        exporters=[_exporter(query)],
        entitlements=["network.host"] if network == "host" else [],
    )


NAMES: Final = {
    "shmsize": "shm-size",
    "memory": "memory",
    "memswap": "memory-swap",
    "cpushares": "cpu-shares",
    "cpuperiod": "cpu-period",
    "cpuquota": "cpu-quota",
    "cpusetcpus": "cpuset-cpus",
    "cpusetmems": "cpuset-mems",
    "cgroupparent": "cgroup-parent",
}


def _exporter(query: Query) -> Exporter:
    outputs = _json(query, "outputs", list)
    if len(outputs) > 1:
        raise InvalidRequest("multiple outputs not supported")
    kind, attrs = "moby", dict[str, str]()
    if outputs:
        one = outputs[0] if isinstance(outputs[0], dict) else {}
        kind = str(one.get("Type", ""))
        attrs = {str(k): str(v) for k, v in (one.get("Attrs") or {}).items()}
    tags = query.all("t")
    if kind in ("moby", "image") and tags:
        attrs["name"] = ",".join(tags)
    return Exporter(type=kind, attrs=attrs)


def _host(text: str) -> str:
    name, separator, address = text.partition("=") if "=" in text else text.partition(":")
    if not (name and separator and address):
        raise InvalidRequest(f'bad format for add-host: "{text}"')
    return f"{name}={address}"


def _json(query: Query, name: str, kind: type) -> Any:
    text = query.text(name)
    if not text:
        return kind()
    try:
        found = json.loads(text) if len(text) <= LIMIT else False
    except (ValueError, RecursionError):
        found = False
    if found is None:
        return kind()
    if not isinstance(found, kind):
        raise InvalidRequest(f"error reading {name}: invalid JSON")
    return found
