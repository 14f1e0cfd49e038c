"""Build graphs as clients send them: a definition becomes vertices, and vertices a definition.

A definition is a list of serialised operations. One names its inputs by the digest of their
bytes; the last has no operation of its own and points to the result.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar, assert_never

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

_NETWORKS: Final = {
    pb.NET_SANDBOX: ops.Network.SANDBOX,
    pb.NET_HOST: ops.Network.HOST,
    pb.NET_NONE: ops.Network.NONE,
}
_SECURITY: Final = {
    pb.SECURITY_SANDBOX: ops.Security.SANDBOX,
    pb.SECURITY_INSECURE: ops.Security.INSECURE,
}
_SHARING: Final = {
    pb.SHARING_SHARED: ops.Sharing.SHARED,
    pb.SHARING_PRIVATE: ops.Sharing.PRIVATE,
    pb.SHARING_LOCKED: ops.Sharing.LOCKED,
}
_NETWORK_NUMBERS: Final = {value: key for key, value in _NETWORKS.items()}
_SECURITY_NUMBERS: Final = {value: key for key, value in _SECURITY.items()}
_SHARING_NUMBERS: Final = {value: key for key, value in _SHARING.items()}
_PROXIES: Final = ("http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy")


K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Read:
    """What a definition says: its result, and the files that its vertices come from."""

    root: ops.Ref | None
    files: Mapping[str, pb.SourceInfo]


# From a definition


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
            self._last = _digest(data)
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
        platform = _platform(op.platform) if op.HasField("platform") else None
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
    if op.devices:
        raise NotSupported("devices in builds are not supported")
    if not meta.args:
        raise BadGraph("a process needs arguments")
    mounts = [_mount_of(mount, inputs) for mount in op.mounts]
    mounts.sort(key=lambda mount: mount.target != ops.ROOT)
    if not mounts or mounts[0].target != ops.ROOT:
        raise BadGraph("a process needs a root filesystem")
    proxies = ((name, getattr(meta.proxy_env, name)) for name in _PROXIES)
    return ops.Exec(
        args=tuple(meta.args),
        env=tuple(meta.env),
        cwd=meta.cwd or "/",
        user=meta.user,
        mounts=tuple(mounts),
        secret_env=tuple(ops.SecretEnv(s.name, s.id, s.optional) for s in op.secret_env),
        network=_chosen(_NETWORKS, op.network, "network"),
        network_name=about.description.get(NETWORK_NAME, ""),
        security=_chosen(_SECURITY, op.security, "security mode"),
        hostname=meta.hostname,
        hosts=tuple((host.host, host.address) for host in meta.extra_hosts),
        ulimits=tuple(ops.Ulimit(u.name, u.soft, u.hard) for u in meta.ulimit),
        proxies=tuple((name, value) for name, value in proxies if value),
        valid_exit_codes=tuple(meta.valid_exit_codes) or (0,),
    )


def _chosen(known: Mapping[K, V], number: K, what: str) -> V:
    if number not in known:
        raise NotSupported(f"unknown {what}: {number}")
    return known[number]


def _input(number: int, inputs: int) -> int:
    if not ops.SCRATCH <= number < inputs:
        raise BadGraph(f"an operation refers to input {number} of {inputs}")
    return number


def _mount_of(mount: pb.Mount, inputs: int) -> ops.Mount:
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
                _chosen(_SHARING, mount.cache.sharing, "sharing mode"),
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


def _platform(said: pb.Platform) -> Platform:
    return Platform(said.os, said.architecture, said.variant, said.os_version)


def _digest(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


# To a definition


def sessions_of(*roots: ops.Ref | None) -> tuple[str, ...]:
    """Return the clients whose folders the results are made of, where they are named."""
    named = (
        dict(vertex.op.attrs).get(SESSION, "")
        for vertex in ops.ancestry(*roots)
        if isinstance(vertex.op, ops.Source)
    )
    return tuple(dict.fromkeys(filter(None, named)))


def write(
    root: ops.Ref | None, files: Sequence[pb.SourceInfo] = (), session: str = ""
) -> pb.Definition:
    """Return the definition of a graph; `files` are what the vertices' places are in.

    `session` is the client whose folders are meant where none is named: the definition may come
    back as an input of another client's build.
    """
    definition = pb.Definition()
    if root is None:
        return definition
    definition.source.infos.extend(files)
    index = {info.filename: number for number, info in enumerate(files)}
    digests: dict[ops.Vertex, str] = {}
    for vertex in ops.ancestry(root):
        op = pb.Op()
        for ref in vertex.inputs:
            op.inputs.add(digest=digests[ref.vertex], index=ref.output)
        if vertex.platform is not None:
            op.platform.CopyFrom(platform_message(vertex.platform))
        about = pb.OpMetadata()
        _write_op(op, vertex, about)
        if op.source.identifier.startswith("local://") and SESSION not in op.source.attrs:
            op.source.attrs.update({SESSION: session} if session else {})
        digest = digests[vertex] = _add(definition, op)
        _write_about(about, vertex.about)
        definition.metadata[digest].CopyFrom(about)
        if vertex.about.places and vertex.about.file in index:
            location = definition.source.locations[digest].locations.add()
            location.source_index = index[vertex.about.file]
            for place in vertex.about.places:
                span = location.ranges.add()
                span.start.line, span.end.line = place.first, place.last
    last = pb.Op()
    last.inputs.add(digest=digests[root.vertex], index=root.output)
    _add(definition, last)
    return definition


def _add(definition: pb.Definition, op: pb.Op) -> str:
    data = op.SerializeToString(deterministic=True)
    definition.ops.append(data)
    return _digest(data)


def platform_message(platform: Platform) -> pb.Platform:
    return pb.Platform(
        os=platform.os,
        architecture=platform.architecture,
        variant=platform.variant,
        os_version=platform.os_version,
    )


def _write_about(to: pb.OpMetadata, about: ops.About) -> None:
    to.ignore_cache = about.ignore_cache
    if about.name:
        to.description[NAME] = about.name
    if about.group:
        to.progress_group.id = to.progress_group.name = about.group
    limits = about.resources
    if limits != ops.Resources(cgroup_parent=limits.cgroup_parent, shm_size=limits.shm_size):
        to.linux_resources.memory = limits.memory
        to.linux_resources.memory_swap = limits.memory_swap
        to.linux_resources.cpu_shares = limits.cpu_shares
        to.linux_resources.cpu_period = limits.cpu_period
        to.linux_resources.cpu_quota = limits.cpu_quota
        to.linux_resources.cpuset_cpus = limits.cpuset_cpus
        to.linux_resources.cpuset_mems = limits.cpuset_mems


def _write_op(to: pb.Op, vertex: ops.Vertex, about: pb.OpMetadata) -> None:
    match vertex.op:
        case ops.Source() as source:
            to.source.identifier = source.identifier
            to.source.attrs.update(dict(source.attrs))
        case ops.Exec() as process:
            _write_exec(to.exec, process, vertex.about)
            if process.network_name:
                about.description[NETWORK_NAME] = process.network_name
        case ops.Files() as files:
            to.file.SetInParent()
            for action in files.actions:
                _write_action(to.file.actions.add(), action)
        case ops.Merge():
            to.merge.SetInParent()
            for number in range(len(vertex.inputs)):
                to.merge.inputs.add(input=number)
        case ops.Diff() as diff:
            to.diff.lower.input = ops.SCRATCH if diff.whole else 0
            to.diff.upper.input = 0 if diff.whole else 1
        case other:
            assert_never(other)


def _write_exec(to: pb.ExecOp, process: ops.Exec, about: ops.About) -> None:
    meta = to.meta
    meta.args.extend(process.args)
    meta.env.extend(process.env)
    meta.cwd, meta.user, meta.hostname = process.cwd, process.user, process.hostname
    meta.cgroup_parent = about.resources.cgroup_parent
    for name, value in process.proxies:
        setattr(meta.proxy_env, name, value)
    for name, address in process.hosts:
        meta.extra_hosts.add(host=name, address=address)
    for limit in process.ulimits:
        meta.ulimit.add(name=limit.name, soft=limit.soft, hard=limit.hard)
    if process.valid_exit_codes != (0,):
        meta.valid_exit_codes.extend(process.valid_exit_codes)
    to.network = _NETWORK_NUMBERS[process.network]
    to.security = _SECURITY_NUMBERS[process.security]
    for secret in process.secret_env:
        to.secret_env.add(id=secret.id, name=secret.name, optional=secret.optional)
    for mount in process.mounts:
        _write_mount(to.mounts.add(), mount)


def _write_mount(to: pb.Mount, mount: ops.Mount) -> None:
    to.dest, to.output, to.input = mount.target, ops.NO_OUTPUT, ops.SCRATCH
    match mount:
        case ops.Bind():
            to.input, to.selector = mount.input, mount.selector
            to.output, to.readonly = mount.output, mount.readonly
        case ops.Cache():
            to.kind = pb.MOUNT_CACHE
            to.input, to.selector, to.readonly = mount.input, mount.selector, mount.readonly
            to.cache.id, to.cache.sharing = mount.id, _SHARING_NUMBERS[mount.sharing]
        case ops.Tmpfs():
            to.kind = pb.MOUNT_TMPFS
            to.tmpfs.size = mount.size
        case ops.Secret():
            to.kind = pb.MOUNT_SECRET
            to.secret.id, to.secret.optional = mount.id, mount.optional
            to.secret.uid, to.secret.gid, to.secret.mode = mount.uid, mount.gid, mount.mode
        case ops.Ssh():
            to.kind = pb.MOUNT_SSH
            to.ssh.id, to.ssh.optional = mount.id, mount.optional
            to.ssh.uid, to.ssh.gid, to.ssh.mode = mount.uid, mount.gid, mount.mode
        case _:
            assert_never(mount)


def _write_action(to: pb.FileAction, action: ops.Action) -> None:
    to.input, to.secondary_input, to.output = action.input, action.second, action.output
    match action.does:
        case ops.Copy() as copy:
            _write_copy(to.copy, copy)
        case ops.MakeFile() as made:
            to.mkfile.path, to.mkfile.data = made.path, made.data
            to.mkfile.mode, to.mkfile.timestamp = made.mode, made.timestamp
            _write_owner(to.mkfile, made.owner)
        case ops.MakeFolder() as made:
            to.mkdir.path, to.mkdir.make_parents = made.path, made.parents
            to.mkdir.mode, to.mkdir.timestamp = made.mode, made.timestamp
            _write_owner(to.mkdir, made.owner)
        case ops.MakeLink() as link:
            to.symlink.says, to.symlink.path = link.says, link.path
            to.symlink.timestamp = link.timestamp
            _write_owner(to.symlink, link.owner)
        case ops.Delete() as gone:
            to.rm.path = gone.path
            to.rm.allow_not_found, to.rm.allow_wildcard = gone.allow_missing, gone.wildcard
        case other:
            assert_never(other)


def _write_copy(to: pb.FileCopy, copy: ops.Copy) -> None:
    to.src, to.dest, to.timestamp = copy.source, copy.target, copy.timestamp
    to.mode = -1
    to.mode_text = copy.mode
    to.follow_symlink, to.contents_only = copy.follow_links, copy.contents_only
    to.unpack, to.create_dest_path = copy.unpack, copy.make_parents
    to.allow_wildcard, to.allow_empty_wildcard = copy.wildcard, copy.allow_no_match
    to.include_patterns.extend(copy.include)
    to.exclude_patterns.extend(copy.exclude)
    to.required_paths.extend(copy.required)
    to.always_replace = copy.replace
    _write_owner(to, copy.owner)


def _write_owner(
    to: pb.FileCopy | pb.FileMake | pb.FolderMake | pb.LinkMake, owner: ops.Owner | None
) -> None:
    if owner is None:
        return
    to.owner.SetInParent()
    for who, place in ((owner.user, to.owner.user), (owner.group, to.owner.group)):
        if isinstance(who, str):
            place.by_name.name, place.by_name.input = who, owner.names
        elif who is not None:
            place.by_id = who
