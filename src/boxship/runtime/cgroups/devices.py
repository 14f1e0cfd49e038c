"""Which device nodes a container may use: rules, in order, each overriding those before it.

cgroup v1 takes them as lines, v2 as a program that the kernel asks at each use. Every container
may use what the runtime specification promises (null, zero, full, random, urandom, tty, console,
terminals) and may make nodes of any kind, which alone gives no access.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

from boxship.kernel import bpf
from boxship.runtime.cgroups.errors import BadDeviceRule
from boxship.spec.oci.runtime import DeviceRule

ALL: Final = "rwm"
BIT: Final = {"m": 1, "r": 2, "w": 4}  # as the kernel hands them to a program
NUMBER_OF: Final = {"b": 1, "c": 2}
EVERY: Final = 7
LARGEST: Final = 0x7FFFFFFF
DENY_ALL: Final = DeviceRule(allow=False, access=ALL)
NAMED: Final = ((1, 3), (1, 5), (1, 7), (1, 8), (1, 9), (5, 0), (5, 1), (5, 2), (136, None))
PROMISED: Final = (
    *(DeviceRule(allow=True, type=kind, access="m") for kind in "cb"),
    *(DeviceRule(allow=True, type="c", major=m, minor=n, access=ALL) for m, n in NAMED),
)


def complete(rules: Sequence[DeviceRule]) -> list[DeviceRule]:
    """Return the rules of a container that asks for `rules`: nothing else, and what is promised."""
    for rule in rules:
        check(rule)
    return [DENY_ALL, *rules, *PROMISED]


def check(rule: DeviceRule) -> None:
    """Refuse a rule that says nothing sensible."""
    numbers = [number for number in (rule.major, rule.minor) if number is not None]
    if (
        rule.type not in ("", "a", "b", "c", "u")
        or not set(rule.access) <= set(ALL)
        or not all(-1 <= number <= LARGEST for number in numbers)
    ):
        raise BadDeviceRule(
            f"invalid device rule: {rule.type} {rule.major}:{rule.minor} {rule.access}"
        )


@dataclass(frozen=True, slots=True, order=True)
class Nodes:
    """Device nodes of one type; -1 stands for every number."""

    type: str
    major: int
    minor: int

    def covers(self, other: Nodes) -> bool:
        """Say whether all of `other` is in this."""
        return (
            self.type == other.type
            and self.major in (-1, other.major)
            and self.minor in (-1, other.minor)
        )

    def meets(self, other: Nodes) -> bool:
        """Say whether any node is in both."""
        return (
            self.type == other.type
            and (self.major == other.major or -1 in (self.major, other.major))
            and (self.minor == other.minor or -1 in (self.minor, other.minor))
        )

    def __str__(self) -> str:
        major, minor = ("*" if n < 0 else str(n) for n in (self.major, self.minor))
        return f"{self.type} {major}:{minor}"


def nodes_of(rule: DeviceRule) -> list[Nodes]:
    """Return what a rule is about."""
    major = -1 if rule.major is None else rule.major
    minor = -1 if rule.minor is None else rule.minor
    types = "bc" if rule.type in ("", "a") else "c" if rule.type == "u" else rule.type
    return [Nodes(kind, major, minor) for kind in types]


def access_of(rule: DeviceRule) -> set[str]:
    return set(rule.access or ALL)


@dataclass(slots=True)
class Policy:
    """What rules come to: a default, and the nodes for which the opposite holds."""

    allow: bool = True
    exceptions: dict[Nodes, set[str]] = field(default_factory=dict)

    def add(self, rule: DeviceRule) -> None:
        """Take one more rule; BadDeviceRule where v1 could not tell this from that."""
        about, access = nodes_of(rule), access_of(rule)
        if access == set(ALL) and {str(nodes) for nodes in about} == {"b *:*", "c *:*"}:
            self.allow, self.exceptions = rule.allow, {}
            return
        for nodes in about:
            if rule.allow != self.allow:
                self.exceptions.setdefault(nodes, set()).update(access)
            else:
                self._withdraw(nodes, access)

    def _withdraw(self, nodes: Nodes, access: set[str]) -> None:
        for other, excepted in list(self.exceptions.items()):
            if nodes.covers(other):
                excepted -= access
                if not excepted:
                    del self.exceptions[other]
            elif nodes.meets(other) and excepted & access:
                raise BadDeviceRule(
                    f"requested device rule {nodes} is not supported by cgroup v1: "
                    f"it would make a hole in {other}"
                )


def policy_of(rules: Iterable[DeviceRule]) -> Policy:
    """Work out what `rules` come to, one after the other."""
    policy = Policy()
    for rule in rules:
        policy.add(rule)
    return policy


def lines(policy: Policy) -> tuple[str, str, list[str]]:
    """Return v1's file for the default, its file for the exceptions, and their lines."""
    default, other = ("allow", "deny") if policy.allow else ("deny", "allow")
    exceptions = [
        f"{nodes} {''.join(letter for letter in ALL if letter in access)}"
        for nodes, access in policy.exceptions.items()
    ]
    return f"devices.{default}", f"devices.{other}", exceptions


