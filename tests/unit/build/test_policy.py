"""Source policies: what rules match, in which order they count, what a source becomes."""

from __future__ import annotations

import pytest

from boxship.build.ops import Source
from boxship.build.policy import (
    Action,
    BadPolicy,
    Condition,
    Constraint,
    Match,
    Rule,
    SourceDenied,
    judged,
)

ALPINE = Source("docker-image://docker.io/library/alpine:latest")
DENY_ALL = Rule(Action.DENY, "*")


def convert(selector: str, to: str, match: Match = Match.WILDCARD) -> Rule:
    return Rule(Action.CONVERT, selector, match, identifier=to)


@pytest.mark.parametrize(
    ("rule", "matches"),
    [
        (Rule(Action.DENY, "docker-image://docker.io/library/alpine:latest", Match.EXACT), True),
        (Rule(Action.DENY, "docker-image://docker.io/library/alpine", Match.EXACT), False),
        (Rule(Action.DENY, "docker-image://*:latest"), True),
        (Rule(Action.DENY, "docker-image://docker.io/library/alpine"), False),
        (Rule(Action.DENY, "*alpine*"), True),
        (Rule(Action.DENY, "docker.image*"), False),
        (Rule(Action.DENY, "library/al.ine", Match.REGEX), True),
        (Rule(Action.DENY, "^library", Match.REGEX), False),
    ],
)
def test_a_rule_matches_by_name_wildcard_or_expression(rule: Rule, matches: bool) -> None:
    assert rule.matches(ALPINE) is matches


@pytest.mark.parametrize(
    ("constraint", "holds"),
    [
        (Constraint("a", "1"), True),
        (Constraint("a", "2"), False),
        (Constraint("none", ""), True),
        (Constraint("a", "2", Condition.NOTEQUAL), True),
        (Constraint("a", "[0-9]", Condition.MATCHES), True),
        (Constraint("none", ".+", Condition.MATCHES), False),
    ],
)
def test_a_rule_may_constrain_attributes(constraint: Constraint, holds: bool) -> None:
    source = Source("http://h/f", (("a", "1"),))
    assert Rule(Action.DENY, "*", constraints=(constraint,)).matches(source) is holds


def test_the_last_rule_that_allows_or_denies_counts() -> None:
    allow = Rule(Action.ALLOW, "*alpine*")
    assert judged(ALPINE, [(DENY_ALL, allow)]) == ALPINE
    with pytest.raises(SourceDenied, match=r'^source "docker-image://.*" denied by policy: source'):
        judged(ALPINE, [(allow, DENY_ALL)])
    with pytest.raises(SourceDenied):
        judged(ALPINE, [(allow,), (DENY_ALL,)])  # each policy must admit it


@pytest.mark.parametrize(
    ("rule", "becomes"),
    [
        (convert("docker-image://docker.io/*", "docker-image://mirror/$1"), "library/alpine"),
        (
            convert("docker-image://*/*:*", "docker-image://mirror/library/${2}:$3"),
            "library/alpine",
        ),
        (convert(r"docker.io/(\w+)", "mirror/$1", Match.REGEX), "library/alpine"),
        (
            convert(ALPINE.identifier, "docker-image://mirror/library/alpine:latest", Match.EXACT),
            "library/alpine",
        ),
    ],
)
def test_a_source_is_replaced(rule: Rule, becomes: str) -> None:
    assert judged(ALPINE, [(rule,)]).identifier == f"docker-image://mirror/{becomes}:latest"


def test_what_a_source_becomes_is_judged_again() -> None:
    moved = convert("docker-image://docker.io/*", "docker-image://mirror/$1")
    no_mirror = Rule(Action.DENY, "docker-image://mirror/*")
    with pytest.raises(SourceDenied, match="mirror"):
        judged(ALPINE, [(moved, no_mirror)])
    with pytest.raises(BadPolicy, match="too many"):
        judged(ALPINE, [(convert("*", "${1}x"),)])


def test_attributes_are_added_and_kept() -> None:
    source = Source("https://h/f", (("http.filename", "f"),))
    attrs = {"http.checksum": "sha256:1"}
    rule = Rule(Action.CONVERT, "https://h/f", identifier="", attrs=attrs)
    found = judged(source, [(rule,)])
    assert found.identifier == source.identifier
    assert dict(found.attrs) == {"http.filename": "f", "http.checksum": "sha256:1"}


@pytest.mark.parametrize(
    "rule",
    [
        Rule(Action.DENY, "a**b"),
        Rule(Action.DENY, "(", Match.REGEX),
        Rule(Action.CONVERT, "*"),
        Rule(Action.DENY, "*", constraints=(Constraint("a", "[", Condition.MATCHES),)),
    ],
)
def test_what_makes_no_sense_is_refused(rule: Rule) -> None:
    with pytest.raises(BadPolicy):
        judged(ALPINE, [(rule,)])
