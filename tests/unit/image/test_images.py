"""Names, removal by the rules, saving, committing, and what a restart finds."""

import io
import json
import tarfile

import pytest
from tests.support.images import (
    archive,
    docker_archive,
    indexed,
    sha256,
)

from boxship.errors import InvalidRequest
from boxship.image.errors import AmbiguousId, ImageInUse, NoSuchImage, WrongPlatform
from boxship.image.images import Wanted
from boxship.lib import filepart
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.platform import Platform

pytestmark = pytest.mark.root
LAYER = archive(("file", b"content", {}))
OTHER = archive(("other", b"other", {}))


def load(engine, *, tags=("test:1",), layer=LAYER, **members):
    return engine.images.load([docker_archive([layer], tags=tags, **members)])[0]


def test_an_image_is_found_by_all_its_names(engine):
    image = load(engine)
    config_digest = image.variant.manifest.config.digest
    for ref in (
        "test:1", "docker.io/library/test:1", image.id, image.id.hex, image.id.hex[:12],
        f"test@{image.id}", config_digest, config_digest.hex[:10], f"sha256:{image.id.hex[:8]}",
    ):  # fmt: skip
        assert engine.images.get(ref) == image, ref
    for ref in ("test", "test:2", f"other@{image.id}", "0" * 64):
        with pytest.raises(NoSuchImage):
            engine.images.get(ref)


def test_a_name_is_preferred_to_a_prefix(engine):
    image = load(engine)
    other = load(engine, layer=OTHER, tags=[image.id.hex[:6]])
    assert engine.images.get(image.id.hex[:6]) == other


def test_a_prefix_of_several_is_refused(engine):
    made = [load(engine, tags=[], comment=str(n)) for n in range(20)]
    digits = [image.id.hex[0] for image in made]
    twice = next(digit for digit in digits if digits.count(digit) > 1)
    with pytest.raises(AmbiguousId):
        engine.images.get(twice)


def test_a_tag_moves(engine):
    first, second = load(engine), load(engine, layer=OTHER)
    assert engine.images.get("test:1").id == second.id
    assert engine.images.get(first.id).names == ()
    engine.images.tag(first.id, "test:1")
    assert engine.images.get(second.id).names == ()
    engine.again()
    assert engine.images.get("test:1").id == first.id


@pytest.mark.parametrize("name", [f"a@{'sha256:' + '0' * 64}", "sha256:x", "UP", ""])
def test_names_that_cannot_be_tags_are_refused(engine, name):
    load(engine)
    with pytest.raises(InvalidRequest):
        engine.images.tag("test:1", name)


def test_a_name_goes_and_with_the_last_one_the_image(engine):
    image = load(engine)
    engine.images.tag("test:1", "test:2")
    assert [r.untagged for r in engine.images.remove("test:1")] == ["test:1"]
    removed = engine.images.remove("test:2")
    assert [r.untagged or r.deleted for r in removed] == ["test:2", image.id]
    assert engine.stored() == ([], [], [])


def test_an_id_with_several_names_must_be_forced(engine):
    image = load(engine)
    engine.images.tag("test:1", "other:1")
    with pytest.raises(ImageInUse) as refusal:
        engine.images.remove(image.id)
    assert str(refusal.value) == (
        f"conflict: unable to delete {image.id.short} (must be forced) - "
        "image is referenced in multiple repositories"
    )
    assert len(engine.images.remove(image.id, force=True)) == 3


def test_a_stopped_container_keeps_an_image_until_forced(engine):
    image = load(engine)
    engine.users.add(image, "c" * 64, running=False)
    with pytest.raises(ImageInUse) as refusal:
        engine.images.remove("test:1")
    assert str(refusal.value) == (
        'conflict: unable to remove repository reference "test:1" (must force) - '
        f"container {'c' * 12} is using its referenced image {image.id.short}"
    )
    with pytest.raises(ImageInUse, match=r"\(must be forced\) - image is being used by stopped"):
        engine.images.remove(image.id)
    engine.images.remove("test:1", force=True)
    assert engine.images.list() == []


