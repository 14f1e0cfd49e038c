"""Progress that an engine reports: bars on a terminal, plain lines elsewhere.

A report with an `id` owns a line, which later reports of that id replace. What is not a terminal
gets each state of a line once, and no bars.
"""

from __future__ import annotations

import os

from boxship.client.errors import StreamError
from boxship.lib.units import human_size
from boxship.lib.words import visible, visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from boxship.cli.output import Output

BAR = 50
NARROW = 200
LEAST = 110
UP = "\x1b[{}A"
DOWN = "\x1b[{}B"
CLEAR = "\x1b[2K"


def show_progress(
    output: Output, reports: Iterable[dict[str, Any]], *, quiet: bool = False
) -> None:
    """Show reports as they come; StreamError when one is a failure."""
    screen = Screen(output) if output.is_terminal() else None
    for report in reports:
        problem = report.get("errorDetail") or report.get("error")
        if problem:
            message = problem.get("message") if isinstance(problem, dict) else problem
            output.flush()
            raise StreamError(str(message))
        if quiet or "aux" in report:
            continue
        if screen is not None and report.get("id"):
            screen.show(report["id"], line_of(report, screen.width))
        elif report.get("progressDetail") and not report.get("stream"):
            if not report["progressDetail"].get("current"):
                output.write(plain_line(report))
        else:
            output.write(plain_line(report))
        output.flush()


def plain_line(report: dict[str, Any]) -> str:
    """Return a report as it is shown where nothing can be drawn over."""
    if report.get("stream"):
        return visible_block(str(report["stream"]))
    status = visible_block(str(report.get("status", "")))
    name = report.get("id")
    return f"{visible(str(name))}: {status}\n" if name else f"{status}\n"


def line_of(report: dict[str, Any], width: int) -> str:
    status = visible(str(report.get("status", "")))
    bar = progress_text(report.get("progressDetail") or {}, width)
    return f"{visible(str(report['id']))}: {status} {bar}".rstrip()


def progress_text(detail: dict[str, Any], width: int) -> str:
    """Return `[====>    ]  1.2MB/3MB` for the part that is done."""
    current, total = detail.get("current") or 0, detail.get("total") or 0
    if current <= 0 and total <= 0:
        return ""
    if total <= 0:
        if detail.get("units"):
            return f"{current} {visible(str(detail['units']))}"
        return f"{human_size(current):>8}"
    done = min(100, current * 100 // total) // 2
    numbers = f"{human_size(current):>8}/{human_size(total)}"
    if detail.get("units"):
        numbers = f"{current}/{total} {visible(str(detail['units']))}"
    if width <= LEAST:
        return numbers
    head = ">" if done < BAR else ""
    filled = "=" * done + head
    return f"[{filled.ljust(BAR)}] {numbers}"


class Screen:
    """Lines on a terminal that can be written again."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lines: dict[str, int] = {}
        try:
            self.width = os.get_terminal_size(output.descriptor).columns or NARROW
        except OSError:
            self.width = NARROW

    def show(self, name: str, text: str) -> None:
        """Write a name's line, in its place if it has one."""
        put = self._output.write
        if name not in self._lines:
            self._lines[name] = len(self._lines)
            put(f"{text}\r\n")
            return
        back = len(self._lines) - self._lines[name]
        put(f"{UP.format(back)}{CLEAR}\r{text}{DOWN.format(back)}\r")
