"""RUN: a process, with its mounts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from boxship.build import ops
from boxship.build.dockerfile import devices, mounts, paths
from boxship.build.dockerfile import image as images
from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile.converter import Converter
from boxship.build.dockerfile.drafts import Draft, DraftRef, Inputs
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.heredoc import heredoc_or_none
from boxship.build.dockerfile.shell import Lexer, quoted
from boxship.build.dockerfile.state import State
from boxship.lib.ignore import clean

DOCUMENTS: Final = "/dev/pipes/"
SSH_SOCKET: Final = "/run/buildkit/ssh_agent."
SECRETS: Final = "/run/secrets/"
MASK: Final = "****"


def run(to: Converter, it: ins.Run) -> None:
    """Add the process that a RUN starts."""
    assert to.state.image is not None
    inputs = Inputs()
    asked = [mounts.parse(text, to.expand) for text in it.mounts]
    root = ops.Bind("/", inputs.number(to.state.root), output=0)
    args, shown, documents = _command(to, it.command)
    wanted = _Mounts(to, inputs)
    if documents is not None:
        number = inputs.number(documents)
        wanted.mounts.append(ops.Bind(DOCUMENTS, number, "/", readonly=True))
    for mount, source in zip(asked, to.command.sources, strict=True):
        wanted.add(mount, source)
    to.limits.environment.take(to.state.env_size)
    env = tuple(to.state.environment.values())
    if wanted.agent and "SSH_AUTH_SOCK" not in to.state.env:
        env = (*env, f"SSH_AUTH_SOCK={wanted.agent}")
    if it.command.shell:
        assert to.state.image is not None
        args = (*images.shell_of(to.state.image), " ".join(args))
    op = ops.Exec(
        args=args,
        env=env,
        cwd=to.state.cwd,
        user=images.run_config(to.state.image).user or "",
        mounts=(root, *wanted.mounts),
        secret_env=tuple(wanted.env),
        network=_network(to, it.network),
        network_name=to.options.network_name if it.network == "default" else "",
        security=ops.Security(it.security),
        hostname=to.options.hostname or to.options.build_args.get("BUILDKIT_SANDBOX_HOSTNAME", ""),
        hosts=to.options.hosts,
        ulimits=to.options.ulimits,
        proxies=to.proxies,
        devices=tuple(devices.parse(text, to.expand) for text in it.devices),
    )
    name = to.named(_shown(to, shown, wanted.env))
    draft = Draft(op, inputs.refs, to.state.platform, to.about(name))
    to.state.root = DraftRef(draft)
    to.made(draft)
    told = images.run_command(args, _told_args(to))
    to.commit(f"RUN {told}", layer=True, built=True)


def _told_args(to: Converter) -> list[tuple[str, str]]:
    env = to.state.env
    return [(key, env.get(key, value or "")) for key, value in to.state.args.items()]


def _network(to: Converter, asked: str) -> ops.Network:
    if asked == "default":
        return to.options.network
    return ops.Network.NONE if asked == "none" else ops.Network.HOST


def _command(
    to: Converter, command: ins.CommandLine
) -> tuple[tuple[str, ...], str, DraftRef | None]:
    """Return the words, how the line is shown, and the folder with its document, if it has one."""
    shown = to.line.code
    if not command.heredocs:
        return command.words, shown, None
    first = command.heredocs[0]
    if heredoc_or_none(command.words[0]) is None:
        # the shell knows documents; it gets the line with them
        text = command.words[0] + "".join(
            f"\n{document.raw}{document.name}" for document in command.heredocs
        )
        return (text,), shown, None
    shown += f" ({_summary(first.raw)})"
    if not first.text.startswith("#!"):
        return (first.command,), shown, None
    made = ops.MakeFile(
        "/" + first.name,
        first.text.encode("utf-8", "surrogateescape"),
        0o755,
        timestamp=to.timestamp,
    )
    about = ops.About(name="[internal] preparing inline document")
    op = ops.Files((ops.Action(made, ops.SCRATCH, output=0),))
    return (DOCUMENTS + first.name,), shown, DraftRef(Draft(op, (), to.state.platform, about))


def _summary(text: str) -> str:
    lines = text.strip().replace("\r\n", "\n").split("\n")
    return lines[0] + ("..." if len(lines) > 1 else "")


def _shown(to: Converter, text: str, secrets: list[ops.SecretEnv]) -> str:
    env: Mapping[str, str] = to.state.env
    if secrets:
        env = {**env, **{secret.name: MASK for secret in secrets}}
    lexer = Lexer(to.lexer.escape, raw_quotes=True, skip_unset=True, allowance=to.lexer.allowance)
    try:
        return lexer.word(text, env)
    except DockerfileError:
        return text


class _Mounts:
    """The mounts of one process, as they are added."""

    def __init__(self, to: Converter, inputs: Inputs) -> None:
        self._to = to
        self._inputs = inputs
        given = to.options.build_args.get("BUILDKIT_CACHE_MOUNT_NS", "")
        self._namespace = to.options.cache_namespace or given
        self.mounts: list[ops.Mount] = []
        self.env: list[ops.SecretEnv] = []
        self.agent = ""
        self._agents = 0

    def add(self, mount: mounts.Mount, source: State | None) -> None:
        match mount.kind:
            case "secret":
                self._secret(mount)
            case "ssh":
                self._ssh(mount)
            case "tmpfs":
                self.mounts.append(ops.Tmpfs(self._target(mount), mount.size))
            case "cache":
                self._cache(mount, source)
            case _:
                self._bind(mount, source)

    def _target(self, mount: mounts.Mount) -> str:
        target = mount.target
        found = clean(target if target.startswith("/") else f"{self._to.state.cwd}/{target}")
        if found == "/":
            raise DockerfileError(f"invalid mount target {quoted(found)}")
        return found

    def _root(self, mount: mounts.Mount, source: State) -> DraftRef | None:
        if not source.done:
            raise DockerfileError(
                f"cannot mount from stage {quoted(mount.origin)} to {quoted(mount.target)}, "
                "stage needs to be defined before current command"
            )
        return source.root

    def _bind(self, mount: mounts.Mount, source: State | None) -> None:
        if source is None:
            root: DraftRef | None = self._to.build_context()
            self._to.context_paths.add(paths.rooted(mount.source))
        else:
            root = self._root(mount, source)
        selector = paths.rooted(mount.source)
        self.mounts.append(
            ops.Bind(
                self._target(mount),
                self._inputs.number(root),
                "" if selector == "/" else selector,
                readonly=bool(mount.readonly),
            )
        )

    def _cache(self, mount: mounts.Mount, source: State | None) -> None:
        target = self._target(mount)
        root = None if source is None else self._root(mount, source)
        selector = paths.rooted(mount.source)
        if selector != "/":
            pass
        elif any(part is not None for part in (mount.uid, mount.gid, mount.mode)):
            root, selector = self._with_owner(mount, root), "/cache"
        else:
            selector = ""
        name = mount.id or clean(mount.target)
        self.mounts.append(
            ops.Cache(
                target,
                f"{self._namespace}/{name}",
                mount.sharing or ops.Sharing.SHARED,
                bool(mount.readonly),
                self._inputs.number(root),
                selector,
            )
        )

    def _with_owner(self, mount: mounts.Mount, root: DraftRef | None) -> DraftRef:
        """Return a folder that a new cache begins as."""
        inputs = Inputs()
        folder = ops.MakeFolder(
            "/cache",
            0o755 if mount.mode is None else mount.mode,
            owner=ops.Owner(mount.uid or 0, mount.gid or 0),
            timestamp=self._to.timestamp,
        )
        op = ops.Files((ops.Action(folder, inputs.number(root), output=0),))
        about = ops.About(name="[internal] settings cache mount permissions")
        return DraftRef(Draft(op, inputs.refs, self._to.state.platform, about))

    def _secret(self, mount: mounts.Mount) -> None:
        id = mount.source or mount.id or paths.base_name(mount.target)
        if mount.env is not None:
            self.env.append(ops.SecretEnv(mount.env, id, optional=not mount.required))
            if not mount.target:
                return
        target = mount.target or SECRETS + paths.base_name(id)
        self.mounts.append(
            ops.Secret(
                clean("/" + target),
                id,
                mount.uid or 0,
                mount.gid or 0,
                0o400 if mount.mode is None else mount.mode,
                optional=not mount.required,
            )
        )

    def _ssh(self, mount: mounts.Mount) -> None:
        if mount.source:
            raise DockerfileError("ssh mount does not support source")
        target = clean("/" + mount.target) if mount.target else f"{SSH_SOCKET}{self._agents}"
        self._agents += 1
        self.agent = self.agent or target
        self.mounts.append(
            ops.Ssh(
                target,
                mount.id or "default",
                mount.uid or 0,
                mount.gid or 0,
                0o600 if mount.mode is None else mount.mode,
                optional=not mount.required,
            )
        )
