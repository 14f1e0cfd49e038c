"""What a classic `POST /build` asks, read from its parameters."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from boxship.api import credentials
from boxship.api.query import Query
from boxship.api.routing import Call
from boxship.build.dockerfile.convert import epoch_of
from boxship.build.ops import Network, Resources, Ulimit
from boxship.build.request import BuildRequest, CacheOption, Dockerfile, NoCache
from boxship.errors import InvalidRequest
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

JSON_LIMIT: Final = 1 << 20
READ_AS: Final = {"buildargs": "build args"}  # what dockerd calls parameters in its errors


@dataclass(frozen=True, slots=True)
class Asked:
    """A build's parameters, apart from its Dockerfile and context.

    remove: whether intermediate containers are said to be removed, and also (`remove_failed`) the
    one that a build fails in. id: by which it is cancelled.
    """

    dockerfile: str
    remote: str
    quiet: bool
    remove: bool
    remove_failed: bool
    id: str
    request: BuildRequest


def read(call: Call, host: Platform) -> Asked:
    """Read the parameters; what this engine cannot do is refused by name."""
    query = call.query
    refuse(query)
    network, name = _network(query.text("networkmode"))
    platform = query.text("platform")
    build_args = {
        name: said for name, said in _pairs(call, "buildargs").items() if said is not None
    }  # a null is a variable that was not set where the client ran
    request = BuildRequest(
        frontend=Dockerfile(b""),
        build_args=build_args,
        labels={name: said or "" for name, said in _pairs(call, "labels").items()},
        target=query.text("target"),
        platforms=(Platform.parse(platform, host),) if platform else (),
        tags=_tags(query.all("t")),
        no_cache=NoCache(all=query.flag("nocache")),
        pull=query.flag("pull"),
        network=network,
        network_name=name,
        hosts=tuple(_host(line) for line in query.all("extrahosts")),
        ulimits=tuple(_ulimits(query.text("ulimits"))),
        resources=_resources(call),
        credentials=credentials.by_host(call),
        cache_from=tuple(_caches(query.text("cachefrom"))),
        squash=query.flag("squash"),
        source_date_epoch=epoch_of(build_args),
        entitlements=frozenset({"network.host"}) if network is Network.HOST else frozenset(),
    )
    return Asked(
        query.text("dockerfile"),
        query.text("remote"),
        query.flag("q"),
        query.flag("rm", default=True) or query.flag("forcerm"),
        query.flag("forcerm"),
        query.text("buildid"),
        request,
    )


def refuse(query: Query) -> None:
    """Refuse what no build on this platform can be given."""
    if query.text("isolation") not in ("", "default"):
        raise InvalidRequest(f'unsupported isolation: "{query.text("isolation")[:100]}"')
    if query.all("securityopt"):
        raise InvalidRequest(
            "The daemon on this platform does not support setting security options on build"
        )


def _resources(call: Call) -> Resources:
    def number(name: str) -> int:
        return call.query.integer(name) or 0

    return Resources(
        memory=number("memory"),
        memory_swap=number("memswap"),
        cpu_shares=number("cpushares"),
        cpu_period=number("cpuperiod"),
        cpu_quota=number("cpuquota"),
        cpuset_cpus=call.query.text("cpusetcpus"),
        cpuset_mems=call.query.text("cpusetmems"),
        cgroup_parent=call.query.text("cgroupparent"),
        shm_size=number("shmsize"),
    )


def _network(mode: str) -> tuple[Network, str]:
    if mode in ("", "default", "bridge"):
        return Network.SANDBOX, ""
    if mode in ("none", "host"):
        return Network(mode), ""
    if mode in ("container", "container:"):
        raise InvalidRequest("Invalid network mode: invalid container format container:<name|id>")
    return Network.SANDBOX, mode


def _tags(names: list[str]) -> tuple[str, ...]:
    found: dict[str, None] = {}
    for name in filter(None, names):
        reference = Reference.parse(name)
        if reference.digest is not None:
            raise InvalidRequest("build tag cannot contain a digest")
        found[reference.for_image().familiar] = None
    return tuple(found)


def _host(line: str) -> tuple[str, str]:
    name, separator, address = line.partition("=") if "=" in line else line.partition(":")
    if not (name and separator and address):
        raise InvalidRequest(f'bad format for add-host: "{line}"')
    return name, address


def _json(text: str, what: str) -> object:
    if not text:
        return None
    if len(text) > JSON_LIMIT:
        raise InvalidRequest(f"{what} is too long")
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise InvalidRequest(f"error reading {what}: invalid JSON") from None


def _pairs(call: Call, name: str) -> Mapping[str, str | None]:
    """Read a map of texts and nulls."""
    what = READ_AS.get(name, name)
    found = _json(call.query.text(name), what)
    if found is None:
        return {}
    if not isinstance(found, dict) or not all(
        value is None or isinstance(value, str) for value in found.values()
    ):
        raise InvalidRequest(f"error reading {what}: it is no map of texts")
    return found


def _caches(text: str) -> list[CacheOption]:
    found = _json(text, "cache-from")
    if found is None:
        return []
    if not isinstance(found, list) or not all(isinstance(name, str) for name in found):
        raise InvalidRequest("error reading cache-from: it is no list of images")
    return [CacheOption("registry", {"ref": name}) for name in found if name]


def _ulimits(text: str) -> list[Ulimit]:
    found = _json(text, "ulimit settings")
    if found is None:
        return []
    limits = []
    for one in found if isinstance(found, list) else [None]:
        if not isinstance(one, dict):
            raise InvalidRequest("error reading ulimit settings: it is no list of limits")
        name, soft, hard = one.get("Name"), one.get("Soft", 0), one.get("Hard", 0)
        if not isinstance(name, str) or not isinstance(soft, int) or not isinstance(hard, int):
            raise InvalidRequest("error reading ulimit settings")
        limits.append(Ulimit(name, soft, hard))
    return limits
