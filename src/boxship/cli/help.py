"""Help texts, laid out as Docker lays out its own."""

from __future__ import annotations

import os

from boxship.cli.command import Command, Flag
from boxship.cli.index import COMMON, GROUPS, SHORT, commands_of, module_of
from boxship.cli.kinds import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

NARROW = 80
LEAST_COLUMN = 24


def width() -> int:
    """Return the width to wrap at: that of the terminal, or 80."""
    try:
        return os.get_terminal_size(0).columns or NARROW
    except OSError:
        return NARROW


def command_help(command: Command, usage: str) -> str:
    """Return the help of one command, called by the words that `usage` begins with."""
    parts = [f"Usage:  {usage}\n\n{command.details or command.summary}\n"]
    if len(command.names) > 1:
        parts.append(f"\nAliases:\n  {', '.join('boxship ' + name for name in command.names)}\n")
    flags = [flag for flag in command.flags if not flag.hidden]
    if flags:
        parts.append(f"\nOptions:\n{flags_help(flags, width())}")
    return "".join(parts)


def flags_help(flags: Sequence[Flag], columns: int) -> str:
    """Return a line, or several, for each flag, sorted by name."""
    rows: list[tuple[str, str]] = []
    for flag in sorted(flags, key=lambda flag: flag.name):
        kind = KINDS[flag.kind]
        short = f"-{flag.short}, " if flag.short else "    "
        title = f" {kind.title}" if kind.title else ""
        rows.append((f"  {short}--{flag.name}{title}", flag.usage + default_text(flag)))
    column = max(len(left) for left, _ in rows) + 3
    lines: list[str] = []
    for left, usage in rows:
        text = wrap(usage, columns - column)
        first, *others = text
        lines.append(f"{left.ljust(column)}{first}")
        lines.extend(" " * column + other for other in others)
    return "\n".join(lines) + "\n"


def default_text(flag: Flag) -> str:
    """Return ` (default x)` where the default is worth telling."""
    shown = flag.shown or KINDS[flag.kind].shown
    if not shown:
        match flag.default:
            case True:
                shown = "true"
            case int() if flag.default and not isinstance(flag.default, bool):
                shown = str(flag.default)
            case str() if flag.default:
                shown = f'"{flag.default}"'
    return f" (default {shown})" if shown else ""


def wrap(text: str, columns: int) -> list[str]:
    """Break text at spaces into lines of at most `columns`; line ends in it stay.

    Where a little longer line would end a paragraph, it may: Docker's help has that slop of five.
    """
    columns = max(columns, LEAST_COLUMN)
    found: list[str] = []
    for paragraph in text.split("\n"):
        rest = paragraph
        while len(rest) > columns + 5:
            cut = rest.rfind(" ", 0, columns + 1)
            if cut <= 0:
                break
            found.append(rest[:cut])
            rest = rest[cut + 1 :]
        found.append(rest)
    return found


def group_help(group: str, summary: str) -> str:
    """Return the help of a management command."""
    rows = [
        (name, summary_of(f"{module_of(group, name)}"))
        for name in commands_of(group)
        if not is_hidden(f"{module_of(group, name)}")
    ]
    return (
        f"Usage:  boxship {group} COMMAND\n\n{summary}\n\nCommands:\n{_rows(rows)}\n"
        f"Run 'boxship {group} COMMAND --help' for more information on a command.\n"
    )


def summary_of(module: str) -> str:
    from boxship.cli.main import load

    command: Command = load(module).COMMAND
    return command.summary


def is_hidden(module: str) -> bool:
    from boxship.cli.main import load

    command: Command = load(module).COMMAND
    return command.hidden


def root_help(root: Command, environment: Mapping[str, str]) -> str:
    """Return the help of the program."""
    from boxship.cli.config import config_folder

    common = [(name, summary_of(SHORT[name])) for name in COMMON]
    others = [(name, summary_of(SHORT[name])) for name in sorted(SHORT) if name not in COMMON]
    folder = config_folder("", environment)
    flags = [
        Flag(
            flag.name,
            flag.short,
            flag.usage,
            flag.kind,
            flag.default,
            shown=flag.shown.replace("{config}", folder),
        )
        for flag in root.flags
    ]
    return (
        "Usage:  boxship [OPTIONS] COMMAND\n\n"
        f"{root.summary}\n\n"
        f"Common Commands:\n{_rows(common)}\n"
        f"Management Commands:\n{_rows(sorted(GROUPS.items()))}\n"
        f"Commands:\n{_rows(others)}\n"
        f"Global Options:\n{flags_help(flags, width())}\n"
        "Run 'boxship COMMAND --help' for more information on a command.\n"
    )


def _rows(rows: Sequence[tuple[str, str]]) -> str:
    column = max(max(len(name) for name, _ in rows) + 1, 12)
    return "".join(f"  {name.ljust(column)}{text}\n" for name, text in rows)
