"""Instructions that change an image's configuration, and WORKDIR, which also makes a folder."""

from __future__ import annotations

import re
from typing import Final

from boxship.build.dockerfile import image as images
from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile import lint, ports, signals
from boxship.build.dockerfile.converter import Converter
from boxship.build.dockerfile.drafts import Draft, DraftRef, Inputs
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.owners import owner_of
from boxship.build.dockerfile.scope import NOT_ENVIRONMENT
from boxship.build.dockerfile.shell import quoted
from boxship.build.ops import Action, Files, MakeFolder
from boxship.lib.ignore import clean
from boxship.spec.engine.image import ImageConfig as RunConfig

SECRETS: Final = re.compile(
    r"(?:_|^)(?:apikey|auth|credential|credentials|key|password|pword|passwd|secret|token)(?:_|$)",
    re.IGNORECASE,
)
PORTS_LIMIT: Final = 200_000
NO_SECRETS: Final = re.compile(r"(?:_|^)(?:public|file|version)(?:_|$)", re.IGNORECASE)


def _config(to: Converter) -> RunConfig:
    assert to.state.image is not None
    return images.run_config(to.state.image)


def env(to: Converter, it: ins.Env) -> None:
    """Set variables; all see the values from before the line."""
    said = ["ENV"]
    expanded = [(to.expand(pair.key), to.expand(pair.value), pair) for pair in it.pairs]
    for key, value, pair in expanded:
        _legacy(to, pair)
        _secret(to, "ENV", key)
        said.append(f"{key}={value}")
        to.state.set_env(key, value)
        to.state.image_env[key] = f"{key}={value}"
    to.commit(" ".join(said))


def label(to: Converter, it: ins.Label) -> None:
    """Set labels."""
    config = _config(to)
    config.labels = config.labels or {}
    said = ["LABEL"]
    for pair in it.pairs:
        key, value = to.expand(pair.key), to.expand(pair.value)
        _legacy(to, pair)
        config.labels[key] = value
        said.append(f"{key}={value}")
    to.commit(" ".join(said))


def _legacy(to: Converter, pair: ins.Pair) -> None:
    if pair.legacy:
        name = to.line.name
        to.find(
            lint.LEGACY_KEY_VALUE_FORMAT,
            f'"{name} key=value" should be used instead of legacy "{name} key value" format',
        )


def _secret(to: Converter, kind: str, key: str) -> None:
    if SECRETS.search(key) and not NO_SECRETS.search(key):
        to.find(
            lint.SECRETS_USED_IN_ARG_OR_ENV,
            f"Do not use ARG or ENV instructions for sensitive data ({kind} {quoted(key)})",
        )


def arg(to: Converter, it: ins.Arg) -> None:
    """Declare build arguments."""
    said = []
    given = to.options.build_args
    for definition in it.definitions:
        key = to.expand(definition.key)
        _secret(to, "ARG", key)
        value = given.get(key)
        if value is None:
            value = definition.value
            value = to.global_args.get(key) if value is None else to.expand(value)
        to.state.args[key] = value
        if value is not None and key not in NOT_ENVIRONMENT and not _stays(to, key):
            to.state.set_env(key, value)
        said.append(key if value is None else f"{key}={value}")
    to.commit("ARG " + " ".join(said))


def _stays(to: Converter, key: str) -> bool:
    """Whether the image's own variable hides the argument, as in the classic builder."""
    if not to.options.classic:
        return False
    return key in to.state.image_env


def maintainer(to: Converter, it: ins.Maintainer) -> None:
    """Name the author."""
    assert to.state.image is not None
    to.state.image.author = it.author
    to.commit(f"MAINTAINER {it.author}")


def cmd(to: Converter, it: ins.Cmd) -> None:
    """Set the default command."""
    args = _command(to, it.command)
    config = _config(to)
    config.cmd = list(args)
    if not to.options.classic:
        config.args_escaped = True
    to.commit(f"CMD {images.go_quoted_list(args)}")


def entrypoint(to: Converter, it: ins.Entrypoint) -> None:
    """Set the entrypoint; a command of the base's is gone then."""
    had_cmd = ins.Cmd in to.state.used
    args = _command(to, it.command)
    config = _config(to)
    config.entrypoint = list(args) or None
    if not had_cmd:
        config.cmd = None
    to.commit(f"ENTRYPOINT {images.go_quoted_list(args)}")


def _command(to: Converter, command: ins.CommandLine) -> tuple[str, ...]:
    _once(to)
    if not command.shell:
        return command.words
    config = _config(to)
    if not config.shell:
        to.find(
            lint.JSON_ARGS_RECOMMENDED,
            f"JSON arguments recommended for {to.line.name} to prevent unintended behavior "
            "related to OS signals",
        )
    assert to.state.image is not None
    return (*images.shell_of(to.state.image), " ".join(command.words))


