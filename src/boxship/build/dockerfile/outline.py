"""What a target takes: the build arguments, secrets and ssh agents of all stages it stands on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from boxship.build import ops
from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile.converter import Converter
from boxship.build.dockerfile.scope import PLATFORM_NAMES
from boxship.build.dockerfile.state import State
from boxship.build.ops import Place

VARIABLE: Final = re.compile(r"\$\{?(\w+)")


@dataclass(frozen=True, slots=True)
class Parameter:
    """One thing that a build can be given, and where the Dockerfile says so."""

    name: str
    place: Place
    value: str = ""
    doc: str = ""
    required: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """A target and its parameters, in the order of the file."""

    name: str
    doc: str
    args: tuple[Parameter, ...]
    secrets: tuple[Parameter, ...]
    agents: tuple[Parameter, ...]


def outline(to: Converter, target: State, declared: Sequence[ins.Arg]) -> Outline:
    """Return what a converted target takes; of two of one name the nearer stage's counts."""
    known = _global(to, declared)
    args: dict[str, Parameter] = {}
    secrets: dict[str, Parameter] = {}
    agents: dict[str, Parameter] = {}
    for state in _nearest_first(target):
        for found, more in (
            (args, _args(to, state, known)),
            (secrets, _secrets(to, state)),
            (agents, _agents(to, state)),
        ):
            for name, one in more.items():
                found.setdefault(name, one)
    name = "" if target.stage is None else target.stage.alias
    return Outline(name, target.doc, _ordered(args), _ordered(secrets), _ordered(agents))


def _ordered(found: dict[str, Parameter]) -> tuple[Parameter, ...]:
    return tuple(sorted(found.values(), key=lambda one: one.place.first))


def _nearest_first(target: State) -> Iterator[State]:
    """Yield a stage, what it stands on, what it reads, and so on; each once."""
    seen: set[State] = set()
    waiting = [target]
    while waiting:
        state = waiting.pop()
        if state not in seen:
            seen.add(state)
            yield state
            below = [] if state.base is None else [state.base]
            waiting += reversed([*below, *state.deps])


def _global(to: Converter, declared: Sequence[ins.Arg]) -> dict[str, tuple[Parameter, str]]:
    """Return the arguments before the first stage, each with what its default is made of."""
    found: dict[str, tuple[Parameter, str]] = {}
    for arg in declared:
        for one in arg.definitions:
            value = to.global_args.get(one.key, "")
            parameter = Parameter(one.key, arg.line.place, value, one.doc)
            found[one.key] = parameter, one.value or ""
    return found


def _args(
    to: Converter, state: State, known: dict[str, tuple[Parameter, str]]
) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for command in state.commands:
        if not isinstance(it := command.instruction, ins.Arg):
            continue
        for one in it.definitions:
            if one.key in PLATFORM_NAMES:
                continue
            found.pop(one.key, None)
            own = one.value is not None or one.key in to.options.build_args
            if not own and one.key in known:
                found[one.key] = known[one.key][0]
            else:
                value = state.args.get(one.key) or ""
                found[one.key] = Parameter(one.key, it.line.place, value, one.doc)
    begins = "" if state.stage is None else f"{state.stage.base} {state.stage.platform}"
    waiting = VARIABLE.findall(begins)
    while waiting:
        name = waiting.pop()
        if name in known and name not in found:
            found[name], says = known[name]
            waiting += VARIABLE.findall(says)
    return found


def _mounts(to: Converter, state: State) -> Iterator[tuple[ops.Mount | ops.SecretEnv, Place]]:
    for command in state.commands:
        place = command.instruction.line.place
        for draft in to.steps.get(command, ()):
            if isinstance(draft.op, ops.Exec):
                for one in (*draft.op.mounts, *draft.op.secret_env):
                    yield one, place


def _secrets(to: Converter, state: State) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for mount, place in _mounts(to, state):
        if isinstance(mount, ops.Secret | ops.SecretEnv):
            one = Parameter(mount.id, place, required=not mount.optional)
            known = found.setdefault(mount.id, one)
            found[mount.id] = replace(known, required=known.required or one.required)
    return found


def _agents(to: Converter, state: State) -> dict[str, Parameter]:
    found: dict[str, Parameter] = {}
    for mount, place in _mounts(to, state):
        if isinstance(mount, ops.Ssh):
            name = mount.id or "default"
            found.setdefault(name, Parameter(name, place, required=not mount.optional))
    return found
