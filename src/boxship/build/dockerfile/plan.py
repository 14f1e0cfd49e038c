"""Stages before any of them is converted: their bases, what they read, their triggers."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from boxship.build.dockerfile import contexts, lint, mounts
from boxship.build.dockerfile import image as images
from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile.converter import Converter
from boxship.build.dockerfile.errors import DockerfileError, nearest, suggest
from boxship.build.dockerfile.parse import parse
from boxship.build.dockerfile.read import Stage, instruction_of
from boxship.build.dockerfile.shell import Expanded
from boxship.build.dockerfile.state import SCRATCH, Command, State
from boxship.errors import InvalidRequest
from boxship.spec.platform import Platform

SUGGESTED = 20  # names that are looked for, to say what was meant
FROM_VARIABLE = (
    "variable expansion is not supported for --from, define a new stage with FROM using ARG from "
    "global scope as a workaround"
)


def plan(to: Converter, stages: Sequence[Stage], declared: Sequence[ins.Arg]) -> None:
    """Put the stages among the states, with what they stand on and read."""
    names = {d.key for arg in declared for d in arg.definitions} | to.global_args.keys()
    for number, stage in enumerate(stages):
        try:
            _stage(to, number, stage, names)
        except DockerfileError as error:
            raise error.at(stage.begins.line.place) from None
    for state in list(to.states.all):
        for instruction in state.instructions:
            state.commands.append(_command(to, state, instruction))
    to.states.check_circles()
    if len(to.states.all) == 1:
        to.states.all[0].shown = ""


def _stage(to: Converter, number: int, stage: Stage, names: Collection[str]) -> None:
    begins = stage.begins
    found = to.lexer.expand(begins.base, to.global_args)
    _undeclared(to, begins, found, names)
    if not found.text:
        raise DockerfileError(f"base name ({begins.base}) should not be blank")
    state = State(
        found.text,
        begins.line.place,
        begins.alias,
        begins.alias or f"stage-{number}",
        begins.doc,
        begins,
        stage.instructions,
    )
    if begins.platform:
        state.platform = _platform(to, begins, names)
    if begins.alias:
        state.context = contexts.find(to.options, begins.alias, state.platform)
    to.states.add(state)
    if state.context is not None:
        state.base, state.instructions = None, ()
        return
    steps = (ins.Add, ins.Copy, ins.Run, ins.Workdir)
    state.total = sum(isinstance(one, steps) for one in stage.instructions)
    state.total += state.base_name != SCRATCH and state.base is None
    without = to.options.no_cache
    state.ignore_cache = without is not None and (not without or begins.alias in without)


def _undeclared(to: Converter, begins: ins.From, found: Expanded, names: Collection[str]) -> None:
    for name in sorted(found.unmatched - set(names)):
        to.limits.compared -= len(names)
        meant = nearest(name, names) if to.limits.compared > 0 else ""
        hint = f" (did you mean {meant}?)" if meant else ""
        to.linter.find(
            lint.UNDEFINED_ARG_IN_FROM,
            [begins.line.place],
            f"FROM argument '{name}' is not declared{hint}",
            begins.line.comments,
        )


def _platform(to: Converter, begins: ins.From, names: Collection[str]) -> Platform:
    try:
        found = to.lexer.expand(begins.platform, to.global_args)
    except DockerfileError as error:
        raise DockerfileError(
            f"failed to process arguments for platform {begins.platform}: {error}"
        ) from None
    _undeclared(to, begins, found, names)
    if not found.text:
        message = f"empty platform value from expression {begins.platform}"
        raise DockerfileError(_with_hint(message, found, to))
    try:
        platform = Platform.parse(found.text, to.options.build_platforms[0])
    except InvalidRequest as error:
        message = f"failed to parse platform {begins.platform}: {error}"
        raise DockerfileError(_with_hint(message, found, to)) from None
    _check_platform(to, begins, found, platform)
    return platform


def _with_hint(message: str, found: Expanded, to: Converter) -> str:
    for name in sorted(found.unmatched)[:SUGGESTED]:
        told = suggest(message, name, to.global_args)
        if told != message:
            return told
    return message


def _check_platform(to: Converter, begins: ins.From, found: Expanded, platform: Platform) -> None:
    place, comments = [begins.line.place], begins.line.comments
    if found.matched == {"TARGETPLATFORM"} and not found.unmatched:
        if found.text == to.global_args.get("TARGETPLATFORM"):
            to.linter.find(
                lint.REDUNDANT_TARGET_PLATFORM,
                place,
                f"Setting platform to predefined {begins.platform} in FROM is redundant as this "
                "is the default behavior",
                comments,
            )
    elif not (found.matched or found.unmatched):
        if platform.os in begins.alias or platform.architecture in begins.alias:
            return  # the stage is for that platform on purpose
        to.linter.find(
            lint.FROM_PLATFORM_FLAG_CONST_DISALLOWED,
            place,
            f'FROM --platform flag should not use constant value "{found.text}"',
            comments,
        )


def _command(
    to: Converter, state: State, instruction: ins.Instruction, *, on_build: bool = False
) -> Command:
    """Find the stages that an instruction reads; an unknown name is an image's."""
    command = Command(instruction, on_build=on_build)
    try:
        if isinstance(instruction, ins.Copy) and instruction.origin:
            command.sources = [_copied_from(to, instruction)]
        elif isinstance(instruction, ins.Run):
            command.sources = [_mounted_from(to, text, instruction) for text in instruction.mounts]
    except DockerfileError as error:
        raise error.at(instruction.line.place) from None
    for source in command.sources:
        if source is not None:
            state.deps[source] = instruction
            if source.unregistered and source not in to.states.all:
                to.states.add(source)
    return command


