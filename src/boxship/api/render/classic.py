"""A build in the words of the classic builder.

    Step 2/3 : RUN echo hi
     ---> Running in 1c2d3e4f5a6b
    hi
    Removing intermediate container 1c2d3e4f5a6b
     ---> 0a1b2c3d4e5f

Vertices are solved in any order, several at a time. They are told in the file's order: what a
later step writes waits until the steps before it are over. A number stands for its step, and an
image is made of it when somebody names it (build/intermediate.py); there are no containers between.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from boxship.api.render.numbers import Numbers
from boxship.build.dockerfile.steps import Step
from boxship.build.frontend import LOADING
from boxship.build.progress import Output, PartState, Told, VertexState
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
CLIPPED: Final = b"[output clipped, log limit 1MiB reached]\n"
HELD: Final = 1 << 20  # bytes of a later step's output that are kept until its turn


def _number(*words: str) -> str:
    return hashlib.sha256("\0".join(words).encode("utf-8", "replace")).hexdigest()[:12]


@dataclass(slots=True)
class _Vertex:
    started: bool = False
    cached: bool = False
    completed: bool = False
    held: list[tuple[int, bytes]] = field(default_factory=list)
    size: int = 0


class Teller:
    """Tells of one build; `tell` takes what the solver says, in the loop's thread."""

    def __init__(self, say: Say, numbers: Numbers, *, remove: bool = True) -> None:
        self._say = say
        self._numbers = numbers
        self._remove = remove
        self._steps: Sequence[Step] = ()
        self._vertices: dict[Digest, _Vertex] = {}
        self._at = 0
        self._shown = 0
        self._total = 0
        self._begun = False
        self._triggers = 0
        self._id = ""
        self._image = ""
        self._told_run = False
        self._pulls: set[Digest] = set()
        self.numbers: dict[int, str] = {}  # those of steps that are over

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
        if isinstance(told, PartState):
            self._pulled(told)
            return
        if isinstance(told, VertexState):
            if told.name.startswith(LOADING):
                self._pulls.add(told.digest)
            vertex = self._vertices.setdefault(told.digest, _Vertex())
            vertex.cached = told.cached
            vertex.started = bool(told.started) and not told.cached
            vertex.completed = bool(told.completed) and not told.error
        elif isinstance(told, Output):
            vertex = self._vertices.setdefault(told.vertex, _Vertex())
            if vertex.size < HELD:
                vertex.held.append((told.stream, told.data))
                vertex.size += len(told.data)
                if vertex.size >= HELD:
                    vertex.held.append((STDERR, CLIPPED))
        else:
            return
        self._go_on(over=False)

    def end(self, image: str) -> None:
        """Tell of all steps that nothing was said of: their results were there already.

        The last step's number is the image's.
        """
        self._image = image
        self._go_on(over=True)

    def remove(self) -> None:
        """Tell that the container of the step that has failed is gone too."""
        if self._told_run:
            self._removed(self._steps[self._at])

    def _go_on(self, *, over: bool) -> None:
        while self._at < len(self._steps):
            step = self._steps[self._at]
            known = [self._vertices.get(digest) for digest in step.vertices]
            done = all(vertex is not None and vertex.completed for vertex in known)
            if not self._begun and not (done or over or any(known) or self._at == 0):
                return
            self._open(step)
            for vertex in known:
                if vertex is None:
                    continue
                if step.is_run and vertex.started:
                    self._run(step)
                if vertex.held:
                    self._run(step)
                    for stream, piece in vertex.held:
                        text = piece.decode("utf-8", "replace")
                        self._text(f"{RED}{text}{PLAIN}" if stream == STDERR else text)
                    vertex.held.clear()
                    vertex.size = 0
            last = self._at == len(self._steps) - 1
            if not over and (last or not done):
                return
            self._close(step, known)

    def _pulled(self, told: PartState) -> None:
        """Tell how far a layer of a base image is."""
        if told.vertex in self._pulls:
            detail = {"current": told.current, "total": told.total} if told.total else {}
            self._say({"status": told.name, "progressDetail": detail, "id": told.id})

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
            self._text(f" ---> Running in {self._container(step)}\n")

    def _close(self, step: Step, known: Sequence[_Vertex | None]) -> None:
        self._at += 1
        self._begun = False
        if step.is_global:
            return
        key = (self._id, step.said or step.text)
        before = self._numbers.get(key)
        cached = before is not None
        if step.vertices:
            cached = all(vertex is None or vertex.cached for vertex in known)
        if step.is_from:
            number = step.base.rpartition(":")[2][:12] if step.base else self._id
        elif cached:
            self._text(" ---> Using cache\n")
            number = before or _number(*key)
        else:
            if step.text.partition(" ")[0].upper() not in QUIET_STEPS:
                self._run(step)
                if self._remove:
                    self._removed(step)
            number = secrets.token_hex(6)
        if self._at == len(self._steps):
            number = self._image or number
        self._numbers.keep(key, number)
        self.numbers[self._at - 1] = number
        self._text(f" ---> {number}\n")
        self._id = number
        self._told_run = False
        self._count_triggers(step)

    def _count_triggers(self, step: Step) -> None:
        if self._triggers:
            self._triggers -= 1
        elif step.is_from and step.triggers:
            self._triggers = step.triggers
            plural = "s" if step.triggers > 1 else ""
            self._text(f"# Executing {step.triggers} build trigger{plural}\n")

    def _removed(self, step: Step) -> None:
        self._text(f"Removing intermediate container {self._container(step)}\n")

    def _container(self, step: Step) -> str:
        return _number("container", self._id, step.text)

    def _text(self, text: str) -> None:
        self._say({"stream": text})
