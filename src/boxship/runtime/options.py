"""Mount options in mount(8)'s words, sorted by what the kernel takes them as."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from msgspec import Struct

from boxship.kernel import mounts as kernel
from boxship.runtime.errors import BadBundle

# word: (attributes to set, attributes to clear)
_ATIME: Final = kernel.MOUNT_ATTR__ATIME
ATTRIBUTES: Final[dict[str, tuple[int, int]]] = {
    "ro": (kernel.MOUNT_ATTR_RDONLY, 0),
    "rw": (0, kernel.MOUNT_ATTR_RDONLY),
    "nosuid": (kernel.MOUNT_ATTR_NOSUID, 0),
    "suid": (0, kernel.MOUNT_ATTR_NOSUID),
    "nodev": (kernel.MOUNT_ATTR_NODEV, 0),
    "dev": (0, kernel.MOUNT_ATTR_NODEV),
    "noexec": (kernel.MOUNT_ATTR_NOEXEC, 0),
    "exec": (0, kernel.MOUNT_ATTR_NOEXEC),
    "nodiratime": (kernel.MOUNT_ATTR_NODIRATIME, 0),
    "diratime": (0, kernel.MOUNT_ATTR_NODIRATIME),
    "nosymfollow": (kernel.MOUNT_ATTR_NOSYMFOLLOW, 0),
    "symfollow": (0, kernel.MOUNT_ATTR_NOSYMFOLLOW),
    "noatime": (kernel.MOUNT_ATTR_NOATIME, _ATIME),
    "strictatime": (kernel.MOUNT_ATTR_STRICTATIME, _ATIME),
    "relatime": (kernel.MOUNT_ATTR_RELATIME, _ATIME),
    "atime": (kernel.MOUNT_ATTR_RELATIME, _ATIME),
    "norelatime": (kernel.MOUNT_ATTR_STRICTATIME, _ATIME),
    "nostrictatime": (kernel.MOUNT_ATTR_RELATIME, _ATIME),
}
PROPAGATION: Final = {
    "private": kernel.MS_PRIVATE,
    "shared": kernel.MS_SHARED,
    "slave": kernel.MS_SLAVE,
    "unbindable": kernel.MS_UNBINDABLE,
}
# Of the filesystem rather than of the mount.
SUPERBLOCK: Final = frozenset(("sync", "dirsync", "mand", "lazytime", "silent"))
IGNORED: Final = frozenset(
    ("defaults", "async", "loud", "nolazytime", "nomand", "noiversion", "remount", "nofail")
)


class Options(Struct, frozen=True):
    """What to do to a mount; `recursive_*` is meant for those below it too."""

    add: int = 0
    clear: int = 0
    recursive_add: int = 0
    recursive_clear: int = 0
    propagation: int = 0
    recursive_propagation: bool = False
    bind: bool = False
    recursive_bind: bool = False
    copy_up: bool = False
    data: tuple[tuple[str, str | None], ...] = ()

    @property
    def readonly(self) -> bool:
        return bool((self.add | self.recursive_add) & kernel.MOUNT_ATTR_RDONLY)

    def has(self, name: str) -> bool:
        """Whether the filesystem is given an option called `name`."""
        return any(key == name for key, _ in self.data)


def parse(words: Iterable[str]) -> Options:
    """Sort options; of contradicting ones the last wins."""
    add = clear = recursive_add = recursive_clear = propagation = 0
    recursive_propagation = bind = recursive_bind = copy_up = False
    data: list[tuple[str, str | None]] = []
    for word in words:
        if word in ATTRIBUTES:
            on, off = ATTRIBUTES[word]
            add, clear = (add & ~off) | on, (clear & ~on) | off
        elif word[:1] == "r" and word[1:] in ATTRIBUTES:
            on, off = ATTRIBUTES[word[1:]]
            recursive_add = (recursive_add & ~off) | on
            recursive_clear = (recursive_clear & ~on) | off
        elif word in PROPAGATION or (word[:1] == "r" and word[1:] in PROPAGATION):
            recursive_propagation = word not in PROPAGATION
            propagation = PROPAGATION[word[1:] if recursive_propagation else word]
        elif word in ("bind", "rbind"):
            bind, recursive_bind = True, word == "rbind"
        elif word == "tmpcopyup":
            copy_up = True
        elif word in ("idmap", "ridmap"):
            raise BadBundle(f"mount option {word!r} is not supported")
        elif word in SUPERBLOCK:
            data.append((word, None))
        elif word and word not in IGNORED:
            name, equals, value = word.partition("=")
            data.append((name, value if equals else None))
    return Options(
        add,
        clear,
        recursive_add,
        recursive_clear,
        propagation,
        recursive_propagation,
        bind,
        recursive_bind,
        copy_up,
        tuple(data),
    )


def root_propagation(word: str) -> int:
    """Return the flags of mount(2) for `rootfsPropagation`; 0 for none."""
    if not word:
        return 0
    recursive = kernel.MS_REC if word not in PROPAGATION else 0
    try:
        return PROPAGATION[word.removeprefix("r") if recursive else word] | recursive
    except KeyError:
        raise BadBundle(f"rootfsPropagation={word} is not supported") from None
