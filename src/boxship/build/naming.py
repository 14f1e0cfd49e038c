"""What steps are called that have no names of their own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import assert_never

from boxship.build import ops
from boxship.lib.urls import without_login

LONGEST = 500


def name_of(op: ops.Op) -> str:
    """Return what a step does, in a line."""
    match op:
        case ops.Source():
            said = without_login(op.identifier)
        case ops.Exec():
            said = " ".join(op.args)
        case ops.Files():
            said = ", ".join(map(_done, op.actions))
        case ops.Merge():
            said = "merge"
        case ops.Diff():
            said = "diff"
        case _:
            assert_never(op)
    return " ".join(said.split())[:LONGEST]


def _done(action: ops.Action) -> str:
    return " ".join(_words(action.does))


def _words(
    does: ops.Copy | ops.MakeFile | ops.MakeFolder | ops.MakeLink | ops.Delete,
) -> Iterator[str]:
    match does:
        case ops.Copy():
            yield from ("copy", does.source, does.target)
        case ops.MakeFile():
            yield from ("mkfile", does.path)
        case ops.MakeFolder():
            yield from ("mkdir", does.path)
        case ops.MakeLink():
            yield from ("symlink", does.says, does.path)
        case ops.Delete():
            yield from ("rm", does.path)
        case _:
            assert_never(does)
