"""A layer with files of every kind, for the drivers of filesystems."""

from __future__ import annotations

import tarfile
from typing import Final

from tests.support.images import archive

BASE: Final = archive(
    ("./", tarfile.DIRTYPE, {}),
    ("etc/", tarfile.DIRTYPE, {"mode": 0o750, "uid": 3}),
    ("etc/a", b"one", {}),
    ("etc/b", b"two", {"mode": 0o4755, "uid": 70000}),
    ("lib", tarfile.SYMTYPE, {"linkname": "usr/lib"}),
    ("usr/lib/x", b"x", {}),
    ("usr/lib/y", tarfile.LNKTYPE, {"linkname": "usr/lib/x"}),
    ("dir/", tarfile.DIRTYPE, {}),
    ("dir/inner", b"inner", {}),
    ("fifo", tarfile.FIFOTYPE, {}),
    ("null", tarfile.CHRTYPE, {"devmajor": 1, "devminor": 3}),
)
