"""A profile becomes a filter: architecture first, then the number by halving, then arguments."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, assert_never

from boxship.errors import InvalidRequest, NotSupported
from boxship.kernel import seccomp as kernel
from boxship.runtime.seccomp import architectures, assembler, numbers, verdicts
from boxship.runtime.seccomp.architectures import X32, X86_64, Architecture
from boxship.runtime.seccomp.assembler import Assembler, Place
from boxship.runtime.seccomp.verdicts import Case, Condition, Decision, Operator
from boxship.spec.oci import runtime

FLAGS: Final = {
    "SECCOMP_FILTER_FLAG_TSYNC": kernel.FILTER_FLAG_TSYNC,
    "SECCOMP_FILTER_FLAG_LOG": kernel.FILTER_FLAG_LOG,
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW": kernel.FILTER_FLAG_SPEC_ALLOW,
}
NONE: Final = 0xFFFFFFFF  # the number of a call that a tracer has cancelled
UNKNOWN_CALL: Final = verdicts.ACTIONS["SCMP_ACT_ERRNO"] | verdicts.ENOSYS
FOREIGN_CALL: Final = verdicts.KILL_THREAD
LOW: Final = 0xFFFFFFFF


def flags_of(profile: runtime.Seccomp) -> int:
    """Return what to load the filter with.

    A profile without flags asks for none of the slow measures against speculation, as runtimes
    have agreed.
    """
    if not profile.flags:
        return kernel.FILTER_FLAG_SPEC_ALLOW
    unknown = [flag for flag in profile.flags if flag not in FLAGS]
    if unknown:
        raise NotSupported(f"seccomp flag {unknown[0]!r} is not supported")
    return sum(FLAGS[flag] for flag in set(profile.flags))


@dataclass(frozen=True, slots=True)
class Rules:
    """A profile, read: decisions by a call's name, and the verdict on calls it does not name."""

    named: Mapping[str, Decision]
    default: int

    @property
    def hides_new_calls(self) -> bool:
        """Whether calls newer than all that is named answer as on an older kernel.

        A program that tries a new call falls back on ENOSYS, but takes EPERM for an answer.
        Profiles that permit by default, or say ENOSYS themselves, leave them alone.
        """
        return self.default not in (verdicts.ALLOW, verdicts.LOG, UNKNOWN_CALL)


def compile(profile: runtime.Seccomp, machine: str) -> bytes:
    """Return the filter of a profile for a machine, as uname names it.

    Calls of an architecture that the profile does not list kill. Names that an architecture does
    not have mean nothing there.
    """
    if profile.listener_path:
        raise NotSupported("seccomp notification is not supported")
    rules = Rules(verdicts.decisions(profile), verdicts.default_of(profile))
    wanted = chosen(profile, machine)
    into = Assembler()
    foreign = into.verdict(FOREIGN_CALL)
    start = foreign
    for native in reversed([arch for arch in wanted if arch is not X32]):
        numbers_known = add_architecture(into, native, rules, x32=X32 in wanted)
        number = into.load(assembler.NUMBER_AT, numbers_known)
        start = into.test(assembler.JUMP_EQUAL, native.audit, number, start)
    program = into.finish(into.load(assembler.ARCHITECTURE_AT, start))
    if len(program) // kernel.INSTRUCTION > assembler.MOST:
        raise InvalidRequest("seccomp profile is too large for the kernel")
    return program


def chosen(profile: runtime.Seccomp, machine: str) -> list[Architecture]:
    """Return the architectures to let in; the machine's own always."""
    for name in profile.architectures:
        if name not in architectures.NAMES:
            raise InvalidRequest(f"string {name} is not a valid arch for seccomp")
    native, *others = architectures.family(machine)
    return [native, *(arch for arch in others if arch.name in profile.architectures)]


def add_architecture(into: Assembler, arch: Architecture, rules: Rules, *, x32: bool) -> Place:
    """Add what decides on a loaded number; x32's calls come in as x86-64's, with a bit set."""
    bounds = ranges(into, arch, rules)
    if arch is X86_64:
        foreign = (numbers.X32_BIT, into.verdict(FOREIGN_CALL))
        bounds += ranges(into, X32, rules, numbers.X32_BIT) if x32 else [foreign]
        bounds.append((NONE, into.verdict(rules.default)))
    return into.search(merged(bounds))


