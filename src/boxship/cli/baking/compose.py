"""Services of compose files as targets: what `build` says, and `x-bake` in it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.baking.interpolate import dotenv, filled
from boxship.cli.baking.target import DEFAULT, Definition, Group, Target, check_name
from boxship.cli.building.checks import attestation
from boxship.cli.building.fields import LINK, joined
from boxship.errors import InvalidRequest
from boxship.lib.hcl import BadValue

if TYPE_CHECKING:
    from boxship.cli.baking.files import File

PLAIN: Final = {
    "context": "context",
    "dockerfile": "dockerfile",
    "dockerfile_inline": "dockerfile-inline",
    "target": "target",
    "network": "network",
}
LISTS: Final = {"tags": "tags", "platforms": "platforms"}
CACHES: Final = {"cache_from": "cache-from", "cache_to": "cache-to"}
FLAGS: Final = {"pull": "pull", "no_cache": "no-cache"}
BAKE_APPENDED: Final = ("tags", "platforms", "cache-from", "cache-to", "secret", "ssh", "output",
                        "no-cache-filter")  # fmt: skip


def is_compose(file: File) -> bool:
    """Tell whether a file of no telling name is a compose file."""
    try:
        found = _parsed(file)
    except InvalidRequest:
        return False
    return isinstance(found.get("services"), dict)


def _parsed(file: File) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(file.text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise InvalidRequest(f"failed to parse {file.name}: parsing yaml: {error}") from None
    if not isinstance(found, dict):
        raise InvalidRequest(f"failed to parse {file.name}: the root must be a mapping")
    return found


def compose_targets(
    files: Sequence[File], environment: Mapping[str, str], definition: Definition
) -> None:
    """Add a target for each service that is built, and a group of them all."""
    environment = {**dotenv(os.getcwd(), environment), **environment}
    whole: dict[str, Any] = {}
    for file in files:
        whole = laid_over(whole, filled(_parsed(file), environment))
    services = whole.get("services") or {}
    if not isinstance(services, dict):
        raise InvalidRequest("services must be a mapping")
    names: list[str] = []
    for name, service in services.items():
        build = (service or {}).get("build")
        if build is None:
            continue
        build = {"context": build} if isinstance(build, str) else build
        if not isinstance(build, dict):
            raise InvalidRequest(f"services.{name}.build must be a mapping")
        target_name = str(name).replace(".", "_")
        try:
            check_name(target_name)
        except BadValue as error:
            raise InvalidRequest(f'invalid service name "{target_name}": {error}') from None
        made = _Service(str(name), service, build, whole, environment).target()
        definition.add_target(target_name, made)
        names.append(target_name)
    if services:
        definition.add_group(Group(DEFAULT, names))


def laid_over(below: Any, above: Any, path: tuple[str, ...] = ()) -> Any:
    """Merge two files: mappings by key, lists one after another, anything else is replaced."""
    if isinstance(below, dict) and isinstance(above, dict):
        found = dict(below)
        for key, value in above.items():
            known = key in found and found[key] is not None and value is not None
            found[key] = laid_over(found[key], value, (*path, key)) if known else value
        return found
    if path[-1:] == ("build",):
        return laid_over(_as_build(below), _as_build(above), path)
    if path[-1:] in (("args",), ("labels",), ("additional_contexts",)):
        return {**_pairs(below), **_pairs(above)}
    if isinstance(below, list) and isinstance(above, list):
        return [*below, *(one for one in above if one not in below)]
    return above


def _as_build(value: Any) -> Any:
    return {"context": value} if isinstance(value, str) else value


def _pairs(said: Any) -> dict[str, Any]:
    """Return a mapping, also where it is written as a list of `key=value`."""
    if isinstance(said, dict):
        return {str(key): value for key, value in said.items()}
    if not isinstance(said, list):
        raise InvalidRequest(f"a mapping or a list is needed, not {said!r}")
    found: dict[str, Any] = {}
    for one in said:
        key, equals, value = str(one).partition("=")
        found[key] = value if equals else None
    return found


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list) or value is None:
        raise InvalidRequest(f"a text is needed, not {value!r}")
    return str(value)


class _Service:
    """One service that is built."""

    def __init__(
        self,
        name: str,
        service: Mapping[str, Any],
        build: Mapping[str, Any],
        whole: Mapping[str, Any],
        environment: Mapping[str, str],
    ) -> None:
        self._name = name
        self._service = service
        self._build = build
        self._whole = whole
        self._environment = environment

    def target(self) -> Target:
        found: Target = {key: value for key, value in self._members() if value is not None}
        if not found.get("tags") and self._service.get("image"):
            found["tags"] = [_text(self._service["image"])]
        return self._extended(found)

    def _members(self) -> Iterator[tuple[str, Any]]:
        build = self._build
        for key, member in PLAIN.items():
            if build.get(key):
                yield member, _text(build[key])
        for key, member in {**LISTS, **CACHES}.items():
            if key in build:
                yield member, self._texts(key)
        for key, member in FLAGS.items():
            if build.get(key) in (True, "true", "1", "yes"):
                yield member, True
        if "args" in build:
            yield "args", self._args(_pairs(build["args"]))
        if "labels" in build:
            said = _pairs(build["labels"])
            yield "labels", {k: "" if v is None else _text(v) for k, v in said.items()}
        if "additional_contexts" in build:
            yield "contexts", named_contexts(_pairs(build["additional_contexts"]))
        if "ssh" in build:
            yield "ssh", sorted(self._ssh(build["ssh"]))
        if "secrets" in build:
            yield "secret", [self._secret(one) for one in build["secrets"] or ()]
        if build.get("shm_size"):
            from boxship.lib.units import binary_size, parse_ram

            yield "shm-size", binary_size(parse_ram(_text(build["shm_size"])))
        if "ulimits" in build:
            yield "ulimits", [self._ulimit(k, v) for k, v in (build["ulimits"] or {}).items()]
        if "extra_hosts" in build:
            yield "extra-hosts", self._hosts(build["extra_hosts"])
        attests = [
            attestation(kind, _text(build[kind]))
            for kind in ("sbom", "provenance")
            if kind in build
        ]
        if attests:
            yield "attest", attests

    def _texts(self, key: str) -> list[str]:
        said = self._build[key] or []
        return [_text(one) for one in (said if isinstance(said, list) else [said])]

    def _args(self, said: Mapping[str, Any]) -> dict[str, str]:
        """Return arguments; one without a value has that of the service's or own environment."""
        service = _pairs(self._service.get("environment") or {})
        found: dict[str, str] = {}
        for key, value in said.items():
            if value is None:
                value = service.get(key)
            if value is None:
                value = self._environment.get(key)
            if value is not None:
                found[key] = _text(value)
        return found

    def _ssh(self, said: Any) -> Iterator[str]:
        if isinstance(said, dict):
            for key, value in said.items():
                yield f"{key}={value}" if value else str(key)
        else:
            yield from (_text(one) for one in (said if isinstance(said, list) else [said]))

    def _secret(self, said: Any) -> str:
        source = said.get("source") if isinstance(said, dict) else said
        known = (self._whole.get("secrets") or {}).get(source)
        if not isinstance(known, dict):
            raise InvalidRequest(
                f'service "{self._name}" refers to undefined build secret {source}: invalid project'
            )
        if known.get("external"):
            raise InvalidRequest(f"unsupported external secret {source}")
        found = {"id": _text(source)}
        if known.get("file"):
            found["src"] = posixpath.normpath(_text(known["file"]))
        if known.get("environment"):
            found["env"] = _text(known["environment"])
        return joined(found)

    def _ulimit(self, name: str, said: Any) -> str:
        if isinstance(said, dict):
            return f"{name}={said.get('soft', 0)}:{said.get('hard', 0)}"
        return f"{name}={said}:{said}"

    def _hosts(self, said: Any) -> dict[str, str]:
        found: dict[str, str] = {}
        entries = said.items() if isinstance(said, dict) else (
            (str(one).partition("=") if "=" in str(one) else str(one).partition(":"))[::2]
            for one in said
        )  # fmt: skip
        for name, address in entries:
            several = address if isinstance(address, list) else [address]
            found[str(name)] = ",".join(
                _text(one).strip().removeprefix("[").removesuffix("]") for one in several
            )
        return found

    def _extended(self, target: Target) -> Target:
        """Apply `x-bake`."""
        said = self._build.get("x-bake") or {}
        found = dict(target)
        for key in BAKE_APPENDED:
            if key in said:
                value = said[key]
                more = value.split() if isinstance(value, str) else [_text(one) for one in value]
                found[key] = list(dict.fromkeys([*found.get(key, ()), *more]))
        for key in ("pull", "no-cache"):
            if said.get(key) is not None:
                found[key] = bool(said[key])
        if "contexts" in said:
            found["contexts"] = {**named_contexts(said["contexts"]), **found.get("contexts", {})}
        return found


def named_contexts(said: Mapping[str, Any]) -> dict[str, str]:
    """Return named contexts; another service is the target of its name."""
    found: dict[str, str] = {}
    for name, value in said.items():
        place = _text(value)
        scheme, colon, rest = place.partition(":")
        if colon and scheme in ("service", "target"):
            place = LINK + rest.replace(".", "_")
        elif place.startswith("."):
            place = posixpath.normpath(place)
        found[str(name)] = place
    return found
