"""Damage is found wherever it is, and mended from what is whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import images

from boxship.errors import Conflict
from boxship.image.record import Image
from boxship.system.verify import Verification

FILES = [("etc", images.tarfile.DIRTYPE, {}), ("etc/a", b"whole" * 1000, {})]
BASE = images.archive(*FILES, ("link", images.tarfile.SYMTYPE, {"linkname": "etc/a"}))
TOP = images.archive(("b", b"top", {}), ("etc/.wh.gone", b"", {}))


class Store:
    """Images, one of them of two layers, and what verifies them."""

    def __init__(self, root: Path) -> None:
        self.engine = images.Engine(root)
        (self.image,) = self.engine.images.load(
            [images.docker_archive([BASE, TOP], tags=("two:1",))]
        )
        self.verification = Verification(
            self.engine.images, self.engine.blobs, self.engine.snapshots
        )

    def unpacked(self, name: str) -> Path:
        (found,) = self.engine.root.glob(f"snapshots/*/layers/*/diff/{name}")
        return found

    def sentences(self) -> list[str]:
        return [each.sentence for each in self.verification.find()]


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path)


pytestmark = pytest.mark.root


def test_what_is_whole_is_clean(store: Store) -> None:
    assert store.sentences() == []


def test_a_flipped_bit_in_a_layer_is_found_and_mended(store: Store) -> None:
    file = store.unpacked("etc/a")
    data = bytearray(file.read_bytes())
    data[777] ^= 4
    file.write_bytes(data)
    (damage,) = store.verification.find()
    assert "two:1" in damage.sentence
    assert damage.sentence.endswith(": /etc/a")
    mended = store.verification.repair([damage])
    assert mended.done == [f"layer {damage.layer} has been unpacked again"]
    assert mended.left == []
    assert store.unpacked("etc/a").read_bytes() == b"whole" * 1000
    assert store.sentences() == []
    store.engine.again()
    assert store.engine.images.get("two:1").names


@pytest.mark.parametrize("how", ["gone", "another link", "a folder instead"])
def test_other_damage_is_found_too(store: Store, how: str) -> None:
    file, link = store.unpacked("etc/a"), store.unpacked("link")
    match how:
        case "gone":
            file.unlink()
        case "another link":
            link.unlink()
            link.symlink_to("/etc/passwd")
        case _:
            file.unlink()
            file.mkdir()
    assert len(store.sentences()) == 1


def test_a_layer_in_use_is_not_taken_away(store: Store) -> None:
    store.unpacked("b").write_bytes(b"bad")
    image: Image = store.image
    store.engine.users.add(image, "c" * 64, running=True)
    with pytest.raises(Conflict):
        store.engine.images.unpack_again(image.variant.chains[-1])
    mended = store.verification.repair(store.verification.find())
    assert len(mended.left) == 1
    assert "stop it first" in mended.left[0]


def test_damaged_content_goes_and_its_image_is_to_be_fetched(store: Store) -> None:
    manifest = store.image.variant.manifest
    assert manifest is not None
    layer = manifest.layers[0]
    path = Path(store.engine.blobs.path(layer.digest))
    path.write_bytes(b"\0" + path.read_bytes()[1:])
    damaged = store.verification.find()
    assert [each.blob for each in damaged] == [layer.digest]
    mended = store.verification.repair(damaged)
    assert [name.rpartition("/")[2] for name in mended.to_fetch] == ["two:1"]
    assert not store.engine.blobs.has(layer.digest)
