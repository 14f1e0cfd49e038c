"""Progress as a picture that is drawn over itself: the steps, their times, what they say.

Each picture is written at once, line over line, so that nothing is ever blank in between; the
cursor is hidden meanwhile. When the window has become narrower, lines of the last picture have
been broken by the terminal, and that is counted.
"""

from __future__ import annotations

import posix
import time
import unicodedata

from boxship.cli.building.tracking import Step, Steps, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from boxship.cli.building.show import Heading
    from boxship.cli.output import Output
    from boxship.spec.buildkit import control_pb2 as pb

EVERY = 0.1  # seconds between two pictures
OUTPUT_LINES = 6
HIDE, SHOW = "\x1b[?25l", "\x1b[?25h"
REST_OF_LINE, REST_OF_SCREEN = "\x1b[K", "\x1b[J"
RED, YELLOW, BLUE, GREY, PLAIN = "\x1b[31m", "\x1b[33m", "\x1b[34m", "\x1b[2m", "\x1b[0m"


class Live:
    """Draws."""

    def __init__(
        self,
        out: Output,
        heading: Heading | None,
        *,
        colors: bool = True,
        clock: Callable[[], float] = time.time,
        size: Callable[[], tuple[int, int]] | None = None,
    ) -> None:
        self._out = out
        self._heading = heading
        self._colors = colors
        self._clock = clock
        self._size = size or self._terminal
        self.steps = Steps()
        self._began = clock()
        self._drawn: list[str] = []
        self._running: set[str] = set()  # rows of steps that are at work
        self._at = 0.0

    def take(self, told: pb.StatusResponse) -> None:
        self.steps.take(told)
        for log in told.logs:
            self.steps.of(log.vertex).hear(log.msg, seconds(log.timestamp))
        self.tick()

    def tick(self) -> None:
        if self._clock() - self._at >= EVERY:
            self._draw(final=False)

    def finish(self) -> None:
        for step in self.steps.steps.values():
            step.close()
        self._draw(final=True)
        self._out.flush()

    def _terminal(self) -> tuple[int, int]:
        try:
            found = posix.get_terminal_size(self._out.descriptor)
        except OSError:
            return 80, 24
        return found.columns or 80, found.lines or 24

    def _draw(self, *, final: bool) -> None:
        now = self._at = self._clock()
        width, height = self._size()
        lines = self._picture(now, width, height, final=final)
        up = sum(-(-max(1, cells(line)) // width) for line in self._drawn)
        move = f"\x1b[{up}A" if up else ""
        body = "".join(f"{self._painted(line)}{REST_OF_LINE}\n" for line in lines)
        self._out.write(f"{HIDE}{move}\r{body}{REST_OF_SCREEN}{SHOW}")
        self._out.flush()
        self._drawn = [] if final else lines

    def _picture(self, now: float, width: int, height: int, *, final: bool) -> list[str]:
        steps = [step for step in self.steps.steps.values() if step.started or step.completed]
        done = sum(bool(step.completed) for step in steps)
        title = f"[+] Building {now - self._began:.1f}s ({done}/{len(self.steps.steps)})"
        title += " FINISHED" if final else ""
        place = self._heading.short() if self._heading else ""
        if place and cells(title) + len(place) + 1 < width:
            title += " " * (width - cells(title) - len(place) - 1) + place
        room = height - 2 if not final else 1 << 30
        rows: list[str] = []
        self._running.clear()
        for step in steps:
            rows += self._of(step, now, width, final=final)
        if len(rows) > room:  # what is done goes first, and of what is at work its output
            rows = [
                row
                for step in steps
                if step.running or step.error
                for row in self._of(step, now, width, final=final)
            ]
        if len(rows) > room:
            rows = [row for row in rows if not row.startswith(" => => # ")]
        return [cut(title, width - 1), *rows[-room:]]

    def _of(self, step: Step, now: float, width: int, *, final: bool) -> list[str]:
        state = "CACHED " if step.cached else ""
        if step.error:
            state = "CANCELED " if step.canceled else "ERROR "
        lines = [row(f" => {state}{step.name}", step.elapsed(now), width)]
        if step.running:
            self._running.add(lines[0])
        for part in step.parts.values():
            spent = (part.completed or now) - part.started if part.started else 0.0
            shown = part.shown().removesuffix(" done")
            lines.append(row(f" => => {shown}", max(0.0, spent), width))
        if step.running and not final:
            said = (line.partition(" ")[2] for line in step.lines[-OUTPUT_LINES:])
            lines += [cut(f" => => # {line}", width - 1) for line in said]
        return lines

    def _painted(self, line: str) -> str:
        if not self._colors:
            return line
        if line.startswith(" => => # "):
            return f"{GREY}{line}{PLAIN}"
        if line.startswith(" => ERROR "):
            return f"{RED}{line}{PLAIN}"
        if line.startswith(" => CANCELED "):
            return f"{YELLOW}{line}{PLAIN}"
        done = line.startswith(" => ") and line not in self._running
        return f"{BLUE}{line}{PLAIN}" if done else line


def cells(text: str) -> int:
    """Return how many columns a text takes."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1
        for char in text
    )


def cut(text: str, width: int) -> str:
    """Return as much of a text as fits, with blanks for tabs."""
    text = text.expandtabs()
    if cells(text) <= width:
        return text
    while text and cells(text) > width:
        text = text[: min(len(text) - 1, width)]
    return text


def row(text: str, spent: float, width: int) -> str:
    """Return a line with a time at its right end."""
    told = f" {spent:.1f}s"
    room = max(10, width - 1 - len(told))
    text = cut(text, room)
    return f"{text}{' ' * (room - cells(text))}{told}"
