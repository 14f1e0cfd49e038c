"""Update: limits and restart policy of a container that exists, in force at once where it runs."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Final

import msgspec

from boxship.container import checks, limits, resources
from boxship.container.containers import Containers
from boxship.container.lifecycle import State
from boxship.container.registry import Cell
from boxship.errors import Conflict
from boxship.spec.engine.container import HostConfig, RestartPolicy
from boxship.spec.engine.container import Resources as Asked

NUMBERS: Final = (
    "cpu_shares", "memory", "blkio_weight", "cpu_period", "cpu_quota", "cpu_realtime_period",
    "cpu_realtime_runtime", "memory_reservation", "memory_swap", "nano_cpus",
)  # fmt: skip
WORDS: Final = ("cpuset_cpus", "cpuset_mems")


async def update(
    containers: Containers, ref: str, asked: Asked, policy: RestartPolicy | None
) -> list[str]:
    """Change a container's limits and restart policy; return what to warn of."""
    cell = containers.find(ref)
    warnings = limits.settle(
        asked, containers.creation.features, containers.creation.cpus, update=True
    )
    async with cell.turn.take("update", ref):
        if cell.record.state in (State.REMOVING, State.DEAD):
            raise Conflict(f"Cannot update container {cell.id}: it is marked for removal")
        if policy is not None and policy.name:
            checks.check_restart(policy, auto_remove=False)
        try:
            host = changed(cell.record.host_config, asked)
            if policy is not None and policy.name:
                _check_policy(cell, policy)
                host.restart_policy = policy
        except Conflict as reason:
            raise Conflict(f"Cannot update container {cell.id}: {reason}") from None
        if cell.record.state.has_process:
            try:
                group = containers.cgroup(cell)
                await asyncio.to_thread(group.update, resources.changed(_named(host, asked)))
            except FileNotFoundError:
                pass  # it has just ended
            except OSError as failure:
                raise Conflict(f"Cannot update container {cell.id}: {failure}") from None
        await containers.registry.put(cell, replace(cell.record, host_config=host))
    containers.announce(cell, "update")
    return warnings


def changed(host: HostConfig, asked: Asked) -> HostConfig:
    """Return a HostConfig with what an update names; zero and empty name nothing."""
    made = msgspec.structs.replace(host)
    for new, what, old, kept in (
        (asked.nano_cpus, "Nano CPUs", made.cpu_period, "CPU Period"),
        (asked.nano_cpus, "Nano CPUs", made.cpu_quota, "CPU Quota"),
        (asked.cpu_period, "CPU Period", made.nano_cpus, "NanoCPUs"),
        (asked.cpu_quota, "CPU Quota", made.nano_cpus, "NanoCPUs"),
    ):
        if new and old:
            raise Conflict(
                f"Conflicting options: {what} cannot be updated as {kept} has already been set"
            )
    for member in (*NUMBERS, *WORDS):
        if value := getattr(asked, member):
            setattr(made, member, value)
    if asked.pids_limit is not None:
        made.pids_limit = asked.pids_limit if asked.pids_limit > 0 else None
    memory, swap = made.memory or 0, made.memory_swap or 0
    if memory and not asked.memory_swap and 0 < swap < memory:
        raise Conflict(
            "Memory limit should be smaller than already set memoryswap limit, update the "
            "memoryswap at the same time"
        )
    return made


def _named(host: HostConfig, asked: Asked) -> HostConfig:
    """Return a HostConfig with the members that the update named, and no others."""
    only = HostConfig()
    for member in (*NUMBERS, *WORDS):
        if getattr(asked, member):
            setattr(only, member, getattr(host, member))
    if asked.pids_limit is not None:
        only.pids_limit = asked.pids_limit or -1
    if only.memory and not only.memory_swap:
        only.memory_swap = host.memory_swap
    return only


def _check_policy(cell: Cell, policy: RestartPolicy) -> None:
    if cell.record.auto_remove and policy.name != "no":
        raise Conflict(
            "Restart policy cannot be updated because AutoRemove is enabled for the container"
        )
