"""A build in the words of the classic builder.

    Step 2/3 : RUN echo hi
     ---> Running in 1c2d3e4f5a6b
    hi
    Removing intermediate container 1c2d3e4f5a6b
     ---> 0a1b2c3d4e5f

Vertices are solved in any order, several at a time. They are told in the file's order: what a
later step writes waits until the steps before it are over. The numbers stand for the steps, not
for containers and images that could be asked for: there are none between the steps.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from boxship.build.dockerfile.steps import Step
from boxship.build.progress import Output, Told, VertexState
from boxship.spec.digest import Digest

Say = Callable[[Mapping[str, Any]], None]
QUIET_STEPS: Final = (
    "ADD",
    "COPY",
    "FROM",
)  # those that the classic builder needs no container for
RED: Final = "\x1b[91m"  # what programs write to their standard error
PLAIN: Final = "\x1b[0m"
STDERR: Final = 2
HELD: Final = 1 << 20  # bytes of a later step's output that are kept until its turn


@dataclass(slots=True)
class _Vertex:
    cached: bool = False
    completed: bool = False
    held: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0


class Teller:
    """Tells of one build; `tell` takes what the solver says, in the loop's thread."""

    def __init__(self, say: Say, *, remove: bool = True) -> None:
        self._say = say
        self._remove = remove
        self._steps: Sequence[Step] = ()
        self._vertices: dict[Digest, _Vertex] = {}
        self._at = 0
        self._shown = 0
        self._total = 0
        self._begun = False
        self._triggers = 0
        self._id = ""
        self._told_run = False

    def begin(self, steps: Sequence[Step]) -> None:
        """Take the steps, once they are known."""
        self._steps = steps
        triggers = 0
        for step in steps:
            if step.is_from:
                triggers = step.triggers
                self._total += 1
            elif triggers:
                triggers -= 1
            else:
                self._total += 1
        self._go_on(over=False)

    def tell(self, told: Told) -> None:
        """Take what the solver says."""
        if isinstance(told, VertexState):
            vertex = self._vertices.setdefault(told.digest, _Vertex())
            vertex.cached = told.cached
            vertex.completed = bool(told.completed) and not told.error
        elif isinstance(told, Output):
            vertex = self._vertices.setdefault(told.vertex, _Vertex())
            if vertex.size < HELD:
                vertex.held.append((told.stream, told.data))
                vertex.size += len(told.data)
        else:
            return
        self._go_on(over=False)

    def end(self) -> None:
        """Tell of all steps that nothing was said of: their results were there already."""
        self._go_on(over=True)

    def _go_on(self, *, over: bool) -> None:
        while self._at < len(self._steps):
            step = self._steps[self._at]
            known = [self._vertices.get(digest) for digest in step.vertices]
            done = all(vertex is not None and vertex.completed for vertex in known)
            if not self._begun and not (done or over or any(known) or self._at == 0):
                return
            self._open(step)
            for vertex in known:
                if vertex is not None and vertex.held:
                    self._run(step)
                    for stream, piece in vertex.held:
                        text = piece.decode("utf-8", "replace")
                        self._text(f"{RED}{text}{PLAIN}" if stream == STDERR else text)
                    vertex.held.clear()
                    vertex.size = 0
            if not (done or over):
                return
            cached = all(vertex is None or vertex.cached for vertex in known)
            self._close(step, cached=cached)

    def _open(self, step: Step) -> None:
        if self._begun:
            return
        self._begun = True
        if self._triggers:
            return
        self._shown += 1
        self._text(f"Step {self._shown}/{self._total} : {step.text}\n")

    def _run(self, step: Step) -> None:
        if not self._told_run:
            self._told_run = True
            self._text(f" ---> Running in {self._number(step, 'container')}\n")

    def _close(self, step: Step, *, cached: bool) -> None:
        if step.is_global:
            self._at += 1
            self._begun = False
            return
        kind = step.text.partition(" ")[0].upper()
        alone = kind in QUIET_STEPS
        if step.vertices and cached and not step.is_from:
            self._text(" ---> Using cache\n")
        elif not alone:
            self._run(step)
            if self._remove:
                number = self._number(step, "container")
                self._text(f"Removing intermediate container {number}\n")
        number = self._number(step, "image")
        self._text(f" ---> {number}\n")
        self._id = number
        self._at += 1
        self._begun = self._told_run = False
        if self._triggers:
            self._triggers -= 1
        elif step.is_from and step.triggers:
            self._triggers = step.triggers
            plural = "s" if step.triggers > 1 else ""
            self._text(f"# Executing {step.triggers} build trigger{plural}\n")

    def _number(self, step: Step, what: str) -> str:
        """Return a step's number, the same whenever the step is."""
        if step.vertices and what == "image":
            return step.vertices[-1].short
        said = f"{what}\0{self._id}\0{step.text}".encode()
        return hashlib.sha256(said).hexdigest()[:12]

    def _text(self, text: str) -> None:
        self._say({"stream": text})
