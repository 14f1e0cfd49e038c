"""Filters that mean the same for every noun."""

from __future__ import annotations

import pytest

from boxship.errors import InvalidRequest
from boxship.model.filters import has_label, has_labels, matches_name, truth

LABELS = {"a": "1", "empty": ""}


@pytest.mark.parametrize(
    ("wanted", "found"),
    [("a", True), ("a=1", True), ("a=", False), ("a=2", False), ("empty=", True), ("b", False)],
)
def test_a_label_is_asked_for_by_its_key_or_with_its_value(wanted: str, found: bool) -> None:
    assert has_label(LABELS, wanted) is found


def test_all_labels_must_be_there() -> None:
    assert has_labels(LABELS, ())
    assert has_labels(LABELS, ["a", "empty"])
    assert not has_labels(LABELS, ["a", "b"])


def test_true_and_false_are_said_in_three_ways_each_and_once() -> None:
    assert truth("dangling", ()) is None
    assert [truth("x", [word]) for word in ("1", "true", "True")] == [True] * 3
    assert [truth("x", [word]) for word in ("0", "false", "False")] == [False] * 3
    for values in (["yes"], ["true", "false"], [""]):
        with pytest.raises(InvalidRequest, match="invalid filter 'dangling="):
            truth("dangling", values)


def test_a_name_holds_a_pattern_or_the_text_that_is_none() -> None:
    assert matches_name("^on", "one")
    assert not matches_name("^ne", "one")
    assert matches_name("a(b", "xa(b)")
    assert not matches_name("a(b", "ab")
