"""pause, resume and update: what a container's processes may use."""

from __future__ import annotations

import sys

import msgspec

from boxship.runtime import flags
from boxship.runtime.flags import Flags
from boxship.runtime.verbs.call import Call, group_of, read
from boxship.spec.oci import runtime as oci


def pause(call: Call) -> int:
    """Stop every process of a container."""
    group_of(call.folder().read()).freeze()
    return 0


def resume(call: Call) -> int:
    """Let the processes of a paused container go on."""
    group_of(call.folder().read()).thaw()
    return 0


def update(call: Call) -> int:
    """Change limits: those of a document, or single ones by flags."""
    made = call.folder().read()
    if source := flags.text(call.flags, "resources"):
        data = sys.stdin.buffer.read() if source == "-" else read(source)
        wanted = msgspec.json.decode(data, type=oci.Resources)
    else:
        wanted = resources_of(call.flags)
    group_of(made).update(wanted)
    return 0


def resources_of(given: Flags) -> oci.Resources:
    """Return limits given one by one."""
    weight, limit = flags.number(given, "blkio-weight"), flags.number(given, "pids-limit")
    return oci.Resources(
        memory=oci.Memory(
            limit=flags.number(given, "memory"),
            reservation=flags.number(given, "memory-reservation"),
            swap=flags.number(given, "memory-swap"),
        ),
        cpu=oci.CPU(
            shares=flags.number(given, "cpu-share") or flags.number(given, "cpu-shares"),
            quota=flags.number(given, "cpu-quota"),
            period=flags.number(given, "cpu-period"),
            cpus=flags.text(given, "cpuset-cpus"),
            mems=flags.text(given, "cpuset-mems"),
        ),
        pids=oci.Pids(limit=limit) if limit is not None else None,
        block_io=oci.BlockIO(weight=weight) if weight is not None else None,
    )