def _once(to: Converter) -> None:
    kind = type(to.command.instruction)
    if before := to.state.used.get(kind):
        to.find(
            lint.MULTIPLE_INSTRUCTIONS_DISALLOWED,
            f"Multiple {to.line.name} instructions should not be used in the same stage because "
            "only the last one will be used",
            before,
        )
    to.state.used[kind] = to.line.place


def healthcheck(to: Converter, it: ins.Healthcheck) -> None:
    """Set how health is found out."""
    _once(to)
    _config(to).healthcheck = it.health
    if to.options.classic:
        to.commit(f"HEALTHCHECK {images.classic_health(it.health)}")
    else:
        to.commit(f"HEALTHCHECK {images.go_health(it.health)}")


def expose(to: Converter, it: ins.Expose) -> None:
    """Declare ports."""
    found: list[str] = []
    words = [word for port in it.ports for word in to.expand_words(port)]
    for word in words:
        exposed = ports.parse(word)
        found += exposed.ports
        to.ports += len(exposed.ports)
        if to.ports > PORTS_LIMIT:
            raise DockerfileError(f"more than {PORTS_LIMIT} ports are exposed")
        if exposed.mapped:
            to.find(
                lint.EXPOSE_INVALID_FORMAT,
                "EXPOSE instruction should not define an IP address or host-port mapping, found "
                f"'{word}'",
            )
        if exposed.protocol != exposed.protocol.lower():
            to.find(
                lint.EXPOSE_PROTO_CASING,
                f"Defined protocol '{word}' in EXPOSE instruction should be lowercase",
            )
    config = _config(to)
    config.exposed_ports = config.exposed_ports or {}
    config.exposed_ports.update((port, {}) for port in found)
    told = " ".join(words) if to.options.classic else images.go_list(found)
    to.commit(f"EXPOSE {told}")


def user(to: Converter, it: ins.User) -> None:
    """Change who runs."""
    name = to.expand(it.user)
    _config(to).user = name
    to.commit(f"USER {name}")


def volume(to: Converter, it: ins.Volume) -> None:
    """Declare volumes."""
    paths = [to.expand(path) for path in it.paths]
    if not all(paths):
        raise DockerfileError("VOLUME specified can not be an empty string")
    config = _config(to)
    config.volumes = config.volumes or {}
    config.volumes.update((path, {}) for path in paths)
    to.commit(f"VOLUME {images.go_list(paths)}")


def stop_signal(to: Converter, it: ins.StopSignal) -> None:
    """Say what ends a container."""
    word = to.expand(it.signal)
    signals.check(word)
    _config(to).stop_signal = word
    to.commit(f"STOPSIGNAL {word}")


def shell(to: Converter, it: ins.Shell) -> None:
    """Change the shell."""
    _config(to).shell = list(it.words)
    to.commit(f"SHELL {images.go_list(it.words)}")


def on_build(to: Converter, it: ins.OnBuild) -> None:
    """Keep a trigger."""
    config = _config(to)
    config.on_build = [*(config.on_build or []), it.expression]
    if to.options.classic:
        to.commit(f"ONBUILD {it.expression}")


def workdir(to: Converter, it: ins.Workdir) -> None:
    """Change the working folder, and make it."""
    path = to.expand(it.path)
    to.check_path(path)
    if not to.state.workdir_set and not path.startswith("/"):
        to.find(
            lint.WORKDIR_RELATIVE_PATH,
            f"Relative workdir {quoted(path)} can have unexpected results if the base image "
            "changes",
        )
    to.state.workdir_set = True
    where = enter(to, path)
    if where == "/":
        to.commit(f"WORKDIR {where}")
        return
    inputs = Inputs()
    base = inputs.number(to.state.root)
    made = MakeFolder(
        where,
        0o755,
        parents=True,
        owner=None if to.options.classic else owner_of(_config(to).user or "", base),
        timestamp=to.timestamp,
    )
    name = to.named(_shown(to))
    op = Files((Action(made, base, output=0),))
    draft = Draft(op, inputs.refs, to.state.platform, to.about(name))
    to.state.root = DraftRef(draft)
    to.made(draft)
    to.commit(f"WORKDIR {where}", layer=True)


def enter(to: Converter, path: str) -> str:
    """Change the working folder alone, and return it."""
    config, windows = _config(to), to.is_windows
    if windows:  # as a base image may say it
        path = path.replace("\\", "/")
        path = path[2:] if path[1:2] == ":" else path
    to.state.cwd = clean(path if path.startswith("/") else f"{to.state.cwd}/{path}")
    config.working_dir = to.state.cwd.replace("/", "\\") if windows else to.state.cwd
    return to.state.cwd


def _shown(to: Converter) -> str:
    try:
        return to.lexer.word(to.line.code, to.state.env)
    except DockerfileError:
        return to.line.code
