"""What the registry client makes of registries that misbehave."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from typing import Any

import pytest
from tests.support.engine import PATIENCE
from tests.support.faulty_registry import Answer, FaultyRegistry, refused, two
from tests.support.images import archive, sha256
from tests.support.pulling import Naps, asking

from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry, Sent
from boxship.distribution.errors import (
    Denied,
    LoginNeeded,
    NotThere,
    RegistryError,
    RegistryUnavailable,
    TooManyRequests,
    Unreachable,
    WrongAnswer,
    WrongBytes,
)
from boxship.distribution.manifests import Schema1
from boxship.spec.digest import Digest

DATA = bytes(range(256)) * 4096  # 1 MiB
DIGEST = Digest.of(DATA)
USER = Credentials("user", "secret")
BASIC = "Basic " + base64.b64encode(b"user:secret").decode()


@pytest.fixture
def registry() -> Iterator[FaultyRegistry]:
    with FaultyRegistry() as made:
        made.add("a/b", "1", [archive(("x", b"x", {}))])
        made.add_blob("a/b", DATA)
        yield made


def blob(size: int = len(DATA)) -> Callable[[Registry], Awaitable[bytes]]:
    async def work(asked: Registry) -> bytes:
        return b"".join([piece async for piece in asked.read_blob("a/b", DIGEST, size)])

    return work


def resolve(reference: str = "1") -> Callable[[Registry], Awaitable[Any]]:
    return lambda asked: asked.resolve("a/b", reference)


# blobs


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


# trying again


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


# manifests

OCI = "application/vnd.oci.image."
GOOD = {
    "schemaVersion": 2,
    "mediaType": OCI + "manifest.v1+json",
    "config": {"mediaType": OCI + "config.v1+json", "digest": sha256(b""), "size": 0},
    "layers": [],
}


def served(registry: FaultyRegistry, document: object, kind: str = OCI + "manifest.v1+json") -> str:
    data = document if isinstance(document, bytes) else json.dumps(document).encode()
    return registry.add_manifest("a/b", "bad", kind, data)


@pytest.mark.parametrize(
    "document",
    [
        {**GOOD, "manifests": []},
        {**GOOD, "mediaType": OCI + "index.v1+json"},
        {**GOOD, "schemaVersion": 3},
        {"schemaVersion": 2, "mediaType": OCI + "manifest.v1+json", "manifests": []},
        {"schemaVersion": 2},
        [],
        b"",
        b"{",
        b'{"schemaVersion":2,"layers":[],"layers":[],"config":{}}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_document_that_could_be_two_things_is_refused(
    registry: FaultyRegistry, document: object
) -> None:
    served(registry, document)
    with pytest.raises(WrongAnswer):
        asking(registry.host, resolve("bad"))


def test_a_manifest_that_breaks_off_is_asked_for_again(registry: FaultyRegistry) -> None:
    kind, data = registry.manifests["a/b", "1"]
    registry.when("GET", "/manifests/", Answer(200, {"Content-Type": kind}, data, cut=20), times=2)
    assert asking(registry.host, resolve()).data == data
    registry.when("GET", "/manifests/", Answer(200, {"Content-Type": kind}, data, cut=20))
    with pytest.raises(RegistryUnavailable):
        asking(registry.host, resolve())


def test_a_header_that_contradicts_its_document_is_refused(registry: FaultyRegistry) -> None:
    served(registry, GOOD, OCI + "index.v1+json")
    with pytest.raises(WrongAnswer):
        asking(registry.host, resolve("bad"))


def test_a_header_that_says_nothing_is_not_believed(registry: FaultyRegistry) -> None:
    served(registry, GOOD, "application/json; charset=utf-8")
    assert asking(registry.host, resolve("bad")).media_type == OCI + "manifest.v1+json"


def test_other_bytes_than_the_digest_says_are_refused(registry: FaultyRegistry) -> None:
    other = sha256(b"other")
    registry.manifests["a/b", other] = (OCI + "manifest.v1+json", json.dumps(GOOD).encode())
    with pytest.raises(WrongBytes, match=other):
        asking(registry.host, resolve(other))


def test_a_digest_header_that_lies_is_noticed(registry: FaultyRegistry) -> None:
    kind, data = registry.manifests["a/b", "1"]
    lie = {"Content-Type": kind, "Docker-Content-Digest": sha256(b"other")}
    registry.when("GET", "/manifests/", Answer(200, lie, data))
    with pytest.raises(WrongBytes):
        asking(registry.host, resolve())


@pytest.mark.parametrize("chunked", [True, False])
def test_a_huge_manifest_is_refused_before_it_is_in_memory(
    registry: FaultyRegistry, chunked: bool
) -> None:
    headers = {"Content-Type": OCI + "manifest.v1+json"}
    if not chunked:
        headers["Content-Length"] = str(1 << 40)
    registry.when("GET", "/manifests/", Answer(200, headers, b" " * (5 << 20), chunked=chunked))
    with pytest.raises(WrongAnswer, match="bytes"):
        asking(registry.host, resolve())


@pytest.mark.parametrize(
    "kind", ["application/vnd.docker.distribution.manifest.v1+prettyjws", "application/json"]
)
def test_schema_1_is_refused_with_a_reason(registry: FaultyRegistry, kind: str) -> None:
    served(registry, {"schemaVersion": 1, "fsLayers": []}, kind)
    with pytest.raises(Schema1, match="no longer supported"):
        asking(registry.host, resolve("bad"))


def test_a_registry_that_does_not_tell_digests_is_asked_for_all(registry: FaultyRegistry) -> None:
    registry.when("HEAD", "/manifests/", Answer(200))
    kind, data = registry.manifests["a/b", "1"]
    found = asking(registry.host, lambda asked: asked.head_manifest("a/b", "1"))
    assert (found.media_type, found.digest, found.size) == (kind, sha256(data), len(data))


# credentials


def test_a_password_is_sent_only_after_it_was_asked_for(registry: FaultyRegistry) -> None:
    registry.want_password(BASIC)
    asking(registry.host, resolve(), USER)
    first, second = registry.seen
    assert "authorization" not in first.headers
    assert second.headers["authorization"] == BASIC


def test_a_password_that_is_refused_is_not_sent_for_ever(registry: FaultyRegistry) -> None:
    registry.want_password("Basic other")
    with pytest.raises(LoginNeeded, match="authentication required"):
        asking(registry.host, resolve(), USER)
    assert len(registry.seen) == 2


def test_a_token_is_fetched_once_for_each_scope(registry: FaultyRegistry) -> None:
    registry.give_tokens()
    registry.want_token(f"{registry.origin}/token")

    async def work(asked: Registry) -> None:
        await asked.resolve("a/b", "1")
        await asked.head_manifest("a/b", "1")
        await asked.blob_size("a/b", DIGEST)

    asking(registry.host, work, USER)
    (token,) = registry.asked("GET", "^/token")
    assert token.query == {
        "service": ["test"], "scope": ["repository:a/b:pull"], "account": ["user"]
    }  # fmt: skip
    assert token.headers["authorization"] == BASIC
    assert len(registry.asked("GET", "/manifests/")) == 2  # the first was refused


def test_a_token_that_is_refused_for_ever_ends_the_tries(registry: FaultyRegistry) -> None:
    registry.give_tokens("bad")
    registry.want_token(f"{registry.origin}/token")
    with pytest.raises(LoginNeeded):
        asking(registry.host, resolve(), USER)
    assert len(registry.seen) <= 6


def test_an_identity_token_becomes_an_access_token(registry: FaultyRegistry) -> None:
    registry.give_tokens("", access_token="good")
    registry.want_token(f"{registry.origin}/token")
    asking(registry.host, resolve(), Credentials(identity_token="refresh"))
    (asked,) = registry.asked("POST", "^/token")
    assert b"grant_type=refresh_token" in asked.body
    assert b"refresh_token=refresh" in asked.body
    assert "authorization" not in asked.headers


def test_a_registry_token_is_used_as_it_is(registry: FaultyRegistry) -> None:
    registry.want_token("http://127.0.0.1:1/")
    asking(registry.host, resolve(), Credentials(registry_token="good"))
    assert len(registry.seen) == 1


def test_logging_in_returns_an_identity_token(registry: FaultyRegistry) -> None:
    registry.give_tokens(refresh_token="keep-this")
    registry.want_token(f"{registry.origin}/token")
    assert asking(registry.host, lambda asked: asked.login(), USER) == "keep-this"
    assert registry.asked("GET", "^/token")[-1].query["offline_token"] == ["true"]


def test_a_wrong_password_is_told_at_log_in(registry: FaultyRegistry) -> None:
    registry.when("*", "^/token", refused(401, "UNAUTHORIZED", "incorrect username or password"))
    registry.want_token(f"{registry.origin}/token")
    with pytest.raises(LoginNeeded, match="incorrect username or password"):
        asking(registry.host, lambda asked: asked.login(), USER)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_credential_follows_a_redirect(status: int) -> None:
    """SEC-47: a third host counts the Authorization headers it sees, and counts none."""
    with two() as (own, other):
        own.add_blob("a/b", DATA)
        other.add_blob("a/b", DATA)
        own.want_password(BASIC)
        where = {"Location": f"{other.origin}/v2/a/b/blobs/{DIGEST}?signature=x"}
        own.when("GET", "/blobs/", Answer(status, where))
        assert asking(own.host, blob(), USER) == DATA
        assert [one.headers.get("authorization") for one in own.seen] == [None, BASIC]
        assert len(other.seen) == 1
        assert "authorization" not in other.seen[0].headers


def test_the_target_of_a_redirect_gets_no_log_in() -> None:
    with two() as (own, other):
        where = {"Location": f"{other.origin}/elsewhere"}
        own.when("GET", "/blobs/", Answer(307, where))
        other.give_tokens()
        other.when("GET", "/elsewhere", refused(401, "UNAUTHORIZED", "", 'Basic realm="x"'))
        with pytest.raises(LoginNeeded, match="only the place"):
            asking(own.host, blob(), USER)
        assert all("authorization" not in one.headers for one in other.seen)


@pytest.mark.parametrize("credentials", [USER, Credentials(identity_token="refresh")])
def test_a_realm_elsewhere_gets_no_password(credentials: Credentials) -> None:
    with two() as (own, other):
        own.add("a/b", "1", [archive(("x", b"x", {}))])
        own.want_token(f"{other.origin}/token")
        other.give_tokens("anonymous")
        with pytest.raises(LoginNeeded):
            asking(own.host, resolve(), credentials)
        assert all("authorization" not in one.headers for one in other.seen)
        assert all(b"refresh" not in one.body for one in other.seen)


def test_a_realm_elsewhere_that_wants_a_password_is_explained() -> None:
    with two() as (own, other):
        own.want_token(f"{other.origin}/token")
        other.when("*", "/token", refused(401, "UNAUTHORIZED", "log in"))
        with pytest.raises(LoginNeeded, match="token-hosts"):
            asking(own.host, resolve(), USER)


@pytest.mark.parametrize(
    "realm", ["", "file:///etc/passwd", "ftp://x/", "http://u:p@127.0.0.1/", "http://", "http://[/"]
)
def test_a_realm_that_is_no_address_is_refused(registry: FaultyRegistry, realm: str) -> None:
    registry.want_token(realm)
    with pytest.raises(RegistryError):
        asking(registry.host, resolve(), USER)


@pytest.mark.parametrize("where", ["file:///etc/passwd", "http://", "//", "http://u:p@127.0.0.1/"])
def test_a_redirect_to_no_address_is_refused(registry: FaultyRegistry, where: str) -> None:
    registry.when("GET", "/blobs/", Answer(307, {"Location": where}))
    with pytest.raises(RegistryError):
        asking(registry.host, blob())


def test_redirects_in_a_circle_end(registry: FaultyRegistry) -> None:
    registry.when("GET", "/blobs/", Answer(307, {"Location": "?again"}))
    with pytest.raises(WrongAnswer, match="redirects more than"):
        asking(registry.host, blob())
    assert len(registry.seen) < 10


def test_an_upload_elsewhere_gets_no_password() -> None:
    """The place where an upload goes on may be another host; it gets the bytes, not the user."""
    with two() as (own, other):
        own.want_password(BASIC)
        other.uploads["0"] = bytearray()
        where = {"Location": f"{other.origin}/v2/a/b/blobs/uploads/0"}
        own.when("POST", "", Answer(202, where))
        assert asking(own.host, upload, USER) is Sent.PUSHED
        assert all("authorization" not in one.headers for one in other.seen)


# writing


async def upload(asked: Registry) -> Sent:
    async def content(start: int, end: int) -> Any:
        for at in range(start, end, 1 << 18):
            yield DATA[at : min(end, at + (1 << 18))]

    return await asked.upload_blob("p/q", DIGEST, len(DATA), content, mount_from="a/b")


def test_a_blob_is_mounted_rather_than_sent(registry: FaultyRegistry) -> None:
    assert asking(registry.host, upload) is Sent.MOUNTED
    assert asking(registry.host, upload) is Sent.EXISTED
    assert not registry.asked("PUT", "")


@pytest.mark.parametrize("piece", [0, 100_000])
def test_a_blob_is_sent_whole_or_in_pieces(registry: FaultyRegistry, piece: int) -> None:
    registry.places.clear()
    assert asking(registry.host, upload, upload_piece=piece) is Sent.PUSHED
    assert registry.blobs[DIGEST] == DATA
    assert len(registry.asked("PATCH", "")) == (11 if piece else 0)


def test_an_upload_goes_on_where_it_was_cut(registry: FaultyRegistry) -> None:
    """The registry kept a part before the connection broke: only the rest is sent again."""
    registry.places.clear()

    def breaks(asked: Any) -> Answer:
        registry.uploads["0"] += asked.body[:400_000]
        return Answer(500, cut=0)

    registry.when("PUT", "/uploads/", breaks, times=1)
    assert asking(registry.host, upload) is Sent.PUSHED
    (rest,) = registry.asked("PATCH", "")
    assert rest.headers["content-range"] == f"400000-{len(DATA) - 1}"
    assert registry.blobs[DIGEST] == DATA


def test_an_upload_that_nobody_takes_is_given_up(registry: FaultyRegistry) -> None:
    """The other end stops reading: the upload ends after a while, in place of waiting for ever."""
    registry.places.clear()
    with socket.create_server(("127.0.0.2", 0)) as deaf:
        address = f"http://127.0.0.2:{deaf.getsockname()[1]}"
        registry.when("POST", "", Answer(202, {"Location": f"{address}/upload"}))

        async def content(start: int, end: int) -> Any:
            while True:
                yield bytes(1 << 20)

        async def work(asked: Registry) -> Sent:
            return await asked.upload_blob("p/q", DIGEST, 1 << 40, content)

        with pytest.raises(RegistryUnavailable, match="timed out"):
            asking(registry.host, work, stall_timeout=0.3, attempts=1)


def test_an_upload_that_was_lost_is_begun_again(registry: FaultyRegistry) -> None:
    registry.places.clear()

    def lost(asked: Any) -> Answer:
        registry.uploads.clear()
        return Answer(502)

    registry.when("PUT", "/uploads/", lost, times=1)
    assert asking(registry.host, upload) is Sent.PUSHED
    assert len(registry.asked("POST", "")) == 2


def test_a_registry_that_stores_something_else_is_noticed(registry: FaultyRegistry) -> None:
    registry.when("PUT", "/manifests/", Answer(201, {"Docker-Content-Digest": sha256(b"other")}))
    with pytest.raises(WrongAnswer, match="has stored"):
        asking(registry.host, lambda asked: asked.put_manifest("a/b", "2", "x", b"{}"))


def test_referrers_are_listed_in_a_tag_where_there_is_no_api(registry: FaultyRegistry) -> None:
    """OCI distribution 1.1: the client keeps the list for a registry that does not."""
    kind, target = registry.manifests["a/b", "1"]
    subject = {"mediaType": kind, "digest": sha256(target), "size": len(target)}

    def document(number: int) -> bytes:
        artifact = {**GOOD, "artifactType": f"test/{number}", "annotations": {"n": str(number)}}
        return json.dumps({**artifact, "subject": subject}).encode()

    async def work(asked: Registry) -> list[Any]:
        for number in (1, 2, 2):
            data = document(number)
            await asked.put_manifest("a/b", sha256(data), OCI + "manifest.v1+json", data)
        found = await asked.referrers("a/b", Digest.of(target))
        return [*found, *await asked.referrers("a/b", Digest.of(target), "test/2")]

    found = asking(registry.host, work)
    assert [one.artifact_type for one in found] == ["test/1", "test/2", "test/2"]
    assert [one.digest for one in found[:2]] == [sha256(document(1)), sha256(document(2))]
    assert found[0].annotations == {"n": "1"}


# mirrors


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
