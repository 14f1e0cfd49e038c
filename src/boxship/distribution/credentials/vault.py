"""Secrets in one file, encrypted as a whole: not even the names of the servers can be read.

    {"version": 1,
     "key": {"kind": "kernel" | "passphrase" | "desktop", ...},   see keys.py
     "nonce": base64, "box": base64}

The box is AES-256-GCM over `{server: {"username", "secret"}}`; version and key are authenticated
with it. Every write takes a new nonce. Readers take no lock, since the file appears whole; writers
take turns.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import secrets
import stat
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final

from boxship.distribution.credentials.errors import DamagedVault, NoCredentials, VaultBusy
from boxship.distribution.credentials.keys import Key, Keys
from boxship.lib import atomicfile, strictjson

VERSION: Final = 1
NONCE: Final = 12
LARGEST: Final = 4 << 20
PATIENCE: Final = 10.0
PAUSE: Final = 0.02


@dataclass(frozen=True, slots=True)
class Entry:
    """What is kept for one server."""

    username: str
    secret: str


Entries = Mapping[str, Entry]


class Vault:
    """The secrets of one user."""

    def __init__(self, path: str, keys: Keys) -> None:
        self.path = path
        self._keys = keys

    def get(self, server: str) -> Entry:
        """Return what is kept for a server; NoCredentials when that is nothing."""
        entry = self.entries().get(server)
        if entry is None:
            raise NoCredentials
        return entry

    def entries(self) -> Entries:
        """Return all that is kept; nothing where the key is gone, for that cannot come back."""
        document = self._read()
        if document is None:
            return {}
        key = self._keys.open(document["key"])
        return {} if key is None else self._unboxed(document, key)

    def put(self, server: str, entry: Entry) -> None:
        """Keep something for a server, replacing what was kept."""
        self._change(lambda known: {**known, server: entry})

    def erase(self, server: str) -> None:
        """Forget what is kept for a server; NoCredentials when that is nothing."""

        def without(known: Entries) -> Entries:
            if server not in known:
                raise NoCredentials
            return {name: entry for name, entry in known.items() if name != server}

        self._change(without)

    def rekey(self, kind: str) -> None:
        """Encrypt all anew under a key that is kept elsewhere."""
        with self._turn():
            document = self._read()
            old = document["key"] if document is not None else None
            entries = self.entries()
            self._write(entries, self._keys.make(kind))
            if old is not None:
                self._keys.forget(old)

    def kind(self) -> str:
        """Say where the key is kept; empty where there is no file yet."""
        document = self._read()
        return "" if document is None else str(document["key"].get("kind", ""))

    def _change(self, change: Callable[[Entries], Entries]) -> None:
        with self._turn():
            document = self._read()
            key = self._keys.open(document["key"]) if document is not None else None
            if document is None or key is None:
                entries = change({})  # what was under a key that is gone cannot be read by anybody
                self._write(entries, self._keys.make())
                return
            self._write(change(self._unboxed(document, key)), key)

    def _read(self) -> dict[str, Any] | None:
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except FileNotFoundError:
            return None
        with open(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise DamagedVault(self.path, "it is no file")
            data = file.read(LARGEST + 1)
        if len(data) > LARGEST:
            raise DamagedVault(self.path, "it is too large")
        try:
            strictjson.check(data, self.path)
            document = json.loads(data)
        except (strictjson.InvalidDocument, ValueError) as error:
            raise DamagedVault(self.path, "it is no JSON") from error
        if not isinstance(document, dict) or not isinstance(document.get("key"), dict):
            raise DamagedVault(self.path, "it says nothing of its key")
        if document.get("version") != VERSION:
            raise DamagedVault(self.path, f"its version is not {VERSION}")
        return document

    def _unboxed(self, document: dict[str, Any], key: Key) -> Entries:
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        try:
            nonce = base64.b64decode(document["nonce"], validate=True)
            box = base64.b64decode(document["box"], validate=True)
            plain = AESGCM(key.secret).decrypt(nonce, box, _bound(document["key"]))
            found = json.loads(plain)
            return {
                server: Entry(entry["username"], entry["secret"]) for server, entry in found.items()
            }
        except InvalidTag as error:
            raise DamagedVault(self.path, "it was not written with its key") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise DamagedVault(self.path, "parts of it are missing") from error

    def _write(self, entries: Entries, key: Key) -> None:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        plain = json.dumps(
            {name: {"username": e.username, "secret": e.secret} for name, e in entries.items()}
        ).encode()
        nonce = secrets.token_bytes(NONCE)
        box = AESGCM(key.secret).encrypt(nonce, plain, _bound(key.about))
        document = {
            "version": VERSION,
            "key": key.about,
            "nonce": base64.b64encode(nonce).decode(),
            "box": base64.b64encode(box).decode(),
        }
        target = os.path.realpath(self.path)
        atomicfile.write(target, json.dumps(document, indent=1).encode() + b"\n", mode=0o600)

    @contextmanager
    def _turn(self) -> Iterator[None]:
        """Nobody else writes meanwhile; VaultBusy when somebody does for long."""
        folder = os.path.dirname(self.path)
        os.makedirs(folder, 0o700, exist_ok=True)
        lock = os.open(f"{self.path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            end = time.monotonic() + PATIENCE
            while True:
                try:
                    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    break
                except BlockingIOError:
                    if time.monotonic() > end:
                        raise VaultBusy(f"another process holds {self.path}.lock") from None
                    time.sleep(PAUSE)
            yield
        finally:
            os.close(lock)


def _bound(key: Mapping[str, object]) -> bytes:
    """Return what is authenticated together with the box."""
    return json.dumps([VERSION, key], sort_keys=True, separators=(",", ":")).encode()
