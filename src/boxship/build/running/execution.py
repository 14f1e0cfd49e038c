"""Performs an Exec: its mounts are made, its process is run, its results are kept."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from boxship.build import ops
from boxship.build.cache.folders import Folders
from boxship.build.cache.record import Layer
from boxship.build.cache.records import Held
from boxship.build.digests import Digests
from boxship.build.errors import NotEntitled, ProcessFailed, ProcessNotRun
from boxship.build.filesystems import EMPTY, Filesystems, Layers, Value, Writable
from boxship.build.needs import ClientSession, Program, Shim
from boxship.build.ops import NO_OUTPUT, SCRATCH, Exec, Network, Resources, Security
from boxship.build.running import devices, foreign, parts, stubs
from boxship.build.running.agent import Agent
from boxship.build.running.runner import FILES, Ended, Output, Runner
from boxship.build.running.talk import Talk
from boxship.build.sources.left import LeftBehind
from boxship.errors import BoxshipError, NotFound, NotSupported
from boxship.kernel import mounts
from boxship.runtime.cdi import Devices
from boxship.snapshot import trees
from boxship.spec.oci import runtime as oci

HOSTNAME: Final = "buildkitsandbox"


@dataclass(frozen=True, slots=True)
class Asked:
    """What a step's performance depends on besides its operation."""

    inputs: Sequence[Value]
    resources: Resources
    entitlements: frozenset[str]
    sessions: Sequence[ClientSession]
    held: Held
    output: Output
    description: str
    made: list[Layer] = field(default_factory=list)
    keep_failed: bool = False


@dataclass(slots=True)
class Prepared:
    """The mounts of one process, which will be known by `identifier`."""

    identifier: str
    root: int = -1
    mounts: list[oci.Mount] = field(default_factory=list)
    trees: dict[str, int] = field(default_factory=dict)
    results: dict[int, Writable | Value] = field(default_factory=dict)

    def add(self, target: str, tree: int, *options: str) -> None:
        self.trees[target] = tree
        options = options or ("bind", "rprivate")
        self.mounts.append(
            oci.Mount(destination=target, type="bind", source="build", options=list(options))
        )


