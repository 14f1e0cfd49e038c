"""Change the limits and the restart policy of containers."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.container.description import restart_policy
from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="update [OPTIONS] CONTAINER [CONTAINER...]",
    summary="Update configuration of one or more containers",
    names=("container update", "update"),
    flags=(
        Flag("blkio-weight", "", "Share of block I/O, 10 to 1000, or 0 for none", "uint16", 0),
        Flag("cpu-period", "", "Length of a period of the CPU limit, in microseconds", "int", 0),
        Flag("cpu-quota", "", "CPU time in each period, in microseconds", "int", 0),
        Flag("cpu-rt-period", "", "Period of real-time scheduling, in microseconds", "int", 0),
        Flag("cpu-rt-runtime", "", "Real-time CPU time in each period, in microseconds", "int", 0),
        Flag("cpu-shares", "c", "Share of CPU time where several want it", "int", 0),
        Flag("cpus", "", "Number of CPUs", "decimal", 0),
        Flag("cpuset-cpus", "", "CPUs that may be used (0-3, 0,1)", "string", ""),
        Flag("cpuset-mems", "", "Memory nodes that may be used (0-3, 0,1)", "string", ""),
        Flag("kernel-memory", "", "", "bytes", 0, hidden=True),
        Flag("memory", "m", "Limit of memory", "bytes", 0),
        Flag("memory-reservation", "", "Soft limit of memory", "bytes", 0),
        Flag("memory-swap", "", "Limit of memory and swap; -1 for no limit of swap", "swap", 0),
        Flag("pids-limit", "", "Most processes (-1 for no limit)", "int"),
        Flag("restart", "", "What to do when the container exits", "string", ""),
    ),
    at_least=1,
    words="container",
)


def run(shell: Shell, words: list[str], **options: Any) -> int:
    """Update each; one that cannot be does not stop the rest."""
    if not any(value not in (0, "", None) for value in options.values()):
        return shell.report("you must provide one or more flags when using this command")
    try:
        body = changes(options)
    except ValueError as error:
        raise InvalidRequest(str(error)) from error
    warnings: list[str] = []

    def update(name: str) -> None:
        warnings.extend(shell.client.containers.update(name, body))

    status = shell.for_each(words, update)
    for warning in warnings:
        shell.out.line(warning)
    return status


def changes(options: dict[str, Any]) -> dict[str, Any]:
    """Return the body of the call; zero and null keep what is."""
    return {
        "CpuShares": options["cpu_shares"],
        "Memory": options["memory"],
        "NanoCpus": options["cpus"],
        "CgroupParent": "",
        "BlkioWeight": options["blkio_weight"],
        "CpuPeriod": options["cpu_period"],
        "CpuQuota": options["cpu_quota"],
        "CpuRealtimePeriod": options["cpu_rt_period"],
        "CpuRealtimeRuntime": options["cpu_rt_runtime"],
        "CpusetCpus": options["cpuset_cpus"],
        "CpusetMems": options["cpuset_mems"],
        "MemoryReservation": options["memory_reservation"],
        "MemorySwap": options["memory_swap"],
        "PidsLimit": options["pids_limit"],
        "RestartPolicy": restart_policy(options["restart"]),
    }
