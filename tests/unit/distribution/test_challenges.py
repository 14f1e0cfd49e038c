"""What registries say about how to log in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.distribution.challenges import Challenge, parse

CASES = {
    'Bearer realm="https://a/t",service="s",scope="repository:x/y:pull,push"': [
        Challenge("bearer", {"realm": "https://a/t", "service": "s",
                             "scope": "repository:x/y:pull,push"})
    ],
    'Basic realm="a, b"': [Challenge("basic", {"realm": "a, b"})],
    'Basic realm="x", Bearer realm="https://t", service=plain': [
        Challenge("basic", {"realm": "x"}),
        Challenge("bearer", {"realm": "https://t", "service": "plain"}),
    ],
    r'bearer REALM="a\"b\\c"': [Challenge("bearer", {"realm": 'a"b\\c'})],
    "Negotiate": [Challenge("negotiate")],
    "NTLM TlRMTVNTUAAB==, Basic realm=x": [Challenge("ntlm"), Challenge("basic", {"realm": "x"})],
    "": [],
    '="': [],
    'Bearer realm="not closed': [Challenge("bearer")],
}  # fmt: skip


@pytest.mark.parametrize("header", CASES)
def test_challenges_are_read(header: str) -> None:
    assert parse([header]) == CASES[header]


def test_several_headers_are_read_in_order() -> None:
    assert [one.scheme for one in parse(["Basic realm=a", "Bearer realm=b"])] == ["basic", "bearer"]


@given(st.text(max_size=300))
def test_anything_is_read_without_failing(header: str) -> None:
    parse([header])


def test_a_long_header_takes_no_time() -> None:
    assert parse(["a " * 100_000])
    assert parse(['Bearer realm="' + "\\" * 100_000]) == [Challenge("bearer")]


def test_many_headers_of_blanks_take_no_time() -> None:
    assert parse([" " * 8192] * 2000) == []
    assert parse(["a" + " " * 8000 + "="] * 200) == []
    assert parse(["Bearer" + " " * 8000 + "!"] * 200)
