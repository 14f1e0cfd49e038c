"""Profiles as Docker's users write them: names and arguments, some only under conditions.

`--security-opt seccomp=FILE` and the default profile have the same form. What depends on the
container's capabilities, the machine and its kernel is decided here; the result is the runtime
specification's list of rules.
"""

from __future__ import annotations

import re
from typing import Final

import msgspec
from msgspec import Struct

from boxship.errors import InvalidRequest
from boxship.runtime.seccomp import architectures, verdicts
from boxship.spec.oci import runtime

LARGEST: Final = 1 << 20
KERNEL: Final = re.compile(r"([0-9]{1,4})\.([0-9]{1,6})")


class Member(Struct, rename="camel"):
    """A JSON object of the profile."""


class Filter(Member):
    """When a rule counts: all of `caps` held, one of `arches` native, the kernel new enough."""

    caps: list[str] | None = None
    arches: list[str] | None = None
    min_kernel: str = ""


class Argument(Member):
    index: int
    op: str
    value: int = 0
    value_two: int = 0


class Rule(Member):
    name: str = ""
    names: list[str] | None = None
    action: str = ""
    errno_ret: int | None = None
    args: list[Argument] | None = None
    includes: Filter | None = None
    excludes: Filter | None = None


class Architectures(Member):
    architecture: str
    sub_architectures: list[str] | None = None


class Profile(Member):
    default_action: str = ""
    default_errno_ret: int | None = None
    architectures: list[str] | None = None
    arch_map: list[Architectures] | None = None
    flags: list[str] | None = None
    listener_path: str = ""
    listener_metadata: str = ""
    syscalls: list[Rule] | None = None


def parse_profile(
    document: bytes | str, capabilities: frozenset[str], kernel: tuple[int, int], machine: str
) -> runtime.Seccomp | None:
    """Read a profile for a container with these capabilities; None when it filters nothing.

    A wrong one is an InvalidRequest, before anything is started with it.
    """
    if len(document) > LARGEST:
        raise InvalidRequest("Decoding seccomp profile failed: it is larger than 1 MiB")
    try:
        asked = msgspec.json.decode(document, type=Profile)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"Decoding seccomp profile failed: {error}") from error
    if not asked.default_action and not asked.syscalls:
        return None
    native, *_ = architectures.family(machine)
    rules = [
        runtime.Syscall(
            names=names_of(rule),
            action=rule.action,
            errno_ret=rule.errno_ret,
            args=[
                runtime.SyscallArg(index=a.index, value=a.value, value_two=a.value_two, op=a.op)
                for a in rule.args or []
            ],
        )
        for rule in asked.syscalls or []
        if counts(rule, capabilities, kernel, native.go)
    ]
    result = runtime.Seccomp(
        default_action=asked.default_action,
        default_errno_ret=asked.default_errno_ret,
        architectures=architectures_of(asked, native.name),
        flags=asked.flags or [],
        listener_path=asked.listener_path,
        listener_metadata=asked.listener_metadata,
        syscalls=rules,
    )
    verdicts.default_of(result)  # refuses what no filter can say
    verdicts.decisions(result)
    return result


def names_of(rule: Rule) -> list[str]:
    if rule.name and rule.names:
        raise InvalidRequest(
            "both 'name' and 'names' are specified in the seccomp profile, "
            "use either 'name' or 'names'"
        )
    return [rule.name] if rule.name else rule.names or []


def architectures_of(asked: Profile, native: str) -> list[str]:
    """Return what the profile lists, or the native architecture with those that go with it."""
    if asked.architectures and asked.arch_map:
        raise InvalidRequest(
            "both 'architectures' and 'archMap' are specified in the seccomp profile, "
            "use either 'architectures' or 'archMap'"
        )
    for entry in asked.arch_map or []:
        if entry.architecture == native:
            return [native, *(entry.sub_architectures or [])]
    return asked.architectures or []


def counts(rule: Rule, capabilities: frozenset[str], kernel: tuple[int, int], native: str) -> bool:
    """Say whether a rule is for this container."""
    without, only = rule.excludes or Filter(), rule.includes or Filter()
    return not (
        native in (without.arches or [])
        or capabilities.intersection(without.caps or [])
        or (without.min_kernel and kernel >= version(without.min_kernel))
        or (only.arches and native not in only.arches)
        or not capabilities.issuperset(only.caps or [])
        or (only.min_kernel and kernel < version(only.min_kernel))
    )


def version(text: str) -> tuple[int, int]:
    """Read a kernel's version as profiles write it."""
    found = KERNEL.fullmatch(text)
    if not found:
        raise InvalidRequest(
            f"Decoding seccomp profile failed: invalid kernel version {text!r}: "
            'expected "<kernel>.<major>"'
        )
    return int(found[1]), int(found[2])
