"""The template engine, as the command line uses it: Docker's prefixes on its failures."""

from __future__ import annotations

from boxship.cli.command import UsageError
from boxship.lib import templates
from boxship.lib.templates.errors import ExecutionError, ParseError
from boxship.lib.templates.functions import FUNCTIONS, Function
from boxship.lib.templates.values import Method, Record
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.formatter import Listing
    from boxship.lib.templates.evaluate import Template
    from boxship.lib.templates.values import Shape


def _first(value: object, *_: object) -> object:
    return value


# In a table's header the functions that reshape a value leave its title alone.
TABLE_HEADER = {
    **FUNCTIONS,
    **{
        name: Function(_first, 1, None)
        for name in ("json", "title", "lower", "upper", "truncate", "split", "join", "pad")
    },
}


class Row(Record):
    """One row of a listing as a template sees it."""

    __slots__ = ("_listing", "_quoted", "_row", "go_type")

    def __init__(self, listing: Listing, row: Any, quoted: bool) -> None:
        self._listing = listing
        self._row = row
        self._quoted = quoted
        self.go_type = listing.go_type

    def go_field(self, name: str) -> object:
        method = self._listing.methods.get(name)
        if method is not None:
            return Method(1, lambda argument: method(self._row, argument))
        value = self._listing.fields[name][1](self._row)
        return visible(value) if self._quoted and isinstance(value, str) else value

    def go_json(self) -> object:
        fields = self._listing.fields
        return {name: fields[name][1](self._row) for name in sorted(fields)}


class Header(Record):
    """The titles of a listing's fields, asked for as if they were values."""

    __slots__ = ("_listing",)
    go_type = "formatter.SubHeaderContext"

    def __init__(self, listing: Listing) -> None:
        self._listing = listing

    def go_field(self, name: str) -> object:
        if name in self._listing.methods:
            return Method(1, lambda argument: str(argument))
        return self._listing.fields[name][0]

    def go_json(self) -> object:
        return {name: title for name, (title, _) in self._listing.fields.items()}


def parse(text: str) -> Template:
    try:
        return templates.compile(text)
    except ParseError as error:
        raise UsageError(f"failed to parse template: {error}", status=1) from error


def execute(
    template: Template,
    record: Record,
    shape: Shape | None = None,
    functions: dict[str, Function] | None = None,
) -> str:
    try:
        return template.render(record, shape=shape, functions=functions)
    except ExecutionError as error:
        raise UsageError(f"failed to execute template: {error}", status=1) from error


def row_record(listing: Listing, row: object, *, quoted: bool = False) -> Row:
    return Row(listing, row, quoted)


def header_record(listing: Listing) -> Header:
    return Header(listing)
