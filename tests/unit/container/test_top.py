"""Rows of ps, for the processes of one container."""

from __future__ import annotations

import os

import pytest

from boxship.container import top
from boxship.errors import InvalidRequest


def test_our_own_process_is_shown_in_the_default_columns() -> None:
    titles, rows = top.own_table([os.getpid(), 1 << 30])
    assert titles == ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
    assert [row[1] for row in rows] == [str(os.getpid())]
    assert rows[0][2] == str(os.getppid())
    assert "python" in rows[0][7]


def test_only_the_processes_asked_for_are_kept_and_the_last_column_is_whole() -> None:
    output = "  PID USER     COMMAND\n   12 root     sh -c a  b\n  123 root     other\n"
    assert top.parse(output, [12]) == (["PID", "USER", "COMMAND"], [["12", "root", "sh -c a  b"]])


def test_ps_output_without_a_pid_column_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="Couldn't find PID field in ps output"):
        top.parse("USER COMMAND\nroot sh\n", [1])