class Executions:
    """Runs the processes of builds."""

    def __init__(
        self,
        filesystems: Filesystems,
        folders: Folders,
        runner: Runner,
        offered: Devices,
        left: LeftBehind,
        digests: Digests,
    ) -> None:
        self._filesystems = filesystems
        self._folders = folders
        self._runner = runner
        self._offered = offered
        self._left = left
        self._digests = digests

    async def perform(self, op: Exec, asked: Asked) -> dict[int, Value]:
        """Run it; return its results. The layers that were made are added to `asked.made`."""
        check_consent(op, asked.entitlements)
        async with AsyncExitStack() as undo:
            prepared = await self.prepare(op, asked, undo)
            ended = await self.run(op, asked, prepared)
            if ended.code not in op.valid_exit_codes:
                hint = ": the process was killed for want of memory" if ended.oom else ""
                if ended.code == foreign.NOT_EXECUTED:
                    where = prepared.root
                    hint = await asyncio.to_thread(foreign.explained, where, op.args, op.env)
                failure = ProcessFailed(op.args, ended.code, hint)
                if asked.keep_failed:
                    kept = await asyncio.to_thread(self._keep, prepared, asked)
                    failure.left = {number: self._left.put(one) for number, one in kept.items()}
                raise failure
            return await asyncio.to_thread(self._keep, prepared, asked)

    async def prepare(self, op: Exec, asked: Asked, undo: AsyncExitStack) -> Prepared:
        """Make the mounts of a process; they last as long as `undo`."""
        check_consent(op, asked.entitlements)
        identifier = secrets.token_hex(32)
        prepared = Prepared(identifier)
        folder = self._runner.folder_of(identifier)
        for mount in op.mounts:
            await self._prepare(mount, asked, prepared, folder, undo)
        if prepared.root < 0:
            writable = await self._writable(EMPTY, asked, undo)
            prepared.root = writable.mount
        prepared.mounts.sort(key=lambda one: one.destination.rstrip("/").count("/"))
        return prepared

    async def run(
        self, op: Exec, asked: Asked, prepared: Prepared, talk: Talk | None = None
    ) -> Ended:
        """Run the process that the mounts are for; its end is no failure, whatever the code."""
        program = await self._program(op, asked, prepared, talk)
        made = await asyncio.to_thread(stubs.missing, prepared.root, [*program.taken, *FILES])
        try:
            return await self._runner.run(
                program,
                [f"{name}:{address}" for name, address in op.hosts],
                prepared.root,
                prepared.mounts,
                prepared.trees,
                asked.output,
                talk,
            )
        except BoxshipError as error:
            raise ProcessNotRun(op.args, error) from error
        finally:
            if made:
                await asyncio.to_thread(stubs.remove, prepared.root, made)

    async def join(self, op: Exec, asked: Asked, prepared: Prepared, shim: Shim, talk: Talk) -> int:
        """Run one more process beside the one that the mounts are for; return its exit code."""
        program = await self._program(op, asked, prepared, talk)
        return await self._runner.join(shim, program, prepared.root, talk)

    async def _program(
        self, op: Exec, asked: Asked, prepared: Prepared, talk: Talk | None
    ) -> Program:
        check_consent(op, asked.entitlements)
        env = [*op.env]
        named = {line.partition("=")[0] for line in env}
        env += [
            f"{written}={value}"
            for name, value in op.proxies
            for written in (name.upper(), name)
            if written not in named
        ]
        env += [line for one in op.secret_env if (line := await _secret_line(one, asked))]
        return Program(
            id=prepared.identifier,
            folder=self._runner.folder_of(prepared.identifier),
            args=op.args,
            env=env,
            cwd=op.cwd or "/",
            user=op.user,
            hostname=op.hostname or HOSTNAME,
            network=_mode(op),
            own_network=op.network is not Network.HOST,
            insecure=op.security is Security.INSECURE,
            ulimits=[(one.name, one.soft, one.hard) for one in op.ulimits],
            resources=asked.resources,
            taken=[one.destination for one in prepared.mounts],
            tty=talk is not None and talk.streams.tty,
            devices=await asyncio.to_thread(self.devices, op, asked.entitlements),
        )

    def devices(self, op: Exec, entitlements: frozenset[str]) -> Sequence[str]:
        """Return the names of the devices that a process gets; refuses what it may not have."""
        if not op.devices:
            return ()
        return devices.allowed(op.devices, self._offered.all(), entitlements)

    # ---- mounts

    async def _prepare(
        self,
        mount: ops.Mount,
        asked: Asked,
        prepared: Prepared,
        folder: str,
        undo: AsyncExitStack,
    ) -> None:
        match mount:
            case ops.Bind():
                await self._bind(mount, asked, prepared, undo)
            case ops.Cache():
                tree = await self._cache(mount, asked, undo)
                self._show(mount.target, tree, mount.readonly, prepared)
            case ops.Tmpfs():
                options = ["nosuid", *([f"size={mount.size}"] if mount.size else ())]
                prepared.mounts.append(
                    oci.Mount(
                        destination=mount.target, type="tmpfs", source="tmpfs", options=options
                    )
                )
            case ops.Secret():
                data = await _secret(mount.id, mount.optional, asked)
                if data is not None:
                    tree = await asyncio.to_thread(
                        parts.secret_file,
                        data,
                        mount.uid,
                        mount.gid,
                        mount.mode,
                        self._runner.place,
                    )
                    undo.callback(os.close, tree)
                    self._show(mount.target, tree, True, prepared)
            case ops.Ssh():
                await self._agent(mount, asked, prepared, folder, undo)

    def _show(self, target: str, tree: int, readonly: bool, prepared: Prepared) -> None:
        if readonly:
            parts.readonly(tree)
            prepared.add(target, tree, "bind", "ro", "rprivate")
        else:
            prepared.add(target, tree)

    async def _bind(
        self, mount: ops.Bind, asked: Asked, prepared: Prepared, undo: AsyncExitStack
    ) -> None:
        value = EMPTY if mount.input == SCRATCH else asked.inputs[mount.input]
        is_root = mount.target == "/"
        writes = not mount.readonly or is_root
        if writes:
            writable = await self._writable(value, asked, undo, bare=not is_root)
            tree = writable.mount
            if mount.output != NO_OUTPUT:
                prepared.results[mount.output] = value if mount.readonly else writable
        else:
            tree = await asyncio.to_thread(self._filesystems.shown, value)
            undo.callback(os.close, tree)
            if mount.output != NO_OUTPUT:
                prepared.results[mount.output] = value
        if mount.selector.strip("/"):
            tree = await asyncio.to_thread(parts.part, tree, mount.selector, self._runner.place)
            undo.callback(os.close, tree)
        if is_root:
            prepared.root = tree
        else:
            self._show(mount.target, tree, mount.readonly, prepared)

    async def _writable(
        self, value: Value, asked: Asked, undo: AsyncExitStack, *, bare: bool = False
    ) -> Writable:
        parent = await asyncio.to_thread(
            self._filesystems.layered, value, asked.description, asked.held, asked.made
        )
        writable = await asyncio.to_thread(self._filesystems.change, parent, bare=bare)
        undo.push_async_callback(asyncio.to_thread, self._filesystems.drop, writable)
        return writable

    async def _cache(self, mount: ops.Cache, asked: Asked, undo: AsyncExitStack) -> int:
        """Return a cache's folder: another one for each thing that it may begin as."""
        value: Value = EMPTY
        key = mount.id
        if mount.input != SCRATCH:
            value = asked.inputs[mount.input]
            begins = ops.Bind(mount.target, mount.input, mount.selector)
            key += ":" + await asyncio.to_thread(self._digests.of_mount, value, begins)

        def fill(path: str) -> None:
            if value == EMPTY:
                return
            with self._filesystems.looking(value) as source:
                target = os.open(path, trees.FOLDER)
                try:
                    trees.copy(source, target)
                finally:
                    os.close(target)

        folder = await undo.enter_async_context(
            self._folders.cache(key, mount.sharing, asked.held, fill)
        )
        undo.push_async_callback(asyncio.to_thread, self._folders.keep, folder)
        opened = os.open(self._folders.path(folder), trees.FOLDER)
        try:
            tree = await asyncio.to_thread(parts.part_of_folder, opened, mount.selector)
        finally:
            os.close(opened)
        undo.callback(os.close, tree)
        return tree

    async def _agent(
        self, mount: ops.Ssh, asked: Asked, prepared: Prepared, folder: str, undo: AsyncExitStack
    ) -> None:
        agent = Agent(asked.sessions, mount.id)
        if not await agent.is_offered():
            if mount.optional:
                return
            raise NotFound(f"no SSH key {mount.id!r} forwarded from the client")
        path = await agent.listen(mount.uid, mount.gid, mount.mode)
        undo.push_async_callback(agent.close)
        tree = await asyncio.to_thread(mounts.open_tree, path)
        undo.callback(os.close, tree)
        prepared.add(mount.target, tree)

    # ---- results

    def _keep(self, prepared: Prepared, asked: Asked) -> dict[int, Value]:
        results: dict[int, Value] = {}
        for number, result in prepared.results.items():
            if isinstance(result, Writable):
                layer = self._filesystems.keep(result, asked.description, asked.held)
                asked.made.append(layer)
                results[number] = Layers(layer.chain)
            else:
                results[number] = result
        return results


def check_consent(op: Exec, entitlements: frozenset[str]) -> None:
    """Refuse what needs a consent that was not given, though another build may have had it."""
    if op.security is Security.INSECURE and "security.insecure" not in entitlements:
        raise NotEntitled("security.insecure")
    if op.network is Network.HOST and "network.host" not in entitlements:
        raise NotEntitled("network.host")


def _mode(op: Exec) -> str:
    match op.network:
        case Network.SANDBOX:
            return op.network_name or "bridge"
        case Network.HOST:
            return "host"
        case Network.NONE:
            return "none"


async def _secret(identifier: str, optional: bool, asked: Asked) -> bytes | None:
    for session in asked.sessions:
        try:
            return await session.secret(identifier)
        except (NotFound, NotSupported):
            continue
    if optional:
        return None
    raise NotFound(f"secret {identifier}: not found")


async def _secret_line(one: ops.SecretEnv, asked: Asked) -> str | None:
    data = await _secret(one.id, one.optional, asked)
    return None if data is None else f"{one.name}={data.decode('utf-8', 'surrogateescape')}"
