"""The options of BuildKit's Dockerfile frontend, as clients write them."""

from __future__ import annotations

import base64
import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from boxship.build.ops import Network, Resources, Ulimit
from boxship.build.request import BuildRequest, CacheOption, Dockerfile, NoCache
from boxship.errors import InvalidRequest
from boxship.lib import units
from boxship.spec.platform import Platform

DEFAULT_NAME: Final = "Dockerfile"
OF_CONTEXT: Final = "context"  # instead of a time: that of the build context
ARG: Final = "build-arg:"
LABEL: Final = "label:"
CONTEXT: Final = "context:"
INPUT: Final = "input-metadata:"
CONFIG: Final = "containerimage.config"
ATTEST: Final = "attest:"
_ON: Final = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_NETWORKS: Final = {
    "": Network.SANDBOX,
    "default": Network.SANDBOX,
    "sandbox": Network.SANDBOX,
    "host": Network.HOST,
    "none": Network.NONE,
}
# What BuildKit calls limits of steps; the door of the classic builder has the longer names.
BUILDKITS: Final = {
    "memory-swap": "memswap",
    "cpu-shares": "cpushares",
    "cpu-period": "cpuperiod",
    "cpu-quota": "cpuquota",
    "cpuset-cpus": "cpusetcpus",
    "cpuset-mems": "cpusetmems",
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the options ask: a request without the Dockerfile, and where that is.

    dockerfile_name, context_name: names of the client's folders. subrequest: what is asked
    instead of a build, empty for a build.
    """

    request: BuildRequest
    filename: str = DEFAULT_NAME
    dockerfile_name: str = "dockerfile"
    context_name: str = "context"
    subfolder: str = ""
    subrequest: str = ""
    multi_platform: bool = False


def read(attrs: Mapping[str, str], host: Platform) -> Asked:
    """Read the options; InvalidRequest where one makes no sense."""
    args = _under(attrs, ARG)
    context_name = attrs.get("contextkey", "context")
    context = attrs.get("context", "") or f"local://{context_name}"
    network = attrs.get("force-network-mode", "").lower()
    request = BuildRequest(
        frontend=Dockerfile(b""),
        context=context,
        named_contexts=_under(attrs, CONTEXT),
        input_configs=dict(_input_configs(attrs)),
        build_args=args,
        target=attrs.get("target", ""),
        platforms=tuple(Platform.parse(p, host) for p in _list(attrs.get("platform", ""))),
        labels=_under(attrs, LABEL),
        no_cache=_no_cache(attrs),
        pull=attrs.get("image-resolve-mode", "") == "pull",
        network=_NETWORKS.get(network, Network.SANDBOX),
        network_name="" if network in _NETWORKS else attrs["force-network-mode"],
        hosts=tuple(_hosts(attrs.get("add-hosts", ""))),
        ulimits=tuple(_ulimit(text) for text in _list(attrs.get("ulimit", ""))),
        resources=_resources(attrs),
        hostname=attrs.get("hostname", "") or args.get("BUILDKIT_SANDBOX_HOSTNAME", ""),
        cache_from=tuple(_cache_from(attrs)),
        provenance=_attestation(attrs, "provenance"),
        sbom=_attestation(attrs, "sbom"),
        source_date_epoch=_epoch(args.get("SOURCE_DATE_EPOCH", "")),
    )
    return Asked(
        request,
        filename=attrs.get("filename", "") or DEFAULT_NAME,
        dockerfile_name=attrs.get("dockerfilekey", "dockerfile"),
        context_name=context_name,
        subfolder=attrs.get("contextsubdir", ""),
        subrequest=attrs.get("requestid", ""),
        multi_platform=args.get("BUILDKIT_MULTI_PLATFORM", attrs.get("multi-platform", "")) in _ON,
    )


def with_inline_cache(request: BuildRequest) -> BuildRequest:
    """Return the request as BUILDKIT_INLINE_CACHE would have it."""
    if request.build_args.get("BUILDKIT_INLINE_CACHE", "") not in _ON:
        return request
    if any(one.kind == "inline" for one in request.cache_to):
        return request
    return replace(request, cache_to=(*request.cache_to, CacheOption("inline")))


def _under(attrs: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {key.removeprefix(prefix): attrs[key] for key in attrs if key.startswith(prefix)}


def _input_configs(attrs: Mapping[str, str]) -> Iterator[tuple[str, bytes]]:
    """Yield the image configurations of results of other builds; bytes in JSON are base64."""
    for name, said in _under(attrs, INPUT).items():
        try:
            config = json.loads(said).get(CONFIG)
            if config:
                yield name, base64.b64decode(config, validate=True)
        except (ValueError, AttributeError, TypeError):
            raise InvalidRequest(f"invalid metadata of the input {name[:100]!r}") from None


def _list(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def fields(text: str) -> dict[str, str]:
    """Read `a=1,b=2` with CSV's quoting; a key alone is true."""
    found: dict[str, str] = {}
    try:
        rows = list(csv.reader([text], strict=True)) if text else []
    except csv.Error as error:
        raise InvalidRequest(f"invalid value {text[:100]!r}: {error}") from None
    for field in rows[0] if rows else ():
        key, equals, value = field.partition("=")
        found[key.strip()] = value.strip() if equals else "true"
    return found


def _no_cache(attrs: Mapping[str, str]) -> NoCache:
    if "no-cache" not in attrs:
        return NoCache()
    stages = tuple(_list(attrs["no-cache"]))
    return NoCache(all=not stages, stages=stages)


def _hosts(text: str) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    for pair in _list(text):
        name, equals, address = pair.partition("=")
        if not equals or not name or not address:
            raise InvalidRequest(f"invalid host: {pair[:100]!r}")
        found.append((name, address))
    return found


def _ulimit(text: str) -> Ulimit:
    name, _, limits = text.partition("=")
    soft, colon, hard = limits.partition(":")
    try:
        low = int(soft)
        return Ulimit(name, low, int(hard) if colon else low)
    except ValueError:
        raise InvalidRequest(f"invalid ulimit: {text[:100]!r}") from None


def _resources(attrs: Mapping[str, str]) -> Resources:
    def text(name: str) -> str:
        return attrs.get(name) or attrs.get(BUILDKITS.get(name, ""), "")

    def number(name: str) -> int:
        said = text(name)
        try:
            return int(said) if said else 0
        except ValueError:
            try:
                return units.parse_ram(said)
            except ValueError:
                raise InvalidRequest(f"invalid {name}: {said[:100]!r}") from None

    return Resources(
        memory=number("memory"),
        memory_swap=number("memory-swap"),
        cpu_shares=number("cpu-shares"),
        cpu_period=number("cpu-period"),
        cpu_quota=number("cpu-quota"),
        cpuset_cpus=text("cpuset-cpus"),
        cpuset_mems=text("cpuset-mems"),
        cgroup_parent=attrs.get("cgroup-parent", ""),
        shm_size=number("shm-size"),
    )


def _cache_from(attrs: Mapping[str, str]) -> list[CacheOption]:
    found = [CacheOption("registry", {"ref": ref}) for ref in _list(attrs.get("cache-from", ""))]
    if said := attrs.get("cache-imports", ""):
        try:
            entries: list[dict[str, Any]] = json.loads(said)
            found += [
                CacheOption(
                    str(entry["Type"]),
                    {str(k): str(v) for k, v in (entry.get("Attrs") or {}).items()},
                )
                for entry in entries
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise InvalidRequest("invalid cache-imports") from None
    return found


def _attestation(attrs: Mapping[str, str], name: str) -> dict[str, str] | None:
    said = attrs.get(ATTEST + name, attrs.get(f"{ARG}BUILDKIT_ATTEST_{name.upper()}"))
    if said is None or said in ("false", "disabled"):
        return None
    found = fields(said)
    if found.pop("disabled", "") in _ON or found.pop("false", ""):
        return None
    found.pop("true", None)
    return found


def _epoch(text: str) -> int | None:
    if text in ("", OF_CONTEXT):
        return None
    if not (text.isascii() and text.isdecimal() and len(text) < 12):
        raise InvalidRequest(f"invalid SOURCE_DATE_EPOCH: {text[:100]!r}")
    return int(text)