TYPE, MAJOR, MINOR, WANTED, RESULT, CONTEXT = 3, 4, 5, 2, 0, 1  # registers


def program(rules: Sequence[DeviceRule]) -> bytes:
    """Return the eBPF program that says 1 where the rules allow all that is wanted, else 0.

    It asks the rules from the last to the first. Each kind of access is decided by the first
    rule met that speaks of it; what no rule speaks of is denied.
    """
    body = b"".join(asked(rule, nodes) for rule in reversed(rules) for nodes in nodes_of(rule))
    return b"".join((*PROLOGUE, body, *answer(False)))


PROLOGUE: Final = (  # access << 16 | type, major, minor: three words
    bpf.instruction(bpf.LDX_WORD, WANTED, CONTEXT, 0),
    bpf.instruction(bpf.MOV_REGISTER, TYPE, WANTED),
    bpf.instruction(bpf.AND, TYPE, operand=0xFFFF),
    bpf.instruction(bpf.SHIFT_RIGHT, WANTED, operand=16),
    bpf.instruction(bpf.LDX_WORD, MAJOR, CONTEXT, 4),
    bpf.instruction(bpf.LDX_WORD, MINOR, CONTEXT, 8),
)


def answer(allow: bool) -> tuple[bytes, bytes]:
    return bpf.instruction(bpf.MOV, RESULT, operand=int(allow)), bpf.instruction(bpf.EXIT)


def asked(rule: DeviceRule, nodes: Nodes) -> bytes:
    """Return one rule as instructions; where it does not decide, the next rule follows."""
    bits = sum(BIT[letter] for letter in access_of(rule))
    if rule.allow:
        act = [
            bpf.instruction(bpf.AND, WANTED, operand=EVERY & ~bits),
            bpf.instruction(bpf.JUMP_NOT_EQUAL, WANTED, offset=2),
            *answer(True),
        ]
    else:
        act = [
            bpf.instruction(bpf.MOV_REGISTER, RESULT, WANTED),
            bpf.instruction(bpf.AND, RESULT, operand=bits),
            bpf.instruction(bpf.JUMP_EQUAL, RESULT, offset=2),
            *answer(False),
        ]
    tests = list(conditions(nodes))
    return b"".join(
        bpf.instruction(
            bpf.JUMP_NOT_EQUAL,
            register,
            offset=len(tests) - place - 1 + len(act),
            operand=value,
        )
        for place, (register, value) in enumerate(tests)
    ) + b"".join(act)


def conditions(nodes: Nodes) -> Iterator[tuple[int, int]]:
    """Yield which registers must have which values."""
    yield TYPE, NUMBER_OF[nodes.type]
    if nodes.major >= 0:
        yield MAJOR, nodes.major
    if nodes.minor >= 0:
        yield MINOR, nodes.minor
