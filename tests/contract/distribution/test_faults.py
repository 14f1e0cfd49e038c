"""What the registry client makes of registries and mirrors that misbehave."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.asking import BASIC, DATA, USER, blob, resolve
from tests.support.engine import PATIENCE
from tests.support.faulty_registry import Answer, FaultyRegistry, refused, two
from tests.support.images import archive
from tests.support.pulling import Naps, asking

from boxship.distribution.client import Registry
from boxship.distribution.errors import (
    Denied,
    LoginNeeded,
    NotThere,
    RegistryUnavailable,
    TooManyRequests,
    Unreachable,
    WrongAnswer,
    WrongBytes,
)


def test_a_blob_goes_on_where_it_was_cut(registry: FaultyRegistry) -> None:
    for at in (0, 1, 70_000, 500_000):
        registry.when("GET", "/blobs/", cut_rest(at), times=1)
    assert asking(registry.host, blob(), attempts=9) == DATA
    ranges = [one.headers.get("range") for one in registry.asked("GET", "/blobs/")]
    assert ranges[0] is None
    assert ranges[-1] is not None
    assert len(ranges) == 5


def cut_rest(at: int) -> Callable[[Any], Answer]:
    def rule(asked: Any) -> Answer:
        said = asked.headers.get("range")
        start = int(said.removeprefix("bytes=").rstrip("-")) if said else 0
        span = {"Content-Range": f"bytes {start}-{len(DATA) - 1}/{len(DATA)}"} if start else {}
        return Answer(206 if start else 200, span, DATA[start:], cut=at)

    return rule


def test_a_registry_without_ranges_sends_all_again(registry: FaultyRegistry) -> None:
    registry.when("GET", "/blobs/", Answer(body=DATA, cut=300_000), times=1)
    registry.when("GET", "/blobs/", Answer(body=DATA))
    assert asking(registry.host, blob()) == DATA


def test_another_range_than_asked_for_is_refused(registry: FaultyRegistry) -> None:
    registry.when("GET", "/blobs/", Answer(body=DATA, cut=300_000), times=1)
    registry.when("GET", "/blobs/", Answer(206, {"Content-Range": "bytes 5-9/10"}, b"12345"))
    with pytest.raises(WrongAnswer, match="another range"):
        asking(registry.host, blob())


def test_a_blob_that_is_always_cut_fails_after_some_tries(registry: FaultyRegistry) -> None:
    registry.when("GET", "/blobs/", cut_rest(10))
    with pytest.raises(RegistryUnavailable):
        asking(registry.host, blob())
    assert len(registry.asked("GET", "/blobs/")) == 3


@pytest.mark.parametrize("by", [-1, 1, 5000])
def test_another_size_is_refused_before_the_bytes_come(registry: FaultyRegistry, by: int) -> None:
    with pytest.raises(WrongBytes, match="announced"):
        asking(registry.host, blob(len(DATA) + by))
    assert len(registry.asked("GET", "/blobs/")) == 1


def test_extra_bytes_without_a_length_are_refused(registry: FaultyRegistry) -> None:
    registry.when("GET", "/blobs/", Answer(body=DATA + b"x", chunked=True))
    with pytest.raises(WrongBytes, match="more than"):
        asking(registry.host, blob())


def test_an_early_end_without_a_length_is_an_interruption(registry: FaultyRegistry) -> None:
    registry.when("GET", "/blobs/", Answer(body=DATA[:100_000], chunked=True), times=1)
    assert asking(registry.host, blob()) == DATA


def test_a_registry_that_falls_silent_is_given_up(registry: FaultyRegistry) -> None:
    registry.when("GET", "/blobs/", Answer(body=DATA, pause_after=1000), times=1)
    assert asking(registry.host, blob(), stall_timeout=0.2) == DATA
    assert len(registry.asked("GET", "/blobs/")) == 2


def test_no_answer_at_all_is_given_up(registry: FaultyRegistry) -> None:
    registry.when("GET", "/manifests/", lambda _: registry.released.wait(20 * PATIENCE) and None)
    with pytest.raises(RegistryUnavailable, match="timed out"):
        asking(registry.host, resolve(), stall_timeout=0.1, attempts=2)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_what_may_pass_is_tried_again(registry: FaultyRegistry, status: int) -> None:
    registry.when("GET", "/manifests/", Answer(status), times=2)
    naps = Naps()
    asking(registry.host, resolve(), naps=naps, back_off=1.0)
    assert len(naps.taken) == 2
    assert 0.5 <= naps.taken[0] <= 1.0 <= naps.taken[1] <= 2.0


def test_a_registry_may_say_when(registry: FaultyRegistry) -> None:
    registry.when("GET", "/manifests/", Answer(429, {"Retry-After": "7"}), times=1)
    naps = Naps()
    asking(registry.host, resolve(), naps=naps)
    assert naps.taken == [7.0]


def test_too_long_a_wait_is_a_refusal(registry: FaultyRegistry) -> None:
    said = refused(429, "TOOMANYREQUESTS", "You have reached your pull rate limit")
    said.headers["Retry-After"] = "86400"
    registry.when("GET", "/manifests/", said)
    with pytest.raises(TooManyRequests, match="toomanyrequests: You have reached"):
        asking(registry.host, resolve())
    assert len(registry.asked("GET", "/manifests/")) == 1


def test_what_stays_broken_is_told(registry: FaultyRegistry) -> None:
    registry.when("GET", "/manifests/", Answer(503, {}, b"<html>"))
    with pytest.raises(RegistryUnavailable, match="unexpected status 503"):
        asking(registry.host, resolve())
    assert len(registry.asked("GET", "/manifests/")) == 3


@pytest.mark.parametrize(("status", "kind"), [(404, NotThere), (403, Denied), (401, LoginNeeded)])
def test_a_refusal_is_not_tried_again(
    registry: FaultyRegistry, status: int, kind: type[Exception]
) -> None:
    registry.when("GET", "/manifests/", Answer(status))
    with pytest.raises(kind):
        asking(registry.host, resolve())
    assert len(registry.asked("GET", "/manifests/")) == 1


def test_nobody_there_is_told_at_once() -> None:
    naps = Naps()
    with pytest.raises(Unreachable, match="connection refused"):
        asking("127.0.0.1:1", resolve(), naps=naps)
    assert not naps.taken


def test_what_a_registry_says_is_shown_without_control_characters(
    registry: FaultyRegistry,
) -> None:
    registry.when("GET", "/manifests/", refused(403, "DENIED", "no\x1b[2J\nway " + "x" * 9999))
    with pytest.raises(Denied) as refusal:
        asking(registry.host, resolve())
    assert "\x1b" not in str(refusal.value)
    assert len(str(refusal.value)) < 500


def test_an_endless_refusal_is_not_read_to_its_end(registry: FaultyRegistry) -> None:
    registry.when("GET", "/manifests/", Answer(404, {}, b"x" * (1 << 20), chunked=True))
    with pytest.raises(NotThere, match="unexpected status 404"):
        asking(registry.host, resolve())


def mirrored(registry: FaultyRegistry, mirror: FaultyRegistry, path: str = "") -> dict[str, Any]:
    from boxship.distribution.settings import read_hosts

    return {"hosts": read_hosts({registry.host: {"mirrors": [mirror.origin + path]}}, [])}


def test_a_mirror_is_asked_first_and_told_for_whom() -> None:
    with two() as (own, mirror):
        mirror.add("pre/a/b", "1", [archive(("x", b"x", {}))])
        asking(own.host, resolve(), USER, **mirrored(own, mirror, "/pre"))
        assert not own.seen
        assert mirror.seen[0].query == {"ns": [own.host]}
        assert "authorization" not in mirror.seen[0].headers


@pytest.mark.parametrize(
    "answer",
    [Answer(404), Answer(500), Answer(401), Answer(200, {}, b"junk"), Answer(body=b"", cut=0)],
)
def test_a_mirror_that_fails_gives_way(registry: FaultyRegistry, answer: Answer) -> None:
    with FaultyRegistry("127.0.0.2") as mirror:
        mirror.when("*", "", answer)
        assert asking(registry.host, resolve(), **mirrored(registry, mirror)).data
        assert asking(registry.host, blob(), **mirrored(registry, mirror)) == DATA


def test_a_mirror_that_breaks_off_is_continued_elsewhere(registry: FaultyRegistry) -> None:
    with FaultyRegistry("127.0.0.2") as mirror:
        mirror.when("GET", "/blobs/", Answer(body=DATA, cut=400_000), times=1)
        mirror.when("GET", "/blobs/", Answer(404))
        assert asking(registry.host, blob(), **mirrored(registry, mirror)) == DATA
        (rest,) = registry.asked("GET", "/blobs/")
        assert rest.headers["range"].startswith("bytes=")


def test_a_mirror_that_failed_is_left_alone_for_a_while(registry: FaultyRegistry) -> None:
    with FaultyRegistry("127.0.0.2") as mirror:
        mirror.when("*", "", Answer(500))

        async def work(asked: Registry) -> None:
            for _ in range(3):
                await asked.resolve("a/b", "1")

        asking(registry.host, work, **mirrored(registry, mirror))
        assert len(mirror.seen) == 3  # the tries of the first time


def test_pages_are_followed_but_not_to_elsewhere_with_a_password() -> None:
    with two() as (own, other):
        own.want_password(BASIC)
        following = {"Link": f'<{other.origin}/v2/a/b/tags/list?last=1>; rel="next"'}
        other.when("GET", "", Answer(body=b'{"tags":["2"]}'))
        own.when("GET", "/tags/", Answer(200, following, b'{"tags":["1"]}'))
        assert asking(own.host, lambda asked: asked.tags("a/b"), USER) == ["1", "2"]
        assert all("authorization" not in one.headers for one in other.seen)
