"""Start: what a program needs is taken, one thing after the other, and given back on failure."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import os
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, ExitStack
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

import msgspec

from boxship.container import bundle, devices, links, output
from boxship.container.bundle import Host, Setting
from boxship.container.defaults import Defaults
from boxship.container.needs import Networks, Shim, Spawner, Volumes
from boxship.container.record import Container, MountPoint, NetworkView
from boxship.container.registry import Cell, Registry
from boxship.container.shared_roots import SharedRoots
from boxship.container.trees import Trees
from boxship.container.users import Accounts
from boxship.errors import Conflict, InvalidRequest
from boxship.kernel import mounts
from boxship.lib.threads import visited
from boxship.model.ids import ContainerId
from boxship.network import plan
from boxship.network.namespaces import Namespace
from boxship.network.sandbox import Sandbox, SandboxRequest
from boxship.runtime.cdi import Devices
from boxship.shim.client import Started
from boxship.shim.protocol import GO, RuntimeChoice, StartRequest

ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Starting:
    """Starts containers; whoever calls has the container's turn."""

    registry: Registry
    trees: Trees
    roots: SharedRoots
    networks: Networks
    volumes: Volumes
    spawner: Spawner
    offered: Devices
    host: Host
    defaults: Defaults
    folder: str
    run_folder: str
    shm_folder: str

    async def start(self, cell: Cell) -> tuple[Shim, Started, NetworkView]:
        """Start the program; StartFailed, or what stood in the way, with all given back."""
        record = cell.record
        async with AsyncExitStack() as undo:
            keeping = asyncio.ensure_future(
                self.spawner.spawn(
                    record.id,
                    os.path.join(self.run_folder, record.id),
                    alone=(record.host_config.runtime or "native") != "native",
                )
            )
            undo.push_async_callback(_let_go, keeping)
            fds = _Descriptors()
            undo.callback(fds.close)
            linked = links.running(record, self.registry)
            environment = tuple(links.environment(linked, record.name))
            request = self._sandbox_request(record, links.hosts(linked))
            joined = self._joined(record, fds)
            sources = await self._mounts(record, fds, undo)
            # The keeper comes as far as it can while the network is made ready: then it may go on.
            go = _Go(fds)
            undo.callback(go.close)
            known = replace(record, network=NetworkView(environment=environment))
            told = asyncio.get_running_loop().create_future()
            work = partial(self._make_ready, known, request, sources, joined, fds, told, go)
            readying = asyncio.ensure_future(asyncio.to_thread(work))
            undo.push_async_callback(self._undo_readying, readying, record.id)
            await asyncio.wait((readying, told), return_when=asyncio.FIRST_COMPLETED)
            if readying.done():
                readying.result()  # which fails, if nothing was told
            for number, waiting in enumerate(cell.waiting):
                fds.lend(f"attach.{number}", waiting.fd)
            shim = await keeping
            starting = asyncio.ensure_future(shim.start(self._request(cell), fds.by_name))
            undo.push_async_callback(_heard, starting)
            sandbox = await readying
            started = await starting
            undo.pop_all()
        view = _view(sandbox, environment)
        record = replace(record, network=view)
        if sandbox is not None and sandbox.netns is not None:
            fds.keep(sandbox.netns)
        # The root's descriptor is that of a mount: the kernel takes a millisecond to close it.
        asyncio.get_running_loop().run_in_executor(None, fds.close)
        while cell.waiting:
            os.close(cell.waiting.pop().fd)
        self.networks.started(record.id, started.pid)
        self._tell_linked(record)
        return shim, started, view

    # ---- networks

    def _sandbox_request(self, record: Container, linked: Sequence[str]) -> SandboxRequest | None:
        """Return what is asked of the networks; None of who joins another's namespace."""
        mode = record.host_config.network_mode or ""
        if mode.startswith("container:"):
            self.running(mode.removeprefix("container:"), "network")
            return None
        config, wanted = record.config, record.host_config
        endpoints = dict(record.endpoints)
        return SandboxRequest(
            container=record.id,
            name=record.name,
            hostname=config.hostname or "",
            domainname=config.domainname or "",
            mode="none" if config.network_disabled else mode,
            endpoints=endpoints,
            ports=wanted.port_bindings or {},
            exposed=list(config.exposed_ports or ()),
            publish_all=bool(wanted.publish_all_ports),
            dns=wanted.dns or (),
            dns_search=wanted.dns_search or (),
            dns_options=wanted.dns_options or (),
            extra_hosts=[*linked, *(wanted.extra_hosts or ())],
            sysctls={k: v for k, v in (wanted.sysctls or {}).items() if k.startswith("net.")},
        )

    async def _undo_readying(
        self, readying: asyncio.Future[Sandbox | None], container: ContainerId
    ) -> None:
        try:
            sandbox = await readying
        except Exception:
            return
        if sandbox is not None:
            sandbox.let_go()
            await self.networks.close_sandbox(container)

    def _tell_linked(self, record: Container) -> None:
        """Write a container's new address to the hosts files of those that are linked to it."""
        if not (at := links.address(record)):
            return
        for cell in self.registry:
            for alias, identifier in cell.record.links.items():
                if identifier == record.id and cell.record.state.has_process:
                    with contextlib.suppress(OSError):  # it is ending
                        self._renew(cell.id, links.names(alias, record), at)

    def _renew(self, identifier: str, called: str, at: str) -> None:
        path = os.path.join(self.folder, identifier, "hosts")
        links.rewrite(path, lambda text: links.renewed(text, called, at))

    def running(self, identifier: str, what: str) -> Container:
        """Return a running container whose namespace is to be joined."""
        other = self.registry.find(identifier).record
        if not other.state.has_process:
            raise Conflict(
                f"cannot join {what} namespace of a non running container: "
                f"container {other.name} is {other.state}"
            )
        return other

    def _joined(self, record: Container, fds: _Descriptors) -> dict[str, str]:
        """Return the paths of others' namespaces, and hold them open."""
        found: dict[str, str] = {}
        for mode, kind, file in (
            (record.host_config.network_mode, "network", "net"),
            (record.host_config.pid_mode, "pid", "pid"),
            (record.host_config.ipc_mode, "ipc", "ipc"),
        ):
            if mode and mode.startswith("container:"):
                other = self.running(mode.removeprefix("container:"), kind)
                found[kind], fd = namespace_of(other, file)
                fds.take("netns" if kind == "network" else f"join.{kind}", fd)
        return found

    # ---- mounts

    async def _mounts(
        self, record: Container, fds: _Descriptors, undo: AsyncExitStack
    ) -> dict[str, str]:
        shares = record.host_config.ipc_mode == "shareable"
        if not shares and all(point.type == "tmpfs" for point in record.mounts):
            return {}
        held = ExitStack()
        undo.push_async_callback(asyncio.to_thread, held.close)
        work = partial(self._sources, record, fds, held)
        return await visited(f"mounts of {record.id[:12]}", work)

    def _sources(self, record: Container, fds: _Descriptors, held: ExitStack) -> dict[str, str]:
        """Return where on the host mounts come from; what no path leads to safely is opened."""
        self._share_memory(record, held)
        found: dict[str, str] = {}
        for point in record.mounts:
            match point.type:
                case "bind":
                    found[point.destination] = _bind_source(point)
                case "volume":
                    found[point.destination] = self._volume_source(record, point, held)
                    if point.subpath:
                        fds.take(f"tree.{point.destination}", self.trees.of_volume(point))
                case "image":
                    found[point.destination] = point.source
                    fds.take(f"tree.{point.destination}", self.trees.of_image(point))
        return found

    def _volume_source(self, record: Container, point: MountPoint, held: ExitStack) -> str:
        path = self.volumes.acquire(
            point.name,
            record.id,
            destination=point.destination,
            writable=point.rw,
            propagation=point.propagation,
        )
        held.callback(self.volumes.release, point.name, record.id)
        return path

    # ---- shared memory that others may join

    def _share_memory(self, record: Container, held: ExitStack) -> None:
        """Mount, on the host, the /dev/shm of a container whose IPC namespace can be shared."""
        wanted = record.host_config
        if wanted.ipc_mode != "shareable":
            return
        path = os.path.join(self.shm_folder, record.id)
        os.makedirs(path, 0o700, exist_ok=True)
        flags = mounts.MS_NOSUID | mounts.MS_NODEV | mounts.MS_NOEXEC
        mounts.mount("shm", path, "tmpfs", flags, f"mode=1777,size={wanted.shm_size or 0}")
        held.callback(self.unshare_memory, record.id)

    def unshare_memory(self, identifier: str) -> None:
        """Undo `_share_memory`; fine when there is nothing to undo."""
        path = os.path.join(self.shm_folder, identifier)
        try:
            mounts.umount(path, mounts.MNT_DETACH)
        except OSError as failure:
            if failure.errno not in (errno.EINVAL, errno.ENOENT):
                raise
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass

    def _shm_of(self, record: Container) -> str:
        mode = record.host_config.ipc_mode or ""
        if mode == "shareable":
            return os.path.join(self.shm_folder, record.id)
        if not mode.startswith("container:"):
            return ""
        other = self.running(mode.removeprefix("container:"), "IPC")
        if other.host_config.ipc_mode == "host":
            return "/dev/shm"
        if other.host_config.ipc_mode != "shareable":
            raise InvalidRequest(
                f"cannot join IPC of container {other.name}: non-shareable IPC "
                "(hint: use IpcMode:shareable for the donor container)"
            )
        return os.path.join(self.shm_folder, other.id)

    # ---- the bundle

    def _make_ready(
        self,
        record: Container,
        request: SandboxRequest | None,
        sources: Mapping[str, str],
        joined: Mapping[str, str],
        fds: _Descriptors,
        told: asyncio.Future[None],
        go: _Go,
    ) -> Sandbox | None:
        """Make what the program finds, in a worker thread: first what the keeper begins with, which
        is `told`, then the network, after which it may `go` on."""
        try:
            with ExitStack() as undo:
                namespace = None
                if request is not None and plan.is_private(request.mode):
                    namespace = self.networks.take_namespace()
                    undo.callback(namespace.close)
                    fds.take("netns", os.dup(namespace.descriptor))
                root = fds.take("root", self.roots.open(record.id))
                self._write_bundle(record, root, request, namespace is not None, sources, joined)
                undo.pop_all()
            told.get_loop().call_soon_threadsafe(_tell, told)
            if request is None:
                go.on()
                return None
            return self._make_network(record, request, namespace, go)
        finally:
            go.close()

    def _make_network(
        self, record: Container, request: SandboxRequest, namespace: Namespace | None, go: _Go
    ) -> Sandbox:
        sandbox = self.networks.open_now(request, namespace)
        with ExitStack() as undo:
            undo.callback(self.networks.close_now, record.id)
            undo.callback(sandbox.let_go)
            folder = os.path.join(self.folder, record.id)
            _write(f"{folder}/hosts", sandbox.hosts, 0o644)
            _write(f"{folder}/resolv.conf", sandbox.resolv_conf, 0o644)
            go.on()
            undo.pop_all()
        return sandbox

    def _write_bundle(
        self,
        record: Container,
        root: int,
        request: SandboxRequest | None,
        private: bool,
        sources: Mapping[str, str],
        joined: Mapping[str, str],
    ) -> None:
        """Write config.json, and have the files that every container is given."""
        folder = files = os.path.join(self.folder, record.id)
        if request is None:
            mode = record.host_config.network_mode or ""
            files = os.path.join(self.folder, mode.removeprefix("container:"))
        else:
            for name in ("hosts", "resolv.conf"):  # what they say is known with the network
                _write(f"{folder}/{name}", b"", 0o644)
            _write(f"{folder}/hostname", f"{record.config.hostname or ''}\n".encode(), 0o644)
        who = Accounts.read(root).resolve(
            record.config.user or "", record.host_config.group_add or ()
        )
        setting = Setting(
            folder=folder,
            files=files,
            identity=who,
            sources=sources,
            joined=joined,
            shm=self._shm_of(record),
            private_network=private,
            hostname=self.host.hostname,
        )
        spec = bundle.spec(record, setting, self.host, self.defaults)
        devices.add_named(spec, record.host_config, self.offered)
        bundle.make_place_for_hooks(spec, folder)
        _write(f"{folder}/config.json", ENCODER.encode(spec), 0o600)
        try:
            os.unlink(f"{folder}/exit.json")
        except FileNotFoundError:
            pass

    def _request(self, cell: Cell) -> StartRequest:
        record = cell.record
        folder = os.path.join(self.folder, record.id)
        size = record.host_config.console_size
        init = record.host_config.init
        return StartRequest(
            bundle=folder,
            exit_record=f"{folder}/exit.json",
            runtime=self._runtime(record.host_config.runtime or "native"),
            log=output.choice(record, folder, self.host.hostname),
            tty=record.tty,
            open_stdin=bool(record.config.open_stdin),
            stdin_once=bool(record.config.stdin_once),
            console_size=(size[0], size[1]) if size and any(size) else None,
            init_program=self.defaults.init if init is None else init,
            attachments=[waiting.attachment for waiting in cell.waiting],
        )

    def _runtime(self, name: str) -> RuntimeChoice:
        if name == "native":
            return RuntimeChoice()
        path, args = self.defaults.runtimes[name]
        folders = self.run_folder.rstrip("/")
        root = os.path.join(os.path.dirname(folders), "runtime", name)
        return RuntimeChoice(name=name, path=path, args=list(args), root=root, folders=folders)


