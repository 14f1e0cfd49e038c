"""Mount options, as mount(8) has them, become flags of the right kind."""

from __future__ import annotations

import pytest

from boxship.kernel import mounts
from boxship.runtime import options
from boxship.runtime.errors import BadBundle


def test_the_last_of_contradicting_options_wins() -> None:
    assert options.parse(["ro", "rw"]).add == 0
    assert options.parse(["rw", "ro"]).add == mounts.MOUNT_ATTR_RDONLY
    made = options.parse(["noatime", "strictatime"])
    assert made.add == mounts.MOUNT_ATTR_STRICTATIME


def test_recursive_options_are_kept_apart() -> None:
    made = options.parse(["rbind", "rro", "nosuid"])
    assert (made.bind, made.recursive_bind) == (True, True)
    assert made.recursive_add == mounts.MOUNT_ATTR_RDONLY
    assert made.add == mounts.MOUNT_ATTR_NOSUID
    assert made.readonly


@pytest.mark.parametrize(
    ("word", "kind", "recursive"),
    [
        ("rprivate", mounts.MS_PRIVATE, True),
        ("slave", mounts.MS_SLAVE, False),
        ("rshared", mounts.MS_SHARED, True),
        ("runbindable", mounts.MS_UNBINDABLE, True),
    ],
)
def test_propagation(word: str, kind: int, recursive: bool) -> None:
    made = options.parse([word])
    assert (made.propagation, made.recursive_propagation) == (kind, recursive)


def test_what_is_left_is_the_filesystems_own() -> None:
    made = options.parse(["size=64k", "mode=755", "newinstance", "defaults"])
    assert made.data == (("size", "64k"), ("mode", "755"), ("newinstance", None))
    assert made.has("mode")


def test_a_root_propagation_that_does_not_exist_is_refused() -> None:
    assert options.root_propagation("rslave") == mounts.MS_SLAVE | mounts.MS_REC
    assert options.root_propagation("shared") == mounts.MS_SHARED
    with pytest.raises(BadBundle):
        options.root_propagation("sideways")
