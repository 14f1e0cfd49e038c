"""The functions of templates: Go's own and those that Docker adds."""

from __future__ import annotations

from boxship.lib import quickjson
from boxship.lib.templates.gofmt import go_print, printf, show
from boxship.lib.templates.values import MISSING, Missing, Record, is_true, type_name

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

HTML = {"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;", "'": "&#39;", "\0": "\ufffd"}
SCRIPT = {
    "\\": "\\\\",
    "'": "\\'",
    '"': '\\"',
    "<": "\\u003C",
    ">": "\\u003E",
    "&": "\\u0026",
    "=": "\\u003D",
}
UNRESERVED = "-_.~"


class Function:
    """A function with how many arguments it takes; `most` None is any number."""

    __slots__ = ("call", "least", "most", "words")

    def __init__(
        self,
        call: Callable[..., object],
        least: int,
        most: int | None,
        words: tuple[int, ...] = (),
    ) -> None:
        self.call = call
        self.least = least
        self.most = most
        self.words = words  # positions that must be strings


def _bounds(item: object, indexes: tuple[object, ...]) -> tuple[int, ...]:
    size = len(item)  # type: ignore[arg-type]
    found: list[int] = []
    for index in indexes:
        if isinstance(index, bool) or not isinstance(index, int):
            raise ValueError(f"cannot index slice/array with type {type_name(index)}")
        if not 0 <= index <= size:
            raise ValueError(f"index out of range: {index}")
        found.append(index)
    return tuple(found)


def _index(item: object, *keys: object) -> object:
    for key in keys:
        match item:
            case dict():
                if not isinstance(key, str):
                    raise ValueError(f"value has type {type_name(key)}; should be string")
                item = item.get(key, "" if _holds_text(item) else MISSING)
            case list() | tuple() | str():
                (at,) = _bounds(item, (key,))
                if at >= len(item):
                    raise ValueError(f"index out of range: {at}")
                item = item[at] if not isinstance(item, str) else item.encode()[at]
            case None | Missing():
                raise ValueError("index of untyped nil")
            case _:
                raise ValueError(f"can't index item of type {type_name(item)}")
    return item


def _holds_text(item: dict[str, object]) -> bool:
    """A map of strings gives the empty string for an absent key."""
    return all(isinstance(value, str) for value in item.values())


def _slice(item: object, *indexes: object) -> object:
    if not isinstance(item, str | list | tuple):
        raise ValueError(f"can't slice item of type {type_name(item)}")
    if len(indexes) > 2 and isinstance(item, str):
        raise ValueError("cannot 3-index slice a string")
    cut = _bounds(item, indexes)
    start = cut[0] if cut else 0
    stop = cut[1] if len(cut) > 1 else len(item)
    if start > stop:
        raise ValueError(f"invalid slice index: {start} > {stop}")
    return item[start:stop]


def _len(item: object) -> int:
    if isinstance(item, str):
        return len(item.encode("utf-8", "surrogateescape"))
    if isinstance(item, dict | list | tuple):
        return len(item)
    raise ValueError(f"len of {'nil pointer' if item is None else f'type {type_name(item)}'}")


def _kind(value: object) -> str:
    kinds = ((bool, "bool"), (int, "int"), (float, "float"), (str, "string"))
    found = next((kind for python, kind in kinds if isinstance(value, python)), None)
    if found is None:
        if value is None or isinstance(value, Missing):
            return "nil"
        raise ValueError("non-comparable type " + show(value) + ": " + type_name(value))
    return found


def _eq(first: object, *others: object) -> bool:
    if not others:
        raise ValueError("missing argument for comparison")
    for other in others:
        mine, theirs = _kind(first), _kind(other)
        if mine != theirs and "nil" not in (mine, theirs):
            raise ValueError("incompatible types for comparison")
        if mine == theirs and (mine == "nil" or first == other):
            return True
    return False


def _lt(first: object, other: object) -> bool:
    mine, theirs = _kind(first), _kind(other)
    if mine != theirs:
        raise ValueError("incompatible types for comparison")
    if mine in ("bool", "nil"):
        raise ValueError("invalid type for comparison")
    return first < other  # type: ignore[operator, no-any-return]


