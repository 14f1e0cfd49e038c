"""Whom to believe: the host's authorities, and those in a folder of the registry's own.

<certs.d>/<host[:port]>/*.crt           authorities, in addition to the system's
<certs.d>/<host[:port]>/<name>.cert     a client certificate; its key is <name>.key
"""

from __future__ import annotations

import os
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from boxship.distribution.errors import RegistryUnavailable

OLDEST: Final = ssl.TLSVersion.TLSv1_2


@dataclass(frozen=True, slots=True)
class Files:
    """What is kept for one registry; two that are equal make the same context."""

    authorities: tuple[tuple[str, int], ...] = ()  # with the time of the last change
    clients: tuple[tuple[str, str, int], ...] = ()


def find(folders: Sequence[str], hosts: Sequence[str]) -> Files:
    """Return what the folders have for any of these names of a registry."""
    authorities: list[tuple[str, int]] = []
    clients: list[tuple[str, str, int]] = []
    for place in dict.fromkeys(os.path.join(f, h) for f in folders for h in hosts if _plain(h)):
        try:
            names = sorted(os.listdir(place))
        except (FileNotFoundError, NotADirectoryError):
            continue
        except OSError as error:
            raise RegistryUnavailable(f"open {place}: {error.strerror}") from error
        for name in names:
            path = os.path.join(place, name)
            stem, kind = os.path.splitext(name)
            if kind == ".crt":
                authorities.append((path, os.stat(path).st_mtime_ns))
            elif kind == ".cert":
                if f"{stem}.key" not in names:
                    raise RegistryUnavailable(
                        f"missing key {stem}.key for client certificate {name}; "
                        "CA certificates must use the extension .crt"
                    )
                key = os.path.join(place, f"{stem}.key")
                clients.append((path, key, os.stat(path).st_mtime_ns))
    return Files(tuple(authorities), tuple(clients))


def context(files: Files, *, verified: bool) -> ssl.SSLContext:
    """Return how to talk TLS with a registry; reads files, so call it from a thread."""
    made = ssl.create_default_context()
    made.minimum_version = OLDEST
    if not verified:
        made.check_hostname = False
        made.verify_mode = ssl.CERT_NONE
    try:
        for path, _ in files.authorities:
            made.load_verify_locations(path)
        for certificate, key, _ in files.clients:
            made.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        raise RegistryUnavailable(f"certificates of the registry: {error}") from error
    return made


def _plain(host: str) -> bool:
    return bool(host) and "/" not in host and host not in (".", "..")
