"""What a profile's rules say about a call, as values, before any instruction is written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from boxship.errors import InvalidRequest, NotSupported
from boxship.spec.oci import runtime

ALLOW: Final = 0x7FFF0000
LOG: Final = 0x7FFC0000
KILL_THREAD: Final = 0x00000000
ACTIONS: Final = {
    "SCMP_ACT_KILL": KILL_THREAD,
    "SCMP_ACT_KILL_THREAD": KILL_THREAD,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x00030000,
    "SCMP_ACT_ERRNO": 0x00050000,
    "SCMP_ACT_TRACE": 0x7FF00000,
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_LOG": LOG,
}
WITH_ERRNO: Final = ("SCMP_ACT_ERRNO", "SCMP_ACT_TRACE")
EPERM: Final = 1
ENOSYS: Final = 38
LARGEST_ERRNO: Final = 4095
LAST_ARGUMENT: Final = 5
WORD: Final = (1 << 64) - 1


class Operator(Enum):
    NE = "SCMP_CMP_NE"
    LT = "SCMP_CMP_LT"
    LE = "SCMP_CMP_LE"
    EQ = "SCMP_CMP_EQ"
    GE = "SCMP_CMP_GE"
    GT = "SCMP_CMP_GT"
    MASKED_EQ = "SCMP_CMP_MASKED_EQ"


@dataclass(frozen=True, slots=True)
class Condition:
    """One argument compared with `value`; with `mask`, only these bits of it."""

    index: int
    operator: Operator
    value: int
    mask: int = WORD


@dataclass(frozen=True, slots=True)
class Case:
    """A verdict, when all conditions hold."""

    conditions: tuple[Condition, ...]
    verdict: int


@dataclass(slots=True)
class Decision:
    """What becomes of one call: the first case that fits, else `otherwise`, else the default."""

    cases: list[Case] = field(default_factory=list)
    otherwise: int | None = None


def default_of(profile: runtime.Seccomp) -> int:
    return verdict(profile.default_action, profile.default_errno_ret)


def decisions(profile: runtime.Seccomp) -> Mapping[str, Decision]:
    """Map each call that the profile names to what becomes of it.

    Rules with conditions come before those without, so that an exception counts wherever it
    stands; among equals the first counts.
    """
    found: dict[str, Decision] = {}
    for rule in profile.syscalls:
        action = verdict(rule.action, rule.errno_ret)
        cases = [Case(conditions, action) for conditions in alternatives(rule)]
        for name in rule.names:
            decision = found.setdefault(name, Decision())
            if cases:
                decision.cases.extend(cases)
            elif decision.otherwise is None:
                decision.otherwise = action
    return found


def alternatives(rule: runtime.Syscall) -> Iterator[tuple[Condition, ...]]:
    """Yield the sets of conditions of which one must hold as a whole.

    Conditions of one rule hold together, except that when they speak of one argument twice, each
    stands alone: profiles have been written so since before rules could be combined.
    """
    conditions = [condition(argument) for argument in rule.args]
    if any(count > 1 for count in Counter(c.index for c in conditions).values()):
        yield from ((condition,) for condition in conditions)
    elif conditions:
        yield tuple(conditions)


def condition(argument: runtime.SyscallArg) -> Condition:
    try:
        operator = Operator(argument.op)
    except ValueError:
        message = f"string {argument.op} is not a valid operator for seccomp"
        raise InvalidRequest(message) from None
    if not 0 <= argument.index <= LAST_ARGUMENT:
        raise InvalidRequest(f"seccomp: a system call has no argument {argument.index}")
    if not (0 <= argument.value <= WORD and 0 <= argument.value_two <= WORD):
        raise InvalidRequest("seccomp: an argument's value must be an unsigned 64-bit number")
    if operator is Operator.MASKED_EQ:
        return Condition(argument.index, operator, argument.value_two, mask=argument.value)
    return Condition(argument.index, operator, argument.value)


def verdict(action: str, errno: int | None) -> int:
    """Return what a filter returns for an action of the runtime specification."""
    if action == "SCMP_ACT_NOTIFY":
        raise NotSupported("seccomp action SCMP_ACT_NOTIFY is not supported")
    if action not in ACTIONS:
        raise InvalidRequest(f"string {action} is not a valid action for seccomp")
    if action not in WITH_ERRNO:
        if errno:
            raise InvalidRequest(f"seccomp action {action} takes no errno")
        return ACTIONS[action]
    if errno is not None and not 0 <= errno <= LARGEST_ERRNO:
        raise InvalidRequest(f"seccomp: invalid errno {errno}")
    return ACTIONS[action] | (EPERM if errno is None else errno)
