"""The checker of histories, on histories whose verdict is known."""

from __future__ import annotations

import pytest
from tests.support.history import Operation, unexplained


def register(state: str, one: Operation) -> str | None:
    """A cell that is written and read."""
    if one.what == "read":
        return state if one.answer == state else None
    return one.what


@pytest.mark.parametrize(
    ("history", "verdict"),
    [
        ([], True),
        ([(0, 1, "a", ""), (2, 3, "read", "a")], True),
        ([(0, 1, "a", ""), (2, 3, "read", "")], False),
        ([(0, 5, "a", ""), (1, 2, "read", ""), (3, 4, "read", "a")], True),
        ([(0, 5, "a", ""), (1, 2, "read", "a"), (3, 4, "read", "")], False),
        ([(0, 9, "a", ""), (0, 9, "b", ""), (1, 2, "read", "b"), (3, 4, "read", "a")], True),
        ([(0, 1, "a", ""), (0, 1, "b", ""), (2, 3, "read", "b"), (4, 5, "read", "a")], False),
    ],
)
def test_what_can_have_happened(history: list[tuple[int, int, str, str]], verdict: bool) -> None:
    operations = [Operation(*one) for one in history]
    assert (not unexplained(operations, "", register)) is verdict
