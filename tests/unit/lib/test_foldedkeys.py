"""Names of fields in another case, as Docker takes them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct, field

from boxship.lib import strictjson
from boxship.lib.foldedkeys import folded


class Inner(Struct):
    source: str = field(default="", name="Source")


class Outer(Struct):
    image: str = field(default="", name="Image")
    detach_keys: str | None = field(default=None, name="DetachKeys")
    labels: dict[str, str] | None = field(default=None, name="Labels")
    mounts: list[Inner] | None = field(default=None, name="Mounts")
    by_name: dict[str, Inner | None] | None = field(default=None, name="ByName")


@pytest.mark.parametrize(("given", "read"), [
    ({"image": "a", "DETACHKEYS": "k"}, {"Image": "a", "DetachKeys": "k"}),
    ({"Image": "exact", "image": "other"}, {"Image": "exact"}),
    ({"iMage": "first", "image": "second"}, {"Image": "first"}),
    ({"Labels": {"image": "x", "source": "y"}}, None),
    ({"mounts": [{"source": "s"}, {"Source": "t"}]},
     {"Mounts": [{"Source": "s"}, {"Source": "t"}]}),
    ({"ByName": {"source": {"SOURCE": "s"}, "Source": None}},
     {"ByName": {"source": {"Source": "s"}, "Source": None}}),
    ({"Unknown": {"image": 1}, "Image": "a"}, None),
    ({"Mounts": None, "Image": "a"}, None),
    ({"Mounts": "no list", "Labels": ["no map"]}, None),
    ([1, 2], None), ("text", None), (None, None),
])  # fmt: skip
def test_fields_have_the_names_that_they_should(given: object, read: object) -> None:
    made = folded(given, Outer)
    if read is None:
        assert made is given
    elif isinstance(read, dict):
        assert {key: one for key, one in made.items() if key in read} == read


@given(st.recursive(
    st.none() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["Image", "image", "Mounts", "MOUNTS", "source", "Labels", "x"]), inner),
))  # fmt: skip
def test_nothing_that_is_well_named_changes_and_nothing_breaks(document: object) -> None:
    once = folded(document, Outer)
    assert folded(once, Outer) is once


def test_a_document_in_another_case_is_read() -> None:
    read = strictjson.decode(b'{"image": "a", "labels": {"Image": "b"}}', Outer, "x", any_case=True)
    assert (read.image, read.labels) == ("a", {"Image": "b"})
    assert strictjson.decode(b'{"image": "a"}', Outer, "x").image == ""
