"""What every container finds in its root, as far as its image has it not.

These are the places that the runtime mounts something on. They are made in a layer of their own,
below the container's, so that they are no change that the container has made. What an image has
there that is no folder or file, a link above all, is hidden: nothing is mounted through it.
"""

from __future__ import annotations

import os
import stat
from typing import Final

from boxship.snapshot import trees
from boxship.snapshot.drivers import upperdir

FOLDERS: Final = ("proc", "sys", "dev/pts", "dev/shm")
FILES: Final = (".dockerenv", "dev/console", "etc/hosts", "etc/hostname", "etc/resolv.conf")
LINKS: Final = (("etc/mtab", "/proc/mounts"),)


def fill(path: str, below: int) -> None:
    """Make in the folder at `path` what is missing in `below`."""
    target = os.open(path, trees.FOLDER)
    try:
        trees.copy_attributes(below, target)
        for name in FOLDERS:
            _folder(target, below, name)
        for name in FILES:
            there = upperdir.status(below, name.encode())
            if there is None or not stat.S_ISREG(there.st_mode):
                _folder(target, below, name.rpartition("/")[0])
                trees.remove(target, name)
                made = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o755, dir_fd=target)
                os.fchmod(made, 0o755)
                os.close(made)
        for name, leads in LINKS:
            if upperdir.status(below, name.encode()) is None:
                _folder(target, below, name.rpartition("/")[0])
                os.symlink(leads, name, dir_fd=target)
    finally:
        os.close(target)


def _folder(target: int, below: int, name: str) -> None:
    """Have a folder in the layer wherever something will be made in it."""
    words = name.split("/") if name else []
    for count in range(1, len(words) + 1):
        inner = "/".join(words[:count])
        there = upperdir.status(below, inner.encode())
        is_folder = there is not None and stat.S_ISDIR(there.st_mode)
        if not is_folder:
            here = upperdir.status(target, inner.encode())
            if here is not None and not stat.S_ISDIR(here.st_mode):
                trees.remove(target, inner)
        try:
            os.mkdir(inner, 0o755, dir_fd=target)
        except FileExistsError:
            continue
        made = os.open(inner, trees.FOLDER, dir_fd=target)
        try:
            os.fchmod(made, 0o755)
            if there is not None and is_folder:
                os.fchown(made, there.st_uid, there.st_gid)
                os.fchmod(made, stat.S_IMODE(there.st_mode))
                os.utime(made, ns=(there.st_atime_ns, there.st_mtime_ns))
        finally:
            os.close(made)
