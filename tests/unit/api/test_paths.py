"""Paths, versions and queries: one spelling, one route."""

from __future__ import annotations

import pytest
from tests.api import sample_routes

from boxship.api.app import _segments, _take_version
from boxship.api.query import Query
from boxship.api.routing import Matcher, routes_of
from boxship.api.version import ApiVersion
from boxship.errors import InvalidRequest

MATCHER = Matcher(routes_of(sample_routes))


@pytest.mark.parametrize(
    "path",
    [
        "//quick", "/./quick", "/%2e/quick", "/x/../quick", "/x/%2e%2e/quick", "/x/..%2fquick",
        "/quick/.", "/notes//json", "/%2f/quick", "/v1.41//quick", "/notes/..",
    ],
)  # fmt: skip
def test_a_path_in_another_spelling_is_never_routed(path: str) -> None:
    assert _segments(path) is None


@pytest.mark.parametrize("path", ["quick", "*", "/a%00b", "/%ff", "/%c0%ae%c0%ae/quick"])
def test_what_is_no_path_is_refused(path: str) -> None:
    with pytest.raises(InvalidRequest):
        _segments(path)


def routed(path: str) -> tuple[str, dict[str, str]] | None:
    segments = _segments(path)
    assert segments is not None
    found = MATCHER.find("GET", _take_version(segments)[1])
    return (found[0].template, found[1]) if found else None


def test_names_may_span_segments_and_be_encoded() -> None:
    template = "/images/{name...}/json"
    assert routed("/images/busybox/json") == (template, {"name": "busybox"})
    assert routed("/v1.41/images/a.b:5/c/d:e/json") == (template, {"name": "a.b:5/c/d:e"})
    assert routed("/images/library%2Fbusybox%3A1/json") == (template, {"name": "library/busybox:1"})
    assert routed("/images/json") is None


def test_an_encoded_letter_is_the_letter() -> None:
    assert routed("/%71uick") == ("/quick", {})
    assert routed("/QUICK") is None
    assert routed("/quick/") is None


def test_a_version_is_a_prefix_once_and_well_formed() -> None:
    assert _take_version(["v1.41", "quick"]) == (ApiVersion(1, 41), ["quick"])
    assert _take_version(["quick"]) == (None, ["quick"])
    assert _take_version(["volumes"]) == (None, ["volumes"])
    for wrong in ("v1", "v1.x", "v1.2.3", "v1.41 ", "v1.٤"):
        with pytest.raises(InvalidRequest):
            _take_version([wrong, "quick"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", False), ("all", False), ("all=", False), ("all=0", False), ("all=False", False),
        ("all=no", False), ("all=none", False), ("all=1", True), ("all=true", True),
        ("all=anything", True), ("all=%20", False),
    ],
)  # fmt: skip
def test_truth_is_what_does_not_deny(text: str, value: bool) -> None:
    assert Query(text).flag("all") is value


def test_numbers_are_checked() -> None:
    assert Query("t=-1").integer("t") == -1
    assert Query("").integer("t", 5) == 5
    for wrong in ("x", "1.5", "1e3", "٣", "9" * 30):
        with pytest.raises(InvalidRequest):
            Query(f"t={wrong}").integer("t")


@pytest.mark.parametrize(
    "text",
    ["[]", "1", '{"a": 1}', '{"a": {"b": 1}}', '{"a": [1]}', '{"a": "b"}', "{", '{"a":[],"a":[]}'],
)
def test_what_is_no_filter_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        Query(f"filters={text}").filters()


def test_parameters_are_bounded() -> None:
    with pytest.raises(InvalidRequest, match="too many"):
        Query("&".join(f"a{n}=1" for n in range(2000)))
