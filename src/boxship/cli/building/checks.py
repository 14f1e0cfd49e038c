"""What the command line asks of a build, checked before anything is sent; Docker's words."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from boxship.cli.building.fields import Output
from boxship.errors import InvalidRequest
from boxship.spec.reference import InvalidReference, Reference

COMPONENT: Final = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
EPOCH: Final = "SOURCE_DATE_EPOCH"  # taken from the environment without being asked for
GATEWAY: Final = "host-gateway"
TYPE: Final = r"[a-z-]+(?:\[[A-Za-z0-9_/-]+\])?"
TYPES: Final = re.compile(rf"{TYPE}(?:,{TYPE})*")
ANNOTATED: Final = ("manifest", "index", "manifest-descriptor", "index-descriptor")
PUSHED: Final = "tag is needed when pushing to registry"


def check_tags(tags: Iterable[str]) -> None:
    for tag in tags:
        try:
            Reference.parse(tag)
        except InvalidReference as error:
            reason = str(error)
            if "lowercase" in reason:
                reason = "repository name must be lowercase"
            raise InvalidRequest(f'invalid tag "{tag}": {reason}') from None


def check_platforms(platforms: Iterable[str]) -> None:
    """Check platforms' form; `local` is the builder's own."""
    for said in platforms:
        parts = said.split("/", 3)
        for part in parts:
            if not COMPONENT.fullmatch(part):
                raise InvalidRequest(
                    f'"{part}" is an invalid component of "{said}": platform specifier component '
                    f'must match "^[A-Za-z0-9_-]+$": invalid argument'
                )
        if len(parts) > 3:
            raise InvalidRequest(f'"{said}": cannot parse platform specifier: invalid argument')


def hosts_of(given: Iterable[str]) -> list[str]:
    """Read `name:address` and `name=address`."""
    found: list[str] = []
    for text in given:
        sign = "=" if "=" in text else ":"
        name, divided, address = text.partition(sign)
        plain = address.removeprefix("[").removesuffix("]")
        if not name or not divided or not (plain == GATEWAY or _is_address(plain)):
            raise InvalidRequest(f"invalid host {text}")
        found.append(f"{name}={plain}")
    return found


def _is_address(text: str) -> bool:
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, text)
        except OSError:
            continue
        return True
    return False


def _parted(text: str) -> tuple[str, str, str]:
    key, equals, value = text.partition("=")
    if not key:
        raise InvalidRequest(f'invalid key-value pair "{text}": empty key')
    return key, equals, value


def pairs_of(given: Iterable[str]) -> dict[str, str]:
    """Read `key=value`; a key alone has an empty value."""
    found: dict[str, str] = {}
    for text in given:
        key, _, value = _parted(text)
        found[key] = value
    return found


def arguments_of(given: Iterable[str], environment: Mapping[str, str]) -> dict[str, str]:
    """Read build arguments; one without a value has the environment's, or is not there."""
    found: dict[str, str] = {}
    for text in given:
        key, equals, value = _parted(text)
        if equals:
            found[key] = value
        elif key in environment:
            found[key] = environment[key]
    if environment.get(EPOCH):
        found.setdefault(EPOCH, environment[EPOCH])
    return found


def contexts_of(given: Iterable[str]) -> dict[str, str]:
    """Read `name=place`."""
    found: dict[str, str] = {}
    for text in given:
        name, equals, place = text.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid context value: {text}, expected key=value")
        found[name] = place
    return found


def annotations_of(given: Iterable[str]) -> dict[str, str]:
    """Read `[TYPE[PLATFORM],…:]key=value` as an exporter's attributes."""
    found: dict[str, str] = {}
    for text in given:
        before, equals, value = text.partition("=")
        if not equals:
            raise InvalidRequest(f'invalid annotation "{text}", expected key=value')
        types, colon, key = before.partition(":")
        if not colon or not TYPES.fullmatch(types):
            found[f"annotation.{before}"] = value
            continue
        for kind in types.split(","):
            if kind.partition("[")[0] not in ANNOTATED:
                raise InvalidRequest(f'unknown annotation type "{kind}"')
            found[f"annotation-{kind}.{key}"] = value
    return found


def attestation(kind: str, said: str) -> str:
    """Return `--provenance`'s or `--sbom`'s value as `--attest` has it."""
    if said.lower() in ("true", "1", "t"):
        return f"type={kind},disabled=false"
    if said.lower() in ("false", "0", "f"):
        return f"type={kind},disabled=true"
    if any("=" not in one for one in said.split(",") if '"' not in said):
        raise InvalidRequest(f"invalid value {said}")
    return f"type={kind},{said}"


def check_caches(imports: Sequence[tuple[str, dict[str, str]]], role: str) -> None:
    """Check that caches say where they are; `role` is importer or exporter."""
    for kind, attrs in imports:
        place = "ref" if kind == "registry" else "src" if role == "importer" else "dest"
        if kind in ("registry", "local") and not attrs.get(place):
            raise InvalidRequest(f"{kind} cache {role} requires {place}")


def check_outputs(outputs: Sequence[Output], tags: Sequence[str], *, push: bool) -> None:
    """Check that what is pushed has a name."""
    pushed = push or any(one.attrs.get("push") in ("true", "1") for one in outputs)
    named = tags or any(one.attrs.get("name") for one in outputs)
    if pushed and not named:
        raise InvalidRequest(PUSHED)
