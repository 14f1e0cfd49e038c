"""What exporters' attributes write on an image's documents."""

from __future__ import annotations

import pytest

from boxship.build.export import annotating
from boxship.errors import InvalidRequest
from boxship.spec.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")


def test_levels_and_platforms() -> None:
    said = annotating.read(
        {
            "name": "x",
            "annotation.a": "1",
            "annotation-manifest[linux/arm64].b.c": "2",
            "annotation-manifest-descriptor[linux/amd64].d": "3",
            "annotation-index.e": "4",
            "annotation-index-descriptor.f": "5",
        },
        AMD64,
    )
    assert said.of(annotating.MANIFEST, AMD64) == {"a": "1"}
    assert said.of(annotating.MANIFEST, ARM64) == {"a": "1", "b.c": "2"}
    assert said.of(annotating.MANIFEST_DESCRIPTOR, AMD64) == {"d": "3"}
    assert said.of(annotating.MANIFEST_DESCRIPTOR, ARM64) == {}
    assert said.of(annotating.INDEX) == {"e": "4"}
    assert said.of(annotating.INDEX_DESCRIPTOR) == {"f": "5"}
    assert said.of_index


@pytest.mark.parametrize(
    "name",
    ["annotation", "annotation.", "annotation-other.k", "annotation-index[linux/amd64].k",
     "annotation[no/such/plat/form].k", "annotation[.k"],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(name: str) -> None:
    with pytest.raises(InvalidRequest):
        annotating.read({name: "v"}, AMD64)
