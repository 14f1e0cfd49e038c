"""Lists of things as tables, JSON lines or by a Go template.

A listing names its fields once: header and how the value is found. The table, `--format` and
`--format json` all come from there. A format that is nothing but fields and tabs, which the default
tables are, is filled in directly; the template engine is loaded for the others only.
"""

from __future__ import annotations

from boxship.lib.table import columns
from boxship.lib.words import visible, visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from boxship.cli.shell import Shell

TABLE = "table"
JSON = "json"
RAW = "raw"


class Listing:
    """The fields of one kind of thing.

    `methods` take an argument in a template, as `.Label "key"`. `raw` is the format called so.
    """

    __slots__ = ("default", "fields", "go_type", "methods", "raw")

    def __init__(
        self,
        go_type: str,
        default: str,
        fields: Mapping[str, tuple[str, Callable[[Any], Any]]],
        *,
        methods: Mapping[str, Callable[[Any, Any], object]] | None = None,
        raw: str = "",
    ) -> None:
        self.go_type = go_type
        self.default = default
        self.fields = fields
        self.methods = methods or {}
        self.raw = raw


def unescape(text: str) -> str:
    """Turn `\\t` and `\\n`, typed as two characters, into what they mean."""
    return text.replace("\\t", "\t").replace("\\n", "\n")


def render(listing: Listing, rows: Iterable[Any], format: str = "", *, default: str = "") -> str:
    """Return the rows as text in the asked format; an empty format is the default table."""
    table, template = split_format(listing, format, default)
    if template == JSON:
        return "".join(json_line(listing, row) + "\n" for row in rows)
    names = simple_fields(template)
    if names is not None and all(part in listing.fields for part, is_field in names if is_field):
        return _fill(listing, names, rows, table)
    return _by_template(listing, template, rows, table)


def split_format(listing: Listing, format: str, default: str) -> tuple[bool, str]:
    """Return whether a format is a table, and its template."""
    text = format.strip(" ") or TABLE
    if text == RAW and listing.raw:
        return False, listing.raw
    if text == TABLE:
        text = default or listing.default
    table = text.startswith(TABLE + " ")
    if table:
        text = text[len(TABLE) + 1 :]
    return table, unescape(text.strip(" "))


def simple_fields(template: str) -> list[tuple[str, bool]] | None:
    """Return the parts of a template that is only text and `{{.Field}}`; else None."""
    parts: list[tuple[str, bool]] = []
    at = 0
    while True:
        start = template.find("{{", at)
        text = template[at:] if start < 0 else template[at:start]
        if text:
            parts.append((text, False))
        if start < 0:
            return parts
        end = template.find("}}", start)
        name = template[start + 2 : end]
        if end < 0 or name[:1] != "." or not name[1:].isalnum() or not name[1].isupper():
            return None
        parts.append((name[1:], True))
        at = end + 2


def _fill(listing: Listing, parts: list[tuple[str, bool]], rows: Iterable[Any], table: bool) -> str:
    fields = listing.fields
    lines: list[str] = []
    if table:
        lines.append("".join(fields[part][0] if is_field else part for part, is_field in parts))
    shown = visible if table else str
    for row in rows:
        lines.append(
            "".join(
                shown(show_value(fields[part][1](row))) if is_field else part
                for part, is_field in parts
            )
        )
    text = "\n".join(lines)
    if table:
        text = columns(text)
    return text + "\n" if lines else ""


def show_value(value: object) -> str:
    """Return a field's value as a template prints it."""
    if isinstance(value, str):
        return value
    from boxship.lib.templates.gofmt import show

    return show(value)


def json_line(listing: Listing, row: object) -> str:
    """Return all fields of a row as one JSON object, sorted by name."""
    from boxship.lib import quickjson
    from boxship.lib.templates.functions import for_html

    fields = listing.fields
    return for_html(quickjson.encode({name: fields[name][1](row) for name in sorted(fields)}))


def _by_template(listing: Listing, template: str, rows: Iterable[Any], table: bool) -> str:
    from boxship.cli.templating import TABLE_HEADER, execute, header_record, parse, row_record

    compiled = parse(template)
    lines: list[str] = []
    shape = None
    for row in rows:
        lines.append(execute(compiled, row_record(listing, row, quoted=table), shape))
    if table:
        lines.insert(0, execute(compiled, header_record(listing), shape, TABLE_HEADER))
        return columns("\n".join(lines)) + "\n"
    return "".join(line + "\n" for line in lines)


def put(shell: Shell, text: str) -> None:
    """Write a listing; a terminal sees no control characters."""
    shell.out.write(visible_block(text) if shell.out.is_terminal() else text)
