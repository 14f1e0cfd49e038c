"""Options of a local volume that is a mount: `type`, `device` and `o`, as mount(8) has them."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

from boxship.kernel import mounts

SET: Final = {
    "ro": mounts.MS_RDONLY,
    "nosuid": mounts.MS_NOSUID,
    "nodev": mounts.MS_NODEV,
    "noexec": mounts.MS_NOEXEC,
    "sync": mounts.MS_SYNCHRONOUS,
    "dirsync": mounts.MS_DIRSYNC,
    "mand": mounts.MS_MANDLOCK,
    "noatime": mounts.MS_NOATIME,
    "nodiratime": mounts.MS_NODIRATIME,
    "relatime": mounts.MS_RELATIME,
    "strictatime": mounts.MS_STRICTATIME,
    "bind": mounts.MS_BIND,
    "rbind": mounts.MS_BIND | mounts.MS_REC,
}
CLEARED: Final = {
    "rw": mounts.MS_RDONLY,
    "suid": mounts.MS_NOSUID,
    "dev": mounts.MS_NODEV,
    "exec": mounts.MS_NOEXEC,
    "async": mounts.MS_SYNCHRONOUS,
    "nomand": mounts.MS_MANDLOCK,
    "atime": mounts.MS_NOATIME,
    "diratime": mounts.MS_NODIRATIME,
    "norelatime": mounts.MS_RELATIME,
    "nostrictatime": mounts.MS_STRICTATIME,
    "defaults": 0,
}
PROPAGATION: Final = {
    "private": mounts.MS_PRIVATE,
    "rprivate": mounts.MS_PRIVATE | mounts.MS_REC,
    "shared": mounts.MS_SHARED,
    "rshared": mounts.MS_SHARED | mounts.MS_REC,
    "slave": mounts.MS_SLAVE,
    "rslave": mounts.MS_SLAVE | mounts.MS_REC,
    "unbindable": mounts.MS_UNBINDABLE,
    "runbindable": mounts.MS_UNBINDABLE | mounts.MS_REC,
}
NETWORKED: Final = ("nfs", "nfs4", "cifs")


@dataclass(frozen=True, slots=True)
class MountOptions:
    """What to mount, ready for mount(2)."""

    source: str
    type: str
    flags: int
    data: str
    propagation: int = 0

    @classmethod
    def parse(cls, options: Mapping[str, str]) -> Self:
        """Sort `o` into flags and data; a server's name in it becomes its address."""
        flags, propagation = 0, 0
        data: list[str] = []
        kind = options["type"]
        for word in filter(None, options.get("o", "").split(",")):
            if word in SET:
                flags |= SET[word]
            elif word in CLEARED:
                flags &= ~CLEARED[word]
            elif word in PROPAGATION:
                propagation = PROPAGATION[word]
            elif kind in NETWORKED and word.startswith("addr="):
                data.append("addr=" + resolved(word.removeprefix("addr=")))
            else:
                data.append(word)
        return cls(options["device"], kind, flags, ",".join(data), propagation)


def resolved(host: str) -> str:
    """Return the address of a host, which the kernel cannot look up."""
    found = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return str(found[0][4][0])
