"""What Go thinks of a Python value."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Collection


class Missing:
    """The value of a map's absent key: prints `<no value>`, counts as false."""

    __slots__ = ()

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return "<no value>"


MISSING = Missing()


class Method:
    """A method that takes arguments, like `.Label "key"`."""

    __slots__ = ("arguments", "call")

    def __init__(self, arguments: int, call: Callable[..., object]) -> None:
        self.arguments = arguments
        self.call = call


class Record:
    """Data with fixed fields: asking for another one is an error and not `<no value>`."""

    go_type = "struct"

    def go_field(self, name: str) -> object:
        """Return a field or a Method; KeyError when there is no such field."""
        raise NotImplementedError

    def go_json(self) -> object:
        """Return what `json` shows of it."""
        raise NotImplementedError


class Shape:
    """How a JSON document's objects are to be read: as structs, save those under `maps`.

    A key absent from a struct is an error; from a map it is `<no value>`. A field in `zeros` may be
    left out of the document, or null, and has that value then.
    """

    def __init__(self, maps: Collection[str], zeros: dict[str, object]) -> None:
        self.maps = frozenset(maps)
        self.zeros = zeros


def type_name(value: object) -> str:
    """Return the name of Go's type for `value`."""
    match value:
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float64"
        case str():
            return "string"
        case list() | tuple():
            return "[]interface {}"
        case dict():
            return "map[string]interface {}"
        case Record():
            return value.go_type
        case _:
            return "interface {}"


def is_true(value: object) -> bool:
    """Return the truth of a value: empty and zero are false."""
    return True if isinstance(value, Record) else bool(value)
