"""Filters do what the profile says: the instructions, run here, against the rules themselves."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bpf import filter_says

from boxship.errors import InvalidRequest, NotSupported
from boxship.kernel import seccomp as kernel
from boxship.runtime import seccomp
from boxship.runtime.seccomp import architectures, numbers
from boxship.runtime.seccomp.architectures import AARCH64, ARM, X32, X86, X86_64
from boxship.spec.oci.runtime import Seccomp, Syscall, SyscallArg

WORD = (1 << 64) - 1
ALLOW, LOG, KILL, ENOSYS = 0x7FFF0000, 0x7FFC0000, 0, 0x50026
ACTIONS = {
    "SCMP_ACT_ALLOW": ALLOW,
    "SCMP_ACT_KILL": KILL,
    "SCMP_ACT_KILL_PROCESS": 0x80000000,
    "SCMP_ACT_TRAP": 0x30000,
    "SCMP_ACT_LOG": LOG,
}
COMPARE = {
    "NE": lambda a, b, _: a != b,
    "LT": lambda a, b, _: a < b,
    "LE": lambda a, b, _: a <= b,
    "EQ": lambda a, b, _: a == b,
    "GE": lambda a, b, _: a >= b,
    "GT": lambda a, b, _: a > b,
    "MASKED_EQ": lambda a, mask, b: a & mask == b,
}
NAMES = ["read", "write", "openat", "clone", "socket", "socketcall", "ioctl", "mseal", "no_such"]

words = st.one_of(
    st.sampled_from([0, 1, 2, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF, 1 << 32, (1 << 32) + 1, WORD]),
    st.integers(0, WORD),
    st.integers(0, 300),
)
arguments = st.builds(
    lambda index, op, value, two: SyscallArg(
        index=index, op=f"SCMP_CMP_{op}", value=value, value_two=two
    ),
    st.integers(0, 5),
    st.sampled_from(list(COMPARE)),
    words,
    words,
)
rules = st.builds(
    lambda names, action, errno, args: Syscall(
        names=names,
        action="SCMP_ACT_ERRNO" if action is None else action,
        errno_ret=errno if action is None else None,
        args=args,
    ),
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=4),
    st.one_of(st.none(), st.sampled_from(list(ACTIONS))),
    st.one_of(st.none(), st.integers(0, 4095)),
    st.lists(arguments, max_size=3),
)
profiles = st.builds(
    lambda default, errno, listed, syscalls: Seccomp(
        default_action="SCMP_ACT_ERRNO" if default is None else default,
        default_errno_ret=errno if default is None else None,
        architectures=listed,
        syscalls=syscalls,
    ),
    st.one_of(st.none(), st.sampled_from(list(ACTIONS))),
    st.one_of(st.none(), st.integers(0, 4095)),
    st.lists(st.sampled_from([X86_64.name, X86.name, X32.name, "SCMP_ARCH_S390X"]), max_size=4),
    st.lists(rules, max_size=8),
)


def value_of(action: str, errno: int | None) -> int:
    if action == "SCMP_ACT_ERRNO":
        return 0x50000 | (1 if errno is None else errno)
    return ACTIONS[action]


def expected(profile: Seccomp, arch: architectures.Architecture, number: int, args: list[int]):
    """Say what a profile means, in the plainest way."""
    names = {at: name for name, at in arch.numbers().items()}
    name = names.get(number)
    default = value_of(profile.default_action, profile.default_errno_ret)
    low = 0xFFFFFFFF if arch.bits == 32 else WORD

    def holds(asked: SyscallArg) -> bool:
        value, two = asked.value & low, asked.value_two & low
        return COMPARE[asked.op[9:]](args[asked.index] & low, value, two)

    named = {n for rule in profile.syscalls for n in rule.names}
    for rule in profile.syscalls:
        if name not in rule.names or not rule.args:
            continue
        indexes = [asked.index for asked in rule.args]
        together = any if len(set(indexes)) < len(indexes) else all
        if together(map(holds, rule.args)):
            return value_of(rule.action, rule.errno_ret)
    for rule in profile.syscalls:
        if name in rule.names and not rule.args:
            return value_of(rule.action, rule.errno_ret)
    known = [at for n, at in arch.numbers().items() if n in named]
    if known and number > max(known) and default not in (ALLOW, LOG, ENOSYS):
        return ENOSYS
    return default


@settings(max_examples=300, deadline=None)
@given(profiles, st.data())
def test_a_filter_says_what_the_profile_says(profile, data):
    program = seccomp.compile(profile, "x86_64")
    for arch in (X86_64, X86, X32):
        listed = arch is X86_64 or arch.name in profile.architectures
        at = arch.numbers()
        interesting = [at[name] + step for name in NAMES if name in at for step in (-1, 0, 1)]
        for number in [*interesting, max(at.values()) + 7]:
            if number < 0 or (arch is X32 and number < numbers.X32_BIT):
                continue
            args = [data.draw(words) for _ in range(6)]
            said = filter_says(program, number, arch.audit, args)
            assert said == (expected(profile, arch, number, args) if listed else KILL)


@pytest.mark.parametrize(
    ("machine", "family"), [("x86_64", (X86_64, X86, X32)), ("aarch64", (AARCH64, ARM))]
)
def test_every_number_of_every_architecture_is_found_in_a_long_profile(machine, family):
    """Each third call has a verdict of its own, so that the search tree cannot merge them."""
    names = sorted({name for arch in family for name in arch.numbers()})
    chosen = {name: 2 + at % 300 for at, name in enumerate(names) if at % 3 == 0}
    profile = Seccomp(
        default_action="SCMP_ACT_ALLOW",
        architectures=[arch.name for arch in family],
        syscalls=[
            Syscall(names=[name], action="SCMP_ACT_ERRNO", errno_ret=errno)
            for name, errno in chosen.items()
        ],
    )
    program = seccomp.compile(profile, machine)
    for arch in family:
        for name, number in arch.numbers().items():
            wanted = 0x50000 | chosen[name] if name in chosen else ALLOW
            assert filter_says(program, number, arch.audit, []) == wanted, (arch.name, name)


def test_calls_of_an_architecture_that_is_not_listed_kill():
    profile = Seccomp(default_action="SCMP_ACT_ALLOW", architectures=[X86_64.name])
    program = seccomp.compile(profile, "x86_64")
    assert filter_says(program, 0, X86_64.audit, []) == ALLOW
    assert filter_says(program, 0, X86.audit, []) == KILL
    assert filter_says(program, numbers.X32_BIT, X86_64.audit, []) == KILL
    assert filter_says(program, 0, AARCH64.audit, []) == KILL


def test_a_call_that_a_tracer_cancelled_gets_the_default():
    profile = Seccomp(default_action="SCMP_ACT_ALLOW")
    program = seccomp.compile(profile, "x86_64")
    assert filter_says(program, 0xFFFFFFFF, X86_64.audit, []) == ALLOW


def test_calls_newer_than_the_profile_answer_as_on_an_older_kernel():
    rule = Syscall(names=["read", "clone3"], action="SCMP_ACT_ALLOW")
    strict = seccomp.compile(Seccomp(default_action="SCMP_ACT_ERRNO", syscalls=[rule]), "x86_64")
    assert filter_says(strict, 434, X86_64.audit, []) == 0x50001  # older: refused
    assert filter_says(strict, 436, X86_64.audit, []) == ENOSYS
    lax = seccomp.compile(Seccomp(default_action="SCMP_ACT_LOG", syscalls=[rule]), "x86_64")
    assert filter_says(lax, 436, X86_64.audit, []) == LOG


@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (Seccomp(default_action="SCMP_ACT_NOTIFY"), "SCMP_ACT_NOTIFY is not supported"),
        (Seccomp(default_action="ALLOW"), "string ALLOW is not a valid action"),
        (Seccomp(default_action="SCMP_ACT_ERRNO", default_errno_ret=4096), "invalid errno 4096"),
        (Seccomp(default_action="SCMP_ACT_ERRNO", default_errno_ret=-1), "invalid errno -1"),
        (Seccomp(default_action="SCMP_ACT_ALLOW", default_errno_ret=1), "takes no errno"),
        (
            Seccomp(default_action="SCMP_ACT_ALLOW", architectures=["x86"]),
            "string x86 is not a valid arch",
        ),
        (Seccomp(default_action="SCMP_ACT_ALLOW", listener_path="/s"), "notification"),
    ],
)
def test_what_no_filter_can_do_is_refused(profile, message):
    with pytest.raises((InvalidRequest, NotSupported), match=message):
        seccomp.compile(profile, "x86_64")


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        (SyscallArg(index=6, value=0, op="SCMP_CMP_EQ"), "no argument 6"),
        (SyscallArg(index=0, value=0, op="EQ"), "string EQ is not a valid operator"),
        (SyscallArg(index=0, value=-1, op="SCMP_CMP_EQ"), "unsigned 64-bit"),
        (SyscallArg(index=0, value=1 << 64, op="SCMP_CMP_EQ"), "unsigned 64-bit"),
    ],
)
def test_a_senseless_condition_is_refused(argument, message):
    rule = Syscall(names=["read"], action="SCMP_ACT_ALLOW", args=[argument])
    profile = Seccomp(default_action="SCMP_ACT_ERRNO", syscalls=[rule])
    with pytest.raises(InvalidRequest, match=message):
        seccomp.compile(profile, "x86_64")


def test_a_filter_longer_than_the_kernel_takes_is_refused():
    many = [SyscallArg(index=0, value=n << 33, op="SCMP_CMP_GT") for n in range(1200)]
    rule = Syscall(names=["read"], action="SCMP_ACT_ALLOW", args=many)
    with pytest.raises(InvalidRequest, match="too large"):
        seccomp.compile(Seccomp(default_action="SCMP_ACT_ERRNO", syscalls=[rule]), "x86_64")


def test_flags_become_bits_and_none_means_no_slow_measures():
    def flags(*names: str) -> int:
        return seccomp.flags_of(Seccomp(default_action="SCMP_ACT_ALLOW", flags=list(names)))

    assert flags() == kernel.FILTER_FLAG_SPEC_ALLOW
    assert flags("SECCOMP_FILTER_FLAG_LOG", "SECCOMP_FILTER_FLAG_TSYNC") == 3
    with pytest.raises(NotSupported):
        flags("SECCOMP_FILTER_FLAG_NEW_LISTENER")


def test_a_compiled_filter_is_kept_on_disk_and_a_damaged_one_made_again(tmp_path):
    from boxship.runtime.seccomp import cache

    profile = Seccomp(default_action="SCMP_ACT_ALLOW")
    first = seccomp.compiled(profile, "x86_64", str(tmp_path))
    (kept,) = tmp_path.iterdir()
    assert kept.read_bytes()[32:] == first
    kept.write_bytes(kept.read_bytes()[:-1] + b"\1")
    cache._compiled.cache_clear()
    assert seccomp.compiled(profile, "x86_64", str(tmp_path)) == first
    assert kept.read_bytes()[32:] == first
