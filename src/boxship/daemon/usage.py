"""What `boxshipd --help` prints, from the table of options."""

from __future__ import annotations

from boxship.daemon.options import OPTIONS, Kind, Option
from boxship.daemon.values import shown


def usage() -> str:
    """Return the help text."""
    lines = ["", "Usage:  boxshipd [OPTIONS]", "", "A container engine.", "", "Options:"]
    rows = [(_left(option), _right(option)) for option in OPTIONS if option.flag]
    width = max(len(left) for left, _ in rows)
    return "\n".join([*lines, *(f"  {left:<{width}}   {right}" for left, right in rows)])


def _left(option: Option) -> str:
    short = f"-{option.short}, " if option.short else "    "
    kind = "" if option.kind is Kind.FLAG else f" {option.kind.value}"
    return f"{short}--{option.flag}{kind}"


def _right(option: Option) -> str:
    if option.missing:
        return f"{option.help} (not supported yet)"
    if option.default in ("", False, 0, (), {}):
        return option.help
    return f"{option.help} (default {shown(option.default)})"
