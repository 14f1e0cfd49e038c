"""Where a registry may have a blob already."""

from __future__ import annotations

from typing import Any

from boxship.image import places
from boxship.image.places import Places
from boxship.spec.digest import Digest
from boxship.spec.reference import Reference

ONE, TWO, THREE = (Digest.of(bytes((n,))) for n in range(3))
WANTED = Reference.parse("reg.example/new/app:1")


def image(name: str, *digests: Digest) -> Any:
    return type("Image", (), {"names": (name,), "content": set(digests)})


class Images:
    def __init__(self, *images: Any) -> None:
        self._images = images

    def list(self) -> Any:
        return self._images


def test_what_was_seen_comes_before_what_a_name_suggests() -> None:
    known = Places()
    known.saw("reg.example", "seen/here", ONE)
    known.saw("reg.example", "new/app", ONE)
    known.saw("other.example", "seen/there", TWO)
    images: Any = Images(
        image("reg.example/named/so:1", ONE, TWO),
        image("reg.example/new/app:0", THREE),
        image("other.example/x:1", THREE),
    )
    found = known.elsewhere(images, WANTED, [ONE, TWO, THREE])
    assert found[ONE] == "seen/here"
    assert found[TWO] == "named/so"
    assert THREE not in found


def test_what_is_remembered_is_bounded(monkeypatch: Any) -> None:
    monkeypatch.setattr(places, "PLACES", 2)
    known = Places()
    for number in range(9):
        known.saw("h", f"r{number}", ONE)
    assert known.of("h", ONE) == ("r8", "r7", "r6", "r5")
    for digest in (TWO, THREE):
        known.saw("h", "r", digest)
    assert known.of("h", ONE) == ()
    assert known.of("h", TWO) == ("r",)
