"""Stages become the graph of build.ops, and the configuration of the image they make."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from boxship.build.dockerfile import casing, limits, scans, scope, settings, transfer
from boxship.build.dockerfile import image as images
from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile import run as runs
from boxship.build.dockerfile.bases import Bases
from boxship.build.dockerfile.converter import Converter
from boxship.build.dockerfile.drafts import make
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.lint import Checks, Finding, Linter
from boxship.build.dockerfile.options import Images, Options
from boxship.build.dockerfile.outline import Outline, outline
from boxship.build.dockerfile.parse import Parsed, parse
from boxship.build.dockerfile.plan import plan, read_triggers
from boxship.build.dockerfile.read import Stage, contents
from boxship.build.dockerfile.shell import Lexer, quoted, single_quoted
from boxship.build.dockerfile.state import State, States
from boxship.build.dockerfile.steps import Step, steps
from boxship.build.ops import Place, Ref, Source
from boxship.spec.oci.image import ImageConfig
from boxship.spec.platform import Platform

EPOCH: Final = "SOURCE_DATE_EPOCH"
MANY: Final = 500  # instructions
TRIGGER_ROUNDS: Final = 20  # images that bring triggers that bring images


@dataclass(frozen=True, slots=True)
class Converted:
    """What a Dockerfile comes to, for one platform.

    root: the filesystem, None where it is empty. config: without diff IDs and times. base: the
    configuration of the image it stands on. unused: build arguments that nothing has declared.
    outline: what the target takes, where that was asked. scanned: what a scanner is to look at too.
    """

    root: Ref | None
    config: ImageConfig
    platform: Platform
    base: ImageConfig | None
    findings: tuple[Finding, ...]
    steps: tuple[Step, ...]
    epoch: int | None
    unused: tuple[str, ...]
    outline: Outline | None = None
    scanned: tuple[tuple[str, Ref | None], ...] = ()


async def convert(text: str, options: Options, finder: Images) -> Converted:
    """Convert a Dockerfile for one platform, or raise DockerfileError with the lines at fault."""
    return await convert_parsed(parse(text), options, finder)


async def convert_parsed(
    parsed: Parsed, options: Options, finder: Images, findings: list[Finding] | None = None
) -> Converted:
    """Convert what has been parsed already, as is done once for each platform.

    What the checks find is added to `findings` too, up to where a conversion fails.
    """
    said = options.check
    if said is None:
        said = options.build_args.get(
            "BUILDKIT_DOCKERFILE_CHECK", parsed.directives.get("check", "")
        )
    linter = Linter(Checks.parse(said), [] if findings is None else findings)
    casing.empty_continuations(parsed, linter)
    read = contents(parsed.nodes)
    found, declared = read.stages, read.declared
    casing.check(found, declared, linter)
    if read.wrong is not None:
        raise read.wrong
    if options.classic and options.labels:
        found[-1] = _labelled(found[-1], options.labels, parsed.nodes[-1].place)
    lexer = Lexer(parsed.escape, allowance=limits.text())
    known = scope.platform_args(options, found[-1].begins.alias)
    casing.default_bases(found, declared, known, lexer, linter)
    global_args = scope.global_args(known, declared, options.build_args, lexer)
    states = States()
    to = Converter(
        options,
        lexer,
        linter,
        states,
        global_args,
        scope.proxies(options.build_args),
        epoch_of(options.build_args) if EPOCH in options.build_args else epoch_of(global_args),
    )
    plan(to, found, declared)
    target = states.target(options.target)
    reachable = await _resolve(to, target, finder)
    if len(parsed.nodes) > MANY:  # so many hold up whoever shares the loop
        return await asyncio.to_thread(_convert, to, target, reachable, declared)
    return _convert(to, target, reachable, declared)


def _labelled(stage: Stage, labels: Mapping[str, str], place: Place) -> Stage:
    """Return a stage with a step for each label of the build, as the classic builder made them."""
    steps = tuple(
        ins.Label(
            ins.Line("LABEL", f"LABEL {key}={value}", place),
            (ins.Pair(single_quoted(key), single_quoted(value)),),
        )
        for key, value in sorted(labels.items())
    )
    return replace(stage, instructions=(*stage.instructions, *steps))


def _convert(
    to: Converter, target: State, reachable: set[State], declared: Sequence[ins.Arg]
) -> Converted:
    order = [state for state in to.states.all if state in reachable or to.options.all_stages]
    for state in order:
        if not state.done:
            _convert_stage(to, state)
    return _result(to, target, [state for state in order if state in reachable], declared)


async def _resolve(to: Converter, target: State, finder: Images) -> set[State]:
    """Find the bases; their triggers may read further images, so again until nothing is new."""
    bases = Bases(to.options, finder, to.states, to.linter)
    for _ in range(TRIGGER_ROUNDS):
        reachable = to.states.reachable(target)
        wanted = set(to.states.all) if to.options.all_stages else reachable
        await bases.resolve(wanted)
        new = [read_triggers(to, state) for state in list(to.states.all) if state in wanted]
        if not any(new):
            return reachable
    raise DockerfileError("the triggers of the base images never end")


def _convert_stage(to: Converter, state: State) -> None:
    to.limits.inherited.take(state.heritage())
    state.inherit()
    to.state = state
    state.platform = state.platform or to.options.target_platform
    if state.image is None:
        state.image = images.empty(state.platform)
    config = images.run_config(state.image)
    state.image_env = {item.partition("=")[0]: item for item in config.env or []}
    if "PATH" not in state.image_env:
        state.image_env["PATH"] = f"PATH={images.path_of(state.image.os)}"
    for key, item in state.image_env.items():
        state.set_env(key, item.partition("=")[2])
    if config.working_dir:
        settings.enter(to, config.working_dir)
    for command in state.commands:
        to.command = command
        try:
            CONVERTERS[type(command.instruction)](to, command.instruction)
        except DockerfileError as error:
            raise error.at(command.instruction.line.place) from None
    config.env = list(state.image_env.values()) or None
    state.done = True


Convert = Callable[[Converter, Any], None]
CONVERTERS: Final[Mapping[type, Convert]] = {
    ins.Add: transfer.add,
    ins.Arg: settings.arg,
    ins.Cmd: settings.cmd,
    ins.Copy: transfer.copy,
    ins.Entrypoint: settings.entrypoint,
    ins.Env: settings.env,
    ins.Expose: settings.expose,
    ins.Healthcheck: settings.healthcheck,
    ins.Label: settings.label,
    ins.Maintainer: settings.maintainer,
    ins.OnBuild: settings.on_build,
    ins.Run: runs.run,
    ins.Shell: settings.shell,
    ins.StopSignal: settings.stop_signal,
    ins.User: settings.user,
    ins.Volume: settings.volume,
    ins.Workdir: settings.workdir,
}


def _result(
    to: Converter,
    target: State,
    order: Sequence[State],
    declared: Sequence[ins.Arg],
) -> Converted:
    options = to.options
    assert target.image is not None
    config = target.image
    if options.labels:
        run = images.run_config(config)
        run.labels = {**(run.labels or {}), **options.labels}
    to.linter.settle()
    scanned = scans.extras(to, target, order) if options.scans else {}
    _narrow(to)
    root = make(target.root)
    platform = target.platform or options.target_platform
    if options.platform_given:
        platform = options.target_platform
        same = (config.os, config.architecture) == (platform.os, platform.architecture)
        config.os, config.architecture = platform.os, platform.architecture
        if platform.variant or not same:
            config.variant = platform.variant
        if platform.os_version or not same:
            config.os_version = platform.os_version
    return Converted(
        root,
        config,
        platform,
        target.base_image,
        tuple(to.linter.findings),
        tuple(steps(to, declared, order)),
        to.epoch,
        _unused(to, declared),
        outline(to, target, declared) if options.outline else None,
        tuple((name, make(ref)) for name, ref in scanned.items()),
    )


def epoch_of(args: Mapping[str, str]) -> int | None:
    """Read SOURCE_DATE_EPOCH; None where it is not set, or empty."""
    text = args.get(EPOCH)
    if not text:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 12):
        raise DockerfileError(f"invalid SOURCE_DATE_EPOCH: {quoted(text)}")
    return int(text)


def _narrow(to: Converter) -> None:
    """Ask the client only for what is read of the context."""
    if to.context is None or to.context.draft.made is not None:
        return
    draft = to.context.draft
    wanted = to.context_paths
    if not isinstance(draft.op, Source) or "/" in wanted or not wanted:
        return
    if draft.op.identifier.startswith("local://"):
        names = json.dumps(sorted(path.removeprefix("/") for path in wanted))
        attrs = dict(draft.op.attrs) | {"local.followpaths": names}
        draft.op = replace(draft.op, attrs=tuple(sorted(attrs.items())))


def _unused(to: Converter, declared: Sequence[ins.Arg]) -> tuple[str, ...]:
    """Return the build arguments that no ARG declares and that mean nothing by themselves."""
    known = {d.key for arg in declared for d in arg.definitions}
    for state in to.states.all:
        known |= state.args.keys()
    return tuple(
        sorted(
            name
            for name in to.options.build_args
            if name not in known
            and not scope.is_proxy(name)
            and name not in scope.BUILTIN
            and name not in scope.PLATFORM_NAMES
        )
    )
