"""JSON from strangers: bounded, without duplicate keys, and then of the type that is asked for.

Two readers that disagree on a document with the same key twice can be played against each
other; so such a document is refused, as is one that is nested too deep or too large.
"""

from __future__ import annotations

import json
import re
from typing import Any, Final, TypeVar

import msgspec

from boxship.errors import InvalidRequest
from boxship.lib import foldedkeys

DEPTH: Final = 64
SIZE: Final = 4 << 20
MOST: Final = 280_000  # signs that part values: a small document of many takes much memory

_MANY_DIGITS: Final = re.compile(rb"[0-9]{19}")
_LARGEST: Final = (1 << 63) - 1

T = TypeVar("T")


class InvalidDocument(InvalidRequest):
    """The bytes are not the JSON document that was expected."""


def decode(
    data: bytes, kind: type[T], what: str, *, limit: int = SIZE, any_case: bool = False
) -> T:
    """Read `data` as a `kind`; `what` names the document in messages.

    In `any_case` names of fields may be written in another one. A number that is wanted and does
    not fit 64 bits is refused: the kernel would take it for another.
    """
    if len(data) > limit:
        raise InvalidDocument(f"{what} is larger than {limit} bytes")
    document = check(data, what)
    if any_case and (folded := foldedkeys.folded(document, kind)) is not document:
        data = msgspec.json.encode(folded)
    try:
        found = msgspec.json.decode(data, type=kind, dec_hook=_own_types)
        if _MANY_DIGITS.search(data):
            _check_numbers(found)
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise InvalidDocument(f"{what}: {error}") from error
    return found


def encode(document: object) -> bytes:
    """Write a document; text types of our own become plain text."""
    return msgspec.json.encode(document, enc_hook=_plain)


def check(data: bytes, what: str) -> Any:
    """Return what a document says, in dicts and lists.

    Refused are duplicate keys, values that JSON does not have, too many of them, deep nesting.
    """
    wrong = what if what == "invalid JSON" else f"{what}: invalid JSON"
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST:
        raise InvalidDocument(f"{wrong}: it has too many values")
    try:
        document = json.loads(data, object_pairs_hook=_unique, parse_constant=_refuse)
    except json.JSONDecodeError as error:
        if error.msg == "Extra data":
            raise InvalidDocument("unexpected content after JSON") from error
        raise InvalidDocument(f"{wrong}: {error}") from error
    except (ValueError, RecursionError) as error:
        raise InvalidDocument(f"{wrong}: {error}") from error
    level = [document]
    for _ in range(DEPTH):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return document
    raise InvalidDocument(f"{wrong}: nested deeper than {DEPTH} levels")


def _check_numbers(found: object) -> None:
    """Refuse what has no room in 64 bits."""
    left = [msgspec.to_builtins(found, enc_hook=_plain)]
    while left:
        match left.pop():
            case dict() as inner:
                left += inner.values()
            case list() as inner:
                left += inner
            case int() as number if not ~_LARGEST <= number <= _LARGEST:
                raise ValueError(f"number {number} has no room in 64 bits")


def _inside(value: Any) -> list[Any]:
    if isinstance(value, dict):
        return [inner for inner in value.values() if isinstance(inner, dict | list)]
    if isinstance(value, list):
        return [inner for inner in value if isinstance(inner, dict | list)]
    return []


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("duplicate key in an object")
    return made


def _refuse(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _plain(value: object) -> str:
    if isinstance(value, str):
        return str(value)
    raise NotImplementedError(type(value))


def _own_types(kind: type, value: Any) -> Any:
    """A text type of our own says itself what it accepts; `object` accepts all."""
    if kind is object:
        return value
    if issubclass(kind, str) and hasattr(kind, "parse"):
        if not isinstance(value, str):
            raise ValueError(f"expected text, got {type(value).__name__}")
        try:
            return kind.parse(value)
        except InvalidRequest as error:
            raise ValueError(str(error)) from error
    raise NotImplementedError(kind)