def namespace_of(other: Container, file: str) -> tuple[str, int]:
    """Return a running container's namespace: its path, and a descriptor for the caller to close.

    `file` is its name in `/proc/PID/ns`.
    """
    path = f"/proc/{other.run.pid}/ns/{file}"
    try:
        return path, os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        raise Conflict(f"container {other.name} is ending") from None


def _bind_source(point: MountPoint) -> str:
    if not os.path.exists(point.source):
        if not point.make_source:
            raise InvalidRequest(
                'invalid mount config for type "bind": '
                f"bind source path does not exist: {point.source}"
            )
        try:
            os.makedirs(point.source, 0o755, exist_ok=True)
        except OSError as failure:
            raise InvalidRequest(
                f"error while creating mount source path '{point.source}': "
                f"mkdir {failure.filename}: {(failure.strerror or '').lower()}"
            ) from None
    return point.source


def _write(path: str, data: bytes, mode: int) -> None:
    """Write a file in place: running containers keep seeing what was bound into them."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW, mode)
    try:
        os.fchmod(fd, mode)
        view = memoryview(data)
        while view:
            view = view[os.write(fd, view) :]
    finally:
        os.close(fd)


def _view(sandbox: Sandbox | None, environment: Sequence[str]) -> NetworkView:
    if sandbox is None:
        return NetworkView()
    return NetworkView(
        environment=tuple(environment),
        sandbox_id=sandbox.id,
        sandbox_key=sandbox.key,
        ports=sandbox.ports,
        endpoints=sandbox.settings,
        record=sandbox.record,
    )


class _Descriptors:
    """Descriptors for the keeper, by name; closed together, but for those lent."""

    def __init__(self) -> None:
        self.by_name: dict[str, int] = {}
        self._own: list[int] = []

    def take(self, name: str, fd: int) -> int:
        self.by_name[name] = fd
        self._own.append(fd)
        return fd

    def keep(self, fd: int) -> None:
        """Close one more with the others, of which the keeper knows nothing."""
        self._own.append(fd)

    def lend(self, name: str, fd: int) -> None:
        self.by_name[name] = fd

    def close(self) -> None:
        while self._own:
            os.close(self._own.pop())


class _Go:
    """Lets a program run that waits for its network; its end alone says that it shall not."""

    def __init__(self, fds: _Descriptors) -> None:
        read, self._fd = os.pipe2(os.O_CLOEXEC)
        fds.take(GO, read)

    def on(self) -> None:
        os.write(self._fd, b"g")

    def close(self) -> None:
        fd, self._fd = self._fd, -1
        if fd >= 0:
            os.close(fd)


def _tell(told: asyncio.Future[None]) -> None:
    if not told.done():
        told.set_result(None)


async def _heard(starting: asyncio.Future[Started]) -> None:
    """Wait until a keeper has told of a start that comes to nothing."""
    with contextlib.suppress(Exception):
        await starting


async def _let_go(keeping: asyncio.Future[Shim]) -> None:
    """Close the connection to a keeper that has nothing to keep: it ends."""
    try:
        shim = await keeping
    except Exception:
        return
    await shim.close()
