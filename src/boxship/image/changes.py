"""`--change`: Dockerfile instructions that alter a configuration and need no build."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from boxship.image.errors import InvalidChange
from boxship.lib import duration
from boxship.spec.engine.common import HealthConfig
from boxship.spec.engine.image import ImageConfig as RunConfig

PORT: Final = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?(?:/(tcp|udp|sctp))?", re.ASCII)
SHELL: Final = ("/bin/sh", "-c")


def apply(config: RunConfig, changes: Sequence[str]) -> RunConfig:
    """Return `config` with each instruction applied, in order."""
    made = msgspec.convert(msgspec.to_builtins(config), RunConfig)
    for change in changes:
        for line in _lines(change):
            word, _, rest = line.partition(" ")
            instruction = INSTRUCTIONS.get(word.upper())
            if instruction is None:
                raise InvalidChange(f"{word} is not a valid change command")
            if not rest.strip():
                raise InvalidChange(f"{word.upper()} requires at least one argument")
            instruction(made, rest.strip())
    return made


def _lines(change: str) -> list[str]:
    joined = change.replace("\\\r\n", " ").replace("\\\n", " ")
    return [line.strip() for line in joined.splitlines() if line.strip() and line.strip()[0] != "#"]


def _words(text: str) -> list[str] | None:
    """Return the exec form's words; None where it is the shell form."""
    if not text.startswith("["):
        return None
    try:
        words = json.loads(text)
    except ValueError:
        return None
    return words if all(isinstance(word, str) for word in words) else None


def _command(config: RunConfig, text: str) -> list[str]:
    words = _words(text)
    return [*(config.shell or SHELL), text] if words is None else words


def _cmd(config: RunConfig, text: str) -> None:
    config.cmd = _command(config, text)


def _entrypoint(config: RunConfig, text: str) -> None:
    config.entrypoint = _command(config, text)


def _pairs(instruction: str, text: str) -> list[tuple[str, str]]:
    """Read `key=value ...` with quotes, or the old `key value`."""
    if "=" not in text.split(None, 1)[0]:
        key, _, value = text.partition(" ")
        if not value.strip():
            raise InvalidChange(f"{instruction} must have two arguments")
        return [(key, value.strip())]
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise InvalidChange(f"{instruction}: {error}") from None
    pairs = []
    for word in words:
        key, equals, value = word.partition("=")
        if not equals or not key:
            raise InvalidChange(
                f"Syntax error - can't find = in {word!r}. Must be of the form: name=value"
            )
        pairs.append((key, value))
    return pairs


def _env(config: RunConfig, text: str) -> None:
    for key, value in _pairs("ENV", text):
        kept = [item for item in config.env or [] if item.partition("=")[0] != key]
        at = next((n for n, i in enumerate(config.env or []) if i.partition("=")[0] == key), None)
        kept.insert(len(kept) if at is None else at, f"{key}={value}")
        config.env = kept


def _label(config: RunConfig, text: str) -> None:
    config.labels = {**(config.labels or {}), **dict(_pairs("LABEL", text))}


def _expose(config: RunConfig, text: str) -> None:
    ports = dict(config.exposed_ports or {})
    for word in text.split():
        found = PORT.fullmatch(word)
        if (
            not found
            or int(found[2] or found[1]) > 65535
            or int(found[2] or found[1]) < int(found[1])
        ):
            raise InvalidChange(f"invalid containerPort: {word}")
        for port in range(int(found[1]), int(found[2] or found[1]) + 1):
            ports[f"{port}/{found[3] or 'tcp'}"] = {}
    config.exposed_ports = ports


def _user(config: RunConfig, text: str) -> None:
    config.user = text


def _volume(config: RunConfig, text: str) -> None:
    paths = _words(text)
    if paths is None:
        paths = text.split()
    if not all(path.strip() for path in paths):
        raise InvalidChange("VOLUME specified can not be an empty string")
    config.volumes = {**(config.volumes or {}), **{path: {} for path in paths}}


def _workdir(config: RunConfig, text: str) -> None:
    base = text if text.startswith("/") else f"{config.working_dir or ''}/{text}"
    words: list[str] = []
    for word in base.split("/"):
        if word == "..":
            words = words[:-1]
        elif word not in ("", "."):
            words.append(word)
    config.working_dir = "/" + "/".join(words)


def _stop_signal(config: RunConfig, text: str) -> None:
    config.stop_signal = text


def _onbuild(config: RunConfig, text: str) -> None:
    trigger = text.split()[0].upper()
    if trigger == "ONBUILD":
        raise InvalidChange("Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed")
    if trigger in ("MAINTAINER", "FROM"):
        raise InvalidChange(f"{trigger} isn't allowed as an ONBUILD trigger")
    config.on_build = [*(config.on_build or []), text]


def _healthcheck(config: RunConfig, text: str) -> None:
    health = HealthConfig()
    while text.startswith("--"):
        flag, _, text = text.partition(" ")
        name, _, value = flag[2:].partition("=")
        text = text.strip()
        if name == "retries":
            if not value.isdigit():
                raise InvalidChange(f"--retries: {value!r} is no number")
            health.retries = int(value)
        elif name in ("interval", "timeout", "start-period", "start-interval"):
            setattr(health, name.replace("-", "_"), _duration(value))
        else:
            raise InvalidChange(f"unknown flag: {name}")
    kind, _, command = text.partition(" ")
    if kind.upper() == "NONE":
        health = HealthConfig(test=["NONE"])
    elif kind.upper() == "CMD" and command.strip():
        words = _words(command.strip())
        shell = ["CMD-SHELL", command.strip()]
        health.test = shell if words is None else ["CMD", *words]
    else:
        raise InvalidChange(f'Unknown type "{kind.upper()}" in HEALTHCHECK (try CMD)')
    config.healthcheck = health


def _duration(text: str) -> int:
    try:
        return duration.parse(text)
    except ValueError as error:
        raise InvalidChange(str(error)) from None


INSTRUCTIONS: Final[dict[str, Callable[[RunConfig, str], None]]] = {
    "CMD": _cmd,
    "ENTRYPOINT": _entrypoint,
    "ENV": _env,
    "EXPOSE": _expose,
    "HEALTHCHECK": _healthcheck,
    "LABEL": _label,
    "ONBUILD": _onbuild,
    "STOPSIGNAL": _stop_signal,
    "USER": _user,
    "VOLUME": _volume,
    "WORKDIR": _workdir,
}
