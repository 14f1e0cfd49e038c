"""Pushes to registries, and what they refuse: what is pushed is what is here."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support import images as made
from tests.support import pulling
from tests.support.faulty_registry import FaultyRegistry, refused
from tests.support.pulling import HIGH, Puller

from boxship.errors import BoxshipError

pytestmark = pytest.mark.root
registry, puller = pulling.two_layers, pulling.quick_puller


def test_an_image_is_pushed_as_the_bytes_it_is(puller: Puller, registry: FaultyRegistry) -> None:
    puller.pull(f"{registry.host}/a/b:1")
    with FaultyRegistry("127.0.0.2") as other:
        puller.engine.images.tag(f"{registry.host}/a/b:1", f"{other.host}/c/d:2")
        pushed = puller.push(f"{other.host}/c/d:2")
        assert other.manifests["c/d", "2"] == registry.manifests["a/b", "1"]
        assert pushed.digest == made.sha256(registry.manifests["a/b", "1"][1])
        assert set(other.blobs) == set(registry.blobs)
        other.seen.clear()
        puller.told.clear()
        puller.push(f"{other.host}/c/d:2")
        assert not other.asked("POST", "")
        assert puller.statuses.count("Layer already exists") == 2
        puller.engine.images.tag(f"{other.host}/c/d:2", f"{other.host}/e:1")
        puller.push(f"{other.host}/e:1")
        assert puller.statuses.count("Mounted from c/d") == 2


def test_of_an_index_that_is_here_in_part_one_image_is_pushed(
    puller: Puller, registry: FaultyRegistry
) -> None:
    own = made.sha256(registry.manifests["a/b", "1"][1])
    foreign = registry.add("a/b", "arm", [HIGH], architecture="arm64")
    registry.add_index("a/b", "many", {"linux/amd64": own, "linux/arm64": foreign})
    puller.pull(f"{registry.host}/a/b:many")
    puller.engine.images.tag(f"{registry.host}/a/b:many", f"{registry.host}/part:1")
    assert puller.push(f"{registry.host}/part:1").digest == own
    puller.pull(f"{registry.host}/a/b:many", platform="linux/arm64")
    pushed = puller.push(f"{registry.host}/part:1")
    assert registry.manifests["part", "1"] == registry.manifests["a/b", "many"]
    assert pushed.digest != own


def test_what_is_not_here_is_not_pushed(puller: Puller, registry: FaultyRegistry) -> None:
    with pytest.raises(BoxshipError, match=r"tag does not exist: .*x:1"):
        puller.push(f"{registry.host}/x:1")
    assert not registry.seen


def test_a_refused_push_says_so(puller: Puller, registry: FaultyRegistry) -> None:
    puller.pull(f"{registry.host}/a/b:1")
    registry.when("POST", "/uploads/", refused(403, "DENIED", "not yours"))
    puller.engine.images.tag(f"{registry.host}/a/b:1", f"{registry.host}/x:1")
    with pytest.raises(BoxshipError, match="denied: not yours"):
        puller.push(f"{registry.host}/x:1")
    assert ("x", "1") not in registry.manifests


@pytest.mark.parametrize("how", ["gzip", "zstd"])
def test_plain_layers_are_packed_for_a_registry_that_is_set_so(tmp_path: Path, how: str) -> None:
    """The image is made anew, the name moves, and what is pushed is what is here then."""
    from boxship.distribution.settings import HostSettings

    with FaultyRegistry() as registry:
        puller = Puller(tmp_path, hosts={registry.host: HostSettings(compression=how)})
        name = f"{registry.host}/made:1"
        made_first = puller.engine.images.import_([HIGH], name=name)
        pushed = puller.push(name)
        here = puller.engine.images.get(name)
        assert pushed.digest == here.id != made_first.id
        assert here.variant.diff_ids == made_first.variant.diff_ids
        (about,) = here.variant.manifest.layers
        assert about.media_type.endswith(f"+{how}")
        assert about.size < len(HIGH) // 2
        assert registry.manifests["made", "1"][1] == puller.engine.blobs.read(here.id)
        assert puller.push(name).digest == pushed.digest
        puller.engine.images.remove(name)
        again = puller.pull(name)
        assert again.variant.diff_ids == made_first.variant.diff_ids
        puller.close()
