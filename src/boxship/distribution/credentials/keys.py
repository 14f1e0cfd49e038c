"""Where the key to the secrets is kept: never beside them.

kernel       {"kind", "id"}   in the user's keyring in the kernel; a restart forgets it
desktop      {"kind", "id"}   in the desktop's keyring, through the keyring library
passphrase   {"kind", "id", "salt", "n", "r", "p", "wrapped"}
                              encrypted under what scrypt makes of a passphrase; once opened, the
                              kernel keeps it for some minutes, so that nobody is asked each time
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final, Protocol

from boxship.distribution.credentials.errors import (
    HelperFailed,
    InvalidCredentials,
    NoKey,
    WrongPassphrase,
)

SIZE: Final = 32
SALT: Final = 16
NONCE: Final = 12
N, R, P = 1 << 15, 8, 1
MOST: Final = {"n": 1 << 18, "r": 16, "p": 4}  # what a file may have us spend
REMEMBERED: Final = 15 * 60
NAME: Final = "boxship:credentials:"
SERVICE: Final = "boxship credentials"
KINDS: Final = ("kernel", "desktop", "passphrase")


@dataclass(frozen=True, slots=True)
class Key:
    """A key, and what is written down of it."""

    secret: bytes
    about: Mapping[str, object]


class Kernel(Protocol):
    """Keys in the kernel's memory: `boxship.kernel.keys`."""

    def read(self, name: str, /) -> bytes | None: ...
    def write(self, name: str, secret: bytes, /, *, seconds: int = 0) -> None: ...
    def forget(self, name: str, /) -> None: ...


class Desktop(Protocol):
    """Keys in a desktop's keyring: the `keyring` library."""

    def get_password(self, service: str, name: str, /) -> str | None: ...
    def set_password(self, service: str, name: str, secret: str, /) -> None: ...
    def delete_password(self, service: str, name: str, /) -> None: ...


