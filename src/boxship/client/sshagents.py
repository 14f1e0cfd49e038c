"""The ssh agents that a build's client offers: one that runs already, or keys of files.

    message   length (4 bytes), kind (1 byte), body        draft-ietf-sshm-ssh-agent
    string    length (4 bytes), bytes

A build may list keys and have something signed, and nothing else: it cannot add keys to the
user's agent, remove or lock them.
"""

from __future__ import annotations

import asyncio
import base64
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol

from boxship.errors import InvalidRequest

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

FAILURE: Final = b"\x05"
LIST: Final = b"\x0b"
LISTED: Final = b"\x0c"
SIGN: Final = b"\x0d"
SIGNED: Final = b"\x0e"
SHA256: Final = 2
SHA512: Final = 4
LARGEST: Final = 256 << 10
KEY_LIMIT: Final = 100 << 10

Ask = Callable[[bytes], Awaitable[bytes]]


class Agent(Protocol):
    """Answers messages; each connection of the build's has a conversation of its own."""

    def conversation(self) -> AbstractAsyncContextManager[Ask]:
        """Begin one: what is yielded takes a message and returns the answer."""


class NoAgent(InvalidRequest):
    """What is to be offered as an ssh agent is none."""


@dataclass(frozen=True, slots=True)
class Running:
    """An agent that runs: the socket it listens on."""

    path: str

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[Ask]:
        reader, writer = await asyncio.open_unix_connection(self.path)

        async def ask(message: bytes) -> bytes:
            if message[:1] not in (LIST, SIGN):
                return FAILURE
            writer.write(_string(message))
            await writer.drain()
            size = int.from_bytes(await reader.readexactly(4))
            return await reader.readexactly(size) if size <= LARGEST else FAILURE

        try:
            yield ask
        finally:
            with suppress(OSError):
                writer.close()


@dataclass(frozen=True, slots=True)
class Key:
    """A private key: how others know it, and what signs."""

    blob: bytes
    comment: bytes
    sign: Callable[[bytes, int], bytes]


@dataclass(frozen=True, slots=True)
class Keys:
    """An agent of our own, for keys that were read from files."""

    keys: Sequence[Key]

    @asynccontextmanager
    async def conversation(self) -> AsyncIterator[Ask]:
        async def ask(message: bytes) -> bytes:
            return await asyncio.to_thread(self.answer, message)

        yield ask

    def answer(self, message: bytes) -> bytes:
        """Answer one message."""
        kind = message[:1]
        if kind == LIST:
            listed = b"".join(_string(key.blob) + _string(key.comment) for key in self.keys)
            return LISTED + len(self.keys).to_bytes(4) + listed
        return self._signed(message[1:]) if kind == SIGN else FAILURE

    def _signed(self, body: bytes) -> bytes:
        blob, rest = _taken(body)
        data, rest = _taken(rest)
        for key in self.keys:
            if key.blob == blob and len(rest) == 4:
                return SIGNED + _string(key.sign(data, int.from_bytes(rest)))
        return FAILURE


def read_key(path: str) -> Key:
    """Read a private key from a file; NoAgent says what is wrong with it."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization

    try:
        with open(path, "rb") as file:
            data = file.read(KEY_LIMIT)
    except OSError as error:
        raise NoAgent(f"ssh key {path}: {error.strerror}") from None
    new = b"BEGIN OPENSSH PRIVATE KEY" in data
    load = serialization.load_ssh_private_key if new else serialization.load_pem_private_key
    try:
        private = load(data, None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        text = str(error).lower()
        if "password" in text or "encrypted" in text:
            raise NoAgent(
                f"ssh key {path} is encrypted: add it to an agent, and forward that"
            ) from None
        raise NoAgent(f"ssh key {path} cannot be read: {error}") from None
    return _key(private, path)


def _key(private: PrivateKeyTypes, path: str) -> Key:
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    signing: Callable[[bytes, int], bytes]
    match private:
        case ed25519.Ed25519PrivateKey():
            signing = _ed25519(private)
        case ec.EllipticCurvePrivateKey() if private.curve.name in CURVES:
            signing = _ecdsa(private)
        case rsa.RSAPrivateKey():
            signing = _rsa(private)
        case _:
            raise NoAgent(f"ssh key {path} is of a kind that is not supported")
    public = private.public_key().public_bytes(Encoding.OpenSSH, PublicFormat.OpenSSH)
    blob = base64.b64decode(public.split()[1])
    return Key(blob, os.fsencode(path), signing)


CURVES: Final = {"secp256r1": "nistp256", "secp384r1": "nistp384", "secp521r1": "nistp521"}


def _ed25519(private: Any) -> Callable[[bytes, int], bytes]:
    return lambda data, flags: _string(b"ssh-ed25519") + _string(private.sign(data))


def _ecdsa(private: Any) -> Callable[[bytes, int], bytes]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature

    curve = CURVES[private.curve.name]
    digest = {
        "nistp256": hashes.SHA256(),
        "nistp384": hashes.SHA384(),
        "nistp521": hashes.SHA512(),
    }[curve]

    def sign(data: bytes, flags: int) -> bytes:
        r, s = decode_dss_signature(private.sign(data, ec.ECDSA(digest)))
        return _string(f"ecdsa-sha2-{curve}".encode()) + _string(_number(r) + _number(s))

    return sign


def _rsa(private: Any) -> Callable[[bytes, int], bytes]:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    def sign(data: bytes, flags: int) -> bytes:
        digest: hashes.HashAlgorithm
        if flags & SHA512:
            kind, digest = b"rsa-sha2-512", hashes.SHA512()
        elif flags & SHA256:
            kind, digest = b"rsa-sha2-256", hashes.SHA256()
        else:
            kind, digest = b"ssh-rsa", hashes.SHA1()
        return _string(kind) + _string(private.sign(data, padding.PKCS1v15(), digest))

    return sign


def _string(data: bytes) -> bytes:
    return len(data).to_bytes(4) + data


def _number(value: int) -> bytes:
    """Return a number as ssh writes it: with a leading zero where it would be negative."""
    return _string(value.to_bytes(value.bit_length() // 8 + 1))


def _taken(data: bytes) -> tuple[bytes, bytes]:
    """Take a string off; what is cut short is empty, and no key's."""
    size = int.from_bytes(data[:4])
    return data[4 : 4 + size], data[4 + size :]


class Messages:
    """Cuts what comes in pieces into messages."""

    def __init__(self) -> None:
        self._kept = b""

    def feed(self, data: bytes) -> list[bytes]:
        """Return the messages that are whole; NoAgent for one that is too long."""
        self._kept += data
        whole: list[bytes] = []
        while len(self._kept) >= 4:
            size = int.from_bytes(self._kept[:4])
            if size > LARGEST:
                raise NoAgent("a message to an ssh agent is too long")
            if len(self._kept) < 4 + size:
                break
            whole.append(self._kept[4 : 4 + size])
            self._kept = self._kept[4 + size :]
        return whole


def framed(answer: bytes) -> bytes:
    """Return an answer as it is sent."""
    return _string(answer)