def _copied_from(to: Converter, it: ins.Copy) -> State:
    if to.lexer.word(it.origin, {}) != it.origin:
        raise DockerfileError(FROM_VARIABLE)
    if it.origin.isascii() and it.origin.isdigit():
        return to.states.numbered(int(it.origin[:9]))
    return to.states.find(it.origin) or _image(it.origin, it)


def _mounted_from(to: Converter, text: str, it: ins.Run) -> State | None:
    origin = mounts.origin(text)
    return (to.states.find(origin) or _image(origin, it)) if origin else None


def _image(name: str, it: ins.Instruction) -> State:
    return State(name, it.line.place, unregistered=True)


def read_triggers(to: Converter, state: State) -> bool:
    """Take up the triggers of a stage's base; whether they read something new."""
    if state.on_build_read or (state.base is None and state.image is None):
        return False
    state.on_build_read = True
    triggers: list[str] = []
    if state.image is not None and state.stage is not None:
        config = images.run_config(state.image)
        triggers += config.on_build or []
        config.on_build = None
    if state.base is not None:
        triggers += [
            instruction.expression
            for instruction in state.base.instructions
            if isinstance(instruction, ins.OnBuild)
        ]
    to.limits.triggers.take(len(triggers))
    commands = [_trigger(to, state, text) for text in triggers]
    state.commands[:0] = commands
    state.total += len(commands)
    return any(command.sources for command in commands)


def _trigger(to: Converter, state: State, text: str) -> Command:
    try:
        nodes = parse(text).nodes
        if len(nodes) != 1:
            raise DockerfileError("onbuild trigger should be a single expression")
        node = replace(nodes[0], place=state.place)
        instruction = instruction_of(node)
    except DockerfileError as error:
        error.places = (state.place,)
        raise
    if isinstance(instruction, (ins.From, ins.Maintainer, ins.OnBuild)):
        name = node.name.upper()
        raise DockerfileError(f"{name} isn't allowed as an ONBUILD trigger", [state.place])
    return _command(to, state, instruction, on_build=True)
