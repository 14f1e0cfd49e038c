"""Vertices become a definition; the other way is `llb`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

from boxship.build import ops
from boxship.build.control.llb import (
    NAME,
    NETWORK_NAME,
    NETWORKS,
    SECURITY,
    SESSION,
    SHARING,
    digest_of,
)
from boxship.spec.buildkit import solver_pb2 as pb
from boxship.spec.platform import Platform

_NETWORK_NUMBERS: Final = {value: key for key, value in NETWORKS.items()}
_SECURITY_NUMBERS: Final = {value: key for key, value in SECURITY.items()}
_SHARING_NUMBERS: Final = {value: key for key, value in SHARING.items()}


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
    return digest_of(data)


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


def exec_message(process: ops.Exec) -> pb.ExecOp:
    """Return a process as its message."""
    message = pb.ExecOp()
    _write_exec(message, process, ops.About())
    return message


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
    for device in process.devices:
        to.devices.add(name=device.name, optional=device.optional)
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
