"""A step that has failed, as clients are told who want to look into what it has left behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from boxship.build import ops
from boxship.build.control import llbwriting
from boxship.build.control.failures import causes
from boxship.build.errors import BuildFailed, ProcessFailed
from boxship.build.ops import NO_OUTPUT, SCRATCH, Ref, Vertex
from boxship.spec.buildkit import solver_pb2 as pb

SOLVE: Final = "github.com/moby/buildkit/errdefs.Solve+json"
Document = dict[str, object]
Named = Callable[[Ref], str]
"""Gives a result a name by which the client can ask for it."""


def details(error: BaseException, named: Named) -> dict[str, Document]:
    """Return what tells of a failed process whose results were kept; nothing of other failures."""
    vertex: Vertex | None = None
    for cause in causes(error):
        if isinstance(cause, BuildFailed):
            vertex = cause.vertex
        elif isinstance(cause, ProcessFailed) and cause.left and vertex is not None:
            return {SOLVE: _document(vertex, cause.left, named)}
    return {}


def _document(vertex: Vertex, left: Mapping[int, Ref], named: Named) -> Document:
    op = vertex.op
    assert isinstance(op, ops.Exec)
    return {
        "inputIDs": [named(ref) for ref in vertex.inputs],
        "mountIDs": [_mounted(mount, vertex, left, named) for mount in op.mounts],
        "op": {"exec": _exec(op)},
    }


def _mounted(mount: ops.Mount, vertex: Vertex, left: Mapping[int, Ref], named: Named) -> str:
    """Return the name of what a mount showed at the end."""
    if not isinstance(mount, ops.Bind):
        return ""
    if mount.output != NO_OUTPUT and mount.output in left:
        return named(left[mount.output])
    return "" if mount.input == SCRATCH else named(vertex.inputs[mount.input])


def _exec(op: ops.Exec) -> Document:
    """Return a process in BuildKit's JSON of its messages."""
    said = llbwriting.exec_message(op)
    return {
        "meta": {
            "args": list(op.args),
            "env": list(op.env),
            "cwd": op.cwd,
            "user": op.user,
            "hostname": op.hostname,
        },
        "mounts": [_mount(one) for one in said.mounts],
        "network": int(said.network),
        "security": int(said.security),
    }


def _mount(said: pb.Mount) -> Document:
    found: Document = {
        "input": str(said.input),
        "selector": said.selector,
        "dest": said.dest,
        "output": str(said.output),
        "readonly": said.readonly,
        "mountType": int(said.kind),
    }
    if said.HasField("tmpfs"):
        found["TmpfsOpt"] = {"size": str(said.tmpfs.size)}
    if said.HasField("cache"):
        found["cacheOpt"] = {"ID": said.cache.id, "sharing": int(said.cache.sharing)}
    for name, one in (("secret", said.secret), ("ssh", said.ssh)):
        if said.HasField(name):  # type: ignore[arg-type]
            option = {"ID": one.id, "uid": one.uid, "gid": one.gid, "mode": one.mode}
            key = "secretOpt" if name == "secret" else "SSHOpt"
            found[key] = {**option, "optional": one.optional}
    return found
