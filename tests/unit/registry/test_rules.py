"""Access rules, waiting after wrong passwords, users' files, metrics and retention, as values."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxship.registry.auth.access import CATALOG, Access, Action
from boxship.registry.auth.htpasswd import NOBODY, Users, basic, hash_password
from boxship.registry.auth.limiter import FREE, Limiter
from boxship.registry.auth.rules import Rules
from boxship.registry.config import (
    AccessRule,
    AccessSection,
    BadConfig,
    Keep,
    RetentionRule,
    Seconds,
)
from boxship.registry.errors import TooManyRequests
from boxship.registry.events import Event, Source, Target
from boxship.registry.metrics import Metrics
from boxship.registry.names import Digest, Name
from boxship.registry.notify import document
from boxship.registry.proxy.evict import Cached, evicted
from boxship.registry.retention import Tagged, check_rules, expired

DAY = 86400.0


def rule(*repositories: str, users: list[str], actions: list[str]) -> AccessRule:
    return AccessRule(repositories=list(repositories), users=users, actions=actions)


def test_rules_add_up() -> None:
    rules = Rules(
        AccessSection(
            groups={"team": ["ann"]},
            rules=[
                rule("**", users=["*"], actions=["pull"]),
                rule("team/**", users=["@team"], actions=["push"]),
                rule("x", users=["ann"], actions=["*"]),
            ],
        )
    )
    assert rules.allowed("ann", "team/a") == {"pull", "push"}
    assert rules.allowed("ann", "x") == {"pull", "push", "delete"}
    assert rules.allowed("bob", "team/a") == {"pull"}
    assert rules.allowed("", "team/a") == set()
    wanted = Access.repository("team/a", Action.PULL, Action.PUSH, Action.DELETE)
    assert rules.granted("ann", wanted) == {"pull", "push"}
    assert not rules.may("ann", wanted)
    assert rules.may("bob", CATALOG)
    assert not rules.may("", CATALOG)
    assert not rules.may("ann", Access("volume", "team/a", frozenset({"pull"})))


def test_without_rules_whoever_is_known_may_do_all() -> None:
    rules = Rules(AccessSection())
    assert rules.allowed("ann", "a") == {"pull", "push", "delete"}
    assert rules.allowed("", "a") == set()


@pytest.mark.parametrize(
    "wrong", [rule("a", users=["@none"], actions=["pull"]), rule("a", users=[], actions=["fly"])]
)
def test_rules_that_mean_nothing_are_refused(wrong: AccessRule) -> None:
    with pytest.raises(BadConfig):
        Rules(AccessSection(rules=[wrong]))


def test_who_is_wrong_waits_longer_each_time_and_is_forgiven() -> None:
    now = [0.0]
    limiter = Limiter(lambda: now[0])
    waits: list[float] = []
    for _ in range(FREE + 4):
        while True:
            try:
                limiter.check("1.2.3.4", "ann")
                break
            except TooManyRequests as refusal:
                waits.append(float(refusal.headers()[0][1]))
                now[0] += waits[-1]
        limiter.failed("1.2.3.4", "ann")
    assert waits == sorted(waits)
    assert waits[0] < waits[-1]
    limiter.check("1.2.3.4", "bob")
    limiter.check("4.3.2.1", "ann")
    limiter.succeeded("1.2.3.4", "ann")
    limiter.check("1.2.3.4", "ann")


def test_many_names_from_one_address_are_slowed_too() -> None:
    limiter = Limiter(lambda: 0.0)
    for number in range(FREE * 6 + 1):
        limiter.failed("1.2.3.4", f"user{number}")
    with pytest.raises(TooManyRequests):
        limiter.check("1.2.3.4", "another")


def test_users_are_read_and_other_hashes_are_not(tmp_path: Path) -> None:
    import bcrypt

    path = tmp_path / "users"
    known = hash_password("pw")
    path.write_text(f"# comment\n\nann:{known}\nbob:{{SHA}}abc\nnonsense\n")
    users = Users(str(path))
    assert users.hash_of("ann") == known.encode()
    assert users.hash_of("bob") is None
    assert users.decoy() == known.encode()
    assert not bcrypt.checkpw(b"x", NOBODY)
    with pytest.raises(BadConfig):
        Users(str(tmp_path / "none"))


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("Basic YTpi", ("a", "b")),
        ("basic YTpiOmM=", ("a", "b:c")),
        ("Basic YTo=", ("a", "")),
        ("Basic OmI=", None),
        ("Basic YQ==", None),
        ("Basic !!", None),
        ("Bearer YTpi", None),
        ("", None),
        ("Basic //79", None),
    ],
)
def test_basic_headers(header: str, found: tuple[str, str] | None) -> None:
    assert basic(header) == found


# Retention


def keep(**kept: object) -> RetentionRule:
    return RetentionRule(keep=Keep(**kept))  # type: ignore[arg-type]


def gone(rules: list[RetentionRule], **ages: float) -> dict[str, str]:
    tags = [Tagged(tag.replace("_", "."), "sha256:x", -age * DAY) for tag, age in ages.items()]
    return {one.tagged.tag: one.reason for one in expired(Name("a"), tags, rules, 0.0)}


def test_the_newest_stay() -> None:
    assert set(gone([keep(newest=2)], a=1, b=2, c=3, d=4)) == {"c", "d"}


def test_what_anything_keeps_stays() -> None:
    rules = [keep(newest=1, younger=Seconds(2.5 * DAY), tags=["v*"])]
    found = gone(rules, a=1, b=2, c=3, v1=9)
    assert set(found) == {"c"}
    assert "number 3" in found["c"]
    assert "3 days old" in found["c"]
    assert "none of v*" in found["c"]


def test_the_first_rule_that_fits_decides() -> None:
    first = RetentionRule(tags=["pr-*"], keep=Keep(newest=0))
    assert set(gone([first, keep(newest=9)], **{"pr-1": 1, "v1": 2})) == {"pr-1"}
    other = RetentionRule(repositories=["b/**"], keep=Keep(newest=0))
    assert gone([other], a=1) == {}


def test_a_rule_that_keeps_nothing_is_refused() -> None:
    with pytest.raises(BadConfig):
        check_rules([RetentionRule()])
    with pytest.raises(BadConfig):
        check_rules([RetentionRule(tags=["["], keep=Keep(newest=1))])


# Caches


def cached(digest: str, used: float, *blobs: tuple[str, int]) -> Cached:
    found = frozenset((Digest(name), size) for name, size in blobs)
    return Cached(Name("a"), Digest(digest), used, found)


def test_a_cache_keeps_to_its_size_and_counts_what_is_shared_once() -> None:
    shared = ("shared", 50)
    all_of_them = [
        cached("m1", 1, ("l1", 30), shared),
        cached("m2", 2, ("l2", 30), shared),
        cached("m3", 3, ("l3", 30)),
    ]
    assert [one.cached.digest for one in evicted(all_of_them, 10, 0, 140)] == []
    assert [one.cached.digest for one in evicted(all_of_them, 10, 0, 110)] == ["m1"]
    assert [one.cached.digest for one in evicted(all_of_them, 10, 0, 100)] == ["m1", "m2"]
    assert [one.cached.digest for one in evicted(all_of_them, 10, 7.5, 0)] == ["m1", "m2"]


# What is told


def test_metrics_are_text_that_prometheus_reads() -> None:
    metrics = Metrics()
    metrics.declare("a_total", "Things.")
    metrics.count("a_total", kind='with "quotes"')
    metrics.count("a_total", 2, kind="other")
    metrics.observe("t_seconds", 0.02)
    metrics.gauge("g", "Now.", lambda: {(): 7})
    text = metrics.render().decode()
    assert "# HELP a_total Things.\n# TYPE a_total counter\n" in text
    assert 'a_total{kind="with \\"quotes\\""} 1' in text
    assert 't_seconds_bucket{le="0.025"} 1' in text
    assert 't_seconds_bucket{le="0.01"} 0' in text
    assert "g 7\n" in text


def test_an_event_has_the_reference_servers_form() -> None:
    target = Target("application/octet-stream", "sha256:x", 5, "a/b")
    source = Source("id", "1.2.3.4", "host", "PUT", "agent", "ann", "http://host")
    found = document(0.0, Event("push", target, source), {"addr": "h:5000"}, references=False)
    assert found["timestamp"].startswith("1970-01-01T00:00:00")
    assert found["target"] == {
        "mediaType": "application/octet-stream",
        "size": 5,
        "length": 5,
        "digest": "sha256:x",
        "repository": "a/b",
        "url": "http://host/v2/a/b/blobs/sha256:x",
    }
    assert found["actor"] == {"name": "ann"}
    assert found["request"]["useragent"] == "agent"
