"""Credentials as clients send them."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.distribution.auth import (
    ANONYMOUS,
    Credentials,
    from_config_header,
    from_header,
    host_of,
)
from boxship.errors import InvalidRequest


def packed(document: object, *, padded: bool = True, url: bool = True) -> str:
    encode = base64.urlsafe_b64encode if url else base64.b64encode
    text = encode(json.dumps(document).encode()).decode()
    return text if padded else text.rstrip("=")


@pytest.mark.parametrize("padded", [True, False])
@pytest.mark.parametrize("url", [True, False])
def test_a_header_is_read_in_every_spelling_of_base64(padded: bool, url: bool) -> None:
    said = {"username": "u>>", "password": "p??~", "serveraddress": "localhost:5000"}
    found = from_header(packed(said, padded=padded, url=url))
    assert found == Credentials("u>>", "p??~", server="localhost:5000")


@pytest.mark.parametrize("text", ["", "null", packed({}), packed(None), " "])
def test_an_empty_header_is_anonymous(text: str) -> None:
    assert from_header(text).anonymous


@pytest.mark.parametrize("text", ["%%%", packed([1]), packed("x"), packed({"username": 1}), "YQ"])
def test_what_cannot_be_read_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        from_header(text)


def test_name_and_password_may_come_as_one() -> None:
    both = base64.b64encode(b"user:pass:word").decode()
    assert from_header(packed({"auth": both})) == Credentials("user", "pass:word")


def test_tokens_are_taken_over() -> None:
    found = from_header(packed({"identitytoken": "i", "registrytoken": "r"}))
    assert (found.identity_token, found.registry_token) == ("i", "r")


def test_what_is_secret_is_not_shown() -> None:
    assert "secret" not in repr(Credentials("user", "secret", "secret", "secret"))


@pytest.mark.parametrize(
    ("server", "host"),
    [
        ("https://index.docker.io/v1/", "docker.io"),
        ("index.docker.io", "docker.io"),
        ("registry-1.docker.io", "docker.io"),
        ("https://Reg.Example:5000/v2/", "reg.example:5000"),
        ("localhost:5000", "localhost:5000"),
        ("[::1]:5000", "[::1]:5000"),
    ],
)
def test_an_address_is_of_one_host(server: str, host: str) -> None:
    assert host_of(server) == host


def test_credentials_go_to_their_own_host_only() -> None:
    own = Credentials("u", "p", server="a.example")
    assert own.belonging_to("a.example") == own
    assert own.belonging_to("b.example") == ANONYMOUS
    assert Credentials("u", "p").belonging_to("b.example").username == "u"


def test_many_registries_have_credentials_each() -> None:
    found = from_config_header(
        packed({"https://index.docker.io/v1/": {"username": "a"}, "b:5000": {"username": "b"}})
    )
    assert {host: one.username for host, one in found.items()} == {"docker.io": "a", "b:5000": "b"}
    assert from_config_header("") == {}


@given(st.text(max_size=200))
def test_any_header_is_read_or_refused(text: str) -> None:
    try:
        from_header(text)
    except InvalidRequest:
        pass
