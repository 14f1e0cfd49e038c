"""Addresses of engines."""

from __future__ import annotations

import pytest

from boxship.client.engine import escape, filters_text, query_text
from boxship.client.errors import BadAddress
from boxship.client.remote import ssh_command
from boxship.client.target import TLS, Target


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("unix:///run/x.sock", ("unix", "/run/x.sock", "", 0)),
        ("tcp://host:1234", ("tcp", "", "host", 1234)),
        ("tcp://host", ("tcp", "", "host", 2375)),
        ("tcp://[::1]:99", ("tcp", "", "::1", 99)),
        ("tcp://:99", ("tcp", "", "127.0.0.1", 99)),
    ],
)
def test_addresses(url: str, place: tuple[str, str, str, int]) -> None:
    target = Target(url)
    assert (target.scheme, target.path, target.host, target.port) == place


def test_a_secured_address_has_the_secured_port() -> None:
    assert Target("tcp://host", TLS("a", "b", "c", verify=True)).port == 2376


@pytest.mark.parametrize("url", ["", "nonsense", "bogus://x", "tcp://h:port", "unix://"])
def test_what_is_no_address_is_refused(url: str) -> None:
    with pytest.raises(BadAddress):
        Target(url)


def test_ssh_gets_words_and_never_options_from_an_address() -> None:
    command = ssh_command("ssh://ada@host:22/run/b.sock")
    assert command[:-1] == [
        "ssh",
        "-o",
        "ConnectTimeout=30",
        "-T",
        "-l",
        "ada",
        "-p",
        "22",
        "--",
        "host",
    ]
    assert "boxship --host 'unix:///run/b.sock' system dial-stdio" in command[-1]
    with pytest.raises(BadAddress):
        ssh_command("ssh://-oProxyCommand=x")
    with pytest.raises(BadAddress):
        ssh_command("ssh://a:secret@host")


def test_queries_leave_out_what_says_nothing() -> None:
    assert query_text({"a": "", "b": None, "c": False, "d": True, "e": 0, "f": ["x", "y z"]}) == (
        "?d=1&e=0&f=x&f=y%20z"
    )
    assert escape("a/b:\u00e9") == "a%2Fb%3A%C3%A9"
    assert filters_text({"name": ["x"], "label": ["a=b", "c"]}) == (
        '{"label":{"a=b":true,"c":true},"name":{"x":true}}'
    )
