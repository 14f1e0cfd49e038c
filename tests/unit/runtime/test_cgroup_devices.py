"""Device rules: the same meaning as v1's lines and as v2's program."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.support.bpf import device_program_says

from boxship.runtime.cgroups import devices
from boxship.runtime.cgroups.errors import BadDeviceRule
from boxship.spec.oci.runtime import DeviceRule

NULL, DISK = ("c", 1, 3), ("b", 8, 0)
KINDS = {"b": 1, "c": 2}
rule_lists = st.lists(
    st.builds(
        lambda allow, kind, major, minor, access: DeviceRule(
            allow=allow, type=kind, major=major, minor=minor, access="".join(sorted(access))
        ),
        st.booleans(),
        st.sampled_from(["", "a", "b", "c"]),
        st.sampled_from([None, -1, 1, 8]),
        st.sampled_from([None, -1, 0, 3]),
        st.sets(st.sampled_from("rwm")),
    ),
    max_size=6,
)


def program_allows(rules, kind, major, minor, access):
    wanted = sum(devices.BIT[letter] for letter in access)
    program = devices.program(rules)
    return bool(device_program_says(program, KINDS[kind], wanted, major, minor))


def plainly_allowed(rules, kind, major, minor, access):
    """Say what rules mean: for each letter the last rule that speaks of it decides."""

    def decided(letter: str) -> bool:
        for rule in reversed(rules):
            if (
                rule.type in ("", "a", kind)
                and rule.major in (None, -1, major)
                and rule.minor in (None, -1, minor)
                and letter in (rule.access or "rwm")
            ):
                return rule.allow
        return False

    return all(map(decided, access))


@settings(max_examples=400, deadline=None)
@given(rule_lists, st.sampled_from("bc"), st.sampled_from([1, 8, 9]), st.sampled_from([0, 3, 4]))
def test_the_program_means_what_the_rules_mean(rules, kind, major, minor):
    for access in ("r", "w", "m", "rw", "rwm"):
        said = program_allows(rules, kind, major, minor, access)
        assert said == plainly_allowed(rules, kind, major, minor, access)


@settings(max_examples=400, deadline=None)
@given(rule_lists, st.sampled_from("bc"), st.sampled_from([1, 8, 9]), st.sampled_from([0, 3, 4]))
def test_lines_for_v1_mean_the_same_or_are_refused(rules, kind, major, minor):
    rules = [devices.DENY_ALL, *rules]
    try:
        policy = devices.policy_of(rules)
    except BadDeviceRule:
        return
    node = devices.Nodes(kind, major, minor)
    for letter in "rwm":
        excepted = any(
            letter in access for nodes, access in policy.exceptions.items() if nodes.covers(node)
        )
        assert (policy.allow ^ excepted) == plainly_allowed(rules, kind, major, minor, letter)


def test_a_container_without_rules_has_what_is_promised_and_no_more():
    rules = devices.complete([])
    assert program_allows(rules, *NULL, "rwm")
    assert program_allows(rules, "c", 136, 5, "rw")  # a terminal
    assert program_allows(rules, *DISK, "m")
    assert not program_allows(rules, *DISK, "r")
    assert not program_allows(rules, "c", 10, 200, "rw")  # tun
    assert not program_allows(rules, "c", 1, 1, "r")  # memory
    default, other, lines = devices.lines(devices.policy_of(rules))
    assert (default, other) == ("devices.deny", "devices.allow")
    assert "c 1:3 rwm" in lines
    assert "b *:* m" in lines


def test_a_device_can_be_given_in_part():
    rules = devices.complete([DeviceRule(allow=True, type="b", major=8, minor=0, access="r")])
    assert program_allows(rules, *DISK, "r")
    assert not program_allows(rules, *DISK, "rw")
    assert "b 8:0 r" in devices.lines(devices.policy_of(rules))[2]


def test_a_privileged_container_has_everything():
    rules = devices.complete([DeviceRule(allow=True, access="rwm")])
    assert program_allows(rules, *DISK, "rwm")
    assert devices.lines(devices.policy_of(rules)) == ("devices.allow", "devices.deny", [])


def test_v1_cannot_make_a_hole_in_a_wildcard():
    rules = [
        DeviceRule(allow=True, type="c", access="rwm"),
        DeviceRule(allow=False, type="c", major=1, minor=1, access="rwm"),
    ]
    assert not program_allows(devices.complete(rules), "c", 1, 1, "r")
    with pytest.raises(BadDeviceRule, match="hole"):
        devices.policy_of(devices.complete(rules))


@pytest.mark.parametrize(
    "rule",
    [
        DeviceRule(allow=True, type="x", access="rwm"),
        DeviceRule(allow=True, type="c", access="rwx"),
        DeviceRule(allow=True, type="c", major=-2, access="r"),
        DeviceRule(allow=True, type="c", major=1 << 31, access="r"),
    ],
)
def test_a_senseless_rule_is_refused(rule):
    with pytest.raises(BadDeviceRule):
        devices.complete([rule])