def test_a_running_container_keeps_an_image_always(engine):
    image = load(engine)
    engine.users.add(image, "c" * 64, running=True)
    with pytest.raises(ImageInUse) as refusal:
        engine.images.remove(image.id, force=True)
    assert str(refusal.value) == (
        f"conflict: unable to delete {image.id.short} (cannot be forced) - "
        f"image is being used by running container {'c' * 12}"
    )
    removed = engine.images.remove("test:1", force=True)
    assert [r.untagged for r in removed] == ["test:1"]
    assert engine.images.get(image.id).names == ()


def test_layers_of_a_forced_removal_stay_while_a_container_stands_on_them(engine):
    image = load(engine)
    engine.snapshots.prepare("c", image.chain_id)
    engine.images.remove("test:1", force=True)
    assert engine.snapshots.has_layer(image.chain_id)
    engine.snapshots.remove("c")
    engine.images.collect()
    assert not engine.snapshots.has_layer(image.chain_id)


def commit(engine, parent, *, name="", files=(("new", b"new", {}),), run=None):
    return engine.images.commit(
        parent, [archive(*files)], run or parent.run, author="me", comment="why", name=name,
        created_by="sh",
    )  # fmt: skip


def test_a_commit_adds_a_layer_and_keeps_what_it_does_not_know(engine):
    base = load(engine)
    made = commit(engine, base, name="made", run=RunConfig(cmd=["/new"]))
    assert made.variant.diff_ids[:-1] == base.variant.diff_ids
    assert (made.config.author, made.run.cmd, made.parent) == ("me", ["/new"], base.id)
    assert made.descriptor.media_type == base.descriptor.media_type
    document = json.loads(engine.blobs.read(made.variant.manifest.config.digest))
    assert document["x-unknown"] == {"kept": True}
    assert [s.comment for s in engine.images.history("made")] == ["why", ""]
    assert engine.images.history("made")[0].size > 0


def test_a_parent_is_kept_by_its_child_and_goes_with_it(engine):
    base = load(engine)
    child = commit(engine, base)
    with pytest.raises(ImageInUse, match=r"cannot be forced.* dependent child images"):
        engine.images.remove(base.id, force=True)
    assert [r.untagged for r in engine.images.remove("test:1")] == ["test:1"]
    assert engine.images.find(base.id) is not None
    assert [r.deleted for r in engine.images.remove(child.id)] == [child.id, base.id]
    assert engine.stored() == ([], [], [])


def test_noprune_keeps_the_parent(engine):
    base = load(engine)
    child = commit(engine, base)
    engine.images.remove("test:1")
    engine.images.remove(child.id, prune=False)
    assert [image.id for image in engine.images.list()] == [base.id]


def test_a_failing_commit_leaves_nothing(engine):
    base = load(engine)
    before = engine.stored()

    def broken():
        yield LAYER[:512]
        raise OSError("disk on fire")

    with pytest.raises(OSError, match="disk on fire"):
        engine.images.commit(base, broken(), base.run)
    assert engine.stored() == before


def test_of_several_platforms_the_hosts_is_meant(engine):
    data, index, (_, second) = indexed(("linux", "arm64"), ("linux", "amd64"))
    (image,) = engine.images.load([data])
    assert (image.id, image.names) == (sha256(index), ("docker.io/library/multi:1",))
    assert image.variant.descriptor.digest == sha256(second)
    arm = engine.images.get("multi:1", Platform.parse("linux/arm64"))
    assert arm.config.architecture == "arm64"
    assert not engine.snapshots.has_layer(arm.chain_id)
    engine.images.ensure_unpacked(arm)
    assert engine.snapshots.has_layer(arm.chain_id)
    with pytest.raises(WrongPlatform) as refusal:
        engine.images.get("multi:1", Platform.parse("linux/s390x"))
    assert str(refusal.value) == (
        "image with reference multi:1 was found but its platform (linux/amd64) "
        "does not match the specified platform (linux/s390x)"
    )
    assert engine.images.get(sha256(second)).id == image.id


def test_platforms_whose_content_is_missing_are_kept_in_the_index(engine):
    data, index, _ = indexed(("linux", "arm64"), ("linux", "amd64"))
    engine.images.load([data])
    amd64 = Platform.parse("linux/amd64")
    saved = b"".join(filepart.read(engine.images.save(["multi:1"], [amd64])))
    engine.images.remove("multi:1")
    (image,) = engine.images.load([saved])
    assert image.id == sha256(index)
    assert [v.manifest is not None for v in image.variants] == [False, True]
    engine.again()
    assert engine.images.get("multi:1").config.architecture == "amd64"


