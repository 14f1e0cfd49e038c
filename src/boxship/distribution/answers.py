"""Answers of registries: bounded bodies, and refusals as typed failures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import msgspec

from boxship.distribution.errors import (
    BrokenOff,
    Denied,
    LoginNeeded,
    NotThere,
    Refused,
    RegistryError,
    RegistryUnavailable,
    TooManyRequests,
    UnsupportedThere,
    WrongAnswer,
)
from boxship.distribution.pool import explain

if TYPE_CHECKING:
    import aiohttp

ERROR_LIMIT: Final = 64 << 10
SHOWN: Final = 400
KINDS: Final[dict[int, type[RegistryError]]] = {
    400: Refused,
    401: LoginNeeded,
    403: Denied,
    404: NotThere,
    405: UnsupportedThere,
    408: RegistryUnavailable,
    429: TooManyRequests,
    501: UnsupportedThere,
}
TRANSIENT: Final = frozenset({408, 425, 429, 500, 502, 503, 504})


class _Error(msgspec.Struct):
    code: str = ""
    message: str | None = None
    detail: object = None


class _Errors(msgspec.Struct):
    errors: list[_Error] | None = None
    details: str | None = None  # what token servers and old registries say instead
    message: str | None = None


async def read(response: aiohttp.ClientResponse, limit: int) -> bytes:
    """Return a body; WrongAnswer when it is larger than `limit`, before it is in memory.

    BrokenOff when it ends too early.
    """
    import aiohttp

    announced = response.content_length
    if announced is not None and announced > limit:
        raise WrongAnswer(
            f"the answer has {announced} bytes, and more than {limit} are not accepted"
        )
    parts: list[bytes] = []
    size = 0
    try:
        async for part in response.content.iter_any():
            size += len(part)
            if size > limit:
                raise WrongAnswer(f"the answer has more than the {limit} bytes that are accepted")
            parts.append(part)
    except (aiohttp.ClientError, OSError) as error:
        raise BrokenOff(str(explain(response.method, str(response.url), error))) from error
    return b"".join(parts)


async def failure(response: aiohttp.ClientResponse, what: str) -> RegistryError:
    """Return what a refusal says, as the failure that it is."""
    status = response.status
    kind = KINDS.get(status, RegistryUnavailable if status >= 500 else WrongAnswer)
    try:
        codes, said = _said(await read(response, ERROR_LIMIT))
    except (WrongAnswer, BrokenOff):
        codes, said = [], ""
    if not said:
        said = f"{what}: unexpected status {status}" + (
            f" {response.reason}" if response.reason else ""
        )
    return kind(said, status=status, codes=codes)


def _said(body: bytes) -> tuple[list[str], str]:
    """Return the codes and the sentence of an error document."""
    try:
        document = msgspec.json.decode(body, type=_Errors)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return [], ""
    found = [one for one in document.errors or [] if one.code or one.message]
    if not found:
        said = document.details or document.message or ""
        return [], _clean(said)
    codes = [_clean(one.code) for one in found]
    words = [f"{c.lower().replace('_', ' ')}: {_clean(one.message or '')}".removesuffix(": ")
             for c, one in zip(codes, found, strict=True)]  # fmt: skip
    return codes, "; ".join(words)[:SHOWN]


def _clean(text: str) -> str:
    """What a stranger says goes to people's terminals: no control characters."""
    return "".join(char if char.isprintable() else " " for char in text[:SHOWN])


def retry_after(response: aiohttp.ClientResponse) -> float | None:
    """Return how many seconds an answer asks to wait, in either form of Retry-After."""
    import email.utils

    text = response.headers.get("Retry-After", "").strip()
    if text.isdigit():
        return float(text[:9])
    try:
        when = email.utils.parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0.0, when.timestamp() - time.time())
