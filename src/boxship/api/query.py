"""Query parameters and filters, read as Go's clients write them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Final
from urllib.parse import unquote_plus

import msgspec

from boxship.errors import InvalidRequest
from boxship.lib import strictjson

PARAMETERS_LIMIT: Final = 1000
FALSE: Final = frozenset({"", "0", "no", "false", "none"})  # any other value means yes


class Filters:
    """What a list shall be cut down to: for each key, the values asked for."""

    __slots__ = ("_values",)

    def __init__(self, values: Mapping[str, Sequence[str]] | None = None) -> None:
        self._values = {key: tuple(wanted) for key, wanted in (values or {}).items()}

    @classmethod
    def parse(cls, text: str) -> Filters:
        """Read either JSON form: `{"key": ["value"]}` or `{"key": {"value": true}}`."""
        if not text:
            return cls()
        document = strictjson.decode(
            text.encode("utf-8", "surrogatepass"), dict[str, object], "invalid filter"
        )
        return cls({key: _values_of(value) for key, value in document.items()})

    def get(self, key: str) -> tuple[str, ...]:
        """Return the values asked for, none when the key was not given."""
        return self._values.get(key, ())

    def one(self, key: str) -> str | None:
        """Return the only value of `key`; InvalidRequest when there are several."""
        values = self.get(key)
        if len(values) > 1:
            raise InvalidRequest(f"invalid filter '{key}=[{' '.join(values)}]'")
        return values[0] if values else None

    def flag(self, key: str, default: bool) -> bool:
        """Return a truth value; InvalidRequest when it is none or both."""
        values = self.get(key)
        if not values:
            return default
        said = {_truth(value, key) for value in values}
        if len(said) > 1:
            raise InvalidRequest(f"invalid filter '{key}=[{' '.join(values)}]'")
        return said.pop()

    def only(self, known: Collection[str]) -> None:
        """Refuse keys that are not `known`."""
        for key in self._values:
            if key not in known:
                raise InvalidRequest(f"invalid filter '{key}'")

    def items(self) -> Iterator[tuple[str, tuple[str, ...]]]:
        """Yield each key with its values."""
        yield from self._values.items()

    def __contains__(self, key: str) -> bool:
        return key in self._values

    def __bool__(self) -> bool:
        return bool(self._values)


def _values_of(value: object) -> list[str]:
    if isinstance(value, dict) and all(isinstance(said, bool) for said in value.values()):
        return [key for key, said in value.items() if said]
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return value
    raise InvalidRequest("invalid filter")


def _truth(value: str, key: str) -> bool:
    if value in ("1", "t", "T", "true", "TRUE", "True"):
        return True
    if value in ("0", "f", "F", "false", "FALSE", "False"):
        return False
    raise InvalidRequest(f"invalid filter '{key}=[{value}]'")


class Query:
    """The parameters behind a URL's question mark; the first of a name counts."""

    __slots__ = ("_values",)

    def __init__(self, text: str = "") -> None:
        self._values: dict[str, list[str]] = {}
        if not text:
            return
        pairs = text.split("&", PARAMETERS_LIMIT)
        if len(pairs) > PARAMETERS_LIMIT:
            raise InvalidRequest("too many query parameters")
        for pair in pairs:
            name, _, value = pair.partition("=")
            if name:
                self._values.setdefault(unquote_plus(name), []).append(unquote_plus(value))

    def text(self, name: str, default: str = "") -> str:
        """Return a parameter as it was written."""
        values = self._values.get(name)
        return values[0] if values else default

    def all(self, name: str) -> list[str]:
        """Return each value of a parameter that may be repeated."""
        return self._values.get(name, [])

    def flag(self, name: str, default: bool = False) -> bool:
        """Return a truth value, by Docker's rule: whatever does not deny says yes."""
        values = self._values.get(name)
        return default if values is None else values[0].strip().lower() not in FALSE

    def integer(self, name: str, default: int | None = None) -> int | None:
        """Return a whole number; InvalidRequest when it is none."""
        value = self.text(name)
        if not value:
            return default
        digits = value.removeprefix("-").removeprefix("+")
        if not (digits.isascii() and digits.isdigit() and len(digits) < 20):
            raise InvalidRequest(f'invalid value for {name}: "{value}" is not a number')
        return int(value)

    def filters(self) -> Filters:
        """Return the `filters` parameter."""
        return Filters.parse(self.text("filters"))

    def document(self, name: str, kind: type[msgspec.Struct]) -> object:
        """Return a parameter that is JSON."""
        return strictjson.decode(self.text(name).encode(), kind, f"invalid {name}")

    def __contains__(self, name: str) -> bool:
        return name in self._values
