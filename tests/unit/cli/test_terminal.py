"""Keys that detach, and times on the command line."""

from __future__ import annotations

import pytest

from boxship.cli.container.ports import show_ports
from boxship.cli.progress import plain_line, progress_text
from boxship.cli.terminal import KeyWatch, detach_bytes
from boxship.cli.times import time_of
from boxship.errors import InvalidRequest


@pytest.mark.parametrize(
    ("text", "keys"),
    [("ctrl-p,ctrl-q", b"\x10\x11"), ("a", b"a"), ("ctrl-@,ctrl-[", b"\x00\x1b"), ("a,b", b"ab")],
)
def test_detach_keys_are_read(text: str, keys: bytes) -> None:
    assert detach_bytes(text) == keys


@pytest.mark.parametrize("text", ["", "ctrl-", "ctrl-A", "xyz", "ctrl-p,"])
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest, match="invalid detach keys"):
        detach_bytes(text)


@pytest.mark.parametrize(
    ("typed", "sent", "over"),
    [
        ([b"abc"], b"abc", False),
        ([b"a\x10\x11b"], b"a", True),
        ([b"\x10", b"\x11"], b"", True),
        ([b"\x10", b"x"], b"\x10x", False),
        ([b"\x10\x10\x11"], b"\x10", True),
    ],
)
def test_the_keys_are_watched_for_across_pieces(
    typed: list[bytes], sent: bytes, over: bool
) -> None:
    watch = KeyWatch(b"\x10\x11")
    found, done = b"", False
    for piece in typed:
        part, done = watch.feed(piece)
        found += part
        if done:
            break
    assert (found, done) == (sent, over)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", ""),
        ("5", "5"),
        ("5.5", "5.5"),
        ("10m", "999400.000000000"),
        ("2026-11-21T04:00:00Z", "1795233600.000000000"),
        ("2026-11-21T05:00:00+01:00", "1795233600.000000000"),
        ("2026-11-21T04:00:00.5Z", "1795233600.500000000"),
    ],
)
def test_times(text: str, expected: str) -> None:
    assert time_of(text, now=1_000_000.0) == expected


def test_what_is_no_time_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="failed to parse value as time or duration"):
        time_of("yesterday")


def test_neighbouring_ports_are_drawn_together() -> None:
    ports = [
        {"PrivatePort": 80, "Type": "tcp"},
        {"PrivatePort": 81, "Type": "tcp"},
        {"IP": "0.0.0.0", "PrivatePort": 443, "PublicPort": 8443, "Type": "tcp"},
        {"IP": "::", "PrivatePort": 53, "PublicPort": 53, "Type": "udp"},
    ]
    assert show_ports(ports) == (  # type: ignore[arg-type]
        "[::]:53->53/udp, 80-81/tcp, 0.0.0.0:8443->443/tcp"
    )


def test_progress_is_a_bar_where_there_is_room() -> None:
    assert progress_text({"current": 50, "total": 100}, 200) == (
        "[=========================>                         ]      50B/100B"
    )
    assert progress_text({"current": 50, "total": 100}, 80) == "     50B/100B"
    assert progress_text({}, 200) == ""


def test_an_engines_words_cannot_drive_the_terminal() -> None:
    assert plain_line({"id": "x\x1b", "status": "a\x1b[2J"}) == "x\\x1b: a\\x1b[2J\n"
