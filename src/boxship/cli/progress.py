"""Progress that an engine reports: bars on a terminal, plain lines elsewhere.

A report with an `id` and details of progress owns a line, which later reports of that id replace;
so layers that move at once are drawn at once. Any other report is a line of its own, and what was
drawn before it stays as it is. What is not a terminal gets each state once, and no bars. The bytes
are those of Docker's client.
"""

from __future__ import annotations

import posix

from boxship.client.errors import StreamError
from boxship.lib.units import human_size
from boxship.lib.words import visible, visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from boxship.cli.output import Output

BAR = 50
WIDE = 200  # where nobody knows how wide it is
LEAST = 110  # narrower, and there is no room for bars
UP = "\x1b[{}A"
DOWN = "\x1b[{}B"
CLEAR = "\x1b[2K\r"


def show_progress(
    output: Output,
    reports: Iterable[dict[str, Any]],
    *,
    quiet: bool = False,
    aux: Callable[[dict[str, Any]], None] | None = None,
) -> None:
    """Show reports as they come, and hand results to `aux`; StreamError when one is a failure."""
    screen = Screen(output) if output.is_terminal() else None
    for report in reports:
        if problem := report.get("errorDetail") or report.get("error"):
            output.flush()
            raise StreamError(problem_text(problem))
        if "aux" in report:
            if aux is not None and isinstance(report["aux"], dict):
                aux(report["aux"])
            continue
        if quiet:
            continue
        if screen is not None:
            screen.show(report)
        elif not progress_text(report.get("progressDetail") or {}, WIDE):
            output.write(plain_line(report))
        output.flush()


def problem_text(problem: object) -> str:
    """Return what a report of a failure says."""
    if isinstance(problem, dict):
        if problem.get("code") == 401:
            return "authentication is required"
        return str(problem.get("message", ""))
    return str(problem)


def plain_line(report: dict[str, Any]) -> str:
    """Return a report as it is shown where nothing can be drawn over."""
    if report.get("stream"):
        return visible_block(str(report["stream"]))
    status = visible_block(str(report.get("status", "")))
    name = report.get("id")
    return f"{visible(str(name))}: {status}\n" if name else f"{status}\n"


def progress_text(detail: dict[str, Any], width: int) -> str:
    """Return `[====>    ]  1.2MB/3MB` for the part that is done."""
    current, total = detail.get("current") or 0, detail.get("total") or 0
    units = visible(str(detail.get("units") or ""))
    if current <= 0 and total <= 0:
        return ""
    if total <= 0:
        return f"{current} {units}" if units else f"{human_size(current):>8}"
    done = min(100, current * 100 // total) // 2
    bar = f"[{'=' * done}>{' ' * (BAR - done)}] " if width > LEAST else ""
    counts = (
        f"{current}/{total} {units}" if units else f"{human_size(current):>8}/{human_size(total)}"
    )
    if current > total:  # the total was a guess, and a wrong one
        counts = f"{current} {units}" if units else f"{human_size(current):>8}"
    return bar + ("" if detail.get("hidecounts") else counts)


class Screen:
    """Lines on a terminal that can be written again."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._lines: dict[str, int] = {}
        try:
            self.width = posix.get_terminal_size(output.descriptor).columns
        except OSError:
            self.width = WIDE

    def show(self, report: dict[str, Any]) -> None:
        """Write a report, in its line if it has one."""
        put, detail, name = self._output.write, report.get("progressDetail"), report.get("id")
        back = 0
        if name and detail is not None:
            if name not in self._lines:
                self._lines[name] = len(self._lines)
                put("\n")
            back = len(self._lines) - self._lines[name]
            put(UP.format(back))
        else:
            self._lines.clear()
        if detail is None or report.get("stream"):
            put(plain_line(report))
        else:
            head = f"{visible(str(name))}: " if name else ""
            status = visible(str(report.get("status", "")))
            put(f"{CLEAR}{head}{status} {progress_text(detail, self.width)}\r")
        if back:
            put(DOWN.format(back))
