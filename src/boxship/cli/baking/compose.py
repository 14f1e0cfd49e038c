"""Services of compose files as targets: what `build` says, and `x-bake` in it."""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Final

from boxship.cli.baking import dotenv
from boxship.cli.baking.attributes import check_build, flag
from boxship.cli.baking.documents import documents
from boxship.cli.baking.loading import load
from boxship.cli.baking.merging import as_build, pairs
from boxship.cli.baking.sources import File, Missing, Read, read_here
from boxship.cli.baking.target import DEFAULT, Definition, Group, Target, check_name
from boxship.cli.building.checks import attestation
from boxship.cli.building.fields import LINK, joined
from boxship.errors import InvalidRequest
from boxship.lib.hcl import BadValue

ENV: Final = ".env"
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
        return any(isinstance(one.get("services"), dict) for one in documents(file))
    except InvalidRequest:
        return False


def compose_targets(
    files: Sequence[File], environment: Mapping[str, str], definition: Definition, read: Read
) -> None:
    """Add a target for each service that is built, and a group of them all."""
    environment = {**_beside(environment), **environment}
    whole = load(files, environment, read)
    names: list[str] = []
    for name, service in whole["services"].items():
        if "build" not in service:
            continue
        build = as_build(service["build"])
        check_build(name, build)
        target_name = name.replace(".", "_")
        try:
            check_name(target_name)
        except BadValue as error:
            raise InvalidRequest(f'invalid service name "{target_name}": {error}') from None
        made = _Service(name, service, build, whole.get("secrets") or {}, environment, read)
        definition.add_target(target_name, made.target())
        names.append(target_name)
    if whole["services"]:
        definition.add_group(Group(DEFAULT, names))


def _beside(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables of `.env` in the folder in which bake runs."""
    if not os.path.isfile(ENV):
        return {}
    return dotenv.variables(read_here(ENV), ENV, environment)


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, dict | list) or value is None:
        raise InvalidRequest(f"a text is needed, not {value!r}")
    if isinstance(value, float):
        return _real(value)
    return str(value)


def _real(value: float) -> str:
    """Return a number with a point as Go writes it: with an exponent from a million on."""
    digits, _, exponent = f"{Decimal(repr(value)).normalize():e}".partition("e")
    power = int(exponent)
    if -5 < power < 6:
        return f"{Decimal(repr(value)).normalize():f}"
    return f"{digits}e{'-' if power < 0 else '+'}{abs(power):02d}"


def _variables(
    service: Mapping[str, Any], environment: Mapping[str, str], read: Read
) -> dict[str, Any]:
    """Return a service's environment: its files in their order, then what it says itself."""
    found: dict[str, Any] = {}
    for one in service.get("env_file") or ():
        entry = {"path": one} if isinstance(one, str) else one
        path = entry.get("path") if isinstance(entry, dict) else None
        if not isinstance(path, str):
            raise InvalidRequest("env_file: each entry is a path, or a mapping with one")
        if entry.get("format", "") not in ("", "raw"):
            raise InvalidRequest(f"env_file: unsupported format {entry['format']!r}")
        try:
            text = read(path)
        except Missing as error:
            if flag(entry.get("required", True), "env_file.required"):
                raise InvalidRequest(f"env file {path} not found: {error}") from None
            continue
        raw = entry.get("format") == "raw"
        found.update(dotenv.variables(text, path, {**environment, **found}, raw=raw))
    return {**found, **pairs(service.get("environment") or {})}


class _Service:
    """One service that is built."""

    def __init__(
        self,
        name: str,
        service: Mapping[str, Any],
        build: Mapping[str, Any],
        secrets: Mapping[str, Any],
        environment: Mapping[str, str],
        read: Read,
    ) -> None:
        self._name = name
        self._service = service
        self._build = build
        self._secrets = secrets
        self._environment = environment
        self._own = _variables(service, environment, read)

    def target(self) -> Target:
        found = self._extended({key: value for key, value in self._members() if value is not None})
        if not found.get("tags") and self._service.get("image"):
            found["tags"] = [_text(self._service["image"])]
        return found

    def _members(self) -> Iterator[tuple[str, Any]]:
        build = self._build
        for key, member in PLAIN.items():
            if build.get(key):
                yield member, _text(build[key])
        for key, member in {**LISTS, **CACHES}.items():
            if key in build:
                yield member, self._texts(key)
        for key, member in FLAGS.items():
            if key in build and flag(build[key], f"services.{self._name}.build.{key}"):
                yield member, True
        if allowed := self._entitlements():
            yield "entitlements", allowed
        if "args" in build:
            yield "args", self._args(pairs(build["args"]))
        if "labels" in build:
            said = pairs(build["labels"])
            yield "labels", {k: "" if v is None else _text(v) for k, v in said.items()}
        if "additional_contexts" in build:
            yield "contexts", named_contexts(pairs(build["additional_contexts"]))
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

    def _entitlements(self) -> list[str]:
        found = self._texts("entitlements") if "entitlements" in self._build else []
        if flag(self._build.get("privileged", False), f"services.{self._name}.build.privileged"):
            found.append("security.insecure")
        return list(dict.fromkeys(found))

    def _args(self, said: Mapping[str, Any]) -> dict[str, str]:
        """Return arguments; one without a value has that of the service's or own environment."""
        found: dict[str, str] = {}
        for key, value in said.items():
            if value is None:
                value = self._own.get(key)
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
        source = str(said.get("source", "") if isinstance(said, dict) else said)
        known = self._secrets.get(source)
        if not isinstance(known, dict):
            raise InvalidRequest(
                f'service "{self._name}" refers to undefined build secret {source}: invalid project'
            )
        if known.get("external"):
            raise InvalidRequest(f"unsupported external secret {source}")
        found = {"id": source}
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
