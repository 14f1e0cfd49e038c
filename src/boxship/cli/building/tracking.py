"""What is known of a build's steps, gathered from what the engine tells."""

from __future__ import annotations

from boxship.lib.words import visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from google.protobuf.timestamp_pb2 import Timestamp

    from boxship.spec.buildkit import control_pb2 as pb

KEPT_LINES = 1000


def seconds(at: Timestamp) -> float:
    """Return a time as seconds since the epoch, 0 for none."""
    return at.seconds + at.nanos / 1e9


class Part:
    """A part of a step: a transfer, a layer."""

    def __init__(self, id: str) -> None:
        self.id = id
        self.current = 0
        self.total = 0
        self.started = 0.0
        self.completed = 0.0


class Step:
    """One step."""

    def __init__(self, digest: str, number: int) -> None:
        self.digest = digest
        self.number = number
        self.name = ""
        self.started = 0.0
        self.completed = 0.0
        self.cached = False
        self.error = ""
        self.parts: dict[str, Part] = {}
        self.lines: list[str] = []
        self.unfinished = ""

    @property
    def running(self) -> bool:
        return bool(self.started and not self.completed)

    def elapsed(self, now: float) -> float:
        """Return for how long it has been, or was, at work."""
        return max(0.0, (self.completed or now) - self.started) if self.started else 0.0

    def hear(self, data: bytes) -> list[str]:
        """Take output; return the lines it completes."""
        text = self.unfinished + data.decode("utf-8", "replace")
        *lines, self.unfinished = text.replace("\r\n", "\n").split("\n")
        shown = [visible_block(line.rpartition("\r")[2]) for line in lines]
        self.lines += shown
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
            step = touched[vertex.digest] = self._step(vertex.digest)
            step.name = visible_block(vertex.name)
            step.started = seconds(vertex.started) or step.started
            step.completed = seconds(vertex.completed)
            step.cached = vertex.cached
            step.error = visible_block(vertex.error)
        for status in told.statuses:
            step = touched[status.vertex] = self._step(status.vertex)
            part = step.parts.setdefault(status.id, Part(visible_block(status.id)))
            part.current, part.total = status.current, status.total
            part.started = seconds(status.started)
            part.completed = seconds(status.completed)
        self.warnings.extend(told.warnings)
        return list(touched.values())

    def of(self, digest: str) -> Step:
        return self._step(digest)

    def _step(self, digest: str) -> Step:
        if digest not in self.steps:
            self.steps[digest] = Step(digest, len(self.steps) + 1)
        return self.steps[digest]
