"""Build graphs as clients send them: a definition becomes vertices, and vertices a definition.

A definition is a list of serialised operations. One names its inputs by the digest of their
bytes; the last has no operation of its own and points to the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, TypeVar

from google.protobuf.message import DecodeError

from boxship.build import ops
from boxship.build.control import caps
from boxship.build.errors import BadGraph
from boxship.errors import NotSupported
from boxship.spec.buildkit import solver_pb2 as pb
from boxship.spec.platform import Platform

MOST_OPS: Final = 100_000
NAME: Final = "llb.customname"
SESSION: Final = "local.session"
NETWORK_NAME: Final = "boxship.network"

NETWORKS: Final = {
    pb.NET_SANDBOX: ops.Network.SANDBOX,
    pb.NET_HOST: ops.Network.HOST,
    pb.NET_NONE: ops.Network.NONE,
}
SECURITY: Final = {
    pb.SECURITY_SANDBOX: ops.Security.SANDBOX,
    pb.SECURITY_INSECURE: ops.Security.INSECURE,
}
SHARING: Final = {
    pb.SHARING_SHARED: ops.Sharing.SHARED,
    pb.SHARING_PRIVATE: ops.Sharing.PRIVATE,
    pb.SHARING_LOCKED: ops.Sharing.LOCKED,
}
PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Read:
    """What a definition says: its result, and the files that its vertices come from."""

    root: ops.Ref | None
    files: Mapping[str, pb.SourceInfo]


def read(definition: pb.Definition) -> Read:
    """Return the graph of a definition; BadGraph when it makes no sense."""
    if not definition.ops:
        return Read(None, {})
    if len(definition.ops) > MOST_OPS:
        raise BadGraph(f"a definition of more than {MOST_OPS} operations")
    return _Reader(definition).read()


class _Reader:
    def __init__(self, definition: pb.Definition) -> None:
        self._metadata = definition.metadata
        self._source = definition.source
        self._ops: dict[str, pb.Op] = {}
        self._vertices: dict[str, ops.Vertex] = {}
        self._last = ""
        for data in definition.ops:
            self._last = digest_of(data)
            try:
                self._ops[self._last] = pb.Op.FromString(data)
            except DecodeError:
                raise BadGraph("an operation of a definition cannot be read") from None

    def read(self) -> Read:
        last = self._ops[self._last]
        if last.WhichOneof("op") is not None or len(last.inputs) != 1:
            raise BadGraph("the last operation of a definition must point to its result")
        target = last.inputs[0]
        self._visit(target.digest)
        files = {info.filename: info for info in self._source.infos}
        return Read(ops.Ref(self._vertices[target.digest], target.index), files)

    def _visit(self, root: str) -> None:
        """Make the vertices that `root` stands on, inputs first."""
        entered: set[str] = set()
        waiting = [root]
        while waiting:
            digest = waiting[-1]
            if digest in self._vertices:
                waiting.pop()
                continue
            op = self._ops.get(digest)
            if op is None:
                raise BadGraph(f"a definition lacks the operation {digest[:100]}")
            missing = [i.digest for i in op.inputs if i.digest not in self._vertices]
            if not missing:
                self._vertices[waiting.pop()] = self._vertex(digest, op)
            elif digest in entered:
                raise BadGraph("a definition goes round in circles")
            else:
                entered.add(digest)
                waiting.extend(missing)

    def _vertex(self, digest: str, op: pb.Op) -> ops.Vertex:
        about = self._metadata[digest] if digest in self._metadata else pb.OpMetadata()
        caps.check_llb(about.caps)
        inputs = tuple(ops.Ref(self._vertices[i.digest], i.index) for i in op.inputs)
        does = _op_of(op, len(inputs), about)
        platform = platform_of(op.platform) if op.HasField("platform") else None
        return ops.Vertex(does, inputs, platform, self._about(digest, op, about))

    def _about(self, digest: str, op: pb.Op, said: pb.OpMetadata) -> ops.About:
        file, places = "", list[ops.Place]()
        if digest in self._source.locations:
            for location in self._source.locations[digest].locations:
                if 0 <= location.source_index < len(self._source.infos):
                    file = self._source.infos[location.source_index].filename
                    places += [ops.Place(r.start.line, r.end.line) for r in location.ranges]
        limits = said.linux_resources
        return ops.About(
            name=said.description.get(NAME, ""),
            ignore_cache=said.ignore_cache,
            file=file,
            places=tuple(places),
            group=said.progress_group.name,
            resources=ops.Resources(
                memory=limits.memory,
                memory_swap=limits.memory_swap,
                cpu_shares=limits.cpu_shares,
                cpu_period=limits.cpu_period,
                cpu_quota=limits.cpu_quota,
                cpuset_cpus=limits.cpuset_cpus,
                cpuset_mems=limits.cpuset_mems,
                cgroup_parent=op.exec.meta.cgroup_parent,
            ),
        )


def _op_of(op: pb.Op, inputs: int, about: pb.OpMetadata) -> ops.Op:
    match op.WhichOneof("op"):
        case "source":
            caps.check_attrs(op.source.attrs)
            return ops.Source(op.source.identifier, tuple(sorted(op.source.attrs.items())))
        case "exec":
            return _exec_of(op.exec, inputs, about)
        case "file":
            return ops.Files(tuple(_action_of(a, inputs) for a in op.file.actions))
        case "merge":
            if [i.input for i in op.merge.inputs] != list(range(inputs)):
                raise BadGraph("a merge must take its inputs in order")
            return ops.Merge()
        case "diff":
            return _diff_of(op.diff, inputs)
        case None:
            raise BadGraph("an operation without an operation")
        case other:
            raise NotSupported(f"the operation {other} is not supported")


def _diff_of(diff: pb.DiffOp, inputs: int) -> ops.Diff:
    lower, upper = diff.lower.input, diff.upper.input
    if (lower, upper, inputs) == (0, 1, 2):
        return ops.Diff()
    if lower == ops.SCRATCH and (upper, inputs) == (0, 1):
        return ops.Diff(whole=True)
    raise BadGraph("a diff must take what was and what became of it, in order")


def _exec_of(op: pb.ExecOp, inputs: int, about: pb.OpMetadata) -> ops.Exec:
    meta = op.meta
    mounts = [mount_of(mount, inputs) for mount in op.mounts]
    mounts.sort(key=lambda mount: mount.target != ops.ROOT)
    if not mounts or mounts[0].target != ops.ROOT:
        raise BadGraph("a process needs a root filesystem")
    around = ops.Exec(
        (),
        mounts=tuple(mounts),
        secret_env=secrets_of(op.secret_env),
        network=network_of(op.network),
        network_name=about.description.get(NETWORK_NAME, ""),
        hostname=meta.hostname,
        hosts=hosts_of(meta.extra_hosts),
        devices=tuple(ops.Device(one.name, one.optional) for one in op.devices),
    )
    return process_of(meta, op.security, around)


def process_of(meta: pb.Meta, security: pb.SecurityMode.ValueType, around: ops.Exec) -> ops.Exec:
    """Return a process in the surroundings that `around` says."""
    if not meta.args:
        raise BadGraph("a process needs arguments")
    proxies = ((name, getattr(meta.proxy_env, name)) for name in PROXIES)
    return replace(
        around,
        args=tuple(meta.args),
        env=tuple(meta.env),
        cwd=meta.cwd or "/",
        user=meta.user,
        security=_chosen(SECURITY, security, "security mode"),
        ulimits=tuple(ops.Ulimit(u.name, u.soft, u.hard) for u in meta.ulimit),
        proxies=tuple((name, value) for name, value in proxies if value),
        valid_exit_codes=tuple(meta.valid_exit_codes) or (0,),
    )


def network_of(mode: pb.NetMode.ValueType) -> ops.Network:
    """Return what network is meant."""
    return _chosen(NETWORKS, mode, "network")


def secrets_of(said: Iterable[pb.SecretEnv]) -> tuple[ops.SecretEnv, ...]:
    """Return the variables that hold secrets."""
    return tuple(ops.SecretEnv(one.name, one.id, one.optional) for one in said)


def hosts_of(said: Iterable[pb.HostAddress]) -> tuple[tuple[str, str], ...]:
    """Return names and addresses."""
    return tuple((one.host, one.address) for one in said)


def _chosen(known: Mapping[K, V], number: K, what: str) -> V:
    if number not in known:
        raise NotSupported(f"unknown {what}: {number}")
    return known[number]


def _input(number: int, inputs: int) -> int:
    if not ops.SCRATCH <= number < inputs:
        raise BadGraph(f"an operation refers to input {number} of {inputs}")
    return number


def mount_of(mount: pb.Mount, inputs: int) -> ops.Mount:
    """Return a mount of a process that has so many inputs."""
    match mount.kind:
        case pb.MOUNT_BIND:
            return ops.Bind(
                mount.dest,
                _input(mount.input, inputs),
                mount.selector,
                mount.output,
                mount.readonly,
            )
        case pb.MOUNT_CACHE:
            return ops.Cache(
                mount.dest,
                mount.cache.id,
                _chosen(SHARING, mount.cache.sharing, "sharing mode"),
                mount.readonly,
                _input(mount.input, inputs),
                mount.selector,
            )
        case pb.MOUNT_TMPFS:
            return ops.Tmpfs(mount.dest, mount.tmpfs.size)
        case pb.MOUNT_SECRET:
            it = mount.secret
            return ops.Secret(mount.dest, it.id, it.uid, it.gid, it.mode, it.optional)
        case pb.MOUNT_SSH:
            to = mount.ssh
            return ops.Ssh(mount.dest, to.id, to.uid, to.gid, to.mode, to.optional)
    raise NotSupported(f"unknown kind of mount: {mount.kind}")


def _action_of(action: pb.FileAction, inputs: int) -> ops.Action:
    does: ops.Copy | ops.MakeFile | ops.MakeFolder | ops.MakeLink | ops.Delete
    match action.WhichOneof("action"):
        case "copy":
            does = _copy_of(action.copy, inputs)
        case "mkfile":
            file = action.mkfile
            owner = _owner_of(file, inputs)
            does = ops.MakeFile(file.path, file.data, file.mode, owner, file.timestamp)
        case "mkdir":
            made = action.mkdir
            owner = _owner_of(made, inputs)
            does = ops.MakeFolder(made.path, made.mode, made.make_parents, owner, made.timestamp)
        case "symlink":
            link = action.symlink
            does = ops.MakeLink(link.says, link.path, _owner_of(link, inputs), link.timestamp)
        case "rm":
            rm = action.rm
            does = ops.Delete(rm.path, rm.allow_not_found, rm.allow_wildcard)
        case other:
            raise NotSupported(f"the change of files {other} is not supported")
    return ops.Action(does, action.input, action.secondary_input, action.output)


def _copy_of(copy: pb.FileCopy, inputs: int) -> ops.Copy:
    mode = copy.mode_text or (f"{copy.mode:o}" if copy.mode >= 0 else "")
    return ops.Copy(
        copy.src,
        copy.dest,
        _owner_of(copy, inputs),
        mode,
        follow_links=copy.follow_symlink,
        contents_only=copy.contents_only,
        unpack=copy.unpack,
        make_parents=copy.create_dest_path,
        wildcard=copy.allow_wildcard,
        allow_no_match=copy.allow_empty_wildcard,
        include=tuple(copy.include_patterns),
        exclude=tuple(copy.exclude_patterns),
        required=tuple(copy.required_paths),
        replace=copy.always_replace,
        timestamp=copy.timestamp,
    )


def _owner_of(
    said: pb.FileCopy | pb.FileMake | pb.FolderMake | pb.LinkMake, inputs: int
) -> ops.Owner | None:
    if not said.HasField("owner"):
        return None
    names = ops.SCRATCH
    found: list[int | str | None] = []
    for who in (said.owner.user, said.owner.group):
        match who.WhichOneof("user"):
            case "by_name":
                names = _input(who.by_name.input, inputs)
                found.append(who.by_name.name)
            case "by_id":
                found.append(who.by_id)
            case _:
                found.append(None)
    return ops.Owner(found[0], found[1], names)


def platform_of(said: pb.Platform) -> Platform:
    """Return a platform."""
    return Platform(said.os, said.architecture, said.variant, said.os_version)


def digest_of(data: bytes) -> str:
    """Return how an operation is named."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def sessions_of(*roots: ops.Ref | None) -> tuple[str, ...]:
    """Return the clients whose folders the results are made of, where they are named."""
    named = (
        dict(vertex.op.attrs).get(SESSION, "")
        for vertex in ops.ancestry(*roots)
        if isinstance(vertex.op, ops.Source)
    )
    return tuple(dict.fromkeys(filter(None, named)))