def _le(first: object, other: object) -> bool:
    return _lt(first, other) or _eq(first, other)


def plain(value: object) -> object:
    """Return `value` as JSON can hold it."""
    match value:
        case Record():
            return plain(value.go_json())
        case Missing():
            return None
        case dict():
            return {key: plain(item) for key, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case _:
            return value


def _json(value: object) -> str:
    text = quickjson.encode(plain(value))
    return for_html(text) if isinstance(value, Record) else text


def for_html(text: str) -> str:
    """Write what HTML would take for its own as escapes, as Go's encoder does by default."""
    # Outside of strings JSON has none of these characters.
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")


def _join(items: object, separator: str) -> str:
    match items:
        case None | Missing():
            return ""
        case list() | tuple():
            return separator.join(map(show, items))
        case dict():
            return separator.join(sorted(map(show, items.values())))
        case _:
            raise ValueError(f"expected slice, got {type_name(items)}")


def _truncate(text: str, length: object) -> str:
    if not isinstance(length, int) or length < 0:
        raise ValueError("invalid length")
    return text[:length]


def _pad(text: str, before: object, after: object) -> str:
    if not text or not isinstance(before, int) or not isinstance(after, int):
        return text
    return " " * min(before, 10_000) + text + " " * min(after, 10_000)


def _title(text: str) -> str:
    """Upper-case the first letter of each word."""
    parts: list[str] = []
    before = " "
    for char in text:
        parts.append(char if before.isalnum() or before in "_'" else char.upper())
        before = char
    return "".join(parts)


def _escaped(values: tuple[object, ...], table: Mapping[str, str]) -> str:
    return "".join(table.get(char, char) for char in go_print(values))


def _js(*values: object) -> str:
    text = _escaped(values, SCRIPT)
    return "".join(char if ord(char) >= 0x20 else f"\\u{ord(char):04X}" for char in text)


def _urlquery(*values: object) -> str:
    parts: list[str] = []
    for byte in go_print(values).encode("utf-8", "surrogateescape"):
        char = chr(byte)
        if byte < 0x80 and (char.isalnum() or char in UNRESERVED):
            parts.append(char)
        else:
            parts.append("+" if char == " " else f"%{byte:02X}")
    return "".join(parts)


FUNCTIONS: dict[str, Function] = {
    "json": Function(_json, 1, 1),
    "split": Function(lambda text, mark: text.split(mark) if mark else list(text), 2, 2, (0, 1)),
    "join": Function(_join, 2, 2, (1,)),
    "title": Function(_title, 1, 1, (0,)),
    "lower": Function(lambda text: text.lower(), 1, 1, (0,)),
    "upper": Function(lambda text: text.upper(), 1, 1, (0,)),
    "pad": Function(_pad, 3, 3, (0,)),
    "truncate": Function(_truncate, 2, 2, (0,)),
    "not": Function(lambda value: not is_true(value), 1, 1),
    "html": Function(lambda *values: _escaped(values, HTML), 0, None),
    "js": Function(_js, 0, None),
    "urlquery": Function(_urlquery, 0, None),
    "index": Function(_index, 1, None),
    "slice": Function(_slice, 1, 4),
    "len": Function(_len, 1, 1),
    "print": Function(lambda *values: go_print(values), 0, None),
    "println": Function(lambda *values: " ".join(map(show, values)) + "\n", 0, None),
    "printf": Function(lambda text, *values: printf(text, values), 1, None, (0,)),
    "eq": Function(_eq, 1, None),
    "ne": Function(lambda first, other: not _eq(first, other), 2, 2),
    "lt": Function(_lt, 2, 2),
    "le": Function(_le, 2, 2),
    "gt": Function(lambda first, other: not _le(first, other), 2, 2),
    "ge": Function(lambda first, other: not _lt(first, other), 2, 2),
}
# These decide themselves which of their arguments are worked out.
LAZY = ("and", "or", "call")
NAMES = frozenset((*FUNCTIONS, *LAZY))