def test_saved_archives_are_the_same_each_time_and_hold_each_layer_once(engine):
    load(engine)
    load(engine, tags=["two:1"], comment="other")
    one = b"".join(filepart.read(engine.images.save(["test:1", "two:1"])))
    assert b"".join(filepart.read(engine.images.save(["test:1", "two:1"]))) == one
    with tarfile.open(fileobj=io.BytesIO(one)) as saved:
        names = saved.getnames()
        assert len(names) == len(set(names))
        layers = [n for n in names if n.endswith(sha256(LAYER)[7:])]
        assert len(layers) == 1
        listed = json.load(saved.extractfile("manifest.json"))
    assert [entry["RepoTags"] for entry in listed] == [["test:1"], ["two:1"]]


def test_a_repository_alone_is_saved_with_all_its_tags(engine):
    load(engine, tags=["test:1", "test:2"])
    saved = b"".join(filepart.read(engine.images.save(["test"])))
    engine.images.remove("test:1")
    engine.images.remove("test:2")
    (image,) = engine.images.load([saved])
    assert image.names == ("docker.io/library/test:1", "docker.io/library/test:2")
    with pytest.raises(NoSuchImage, match="No such image: missing:latest"):
        engine.images.save(["missing"])


def test_a_restart_finds_all_and_drops_what_belongs_to_nothing(engine):
    image = load(engine)
    with engine.blobs.lease() as lease:
        engine.blobs.put(b"left over", lease)
    engine.snapshots.apply(None, [OTHER])
    kept, layers, _ = engine.stored()
    assert (len(kept), len(layers)) == (4, 2)
    assert engine.again().list() == [image]
    assert [len(part) for part in engine.stored()] == [3, 1, 0]


def test_an_image_that_cannot_be_read_loses_nothing_more(engine):
    image = load(engine)
    kept = load(engine, layer=OTHER, tags=["kept:1"])
    path = engine.blobs.path(image.variant.manifest.config.digest)
    with open(path, "rb") as file:
        good = file.read()
    with open(path, "wb") as file:
        file.write(b"damaged")
    stored = engine.stored()
    assert engine.again().list() == [kept]
    assert engine.stored() == stored
    with open(path, "wb") as file:
        file.write(good)
    assert {found.id for found in engine.again().list()} == {image.id, kept.id}


def test_what_a_power_cut_made_doubtful_is_unpacked_again(engine):
    image = load(engine)
    engine.snapshots.prepare("c", image.chain_id)
    engine.snapshots.settle()
    file = next((engine.root / "snapshots").glob(f"*/layers/{image.chain_id.hex}/layer.json"))
    file.write_text(file.read_text().replace("{", '{"boot":"another",', 1))
    engine.again()
    assert engine.snapshots.has_layer(image.chain_id)


def test_prune_spares_what_is_named_or_used(engine):
    named, nameless = load(engine), load(engine, tags=[], layer=OTHER)
    used = load(engine, tags=[], comment="used")
    engine.users.add(used, "c" * 64, running=False)
    removed, freed = engine.images.prune(Wanted(dangling=True))
    assert [r.deleted for r in removed] == [nameless.id]
    assert freed > 0
    assert {i.id for i in engine.images.list()} == {named.id, used.id}
    engine.images.prune(Wanted(), every=True)
    assert [i.id for i in engine.images.list()] == [used.id]


def test_the_same_builtin_image_comes_out_each_time(engine):
    first = engine.images.builtin("hello-world")
    engine.images.remove("hello-world")
    assert engine.images.builtin("docker.io/library/hello-world:latest").id == first.id
    assert engine.images.builtin("hello-world").id == first.id
    assert engine.images.builtin("hello-world:1") is None
    assert engine.images.builtin("nginx") is None


def test_events_tell_the_story(engine):
    load(engine)
    engine.images.tag("test:1", "test:2")
    engine.images.remove("test:1")
    engine.images.remove("test:2")
    actions = [action for action, _ in engine.journal.told]
    assert actions == ["load", "tag", "untag", "untag", "delete"]
