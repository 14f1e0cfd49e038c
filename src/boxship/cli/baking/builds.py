"""Targets of a plan as builds."""

from __future__ import annotations

import os
import posixpath
from typing import Final

from boxship.cli.baking.target import DEFAULT, HERE, Target, is_remote
from boxship.cli.building.asked import Asked
from boxship.cli.building.resources import resources_of
from boxship.errors import InvalidRequest
from boxship.lib.units import parse_ram

NOT_HERE: Final = ("target:", "docker-image:", "oci-layout:", "input:")


def asked_of(target: Target, remote: str = "", *, policies_off: bool = False) -> Asked:
    """Return a target as a build; links to other targets stay in its contexts."""
    context, dockerfile = target["context"], target["dockerfile"]
    for what, said in (("context", context), ("dockerfile", dockerfile)):
        if said == "-":
            raise InvalidRequest(f"{what} from stdin not allowed in bake")
    inline = target.get("dockerfile-inline")
    return Asked(
        context=context,
        dockerfile=_dockerfile(context, dockerfile) if inline is None else "",
        dockerfile_text=None if inline is None else inline.encode(),
        tags=target.get("tags") or [],
        args=target.get("args") or {},
        labels=target.get("labels") or {},
        contexts={
            name: place.removeprefix(HERE) for name, place in (target.get("contexts") or {}).items()
        },
        target=target.get("target") or "",
        platforms=target.get("platforms") or [],
        outputs=target.get("output") or [],
        cache_from=target.get("cache-from") or [],
        cache_to=target.get("cache-to") or [],
        secrets=target.get("secret") or [],
        ssh=target.get("ssh") or _agent(context, remote),
        allow=target.get("entitlements") or [],
        annotations=target.get("annotations") or [],
        attests=target.get("attest") or [],
        options=_options(target),
        no_cache=bool(target.get("no-cache")),
        no_cache_filter=target.get("no-cache-filter") or [],
        pull=bool(target.get("pull")),
        network=target.get("network") or "",
        policies_off=policies_off,
    )


def _dockerfile(context: str, dockerfile: str) -> str:
    if dockerfile.startswith(HERE):
        return os.path.abspath(dockerfile.removeprefix(HERE))
    plain = posixpath.normpath(dockerfile)
    return plain if is_remote(context) else os.path.join(context, plain)


def _agent(*places: str) -> list[str]:
    """Return what repositories that are reached over ssh need."""
    return [DEFAULT] if any(place.startswith(("git@", "ssh://")) for place in places) else []


def _options(target: Target) -> dict[str, str]:
    options = resources_of(target.get("resources") or ())
    if size := target.get("shm-size"):
        try:
            options["shm-size"] = str(parse_ram(size))
        except ValueError:
            raise InvalidRequest(f"invalid value {size} for membytes key shm-size") from None
    if limits := target.get("ulimits"):
        options["ulimit"] = ",".join(limits)
    if hosts := target.get("extra-hosts"):
        options["add-hosts"] = ",".join(f"{name}={place}" for name, place in hosts.items())
    return options


def local_places(target: Target) -> list[str]:
    """Return the paths that the target's contexts and its Dockerfile have here."""
    found = [target["context"], *(target.get("contexts") or {}).values()]
    if not is_remote(target["context"]) and target.get("dockerfile-inline") is None:
        found.append(_dockerfile(target["context"], target["dockerfile"]))
    return [
        place.removeprefix(HERE)
        for place in found
        if not is_remote(place) and not place.startswith(NOT_HERE)
    ]
