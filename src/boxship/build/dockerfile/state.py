"""One stage on its way through conversion, and all of them together."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from boxship.build.dockerfile import image as images
from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile.drafts import Draft, DraftRef
from boxship.build.dockerfile.errors import DockerfileError, suggest
from boxship.build.dockerfile.shell import quoted
from boxship.build.ops import Place
from boxship.spec.oci.image import ImageConfig
from boxship.spec.platform import Platform

SCRATCH = "scratch"
MOST = 1_000  # stages, and images that others read
MOST_VARIABLES = 5_000
ENVIRONMENT_LIMIT = 256 << 10  # about what the kernel takes of it


@dataclass(eq=False, slots=True)
class Command:
    """One instruction of a stage; sources are the stages (or images) it reads, by mount."""

    instruction: ins.Instruction
    sources: list[State | None] = field(default_factory=list)
    on_build: bool = False


@dataclass(eq=False, slots=True)
class State:
    """A stage, or an image that a COPY or a mount names.

    image: is None until the base is known. env: what RUN sees and variables expand to, which is
    the image's environment and the build arguments; environment: the same as a process takes it.
    image_env: the image's own lines. args: the arguments declared so far, as
    history tells them. source: what fetches the base. done: every instruction has been converted.
    """

    base_name: str
    place: Place
    name: str = ""
    shown: str = ""
    doc: str = ""
    stage: ins.From | None = None
    instructions: Sequence[ins.Instruction] = ()
    platform: Platform | None = None
    base: State | None = None
    context: str | None = None  # a named context that stands in for it
    commands: list[Command] = field(default_factory=list)
    deps: dict[State, ins.Instruction] = field(default_factory=dict)
    unregistered: bool = False
    resolved: bool = False
    done: bool = False
    on_build_read: bool = False
    ignore_cache: bool = False
    total: int = 0
    index: int = 0
    source: Draft | None = None
    root: DraftRef | None = None
    image: ImageConfig | None = None
    base_image: ImageConfig | None = None
    env: dict[str, str] = field(default_factory=dict)
    environment: dict[str, str] = field(default_factory=dict)
    env_size: int = 0
    image_env: dict[str, str] = field(default_factory=dict)
    cwd: str = "/"
    args: dict[str, str | None] = field(default_factory=dict)
    workdir_set: bool = False
    used: dict[type, Place] = field(default_factory=dict)

    def heritage(self) -> int:
        """Return how many variables, labels and the like the stage below hands on."""
        base = self.base
        if base is None or base.image is None:
            return 0
        run = images.run_config(base.image)
        kept = (run.env, run.labels, run.exposed_ports, run.volumes)
        return (
            2 * len(base.env)
            + len(base.args)
            + sum(len(one or ()) for one in kept)
            + len(base.image.history or ())
        )

    def inherit(self) -> None:
        """Begin with what the stage that this one stands on has become."""
        base = self.base
        if base is None:
            return
        self.root, self.platform = base.root, base.platform
        self.image = images.copy(base.image) if base.image else None
        if self.image:
            images.run_config(self.image).on_build = None
        self.base_image = base.base_image
        self.env, self.cwd = dict(base.env), base.cwd
        self.environment, self.env_size = dict(base.environment), base.env_size
        self.workdir_set = base.workdir_set
        self.args = {**self.args, **base.args}

    def set_env(self, key: str, value: str) -> None:
        """Set a variable; it goes to the end, as the process sees it."""
        self.env.pop(key, None)
        self.env[key] = value
        self.env_size -= len(self.environment.pop(key, ""))
        self.environment[key] = line = f"{key}={value}"
        self.env_size += len(line)
        if self.env_size > ENVIRONMENT_LIMIT:
            raise DockerfileError(f"the environment is larger than {ENVIRONMENT_LIMIT} bytes")
        if len(self.env) > MOST_VARIABLES:
            raise DockerfileError(f"there are more than {MOST_VARIABLES} variables")


class States:
    """All stages, in order, by name and by number."""

    def __init__(self) -> None:
        self.all: list[State] = []
        self._names: dict[str, State] = {}

    def add(self, state: State) -> None:
        """Add a stage; its base is the stage before it of that name, if there is one."""
        self.all.append(state)
        if len(self.all) > MOST:
            raise DockerfileError(f"there are more than {MOST} stages and images", [state.place])
        state.base = self._names.get(state.base_name)
        if state.name:
            self._names[state.name] = state

    def find(self, name: str) -> State | None:
        """Return the stage of a name."""
        return self._names.get(name.lower())

    def numbered(self, index: int) -> State:
        """Return the stage of a number."""
        stages = [state for state in self.all if state.stage is not None]
        if index >= len(stages):
            raise DockerfileError(f"invalid stage index {index}")
        return stages[index]

    def names(self) -> list[str]:
        """Return the names that people could have meant."""
        return [state.shown for state in self.all if state.shown]

    def target(self, name: str) -> State:
        """Return the stage that is asked for, the last where none is."""
        stages = [state for state in self.all if state.stage is not None]
        if not name:
            return stages[-1]
        if found := self.find(name):
            return found
        if name.isascii() and name.isdigit() and int(name[:9]) < len(stages):
            return stages[int(name)]
        message = f"target stage {quoted(name)} could not be found"
        raise DockerfileError(suggest(message, name, self.names()))

    def reachable(self, target: State) -> set[State]:
        """Return the stages that a stage stands on or reads, itself included."""
        found: set[State] = set()
        waiting = [target]
        while waiting:
            state = waiting.pop()
            if state in found:
                continue
            found.add(state)
            if state.base is not None:
                waiting.append(state.base)
            waiting += state.deps
        return found

    def check_circles(self) -> None:
        """Refuse stages that wait for each other."""
        finished: set[State] = set()
        for first in self.all:
            path: dict[State, None] = {}
            waiting: list[tuple[State, Iterable[State]]] = []
            if first not in finished:
                path[first] = None
                waiting.append((first, iter(first.deps)))
            while waiting:
                state, rest = waiting[-1]
                following = next(iter(rest), None)
                if following is None:
                    waiting.pop()
                    path.pop(state, None)
                    finished.add(state)
                elif following in path:
                    raise DockerfileError(
                        f"circular dependency detected on stage: {first.shown}",
                        [s.deps[d].line.place for s, d in _edges(path, following)],
                    )
                elif following not in finished:
                    path[following] = None
                    waiting.append((following, iter(following.deps)))


def _edges(path: Iterable[State], back: State) -> list[tuple[State, State]]:
    """Return the steps of a circle that ends where it leads back to."""
    states = list(path)
    circle = [*states[states.index(back) :], back]
    return list(pairwise(circle))