Bounds = list[tuple[int, Place]]
"""Where ranges of numbers begin, and what decides on each; rising."""


def ranges(into: Assembler, arch: Architecture, rules: Rules, first: int = 0) -> Bounds:
    """Return the ranges of an architecture whose numbers begin at `first`."""
    at = arch.numbers()
    known = {at[name]: decision for name, decision in rules.named.items() if name in at}
    default = into.verdict(rules.default)
    unknown = into.verdict(UNKNOWN_CALL) if rules.hides_new_calls and known else default
    newest = max((number for number in known if number < numbers.ARM_PRIVATE + first), default=0)
    bounds = [(first, default)]
    for number in sorted(known):
        if bounds[-1][0] == number:
            bounds.pop()
        bounds.append((number, add_decision(into, known[number], rules.default, arch.bits)))
        bounds.append((number + 1, default if number < newest else unknown))
    return bounds


def merged(bounds: Bounds) -> Bounds:
    """Join neighbours that lead to the same place."""
    joined: Bounds = []
    for start, place in bounds:
        if joined and joined[-1][0] == start:
            joined.pop()
        if not joined or joined[-1][1] != place:
            joined.append((start, place))
    return joined


def add_decision(into: Assembler, decision: Decision, default: int, bits: int) -> Place:
    place = into.verdict(default if decision.otherwise is None else decision.otherwise)
    for case in reversed(decision.cases):
        place = add_case(into, case, place, bits)
    return place


def add_case(into: Assembler, case: Case, otherwise: Place, bits: int) -> Place:
    place = into.verdict(case.verdict)
    for condition in reversed(case.conditions):
        place = add_condition(into, condition, place, otherwise, bits)
    return place


def add_condition(into: Assembler, asked: Condition, yes: Place, no: Place, bits: int) -> Place:
    match asked.operator:
        case Operator.EQ | Operator.MASKED_EQ:
            return add_equal(into, asked, yes, no, bits)
        case Operator.NE:
            return add_equal(into, asked, no, yes, bits)
        case Operator.GT:
            return add_above(into, assembler.JUMP_GREATER, asked, yes, no, bits)
        case Operator.GE:
            return add_above(into, assembler.JUMP_NOT_BELOW, asked, yes, no, bits)
        case Operator.LE:
            return add_above(into, assembler.JUMP_GREATER, asked, no, yes, bits)
        case Operator.LT:
            return add_above(into, assembler.JUMP_NOT_BELOW, asked, no, yes, bits)
        case _:
            assert_never(asked.operator)


def add_equal(into: Assembler, asked: Condition, yes: Place, no: Place, bits: int) -> Place:
    """Compare both words of an argument, or the only one that a 32-bit machine has."""
    place = add_equal_word(into, asked, 0, yes, no)
    if bits == 32 or (asked.mask >> 32 == 0 and asked.value >> 32 == 0):
        return place
    return add_equal_word(into, asked, 1, place, no)


def add_equal_word(into: Assembler, asked: Condition, word: int, yes: Place, no: Place) -> Place:
    value, mask = (number >> 32 * word & LOW for number in (asked.value, asked.mask))
    place = into.test(assembler.JUMP_EQUAL, value, yes, no)
    if mask != LOW:
        place = into.mask(mask, place)
    return into.load(word_of(asked, word), place)


def add_above(
    into: Assembler, code: int, asked: Condition, yes: Place, no: Place, bits: int
) -> Place:
    """Compare sizes: the high words decide unless they are equal."""
    place = into.load(word_of(asked, 0), into.test(code, asked.value & LOW, yes, no))
    if bits == 32:
        return place
    high = asked.value >> 32
    place = into.test(assembler.JUMP_EQUAL, high, place, no)
    place = into.test(assembler.JUMP_GREATER, high, yes, place)
    return into.load(word_of(asked, 1), place)


def word_of(asked: Condition, word: int) -> int:
    """Return the offset of an argument's low or high word; all our machines are little-endian."""
    return assembler.ARGUMENTS_AT + 8 * asked.index + 4 * word
