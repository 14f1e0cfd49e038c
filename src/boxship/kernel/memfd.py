"""Files in memory that nobody can change any more."""

from __future__ import annotations

import errno
import fcntl
import os
from typing import Final

MFD_EXEC: Final = 0x10  # since Linux 6.3; where vm.memfd_noexec is set, execution must be asked for
_SEALS: Final = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
_AT_ONCE: Final = 16 << 20


def sealed_copy(path: str, name: str) -> int:
    """Return a descriptor of an executable copy of `path` that cannot be written, ever."""
    copy = _create(name)
    try:
        source = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            while os.sendfile(copy, source, None, _AT_ONCE):
                pass
        finally:
            os.close(source)
        fcntl.fcntl(copy, fcntl.F_ADD_SEALS, _SEALS)
    except BaseException:
        os.close(copy)
        raise
    return copy


def _create(name: str) -> int:
    flags = os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING
    try:
        return os.memfd_create(name, flags | MFD_EXEC)
    except OSError as failure:
        if failure.errno != errno.EINVAL:
            raise
        return os.memfd_create(name, flags)
