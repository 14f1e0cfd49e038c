"""gRPC's own layer over HTTP/2, without a socket: messages, metadata, status.

A call is one HTTP/2 stream. Each side sends messages; the server ends with trailers that carry
the status. A message travels as

    compressed (1 byte, 0 or 1) | length (4 bytes, big endian) | message

Metadata keys that end in `-bin` carry bytes, in base64; a status message is percent-encoded.
"""

from __future__ import annotations

import base64
import binascii
import struct
from collections.abc import Iterable, Iterator, Mapping
from enum import IntEnum
from typing import Final
from urllib.parse import quote, unquote

from boxship import errors

CONTENT_TYPE: Final = "application/grpc"
PREFIX: Final = struct.Struct(">BI")
LIMIT: Final = 16 << 20  # bytes of a message, as BuildKit has it

Metadata = Mapping[str, tuple[str, ...]]
Header = tuple[str, str]


class Code(IntEnum):
    """What became of a call."""

    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


_CODE_OF_KIND: Final[Mapping[type[errors.BoxshipError], Code]] = {
    errors.InvalidRequest: Code.INVALID_ARGUMENT,
    errors.Unauthorized: Code.UNAUTHENTICATED,
    errors.Forbidden: Code.PERMISSION_DENIED,
    errors.NotFound: Code.NOT_FOUND,
    errors.Conflict: Code.FAILED_PRECONDITION,
    errors.NotSupported: Code.UNIMPLEMENTED,
    errors.Unavailable: Code.UNAVAILABLE,
    errors.NotModified: Code.ALREADY_EXISTS,
}
_KIND_OF_CODE: Final[Mapping[Code, type[errors.BoxshipError]]] = {
    **{code: kind for kind, code in _CODE_OF_KIND.items()},
    Code.OUT_OF_RANGE: errors.InvalidRequest,
    Code.ABORTED: errors.Conflict,
}


class Failed(errors.BoxshipError):
    """A call that did not end well; `details` is a google.rpc.Status with typed particulars."""

    def __init__(self, code: Code, message: str, details: bytes = b"") -> None:
        super().__init__(message)
        self.code = code
        self.details = details


class BadMessage(errors.InvalidRequest):
    """The bytes are not gRPC's, or more of them than anybody should send."""


def code_of(error: BaseException) -> Code:
    """Return the code that says what kind of failure this is."""
    if isinstance(error, Failed):
        return error.code
    found = (_CODE_OF_KIND[kind] for kind in type(error).__mro__ if kind in _CODE_OF_KIND)
    return next(found, Code.UNKNOWN)


def kind_of(error: Failed) -> errors.BoxshipError:
    """Return the failure as one of our kinds, where it is of one."""
    kind = _KIND_OF_CODE.get(error.code)
    return error if kind is None else kind(str(error))


def frame(message: bytes) -> bytes:
    """Return a message as it travels."""
    return PREFIX.pack(0, len(message)) + message


class Deframer:
    """Cuts messages out of what arrives."""

    def __init__(self, limit: int = LIMIT) -> None:
        self._limit = limit
        self._pending = bytearray()

    @property
    def pending(self) -> int:
        """How many bytes of an unfinished message are here."""
        return len(self._pending)

    def feed(self, data: bytes | memoryview) -> Iterator[bytes]:
        """Take the next bytes, however they were cut, and yield the messages they complete."""
        pending = self._pending
        pending += data
        at = 0
        while len(pending) - at >= PREFIX.size:
            compressed, size = PREFIX.unpack_from(pending, at)
            if compressed:
                raise BadMessage("compressed gRPC messages are not understood")
            if size > self._limit:
                raise BadMessage(f"a gRPC message of {size} bytes is larger than {self._limit}")
            end = at + PREFIX.size + size
            if len(pending) < end:
                break
            yield bytes(memoryview(pending)[at + PREFIX.size : end])
            at = end
        del pending[:at]


def collect(headers: Iterable[tuple[bytes | str, bytes | str]]) -> dict[str, tuple[str, ...]]:
    """Return headers by name; `-bin` values stay in base64."""
    found: dict[str, tuple[str, ...]] = {}
    for name, value in headers:
        key = name.decode("latin-1") if isinstance(name, bytes) else name
        text = value.decode("latin-1") if isinstance(value, bytes) else value
        found[key] = (*found.get(key, ()), text)
    return found


def binary(value: str) -> bytes:
    """Return the bytes of a `-bin` header; padding may be missing."""
    try:
        return base64.b64decode(value + "=" * (-len(value) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadMessage("a binary header is not base64") from None


def request_headers(path: str, metadata: Iterable[Header], timeout: float | None) -> list[Header]:
    """Return the headers that open a call."""
    headers = [
        (":method", "POST"),
        (":scheme", "http"),
        (":path", path),
        (":authority", "localhost"),
        ("te", "trailers"),
        ("content-type", CONTENT_TYPE),
        ("user-agent", "boxship"),
    ]
    if timeout is not None:
        headers.append(("grpc-timeout", f"{max(1, int(timeout * 1000))}m"))
    headers.extend((key.lower(), value) for key, value in metadata)
    return headers


_UNITS: Final = {"H": 3600.0, "M": 60.0, "S": 1.0, "m": 1e-3, "u": 1e-6, "n": 1e-9}


def timeout_of(metadata: Metadata) -> float | None:
    """Return for how many seconds the caller waits; None where it did not say."""
    for text in metadata.get("grpc-timeout", ()):
        number, unit = text[:-1], text[-1:]
        if not number.isdecimal() or len(number) > 8 or unit not in _UNITS:
            raise BadMessage(f"invalid grpc-timeout: {text!r}")
        return int(number) * _UNITS[unit]
    return None


def status_headers(code: Code, message: str = "", details: bytes = b"") -> list[Header]:
    """Return the trailers that end a call."""
    headers = [("grpc-status", str(int(code)))]
    if message:
        headers.append(("grpc-message", quote(message, safe=" !\"#$&'()*+,/:;<=>?@[\\]^`{|}~")))
    if details:
        said = base64.b64encode(details).decode().rstrip("=")
        headers.append(("grpc-status-details-bin", said))
    return headers


def read_status(trailers: Metadata) -> Failed | None:
    """Return the failure that trailers tell of; None when all went well."""
    said = trailers.get("grpc-status", ("2",))[0]
    try:
        code = Code(int(said))
    except ValueError:
        code = Code.UNKNOWN
    if code is Code.OK:
        return None
    message = unquote(trailers.get("grpc-message", ("",))[0], errors="replace")
    details = b""
    for value in trailers.get("grpc-status-details-bin", ()):
        details = binary(value)
    return Failed(code, message or code.name.lower().replace("_", " "), details)
