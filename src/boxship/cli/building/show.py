"""A build's progress on the screen: plain lines, a live picture, JSON, or nothing."""

from __future__ import annotations

import shutil
import time

from boxship.cli.building.tracking import Step, Steps, seconds
from boxship.lib.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from boxship.cli.output import Output
    from boxship.spec.buildkit import control_pb2 as pb

    class Display(Protocol):
        """Shows what is told."""

        def take(self, told: pb.StatusResponse) -> None:
            """Show a message."""

        def tick(self) -> None:
            """Show that time goes by."""

        def finish(self) -> None:
            """Nothing more will be told."""


EVERY = 0.1  # seconds between two pictures
OUTPUT_LINES = 6
MODES = ("auto", "plain", "tty", "quiet", "rawjson", "none")


def display(mode: str, out: Output) -> Display:
    """Return the display of that name."""
    if mode == "rawjson":
        return Raw(out)
    if mode in ("quiet", "none"):
        return Quiet()
    if mode == "tty" or (mode == "auto" and out.is_terminal()):
        return Live(out)
    return Plain(out)


class Quiet:
    """Shows nothing."""

    def take(self, told: pb.StatusResponse) -> None:
        pass

    def tick(self) -> None:
        pass

    def finish(self) -> None:
        pass


class Plain:
    """One line for each event, numbered by step."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._steps = Steps()
        self._last: Step | None = None
        self._done: set[str] = set()
        self._said: set[tuple[str, str, bool]] = set()

    def take(self, told: pb.StatusResponse) -> None:
        touched = self._steps.take(told)
        for step in touched:
            if step.started or step.completed:
                self._enter(step)
            for part in step.parts.values():
                key = (step.digest, part.id, bool(part.completed))
                if key not in self._said:
                    self._said.add(key)
                    self._line(step, _part(part))
        for log in told.logs:
            step = self._steps.of(log.vertex)
            at = max(0.0, seconds(log.timestamp) - step.started)
            for line in step.hear(log.msg):
                self._line(step, f"{at:.3f} {line}")
        for step in touched:
            if step.completed and step.digest not in self._done:
                self._end(step)
        self._out.flush()

    def _enter(self, step: Step) -> None:
        if self._last is step or step.digest in self._done:
            return
        self._out.line("")
        self._out.line(f"#{step.number} {step.name}")
        self._last = step

    def _line(self, step: Step, text: str) -> None:
        self._enter(step)
        self._out.line(f"#{step.number} {text}")

    def _end(self, step: Step) -> None:
        if step.unfinished:
            self._line(step, f"{step.elapsed(0):.3f} {step.unfinished}")
            step.lines.append(step.unfinished)
        if step.cached:
            self._line(step, "CACHED")
        elif step.error:
            canceled = step.error.endswith("context canceled")
            self._line(step, "CANCELED" if canceled else f"ERROR: {step.error}")
        else:
            self._line(step, f"DONE {step.elapsed(0):.1f}s")
        self._done.add(step.digest)

    def tick(self) -> None:
        pass

    def finish(self) -> None:
        _failed_output(self._out, self._steps)
        _warnings(self._out, self._steps)
        self._out.flush()


class Live:
    """A picture that is drawn again and again; the steps, their times, what they say."""

    def __init__(self, out: Output) -> None:
        self._out = out
        self._steps = Steps()
        self._began = time.time()
        self._height = 0
        self._drawn = 0.0

    def take(self, told: pb.StatusResponse) -> None:
        self._steps.take(told)
        for log in told.logs:
            self._steps.of(log.vertex).hear(log.msg)
        self.tick()

    def tick(self) -> None:
        if time.time() - self._drawn >= EVERY:
            self._draw(final=False)

    def finish(self) -> None:
        self._draw(final=True)
        _failed_output(self._out, self._steps)
        _warnings(self._out, self._steps)
        self._out.flush()

    def _draw(self, *, final: bool) -> None:
        now = self._drawn = time.time()
        width, height = shutil.get_terminal_size((80, 24))
        steps = list(self._steps.steps.values())
        done = sum(bool(step.completed) for step in steps)
        ended = " FINISHED" if final else ""
        title = f"[+] Building {now - self._began:.1f}s ({done}/{len(steps)}){ended}"
        lines = [title]
        for step in steps:
            lines += self._of(step, now, width, final=final)
        if not final and len(lines) > height - 2:
            lines = [title, *lines[len(lines) - (height - 3) :]]
        up = f"\x1b[{self._height}A" if self._height else ""
        body = "".join(f"\x1b[2K{line}\n" for line in lines)
        self._out.write(f"{up}\r{body}\x1b[0J")
        self._out.flush()
        self._height = 0 if final else len(lines)

    def _of(self, step: Step, now: float, width: int, *, final: bool) -> list[str]:
        if not step.started and not step.completed:
            return []
        state = "CACHED " if step.cached else "ERROR " if step.error else ""
        lines = [_row(f" => {state}{step.name}", step.elapsed(now), width)]
        for part in step.parts.values():
            spent = (part.completed or now) - part.started if part.started else 0.0
            lines.append(_row(f" => => {_part(part, timed=False)}", spent, width))
        if step.running and not final:
            lines += [f" => => # {line}"[:width] for line in step.lines[-OUTPUT_LINES:]]
        return lines


class Raw:
    """What is told, as JSON; one message a line."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def take(self, told: pb.StatusResponse) -> None:
        from boxship.cli.building.raw import document
        from boxship.lib import quickjson

        self._out.line(quickjson.encode(document(told)))
        self._out.flush()

    def tick(self) -> None:
        pass

    def finish(self) -> None:
        pass


def _row(text: str, spent: float, width: int) -> str:
    time_ = f" {spent:.1f}s"
    room = max(10, width - len(time_))
    return f"{text[:room]:<{room}}{time_}"


def _part(part: object, *, timed: bool = True) -> str:
    from boxship.cli.building.tracking import Part

    assert isinstance(part, Part)
    amount = ""
    if part.total:
        amount = f" {human_size(part.current)} / {human_size(part.total)}"
    elif part.current:
        amount = f" {human_size(part.current)}"
    if not part.completed:
        return f"{part.id}{amount}"
    spent = part.completed - part.started
    took = f" {spent:.1f}s" if timed and spent >= 0.05 else ""
    return f"{part.id}{amount}{took} done"


def _failed_output(out: Output, steps: Steps) -> None:
    """Show once more what the step that failed has said."""
    for step in steps.steps.values():
        if step.error and not step.error.endswith("context canceled"):
            out.line("------")
            out.line(f" > {step.name}:")
            for line in step.lines[-20:]:
                out.line(line)
            out.line("------")


def _warnings(out: Output, steps: Steps) -> None:
    if not steps.warnings:
        return
    number = len(steps.warnings)
    out.line("")
    out.line(f" {number} warning{'s' if number > 1 else ''} found:")
    for warning in steps.warnings:
        out.line(f" - {warning.short.decode('utf-8', 'replace')}")