@dataclass(frozen=True, slots=True)
class Keys:
    """The places for keys that there are; `ask` asks for a passphrase, a new one twice."""

    kernel: Kernel
    desktop: Desktop | None
    ask: Callable[[bool], str]
    wanted: str = ""  # the place for new keys; empty is the best there is
    remembered: int = REMEMBERED

    def open(self, about: Mapping[str, Any]) -> Key | None:
        """Return the key that a file speaks of; None when it is gone for good."""
        kind, name = about.get("kind"), _name(about)
        if kind == "kernel":
            secret = self._from_kernel(name)
        elif kind == "desktop":
            secret = self._from_desktop(name)
        elif kind == "passphrase":
            secret = self._by_passphrase(about, name)
        else:
            raise NoKey(f"the key is kept in a way that is not known here: {str(kind)[:50]!r}")
        return None if secret is None else Key(secret, about)

    def make(self, kind: str = "") -> Key:
        """Make a key where it can be kept; NoKey where that is nowhere."""
        kind = kind or self.wanted
        if kind:
            if kind not in KINDS:
                raise InvalidCredentials(f"a key can be kept in {', '.join(KINDS)}, not {kind!r}")
            return self._make(kind)
        reasons: list[str] = []
        for each in ("desktop", "kernel", "passphrase") if self.desktop else ("kernel", KINDS[2]):
            try:
                return self._make(each)
            except (NoKey, HelperFailed) as error:
                reasons.append(str(error))
        raise NoKey("there is no place for a key: " + "; ".join(reasons))

    def forget(self, about: Mapping[str, Any]) -> None:
        """Remove a key that nothing is encrypted with any more."""
        name = _name(about)
        if about.get("kind") == "desktop" and self.desktop is not None:
            with suppress(Exception):  # what the library raises depends on the desktop
                self.desktop.delete_password(SERVICE, name)
        with suppress(OSError):
            self.kernel.forget(name)

    def _make(self, kind: str) -> Key:
        secret = secrets.token_bytes(SIZE)
        about: dict[str, object] = {"kind": kind, "id": secrets.token_hex(8)}
        name = _name(about)
        if kind == "kernel":
            try:
                self.kernel.write(name, secret)
                kept = self.kernel.read(name)
            except OSError as error:
                raise NoKey(f"the kernel keeps no keys here: {error.strerror}") from error
            if kept != secret:
                raise NoKey("the kernel does not keep keys here")
        elif kind == "desktop":
            self._to_desktop(name, secret)
        else:
            about |= self._wrap(secret, str(about["id"]))
            self._remember(name, secret)
        return Key(secret, about)

    def _from_kernel(self, name: str) -> bytes | None:
        try:
            secret = self.kernel.read(name)
        except OSError as error:
            raise NoKey(f"the kernel's keyring cannot be read: {error.strerror}") from error
        return secret if secret is not None and len(secret) == SIZE else None

    def _from_desktop(self, name: str) -> bytes | None:
        if self.desktop is None:
            raise NoKey("the key is in a desktop's keyring, and there is none here")
        try:
            text = self.desktop.get_password(SERVICE, name)
        except Exception as error:
            raise HelperFailed(f"the desktop's keyring does not answer: {error}") from error
        return None if text is None else _decoded(text)

    def _to_desktop(self, name: str, secret: bytes) -> None:
        if self.desktop is None:
            raise NoKey("there is no desktop keyring here")
        try:
            self.desktop.set_password(SERVICE, name, base64.b64encode(secret).decode())
        except Exception as error:
            raise HelperFailed(f"the desktop's keyring does not answer: {error}") from error

    def _wrap(self, secret: bytes, id: str) -> dict[str, object]:
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        salt, nonce = secrets.token_bytes(SALT), secrets.token_bytes(NONCE)
        made = AESGCM(stretched(self.ask(True), salt, N, R, P))
        wrapped = nonce + made.encrypt(nonce, secret, id.encode())
        return {
            "salt": base64.b64encode(salt).decode(),
            "n": N,
            "r": R,
            "p": P,
            "wrapped": base64.b64encode(wrapped).decode(),
        }

    def _by_passphrase(self, about: Mapping[str, Any], name: str) -> bytes:
        with suppress(NoKey):  # without the kernel's help, somebody is asked each time
            if self.remembered > 0 and (known := self._from_kernel(name)) is not None:
                return known
        from cryptography.exceptions import InvalidTag
        from cryptography.hazmat.primitives.ciphers.aead import AESGCM

        n, r, p = (_number(about, part, most) for part, most in MOST.items())
        if n & (n - 1):
            raise NoKey("the passphrase's parameters are not those that are written here")
        salt, wrapped = _decoded(about.get("salt")), _decoded(about.get("wrapped"))
        if salt is None or wrapped is None:
            raise NoKey("what is written of the passphrase is not whole")
        opened = AESGCM(stretched(self.ask(False), salt, n, r, p))
        try:
            id = str(about["id"]).encode()
            secret = opened.decrypt(wrapped[:NONCE], wrapped[NONCE:], id)
        except (InvalidTag, ValueError) as error:
            raise WrongPassphrase from error
        self._remember(name, secret)
        return secret

    def _remember(self, name: str, secret: bytes) -> None:
        if self.remembered > 0:
            with suppress(OSError):
                self.kernel.write(name, secret, seconds=self.remembered)


def stretched(passphrase: str, salt: bytes, n: int, r: int, p: int) -> bytes:
    """Return the key that a passphrase stands for; slow and large on purpose."""
    room = 128 * r * (n + p + 2) + (1 << 20)
    return hashlib.scrypt(passphrase.encode(), salt=salt, n=n, r=r, p=p, maxmem=room, dklen=SIZE)


def _name(about: Mapping[str, Any]) -> str:
    id = about.get("id")
    if not isinstance(id, str) or len(id) != 16 or not set(id) <= set("0123456789abcdef"):
        raise NoKey("the key has no name that is one of ours")
    return NAME + id


def _number(about: Mapping[str, Any], part: str, most: int) -> int:
    found = about.get(part)
    if not isinstance(found, int) or not (1 + (part == "n")) <= found <= most:
        raise NoKey("the passphrase's parameters are not those that are written here")
    return found


def _decoded(text: object) -> bytes | None:
    if not isinstance(text, str):
        return None
    try:
        return base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None


def places(kinds: Sequence[str] = KINDS) -> str:
    """Return the kinds of place as one word for a usage line."""
    return "|".join(kinds)
