"""The instructions of a Dockerfile as values, checked but with their variables unexpanded."""

from __future__ import annotations

from dataclasses import dataclass

from boxship.build.dockerfile.heredoc import Heredoc
from boxship.build.ops import Place
from boxship.spec.engine.common import HealthConfig


@dataclass(frozen=True, slots=True)
class Line:
    """Where an instruction stands and how it is written there."""

    name: str  # as written
    code: str
    place: Place
    comments: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Pair:
    """One KEY=VALUE; legacy where it was written KEY VALUE."""

    key: str
    value: str
    legacy: bool = False


@dataclass(frozen=True, slots=True)
class Definition:
    """One NAME or NAME=DEFAULT of an ARG; doc is what a comment says of it."""

    key: str
    value: str | None = None
    doc: str = ""


@dataclass(frozen=True, slots=True)
class CommandLine:
    """A program's words, or a text for the shell, with the documents it uses."""

    words: tuple[str, ...]
    shell: bool
    heredocs: tuple[Heredoc, ...] = ()


@dataclass(frozen=True, slots=True)
class From:
    """Begins a stage. keyword: AS as it was written; written: the alias's case."""

    line: Line
    base: str
    alias: str = ""
    platform: str = ""
    keyword: str = ""
    written: str = ""
    doc: str = ""


@dataclass(frozen=True, slots=True)
class Arg:
    """Declares build arguments."""

    line: Line
    definitions: tuple[Definition, ...]


@dataclass(frozen=True, slots=True)
class Env:
    """Sets variables of the image."""

    line: Line
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Label:
    """Sets labels of the image."""

    line: Line
    pairs: tuple[Pair, ...]


@dataclass(frozen=True, slots=True)
class Maintainer:
    """Names the author; deprecated."""

    line: Line
    author: str


@dataclass(frozen=True, slots=True)
class Run:
    """Runs a command. mounts: the `--mount` texts; they may hold variables."""

    line: Line
    command: CommandLine
    mounts: tuple[str, ...] = ()
    network: str = "default"
    security: str = "sandbox"
    devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Cmd:
    """The command that containers run by default."""

    line: Line
    command: CommandLine


@dataclass(frozen=True, slots=True)
class Entrypoint:
    """What containers run, whatever the command."""

    line: Line
    command: CommandLine


@dataclass(frozen=True, slots=True)
class Transfer:
    """What COPY and ADD move; documents among the sources are made into files."""

    sources: tuple[str, ...]
    documents: tuple[Heredoc, ...]
    target: str
    owner: str = ""
    mode: str = ""
    link: bool = False
    exclude: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Copy:
    """Copies files from the context, a stage, an image or a named context."""

    line: Line
    files: Transfer
    origin: str = ""
    parents: bool = False


@dataclass(frozen=True, slots=True)
class Add:
    """Copies files, unpacks archives, fetches URLs and repositories."""

    line: Line
    files: Transfer
    checksum: str = ""
    keep_git_dir: bool | None = None
    unpack: bool | None = None


@dataclass(frozen=True, slots=True)
class Workdir:
    """Changes the working folder, and makes it."""

    line: Line
    path: str


@dataclass(frozen=True, slots=True)
class User:
    """Changes who runs."""

    line: Line
    user: str


@dataclass(frozen=True, slots=True)
class Volume:
    """Declares folders that live outside the container."""

    line: Line
    paths: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Expose:
    """Declares ports."""

    line: Line
    ports: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class StopSignal:
    """Says what signal ends a container."""

    line: Line
    signal: str


@dataclass(frozen=True, slots=True)
class Healthcheck:
    """Says how a container's health is found out."""

    line: Line
    health: HealthConfig


@dataclass(frozen=True, slots=True)
class Shell:
    """Changes the shell of shell forms."""

    line: Line
    words: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class OnBuild:
    """Keeps an instruction for builds that stand on this image."""

    line: Line
    expression: str


Instruction = (
    Arg
    | Env
    | Label
    | Maintainer
    | Run
    | Cmd
    | Entrypoint
    | Copy
    | Add
    | Workdir
    | User
    | Volume
    | Expose
    | StopSignal
    | Healthcheck
    | Shell
    | OnBuild
)
"""What a stage is made of; FROM begins one."""
