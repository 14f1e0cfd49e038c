"""`--list`: the targets and groups of a definition, or its variables."""

from __future__ import annotations

from typing import Any

from boxship.cli.baking.target import Definition
from boxship.cli.building.fields import fields
from boxship.errors import InvalidRequest
from boxship.lib import quickjson
from boxship.lib.hcl import values

WHAT = ("targets", "variables")


def listed(definition: Definition, said: str) -> str:
    """Return the list that `--list` asks for."""
    found = fields(said) if "=" in said else {"type": said}
    what, form = found.get("type", ""), found.get("format", "table")
    if what not in WHAT:
        raise InvalidRequest(f'invalid list type "{what}"')
    if form not in ("table", "json"):
        raise InvalidRequest(f'invalid list format "{form}"')
    rows = _targets(definition) if what == "targets" else _variables(definition)
    if form == "json":
        return quickjson.indent(quickjson.encode(rows), "  ") + "\n"
    return _table(what, rows)


def _targets(definition: Definition) -> list[dict[str, Any]]:
    """Return targets and groups by name; what begins with `_` is the definition's own."""
    rows: list[dict[str, Any]] = []
    for name, target in definition.targets.items():
        row = {"name": name}
        if said := target.get("description"):
            row["description"] = said
        rows.append(row)
    for name, group in definition.groups.items():
        members = ", ".join(sorted(group.targets))
        said = f"{group.description} ({members})" if group.description else members
        rows.append({"name": name, "description": said, "group": True})
    return sorted((row for row in rows if not row["name"].startswith("_")), key=_name)


def _name(row: dict[str, Any]) -> str:
    return str(row["name"])


def _variables(definition: Definition) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = []
    for one in definition.variables:
        row: dict[str, Any] = {"name": one.name}
        if one.description:
            row["description"] = one.description
        if one.kind:
            row["type"] = one.kind
        if one.value is not None:
            simple = isinstance(one.value, str | bool) or values.is_number(one.value)
            plain = values.text(one.value) if simple else quickjson.encode(values.plain(one.value))
            row["value"] = plain
        rows.append(row)
    return rows


def _table(what: str, rows: list[dict[str, Any]]) -> str:
    if what == "targets":
        lines = [("TARGET", "DESCRIPTION")]
        lines += [(row["name"], row.get("description", "")) for row in rows]
        width = max(len(name) for name, _ in lines) + 3
        return "".join(f"{name:<{width}}{said}".rstrip() + "\n" for name, said in lines)
    table = [("VARIABLE", "TYPE", "VALUE", "DESCRIPTION")]
    table += [
        (row["name"], row.get("type", ""), row.get("value", "<null>"), row.get("description", ""))
        for row in rows
    ]
    widths = [max(len(row[place]) for row in table) + 3 for place in range(3)]
    return "".join(
        "".join(f"{one:<{width}}" for one, width in zip(row, [*widths, 0], strict=True)).rstrip()
        + "\n"
        for row in table
    )
