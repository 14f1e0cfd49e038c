"""Images for several platforms, what is attested of them, and where they came from."""

import pytest
from tests.support.images import (
    archive,
    attested,
    docker_archive,
    indexed,
    layout,
    sha256,
)

from boxship.image import catalog
from boxship.image.errors import ImageInUse, WrongPlatform
from boxship.lib import filepart
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

pytestmark = pytest.mark.root
LAYER = archive(("file", b"content", {}))
AMD, ARM = Platform.parse("linux/amd64"), Platform.parse("linux/arm64")


def test_content_that_comes_later_belongs_to_the_image_that_was_there(engine):
    """An index was loaded for one platform and then for another; the second must stay."""
    data, _, _ = indexed(("linux", "arm64"), ("linux", "amd64"))
    engine.images.load([data])
    part = b"".join(filepart.read(engine.images.save(["multi:1"], [AMD])))
    engine.images.remove("multi:1")
    engine.images.load([part])
    engine.images.load([data])
    assert engine.images.get("multi:1", ARM).config.architecture == "arm64"
    engine.again()
    assert engine.images.get("multi:1", ARM).config.architecture == "arm64"


def test_one_platforms_content_goes_and_the_index_stays(engine):
    data, index, (arm, _) = indexed(("linux", "arm64"), ("linux", "amd64"))
    engine.images.load([data])
    before = engine.images.size(engine.images.get("multi:1"))
    (gone,) = engine.images.remove_platforms("multi:1", [ARM])
    assert gone.deleted == sha256(arm)
    image = engine.images.get("multi:1")
    assert (image.id, image.names) == (sha256(index), ("docker.io/library/multi:1",))
    assert [v.manifest is not None for v in image.variants] == [False, True]
    assert engine.images.size(image) < before
    assert len(engine.stored()[0]) == 4  # the index, and a manifest with what it points to
    with pytest.raises(WrongPlatform):
        engine.images.remove_platforms("multi:1", [ARM])
    engine.again()
    assert engine.images.get("multi:1").id == image.id


def test_with_its_last_platform_an_image_goes_whole(engine):
    data, _, _ = indexed(("linux", "arm64"), ("linux", "amd64"))
    engine.images.load([data])
    engine.images.remove_platforms("multi:1", [ARM, AMD])
    assert engine.stored() == ([], [], [])
    assert engine.images.list() == []


def test_a_platform_that_a_container_has_stays(engine):
    data, _, _ = indexed(("linux", "arm64"), ("linux", "amd64"))
    (image,) = engine.images.load([data])
    engine.users.add(image, "c" * 64, running=False)
    with pytest.raises(ImageInUse, match="stopped container"):
        engine.images.remove_platforms("multi:1", [AMD])
    engine.users.add(image, "d" * 64, running=True)
    with pytest.raises(ImageInUse, match="cannot be forced"):
        engine.images.remove_platforms("multi:1", [AMD], force=True)
    engine.images.remove_platforms("multi:1", [ARM])


def test_a_manifest_that_is_an_image_of_its_own_too_stays(engine):
    data, _, (arm, _) = indexed(("linux", "arm64"), ("linux", "amd64"))
    engine.images.load([data])
    parts = engine.images.get("multi:1", ARM).variant.content
    blobs = [b"".join(engine.blobs.chunks(about.digest)) for about in parts[1:]]
    engine.images.load([layout([(arm, "manifest.v1+json", {})], [arm, *blobs])])
    with pytest.raises(ImageInUse, match="belongs to image"):
        engine.images.remove_platforms("multi:1", [ARM])


SLSA, SPDX = "https://slsa.dev/provenance/v0.2", "https://spdx.dev/Document"


def test_what_is_attested_of_an_image_is_told(engine):
    engine.images.load([attested(SLSA, SPDX)])
    found = engine.images.statements("attested:1")
    assert [(one.predicate, one.document) for one in found] == [(SLSA, None), (SPDX, None)]
    (one,) = engine.images.statements("attested:1", predicates=[SPDX], whole=True)
    assert one.document == {"predicateType": SPDX, "n": 1}
    assert one.descriptor.media_type == "application/vnd.in-toto+json"
    engine.images.load([docker_archive([LAYER])])
    assert engine.images.statements("test:1") == []


def test_attestations_go_with_their_platform_and_are_saved_with_it(engine):
    engine.images.load([attested(SLSA)])
    saved = b"".join(filepart.read(engine.images.save(["attested:1"], [AMD])))
    engine.images.remove_platforms("attested:1", [AMD])
    assert engine.stored() == ([], [], [])
    engine.images.load([saved])
    assert len(engine.images.statements("attested:1")) == 1


def test_where_an_image_came_from_is_kept_until_it_goes(engine):
    (image,) = engine.images.load([docker_archive([LAYER])])
    name = Reference.parse("host.example:5000/team/app:1")
    engine.images.announce_pull(image, name)
    engine.images.announce_push(image, name)
    assert engine.images.get("test:1").origins == ("host.example:5000/team/app",)
    engine.again()
    assert engine.images.get("test:1").origins == ("host.example:5000/team/app",)
    engine.images.remove("test:1")
    engine.images.load([docker_archive([LAYER])])
    assert engine.images.get("test:1").origins == ()


def test_the_last_builds_an_image_came_out_of_are_kept(engine, monkeypatch):
    monkeypatch.setattr(catalog, "BUILDS", 2)
    (image,) = engine.images.load([docker_archive([LAYER])])
    for ref in ("one", "two", "one", "three"):
        engine.images.announce_build(image, [], ref)
    builds = engine.images.get("test:1").builds
    assert [one.ref for one in builds] == ["one", "three"]
    assert builds[0].created_at < builds[1].created_at
    engine.again()
    assert engine.images.get("test:1").builds == builds
    engine.images.remove("test:1")
    engine.images.load([docker_archive([LAYER])])
    assert engine.images.get("test:1").builds == ()


def test_what_nothing_refers_to_is_collected_at_the_next_start(engine):
    """A crash left a blob, an upload and a layer that no record points to."""
    (image,) = engine.images.load([docker_archive([LAYER])])
    kept = engine.stored()
    (engine.root / "blobs" / "sha256" / sha256(b"orphan")[7:]).write_bytes(b"orphan")
    (engine.root / "blobs" / "ingest" / "half").write_bytes(b"half")
    layer = engine.snapshots.apply(None, [archive(("lost", b"lost", {}))])
    assert layer.chain in engine.stored()[1]
    assert list(engine.images.leftovers()) == [
        f"content {sha256(b'orphan')} belongs to no image",
        f"layer {layer.chain} belongs to no image and no container",
    ]
    assert engine.stored() != kept
    engine.again()
    assert engine.stored() == kept
    assert engine.images.get("test:1").id == image.id
    assert list(engine.images.leftovers()) == []
