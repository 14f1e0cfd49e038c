"""What is known of a build's steps, gathered from what the engine tells."""

from __future__ import annotations

from boxship.lib.words import visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.timestamp_pb2 import Timestamp

    from boxship.spec.buildkit import control_pb2 as pb

KEPT_LINES = 1000
CANCELED = "context canceled"
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def seconds(at: Timestamp) -> float:
    """Return a time as seconds since the epoch, 0 for none."""
    return at.seconds + at.nanos / 1e9


def amount(size: float) -> str:
    """Return a size as progress shows it: 61B, 2.05kB."""
    step = 0
    while size >= 1000 and step < len(UNITS) - 1:
        size /= 1000
        step += 1
    return f"{size:.2f}{UNITS[step]}" if step else f"{size:.0f}B"


def prefixed(
    name: str,
    seen: set[tuple[str, int, int, bytes]],
    heard: Callable[[pb.StatusResponse], None],
) -> Callable[[pb.StatusResponse], None]:
    """Return what tells of the steps of one build among several: `[name 1/2] RUN …`.

    Of a step that several share each tells all: `seen` has what has been said.
    """

    def hear(told: pb.StatusResponse) -> None:
        kept = []
        for log in told.logs:
            key = (log.vertex, log.timestamp.seconds, log.timestamp.nanos, log.msg)
            if key not in seen:
                seen.add(key)
                kept.append(log)
        if len(kept) != len(told.logs):
            del told.logs[:]
            told.logs.extend(kept)
        for vertex in told.vertexes:
            rest = vertex.name
            vertex.name = f"[{name} {rest[1:]}" if rest.startswith("[") else f"[{name}] {rest}"
        heard(told)

    return hear


class Part:
    """A part of a step: a transfer, a layer."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.current = 0
        self.total = 0
        self.started = 0.0
        self.completed = 0.0
        self.seen = 0.0

    def shown(self) -> str:
        """Return it as a line."""
        size = ""
        if self.total:
            size = f" {amount(self.current)} / {amount(self.total)}"
        elif self.current:
            size = f" {amount(self.current)}"
        spent = (self.completed or self.seen) - self.started if self.started else 0.0
        took = f" {spent:.1f}s" if spent > 0.01 else ""
        return f"{self.id}{size}{took}{' done' if self.completed else ''}"


class Step:
    """One step."""

    def __init__(self, digest: str) -> None:
        self.digest = digest
        self.name = ""
        self.started = 0.0
        self.completed = 0.0
        self.cached = False
        self.error = ""
        self.parts: dict[str, Part] = {}
        self.lines: list[str] = []  # of its output, each after when it came
        self.unfinished = ""
        self._heard = 0.0

    @property
    def running(self) -> bool:
        return bool(self.started and not self.completed)

    @property
    def canceled(self) -> bool:
        return self.error.endswith(CANCELED)

    @property
    def open(self) -> bool:
        """Whether something of it is still at work."""
        return any(not part.completed for part in self.parts.values())

    def elapsed(self, now: float) -> float:
        """Return for how long it has been, or was, at work."""
        return max(0.0, (self.completed or now) - self.started) if self.started else 0.0

    def hear(self, data: bytes, at: float) -> list[str]:
        """Take output; return the lines it completes."""
        self._heard = at
        text = self.unfinished + data.decode("utf-8", "replace")
        *lines, self.unfinished = text.replace("\r\n", "\n").split("\n")
        return [self._line(line, at) for line in lines]

    def close(self) -> list[str]:
        """Nothing more will be heard; return what was no whole line."""
        line, self.unfinished = self.unfinished, ""
        return [self._line(line, self._heard)] if line else []

    def _line(self, line: str, at: float) -> str:
        spent = f"{max(0.0, at - self.started):.3f}"[:5]
        shown = f"{spent} {visible_block(line.rpartition(chr(13))[2])}"
        self.lines.append(shown)
        del self.lines[:-KEPT_LINES]
        return shown


class Steps:
    """The steps in the order in which they were first told of."""

    def __init__(self) -> None:
        self.steps: dict[str, Step] = {}
        self.warnings: list[pb.VertexWarning] = []

    def take(self, told: pb.StatusResponse) -> list[Step]:
        """Take a message; return the steps that it concerns."""
        touched: dict[str, Step] = {}
        for vertex in told.vertexes:
            step = touched[vertex.digest] = self.of(vertex.digest)
            step.name = visible_block(vertex.name)
            step.started = seconds(vertex.started) or step.started
            step.completed = seconds(vertex.completed)
            step.cached = vertex.cached
            step.error = visible_block(vertex.error)
        for status in told.statuses:
            step = touched[status.vertex] = self.of(status.vertex)
            part = step.parts.setdefault(status.id, Part(visible_block(status.id)))
            part.current, part.total = status.current, status.total
            part.started = seconds(status.started)
            part.completed = seconds(status.completed)
            part.seen = seconds(status.timestamp) or part.started
        known = {(one.vertex, one.short) for one in self.warnings}
        self.warnings += [one for one in told.warnings if (one.vertex, one.short) not in known]
        return list(touched.values())

    def interrupted(self, at: float) -> pb.StatusResponse:
        """Return what would be told of the steps at work if they were given up now."""
        from boxship.spec.buildkit import control_pb2 as pb

        told = pb.StatusResponse()
        for step in self.steps.values():
            if step.running:
                one = told.vertexes.add(digest=step.digest, name=step.name, error=CANCELED)
                one.completed.FromNanoseconds(int(at * 1e9))
                for part in step.parts.values():
                    part.completed = at
        return told

    def of(self, digest: str) -> Step:
        if digest not in self.steps:
            self.steps[digest] = Step(digest)
        return self.steps[digest]
