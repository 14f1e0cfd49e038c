"""Who gets a password, and what for: nobody whom a registry merely names."""

from __future__ import annotations

import pytest
from tests.support.asking import BASIC, DATA, DIGEST, USER, blob, resolve, upload
from tests.support.faulty_registry import Answer, FaultyRegistry, refused, two
from tests.support.images import archive
from tests.support.pulling import asking

from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry, Sent
from boxship.distribution.errors import (
    LoginNeeded,
    RegistryError,
    WrongAnswer,
)


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
