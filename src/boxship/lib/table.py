"""Columns of text lined up: elastic tab stops, as Go's text/tabwriter makes them.

A cell ends with a tab. The width of a column is that of its widest cell in a run of lines that all
have such a cell; what follows a line's last tab belongs to no column and is not padded.
"""

from __future__ import annotations

from boxship.lib.words import width_of


def columns(text: str, *, least: int = 10, padding: int = 3) -> str:
    """Replace the tabs in `text` so that cells line up."""
    lines = [line.split("\t") for line in text.split("\n")]
    widths: list[list[int]] = [[0] * (len(line) - 1) for line in lines]
    _measure(lines, widths, 0, len(lines), 0, least, padding)
    return "\n".join(
        "".join(_padded(cell, width) for cell, width in zip(line, wide, strict=False)) + line[-1]
        for line, wide in zip(lines, widths, strict=True)
    )


def _padded(cell: str, width: int) -> str:
    return cell.ljust(width) if cell.isascii() else cell + " " * (width - width_of(cell))


def _measure(
    lines: list[list[str]],
    widths: list[list[int]],
    start: int,
    end: int,
    column: int,
    least: int,
    padding: int,
) -> None:
    """Set the widths of `column` and of those right of it, in the lines from `start` to `end`."""
    at = start
    while at < end:
        if len(lines[at]) - 1 <= column:
            at += 1
            continue
        stop = at
        width = least
        while stop < end and len(lines[stop]) - 1 > column:
            width = max(width, width_of(lines[stop][column]) + padding)
            stop += 1
        for line in range(at, stop):
            widths[line][column] = width
        _measure(lines, widths, at, stop, column + 1, least, padding)
        at = stop
