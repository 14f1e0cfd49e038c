"""The local driver: plain folders, or filesystems of the host's choice mounted on them.

<root>/<name>/_data          what containers see
<root>/.removed.<random>/    a volume whose removal has begun; finished at the next start
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterable
from typing import Final

from boxship.kernel import mounts
from boxship.lib import atomicfile
from boxship.snapshot import trees
from boxship.volume.drivers.driver import Options
from boxship.volume.drivers.mount_options import MountOptions
from boxship.volume.errors import InvalidVolume, MountFailed

DATA: Final = "_data"
REMOVED: Final = ".removed."
KNOWN_OPTIONS: Final = frozenset({"type", "o", "device", "size"})
REQUIRED: Final = ("device", "type")


class LocalDriver:
    """Volumes on this host's own disk."""

    name = "local"
    scope = "local"

    def __init__(self, root: str) -> None:
        self._root = root
        os.makedirs(root, mode=0o701, exist_ok=True)

    def check(self, volume: str, options: Options) -> None:
        """Refuse options that cannot be meant."""
        for option in options:
            if option not in KNOWN_OPTIONS:
                raise InvalidVolume(f'create {volume}: invalid option: "{option}"')
        if "size" in options:
            raise InvalidVolume(f"create {volume}: quota size requested but no quota support")
        if options:
            for option in REQUIRED:
                if option not in options:
                    raise InvalidVolume(f'create {volume}: missing required option: "{option}"')

    def create(self, volume: str, options: Options, *, durable: bool) -> str:
        """Make the folder."""
        folder = os.path.join(self._root, volume)
        made = self.mountpoint(volume)
        with contextlib.suppress(FileExistsError):
            os.mkdir(folder, 0o701)
        with contextlib.suppress(FileExistsError):
            os.mkdir(made, 0o755)
        if durable:
            atomicfile.sync_folder(folder)
            atomicfile.sync_folder(self._root)
        return made

    def mount(self, volume: str, options: Options) -> None:
        """Mount what the options name; a plain folder needs nothing."""
        target = self.mountpoint(volume)
        if not options or is_mounted(target):
            return
        asked = MountOptions.parse(options)
        try:
            mounts.mount(asked.source, target, asked.type, asked.flags, asked.data)
            if asked.flags & mounts.MS_BIND and asked.flags & ~(mounts.MS_BIND | mounts.MS_REC):
                # a fresh bind ignores every other flag
                mounts.mount("", target, flags=asked.flags | mounts.MS_REMOUNT)
            if asked.propagation:
                mounts.set_propagation(target, asked.propagation, recursive=False)
        except OSError as refused:
            self.unmount(volume)
            reason = os.strerror(refused.errno or 0).lower()
            data = f", data: {asked.data}" if asked.data else ""
            flags = f", flags: {asked.flags:#x}" if asked.flags else ""
            raise MountFailed(
                f"error while mounting volume '{target}': failed to mount local volume: "
                f"mount {asked.source}:{target}{flags}{data}: {reason}"
            ) from refused

    def unmount(self, volume: str) -> None:
        """Unmount what is mounted on the folder."""
        target = self.mountpoint(volume)
        while is_mounted(target):
            mounts.umount(target, mounts.MNT_DETACH | mounts.UMOUNT_NOFOLLOW)

    def remove(self, volume: str) -> Callable[[], None]:
        """Delete the folder: out of sight in one step, then file by file."""
        self.unmount(volume)
        doomed = os.path.join(self._root, REMOVED + secrets.token_hex(8))
        try:
            os.rename(os.path.join(self._root, volume), doomed)
        except FileNotFoundError:
            return lambda: None
        return lambda: _delete(doomed)

    def size(self, volume: str) -> int:
        """Return the size of the files, each hard-linked one counted once."""
        try:
            folder = os.open(self.mountpoint(volume), trees.FOLDER)
        except FileNotFoundError:
            return 0
        try:
            return trees.usage(folder).size
        finally:
            os.close(folder)

    def found(self) -> Iterable[str]:
        """Return the names of the folders there are; finish the removals begun."""
        for name in os.listdir(self._root):
            folder = os.path.join(self._root, name)
            if name.startswith(REMOVED):
                _delete(folder)
            elif os.path.isdir(os.path.join(folder, DATA)):
                yield name

    def mountpoint(self, volume: str) -> str:
        """Return where a volume is seen."""
        return os.path.join(self._root, volume, DATA)


def _delete(folder: str) -> None:
    """Delete a tree; what somebody else has deleted meanwhile is fine."""
    while True:
        try:
            top = os.open(folder, trees.FOLDER)
        except FileNotFoundError:
            return
        try:
            with contextlib.suppress(FileNotFoundError):
                for name in os.listdir(top):
                    trees.remove(top, name)
                os.rmdir(folder)
        finally:
            os.close(top)


def is_mounted(path: str) -> bool:
    """Tell whether a filesystem is mounted exactly there."""
    escaped = path.replace("\\", "\\134").replace(" ", "\\040").replace("\t", "\\011")
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        return any(line.split(" ", 5)[4] == escaped for line in file)
