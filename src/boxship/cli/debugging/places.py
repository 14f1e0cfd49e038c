"""Where processes can be run: in what a failed step has left behind, or in a result. Pure.

A step that has failed names results: what it was given, and what its mounts showed at the end.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from google.protobuf.message import DecodeError

from boxship.cli.debugging.invoke import Invoke
from boxship.client.bridges import refs_of
from boxship.client.builds import CONFIG
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.spec.buildkit import solver_pb2 as solver

SOLVE: Final = "errdefs.Solve+json"
SHELL: Final = "/bin/sh"
Document = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Mounts, and how processes are there; `initial` is before the step, where there was one."""

    mounts: Sequence[solver.Mount]
    initial: Sequence[solver.Mount]
    meta: solver.Meta
    network: solver.NetMode.ValueType = solver.NET_SANDBOX
    security: solver.SecurityMode.ValueType = solver.SECURITY_SANDBOX

    def container(self, *, initial: bool) -> pb.NewContainerRequest:
        """Return what is asked for to have a container."""
        mounts = self.initial if initial else self.mounts
        hostname = self.meta.hostname
        return pb.NewContainerRequest(mounts=mounts, network=self.network, hostname=hostname)

    def process(self, invoke: Invoke) -> solver.Meta:
        """Return how a program is run."""
        meta = solver.Meta()
        meta.CopyFrom(self.meta)
        if invoke.command:
            del meta.args[:]
            meta.args.extend(invoke.command)
        meta.env.extend(invoke.env)
        meta.user = meta.user if invoke.user is None else invoke.user
        meta.cwd = meta.cwd if invoke.cwd is None else invoke.cwd
        return meta


def of_failure(details: bytes) -> Place | None:
    """Return where a failed step was, if the failure tells; its command would only fail again."""
    try:
        for detail in control.Status.FromString(details).details:
            if detail.type_url.endswith(SOLVE):
                return _left(json.loads(detail.value))
    except (DecodeError, ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise InvalidRequest(f"what is left of the step cannot be read: {error}") from None
    return None


def _left(said: Document) -> Place | None:
    process = (said.get("op") or {}).get("exec")
    if process is None:
        return None
    meta = process["meta"]
    inputs, left = said.get("inputIDs") or (), said.get("mountIDs") or ()
    mounts, initial = [], []
    for number, one in enumerate(process.get("mounts") or ()):
        source = int(one.get("input", 0))
        mounts.append(_mount(one, left[number] if number < len(left) else ""))
        initial.append(_mount(one, inputs[source] if 0 <= source < len(inputs) else ""))
    return Place(
        mounts,
        initial,
        solver.Meta(
            args=[SHELL],
            env=meta.get("env") or (),
            cwd=meta.get("cwd") or "/",
            user=meta.get("user") or "",
            hostname=meta.get("hostname") or "",
        ),
        int(process.get("network") or 0),  # type: ignore[arg-type]
        int(process.get("security") or 0),  # type: ignore[arg-type]
    )


def _mount(said: Document, result: str) -> solver.Mount:
    mount = solver.Mount(
        dest=said["dest"],
        selector=said.get("selector") or "",
        readonly=bool(said.get("readonly")),
        kind=int(said.get("mountType") or 0),  # type: ignore[arg-type]
    )
    if mount.kind == solver.MOUNT_BIND:
        mount.result_id = result
    if tmpfs := said.get("TmpfsOpt"):
        mount.tmpfs.size = int(tmpfs.get("size") or 0)
    if cache := said.get("cacheOpt"):
        mount.cache.id, mount.cache.sharing = cache["ID"], int(cache.get("sharing") or 0)  # type: ignore[assignment]
    for key, to in (("secretOpt", mount.secret), ("SSHOpt", mount.ssh)):
        if option := said.get(key):
            to.id, to.optional = option["ID"], bool(option.get("optional"))
            to.uid, to.gid = int(option.get("uid") or 0), int(option.get("gid") or 0)
            to.mode = int(option.get("mode") or 0)
    return mount


def of_result(result: pb.Result) -> Place | None:
    """Return where the image of a result is; of several platforms' the first."""
    for key, name in refs_of(result).items():
        said = result.metadata.get(f"{CONFIG}/{key}" if key else CONFIG, b"{}")
        config = json.loads(said).get("config") or {}
        mounts = [solver.Mount(dest="/", result_id=name)]
        meta = solver.Meta(
            args=[*(config.get("Entrypoint") or ()), *(config.get("Cmd") or ())] or [SHELL],
            env=config.get("Env") or (),
            cwd=config.get("WorkingDir") or "/",
            user=config.get("User") or "",
        )
        return Place(mounts, mounts, meta)
    return None
