"""Progress as lines, numbered by step, as BuildKit's own plain format has them.

What a step tells while another is shown waits until that one is done, or has been silent.
"""

from __future__ import annotations

import time

from boxship.cli.building.tracking import Step, Steps, seconds

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.building.show import Heading
    from boxship.cli.output import Output
    from boxship.spec.buildkit import control_pb2 as pb

GATHER = 0.1  # seconds for which what comes is kept together
PATIENCE = 5.0  # seconds after which a silent step makes room for another
KEPT = 20  # lines of a failed step's output


class Plain:
    """One line for each event."""

    def __init__(self, out: Output, heading: Heading | None) -> None:
        self._out = out
        self._heading = heading
        self.steps = Steps()
        self._current: Step | None = None
        self._numbers: dict[str, int] = {}
        self._waiting: dict[str, list[str]] = {}
        self._parts: dict[str, dict[str, str]] = {}
        self._done: set[str] = set()
        self._touched: dict[str, Step] = {}
        self._began = time.monotonic()
        self._printed = 0.0
        self._spoke = 0.0

    def take(self, told: pb.StatusResponse) -> None:
        for step in self.steps.take(told):
            if step.started or step.completed or step.parts:
                self._touched[step.digest] = step
        for log in told.logs:
            step = self.steps.of(log.vertex)
            lines = step.hear(log.msg, seconds(log.timestamp))
            self._waiting.setdefault(step.digest, []).extend(lines)
            self._touched[step.digest] = step
        if time.monotonic() - self._printed >= GATHER:
            self._print()

    def tick(self) -> None:
        self._print()

    def finish(self) -> None:
        self._print(last=True)
        self._out.flush()

    def _print(self, *, last: bool = False) -> None:
        self._printed = time.monotonic()
        ended = [step for step in self._touched.values() if step.completed and not step.open]
        ended.sort(key=lambda step: (step is not self._current, step.completed))
        for step in ended:
            self._show(step)
        rest = [step for step in self._touched.values() if step not in ended]
        if self._current in rest and self._current is not None:
            self._show(self._current)
            rest.remove(self._current)
        silent = self._printed - self._spoke > PATIENCE
        if rest and (self._current is None or silent or last):
            for step in rest if last else rest[:1]:
                self._show(step)
        self._out.flush()

    def _show(self, step: Step) -> None:
        """Print what is new of a step."""
        self._touched.pop(step.digest, None)
        lines = self._new(step)
        if step.digest in self._done or (not lines and self._current is step):
            return
        self._spoke = self._printed
        self._enter(step)
        number = self._numbers[step.digest]
        for line in lines:
            self._out.line(f"#{number} {line}")
        if step.completed and not step.open:
            self._done.add(step.digest)
            self._current = None

    def _enter(self, step: Step) -> None:
        if self._heading is not None:
            self._out.line(f"#0 {self._heading.text()}")
            self._heading = None
            self._out.line("")
        elif self._current is not step:
            if self._current is not None:
                self._out.line(f"#{self._numbers[self._current.digest]} ...")
            if self._numbers:
                self._out.line("")
        if self._current is not step:
            number = self._numbers.setdefault(step.digest, len(self._numbers) + 1)
            self._out.line(f"#{number} {step.name}")
            self._current = step

    def _new(self, step: Step) -> list[str]:
        """Return the lines that have not been printed."""
        lines: list[str] = []
        known = self._parts.setdefault(step.digest, {})
        for part in step.parts.values():
            shown = part.shown()
            if part.id not in known or (part.completed and known[part.id] != shown):
                known[part.id] = shown
                lines.append(shown)
        lines += self._waiting.pop(step.digest, [])
        if step.completed and not step.open:
            lines += step.close()
            if step.error:
                lines.append("CANCELED" if step.canceled else f"ERROR: {step.error}")
            elif step.cached:
                lines.append("CACHED")
            else:
                lines.append(f"DONE {step.elapsed(0):.1f}s")
        return lines
