"""JSON for programs that live for ten milliseconds.

The standard `json` package imports `re` and with it six milliseconds of other modules; the scanner
and the string encoder beneath it are C and need neither. Same documents, same strictness, no
options.
"""

from __future__ import annotations

from _json import encode_basestring, make_scanner

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

SPACE = " \t\n\r"


class _Rules:
    """What `make_scanner` asks its caller: the settings of a strict decoder."""

    strict = True
    object_hook = None
    object_pairs_hook = None
    parse_float = float
    parse_int = int
    memo: dict[str, str] = {}  # noqa: RUF012 - the scanner's own cache of keys

    @staticmethod
    def parse_constant(name: str) -> Any:
        raise ValueError(f"{name} is no JSON value")


_scan = make_scanner(_Rules)  # type: ignore[arg-type]


def decode(text: str | bytes | bytearray) -> Any:
    """Return the value of one JSON document; ValueError when it is not one, or more than one."""
    if not isinstance(text, str):
        text = text.decode("utf-8", "surrogateescape")
    value, rest = decode_first(text, 0)
    if rest != len(text):
        raise ValueError(f"extra data after the JSON document at character {rest}")
    return value


def decode_first(text: str, start: int) -> tuple[Any, int]:
    """Return the document that begins at `start`, and where the one after it would begin."""
    try:
        value, end = _scan(text, _skip(text, start))
    except StopIteration as stop:
        raise ValueError(f"no JSON value at character {stop.value}") from None
    except RecursionError:
        raise ValueError("JSON nested too deeply") from None
    return value, _skip(text, end)


def _skip(text: str, at: int) -> int:
    end = len(text)
    while at < end and text[at] in SPACE:
        at += 1
    return at


def encode(value: object) -> str:
    """Return `value` as compact JSON, keys in the order they stand."""
    parts: list[str] = []
    _append(parts.append, value, ":", ",")
    return "".join(parts)


def _append(put: Any, value: object, colon: str, comma: str) -> None:
    match value:
        case None:
            put("null")
        case True:
            put("true")
        case False:
            put("false")
        case str():
            put(encode_basestring(value))
        case int():
            put(int.__repr__(value))
        case float():
            put(number(value))
        case dict():
            mark = "{"
            for key, item in value.items():
                put(mark + encode_basestring(str(key)) + colon)
                _append(put, item, colon, comma)
                mark = comma
            put("}" if value else "{}")
        case list() | tuple():
            mark = "["
            for item in value:
                put(mark)
                _append(put, item, colon, comma)
                mark = comma
            put("]" if value else "[]")
        case _:
            raise TypeError(f"{type(value).__name__} has no JSON form")


def number(value: float) -> str:
    """Return a float as Go and JavaScript write it: 1.0 is `1`."""
    if value != value or value in (float("inf"), float("-inf")):
        raise ValueError(f"{value} has no JSON form")
    if value.is_integer() and abs(value) < 1e21:
        return str(int(value))
    return repr(value)


def indent(text: str, step: str = "    ", prefix: str = "") -> str:
    """Lay a JSON text out on lines; its tokens, numbers and escapes too, stay as sent."""
    parts: list[str] = []
    put = parts.append
    newline = "\n" + prefix
    depth, at, end = 0, 0, len(text)
    while at < end:
        char = text[at]
        if char == '"':
            close = _end_of_string(text, at)
            put(text[at:close])
            at = close
            continue
        at += 1
        if char in SPACE:
            continue
        if char in "{[":
            after = _skip(text, at)
            if after < end and text[after] in "}]":
                put(char + text[after])
                at = after + 1
                continue
            depth += 1
            put(char + newline + step * depth)
        elif char in "}]":
            depth -= 1
            put(newline + step * depth + char)
        elif char == ",":
            put("," + newline + step * depth)
        elif char == ":":
            put(": ")
        else:
            put(char)
    return "".join(parts)


def _end_of_string(text: str, start: int) -> int:
    at = start + 1
    while True:
        at = text.find('"', at)
        if at < 0:
            raise ValueError("unfinished string in JSON")
        slashes = 0
        while text[at - 1 - slashes] == "\\":
            slashes += 1
        at += 1
        if slashes % 2 == 0:
            return at


def pieces(text: str) -> list[str]:
    """Return the source text of each member of a JSON list."""
    at = _skip(text, 0)
    if at >= len(text) or text[at] != "[":
        raise ValueError("not a JSON list")
    found: list[str] = []
    at = _skip(text, at + 1)
    while at < len(text) and text[at] != "]":
        start = at
        _, at = decode_first(text, at)
        found.append(text[start:at].rstrip(SPACE))
        if at < len(text) and text[at] == ",":
            at = _skip(text, at + 1)
    return found
