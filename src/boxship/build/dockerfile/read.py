"""Nodes become instructions: each with its own rules for flags and arguments."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile import mounts
from boxship.build.dockerfile.errors import DockerfileError, suggest
from boxship.build.dockerfile.flags import Flags, Kind
from boxship.build.dockerfile.flags import read as read_flags
from boxship.build.dockerfile.heredoc import heredoc_or_none
from boxship.build.dockerfile.parse import Node
from boxship.build.dockerfile.shell import quoted
from boxship.lib import duration
from boxship.spec.engine.common import HealthConfig

STAGE_NAME: Final = re.compile(r"[a-z][a-z0-9\-_.]*", re.ASCII)
ONBUILD_WORD: Final = re.compile(r"\s*onbuild\s*", re.IGNORECASE)
SHORTEST: Final = 1_000_000  # nanoseconds that a health check's times must be
MOST_STAGES: Final = 500
NETWORKS: Final = ("default", "none", "host")
SECURITIES: Final = ("sandbox", "insecure")
TRANSFER: Final = {
    "chown": Kind.TEXT,
    "chmod": Kind.TEXT,
    "link": Kind.BOOL,
    "exclude": Kind.LIST,
}
FLAGS: Final[Mapping[str, Mapping[str, Kind]]] = {
    "from": {"platform": Kind.TEXT},
    "copy": {**TRANSFER, "from": Kind.TEXT, "parents": Kind.BOOL},
    "add": {
        **TRANSFER,
        "keep-git-dir": Kind.BOOL,
        "checksum": Kind.TEXT,
        "unpack": Kind.BOOL,
    },
    "run": {
        "mount": Kind.LIST,
        "network": Kind.TEXT,
        "security": Kind.TEXT,
        "device": Kind.LIST,
    },
    "healthcheck": {
        "interval": Kind.TEXT,
        "timeout": Kind.TEXT,
        "start-period": Kind.TEXT,
        "start-interval": Kind.TEXT,
        "retries": Kind.TEXT,
    },
}


@dataclass(frozen=True, slots=True)
class Stage:
    """What lies between one FROM and the next."""

    begins: ins.From
    instructions: tuple[ins.Instruction, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """The stages, and the arguments declared before the first; up to what is `wrong`."""

    stages: list[Stage]
    declared: list[ins.Arg]
    wrong: DockerfileError | None


def contents(nodes: Sequence[Node]) -> Contents:
    """Read a file as far as it can be understood."""
    found: list[tuple[ins.From, list[ins.Instruction]]] = []
    before: list[ins.Arg] = []
    wrong: DockerfileError | None = None
    try:
        for node in nodes:
            _take(node, found, before)
        if not found:
            raise DockerfileError("dockerfile contains no stages to build")
    except DockerfileError as error:
        wrong = error
    return Contents([Stage(begins, tuple(held)) for begins, held in found], before, wrong)


def stages(nodes: Sequence[Node]) -> tuple[list[Stage], list[ins.Arg]]:
    """Return the stages and the arguments declared before the first."""
    found = contents(nodes)
    if found.wrong is not None:
        raise found.wrong
    return found.stages, found.declared


def _take(
    node: Node, found: list[tuple[ins.From, list[ins.Instruction]]], before: list[ins.Arg]
) -> None:
    instruction = instruction_of(node)
    if isinstance(instruction, ins.From):
        found.append((instruction, []))
        if len(found) > MOST_STAGES:
            raise DockerfileError(f"there are more than {MOST_STAGES} stages", [node.place])
    elif found:
        found[-1][1].append(instruction)
    elif isinstance(instruction, ins.Arg):
        before.append(instruction)
    else:
        raise DockerfileError("no build stage in current context", [node.place])


def instruction_of(node: Node) -> ins.Instruction | ins.From:
    """Understand one node; the error names its line."""
    try:
        return _read(node)
    except DockerfileError as error:
        raise error.at(node.place).on_line(node.place.first) from None


def _read(node: Node) -> ins.Instruction | ins.From:
    kind = node.name.lower()
    reader = READERS.get(kind)
    if reader is None:
        message = f"unknown instruction: {node.name}"
        names = sorted(name.upper() for name in READERS)
        raise DockerfileError(suggest(message, node.name, names, fold=True))
    line = ins.Line(node.name, node.original.strip(), node.place, node.comments)
    if kind == "healthcheck":  # NONE takes no flags, so they are read later
        return _healthcheck(line, node)
    if kind in COUNTED:
        _exactly_one(kind, node)
    if kind in AT_LEAST_ONE and not node.args:
        raise DockerfileError(f"{kind.upper()} requires at least one argument")
    if kind in ("copy", "add") and len(node.args) < 2:
        raise DockerfileError(
            f"{kind.upper()} requires at least two arguments, but only one was provided. "
            "Destination could not be determined"
        )
    return reader(line, node, read_flags(node.flags, FLAGS.get(kind, {})))


COUNTED: Final = frozenset({"maintainer", "workdir", "user", "stopsignal"})
AT_LEAST_ONE: Final = frozenset({"env", "label", "arg", "onbuild", "expose", "volume"})


def _exactly_one(kind: str, node: Node) -> None:
    if len(node.args) != 1:
        raise DockerfileError(f"{kind.upper()} requires exactly one argument")


def _from(line: ins.Line, node: Node, flags: Flags) -> ins.From:
    alias = keyword = written = ""
    if len(node.args) == 3 and node.args[1].lower() == "as":
        keyword, written = node.args[1:]
        alias = written.lower()
        if not STAGE_NAME.fullmatch(alias):
            raise DockerfileError(
                f"invalid name for build stage: {quoted(written)}, "
                "name can't start with a number or contain symbols"
            )
    elif len(node.args) != 1:
        raise DockerfileError("FROM requires either one or three arguments")
    doc = _docs(node.comments).get(alias, "")
    return ins.From(line, node.args[0], alias, flags.text("platform"), keyword, written, doc)


def _arg(line: ins.Line, node: Node, flags: Flags) -> ins.Arg:
    found = []
    docs = _docs(node.comments)
    for word in node.args:
        key, equals, value = word.partition("=")
        if equals and not key:
            raise DockerfileError("ARG names can not be blank")
        found.append(ins.Definition(key, value if equals else None, docs.get(key, "")))
    return ins.Arg(line, tuple(found))


def _docs(comments: Sequence[str]) -> dict[str, str]:
    """Return what comments say, by the name that each begins with; the first one counts."""
    found: dict[str, str] = {}
    for comment in comments:
        name, space, said = comment.partition(" ")
        if name and space:
            found.setdefault(name, said)
    return found


def _pairs(node: Node) -> tuple[ins.Pair, ...]:
    pairs = []
    for at in range(0, len(node.args), 3):
        key, value, separator = node.args[at : at + 3]
        if not key:
            raise DockerfileError(f"{node.name.upper()} names can not be blank")
        pairs.append(ins.Pair(key, value, not separator))
    return tuple(pairs)


def _env(line: ins.Line, node: Node, flags: Flags) -> ins.Env:
    return ins.Env(line, _pairs(node))


def _label(line: ins.Line, node: Node, flags: Flags) -> ins.Label:
    return ins.Label(line, _pairs(node))


def _command(node: Node) -> ins.CommandLine:
    return ins.CommandLine(node.args, not node.is_json, node.heredocs)


def _run(line: ins.Line, node: Node, flags: Flags) -> ins.Run:
    network = flags.text("network", "default")
    if network not in NETWORKS:
        raise DockerfileError(suggest(f"invalid network mode {quoted(network)}", network, NETWORKS))
    security = flags.text("security", "sandbox")
    if security not in SECURITIES:
        raise DockerfileError(
            suggest(f"security {quoted(security)} is not valid", security, SECURITIES)
        )
    for text in flags.all("mount"):
        mounts.check(text)
    return ins.Run(line, _command(node), flags.all("mount"), network, security, flags.all("device"))


def _transfer(node: Node, flags: Flags) -> ins.Transfer:
    *words, target = node.args
    kind = node.name.upper()
    if heredoc_or_none(target):
        raise DockerfileError(f"{kind} cannot accept a heredoc as a destination")
    known = {document.name: document for document in node.heredocs}
    sources, documents = [], []
    for word in words:
        wanted = None if node.is_json else heredoc_or_none(word)
        if wanted is None:
            sources.append(word)
        else:
            content = known[wanted.name].content if wanted.name in known else ""
            documents.append(replace(wanted, content=content))
    return ins.Transfer(
        tuple(sources),
        tuple(documents),
        target,
        flags.text("chown"),
        flags.text("chmod"),
        flags.is_true("link"),
        flags.all("exclude"),
    )


def _copy(line: ins.Line, node: Node, flags: Flags) -> ins.Copy:
    return ins.Copy(line, _transfer(node, flags), flags.text("from"), flags.is_true("parents"))


def _add(line: ins.Line, node: Node, flags: Flags) -> ins.Add:
    return ins.Add(
        line,
        _transfer(node, flags),
        flags.text("checksum"),
        flags.maybe("keep-git-dir"),
        flags.maybe("unpack"),
    )


def _volume(line: ins.Line, node: Node, flags: Flags) -> ins.Volume:
    paths = tuple(path.strip() for path in node.args)
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    return ins.Volume(line, paths)


def _shell(line: ins.Line, node: Node, flags: Flags) -> ins.Shell:
    if not node.args:
        raise DockerfileError("SHELL requires at least one argument")
    if not node.is_json:
        raise DockerfileError("SHELL requires the arguments to be in JSON form")
    return ins.Shell(line, node.args)


def _on_build(line: ins.Line, node: Node, flags: Flags) -> ins.OnBuild:
    trigger = node.args[0].strip().upper()
    if trigger == "ONBUILD":
        raise DockerfileError("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise DockerfileError(f"{trigger} isn't allowed as an ONBUILD trigger")
    expression = ONBUILD_WORD.sub("", node.original, count=1)
    for document in node.heredocs:
        expression += "\n" + document.content + document.name
    return ins.OnBuild(line, expression)


def _healthcheck(line: ins.Line, node: Node) -> ins.Healthcheck:
    if not node.args:
        raise DockerfileError("HEALTHCHECK requires at least one argument")
    kind, words = node.args[0].upper(), node.args[1:]
    if kind == "NONE":
        if words:
            raise DockerfileError("HEALTHCHECK NONE takes no arguments")
        return ins.Healthcheck(line, HealthConfig(test=["NONE"]))
    flags = read_flags(node.flags, FLAGS["healthcheck"])
    if kind != "CMD":
        raise DockerfileError(f"Unknown type {quoted(kind)} in HEALTHCHECK (try CMD)")
    if not words:
        raise DockerfileError("Missing command after HEALTHCHECK CMD")
    health = HealthConfig(
        test=["CMD" if node.is_json else "CMD-SHELL", *words],
        interval=_interval(flags, "interval"),
        timeout=_interval(flags, "timeout"),
        start_period=_interval(flags, "start-period"),
        start_interval=_interval(flags, "start-interval"),
        retries=_retries(flags.text("retries")),
    )
    return ins.Healthcheck(line, health)


def _interval(flags: Flags, name: str) -> int | None:
    text = flags.text(name)
    if not text:
        return None
    try:
        value = duration.parse(text)
    except ValueError as error:
        raise DockerfileError(str(error)) from None
    if value == 0:
        return None
    if value < SHORTEST:
        raise DockerfileError(f"Interval {quoted(name)} cannot be less than 1ms")
    return value


def _retries(text: str) -> int | None:
    if not text:
        return None
    try:
        value = int(text) if text.lstrip("+-").isdecimal() and text.isascii() else None
    except ValueError:
        value = None
    if value is None:
        raise DockerfileError(f"strconv.ParseInt: parsing {quoted(text)}: invalid syntax")
    if abs(value) >= 1 << 31:
        raise DockerfileError(f"strconv.ParseInt: parsing {quoted(text)}: value out of range")
    if value < 0:
        raise DockerfileError(f"--retries cannot be negative ({value})")
    return value or None


def _single(made: Callable[[ins.Line, str], ins.Instruction]) -> Reader:
    return lambda line, node, flags: made(line, node.args[0])


Reader = Callable[[ins.Line, Node, Flags], ins.Instruction | ins.From]
READERS: Final[Mapping[str, Reader]] = {
    "add": _add,
    "arg": _arg,
    "cmd": lambda line, node, flags: ins.Cmd(line, _command(node)),
    "copy": _copy,
    "entrypoint": lambda line, node, flags: ins.Entrypoint(line, _command(node)),
    "env": _env,
    "expose": lambda line, node, flags: ins.Expose(line, tuple(sorted(node.args))),
    "from": _from,
    "healthcheck": lambda line, node, flags: _healthcheck(line, node),
    "label": _label,
    "maintainer": _single(ins.Maintainer),
    "onbuild": _on_build,
    "run": _run,
    "shell": _shell,
    "stopsignal": _single(ins.StopSignal),
    "user": _single(ins.User),
    "volume": _volume,
    "workdir": _single(ins.Workdir),
}
