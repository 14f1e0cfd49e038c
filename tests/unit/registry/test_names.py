"""Repository names, tags, digests, and the targets they stand in."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.errors import InvalidRequest
from boxship.registry.errors import DigestInvalid, NameInvalid, TagInvalid
from boxship.registry.http.target import Place, read
from boxship.registry.names import Digest, Name, Tag, reference
from boxship.registry.patterns import matches

HEX = "0123456789abcdef" * 8


@pytest.mark.parametrize("text", ["a", "a/b", "a-b/c__d/e.f", "a--b", "0/1", "a" * 255])
def test_names(text: str) -> None:
    assert Name.parse(text) == text


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "A", "a//b", "a..b", "a/.b", "a/_b", "a___b", "a" * 256, "a\n", "ä"],
)
def test_what_is_no_name(text: str) -> None:
    with pytest.raises(NameInvalid):
        Name.parse(text)


@given(st.text(max_size=60))
def test_a_name_is_safe_in_a_path(text: str) -> None:
    try:
        name = Name.parse(text)
    except NameInvalid:
        return
    assert all(part and part[0] not in "._-" for part in name.split("/"))


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        ("latest", Tag),
        ("sha256:" + HEX[:64], Digest),
        ("sha384:" + HEX[:96], Digest),
        ("sha512:" + HEX, Digest),
    ],
)
def test_references(text: str, kind: type) -> None:
    assert isinstance(reference(text), kind)


@pytest.mark.parametrize(
    "text", ["sha256:" + HEX, "sha512:" + HEX[:64], "md5:x", "sha256:" + "A" * 64]
)
def test_what_is_no_digest(text: str) -> None:
    with pytest.raises(DigestInvalid):
        reference(text)


@pytest.mark.parametrize("text", ["", ".a", "-a", "a" * 129, "a b", "a/b"])
def test_what_is_no_tag(text: str) -> None:
    with pytest.raises(TagInvalid):
        Tag.parse(text)


def test_digests_are_worked_out() -> None:
    assert Digest.of(b"x").hasher().name == "sha256"
    assert Digest.of(b"x", "sha512").algorithm == "sha512"
    assert len(Digest.of(b"x", "sha512").hex) == 128


@pytest.mark.parametrize(
    ("target", "place", "name", "item"),
    [
        ("/v2/", Place.BASE, "", ""),
        ("/v2", Place.BASE, "", ""),
        ("/v2/_catalog?n=1", Place.CATALOG, "", ""),
        ("/v2/a/tags/list", Place.TAGS, "a", ""),
        ("/v2/a/b/manifests/v1", Place.MANIFEST, "a/b", "v1"),
        ("/v2/a/blobs/sha256:x", Place.BLOB, "a", "sha256:x"),
        ("/v2/a/blobs/sha256%3ax", Place.BLOB, "a", "sha256:x"),
        ("/v2/a/blobs/uploads/", Place.UPLOADS, "a", ""),
        ("/v2/a/blobs/uploads", Place.UPLOADS, "a", ""),
        ("/v2/a/blobs/uploads/1-2", Place.UPLOAD, "a", "1-2"),
        ("/v2/a/referrers/x", Place.REFERRERS, "a", "x"),
        ("/v2/manifests/manifests/manifests", Place.MANIFEST, "manifests", "manifests"),
        ("/v2/blobs/uploads/tags/list", Place.TAGS, "blobs/uploads", ""),
        ("/v2/a", Place.OTHER, "", ""),
        ("/metrics", Place.OTHER, "", ""),
    ],
)
def test_targets(target: str, place: Place, name: str, item: str) -> None:
    found = read(target.encode())
    assert (found.place, found.name, found.item) == (place, name, item)


def test_a_targets_query_is_read() -> None:
    found = read(b"/v2/a/tags/list?n=1&n=2&last=a%2Fb&empty=")
    assert found.one("n") == "1"
    assert found.query["n"] == ("1", "2")
    assert (found.one("last"), found.one("empty"), found.one("none")) == ("a/b", "", "")


def test_a_prefix_comes_before_all() -> None:
    assert read(b"/here/v2/a/tags/list", "/here").place is Place.TAGS
    assert read(b"/v2/a/tags/list", "/here").place is Place.OTHER


@pytest.mark.parametrize("raw", [b"/" + b"a" * 3000, b"/%ff", b"/?" + b"a=1&" * 40, b"/?%ff\xff"])
def test_targets_that_cannot_be_read(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        read(raw)


@pytest.mark.parametrize(
    ("pattern", "name", "fits"),
    [
        ("a/*", "a/b", True),
        ("a/*", "a/b/c", False),
        ("a/**", "a", True),
        ("a/**", "a/b/c", True),
        ("**", "a/b", True),
        ("**/app", "x/y/app", True),
        ("**/app", "app", True),
        ("a/**/z", "a/z", True),
        ("a/**/z", "a/b/c/z", True),
        ("a/**/z", "a/b/c/y", False),
        ("a?", "ab", True),
        ("a", "ab", False),
    ],
)
def test_patterns(pattern: str, name: str, fits: bool) -> None:
    assert matches(pattern, name) is fits


def test_a_users_name_is_no_pattern() -> None:
    assert matches("home/{user}/**", "home/ann/app", "ann")
    assert not matches("home/{user}/**", "home/ann/app", "*")
    assert not matches("home/{user}/**", "home/ann/app", "")
    assert not matches("home/{user}/**", "home/a/b", "a/b")
    assert matches("{user}-*", "ann-app", "ann")


def test_a_long_pattern_takes_no_long_time() -> None:
    """Linear in both, however many stars there are."""
    assert not matches("/".join(["**"] * 100 + ["x"]), "/".join(["a"] * 100))
