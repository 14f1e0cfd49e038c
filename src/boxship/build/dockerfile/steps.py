"""A conversion as a list of steps, for those who tell of a build line by line."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile.converter import Converter
from boxship.build.dockerfile.drafts import Draft
from boxship.build.dockerfile.image import Moment
from boxship.build.dockerfile.state import State
from boxship.build.ops import Place, Source
from boxship.spec.digest import Digest


@dataclass(frozen=True, slots=True)
class Step:
    """One instruction of a stage that counts.

    vertices: what has to be done for it; empty where only the configuration changes. is_global:
    it stands before the first stage. triggers: how many of the following steps came from the
    base image of this FROM. said: what history tells of it, variables and all. base: the image
    of a FROM, with its digest. moment: the image's configuration after it, for the classic builder.
    """

    text: str
    place: Place
    vertices: tuple[Digest, ...] = ()
    is_run: bool = False
    is_from: bool = False
    is_global: bool = False
    triggers: int = 0
    said: str = ""
    base: str = ""
    moment: Moment | None = None


def steps(to: Converter, declared: Sequence[ins.Arg], stages: Sequence[State]) -> Iterator[Step]:
    """Yield the steps before the stages, and those of the stages, in order."""
    for arg in declared:
        yield Step(arg.line.code, arg.line.place, is_global=True)
    for state in stages:
        if state.stage is None:
            continue
        triggers = sum(command.on_build for command in state.commands)
        source = [state.source] if state.source else []
        yield Step(
            state.stage.line.code,
            state.place,
            _made(source),
            is_from=True,
            triggers=triggers,
            base=_base(state),
        )
        for command in state.commands:
            line = command.instruction.line
            yield Step(
                line.code,
                line.place,
                _made(to.steps.get(command, ())),
                isinstance(command.instruction, ins.Run),
                said=to.said.get(command, ""),
                moment=to.moments.get(command),
            )


def _base(state: State) -> str:
    if state.source is None or not isinstance(state.source.op, Source):
        return ""
    return state.source.op.identifier


def _made(drafts: Sequence[Draft]) -> tuple[Digest, ...]:
    return tuple(draft.made.digest for draft in drafts if draft.made is not None)
