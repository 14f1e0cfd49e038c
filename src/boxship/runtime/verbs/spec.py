"""spec: a bundle's `config.json` to begin with."""

from __future__ import annotations

import os

import msgspec

from boxship.errors import Conflict
from boxship.runtime import flags
from boxship.runtime.verbs.call import Call
from boxship.spec.oci import runtime as oci

CAPABILITIES = ("CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE")
SECURE = ("nosuid", "noexec", "nodev")
MASKED = (
    *("/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys"),
    *("/proc/latency_stats", "/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug"),
    *("/proc/scsi", "/sys/firmware", "/sys/devices/virtual/powercap"),
)
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger")


def spec(call: Call) -> int:
    """Write a specification: a shell with few rights, in a root folder called `rootfs`."""
    path = os.path.join(flags.text(call.flags, "bundle", "."), "config.json")
    rootless = flags.given(call.flags, "rootless")
    made = for_user(os.geteuid(), os.getegid()) if rootless else usual()
    try:
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    except FileExistsError:
        raise Conflict("file config.json exists. Remove it first") from None
    with open(file, "wb") as there:
        there.write(msgspec.json.format(msgspec.json.encode(made), indent=2) + b"\n")
    return 0


def usual() -> oci.Spec:
    """Return the specification of a container made by root."""
    sets = list(CAPABILITIES)
    return oci.Spec(
        process=oci.Process(
            terminal=True,
            user=oci.User(uid=0, gid=0),
            args=["sh"],
            env=[
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                "TERM=xterm",
            ],
            cwd="/",
            capabilities=oci.Capabilities(bounding=sets, effective=sets, permitted=sets),
            rlimits=[oci.Rlimit(type="RLIMIT_NOFILE", hard=1024, soft=1024)],
            no_new_privileges=True,
        ),
        root=oci.Root(path="rootfs", readonly=True),
        hostname="boxship",
        mounts=[
            mount("/proc", "proc"),
            mount("/dev", "tmpfs", "nosuid", "strictatime", "mode=755", "size=65536k"),
            mount(
                *("/dev/pts", "devpts", "nosuid", "noexec", "newinstance"),
                *("ptmxmode=0666", "mode=0620", "gid=5"),
            ),
            mount("/dev/shm", "tmpfs", *SECURE, "mode=1777", "size=65536k", source="shm"),
            mount("/dev/mqueue", "mqueue", *SECURE),
            mount("/sys", "sysfs", *SECURE, "ro"),
            mount("/sys/fs/cgroup", "cgroup", *SECURE, "relatime", "ro"),
        ],
        linux=oci.Linux(
            resources=oci.Resources(devices=[oci.DeviceRule(allow=False, access="rwm")]),
            namespaces=spaces("pid", "network", "ipc", "uts", "mount", "cgroup"),
            masked_paths=list(MASKED),
            readonly_paths=list(READONLY),
        ),
    )


def for_user(user: int, group: int) -> oci.Spec:
    """Return the specification of a container made by somebody else, who is its root."""
    made = usual()
    assert made.linux is not None
    sys = oci.Mount(
        destination="/sys", type="none", source="/sys", options=["rbind", *SECURE, "ro"]
    )
    kept = [one for one in made.mounts if not one.destination.startswith("/sys")]
    made.mounts = [
        *(msgspec.structs.replace(one, options=without_group(one.options)) for one in kept),
        sys,
    ]
    made.linux.resources = None
    made.linux.namespaces = spaces("pid", "ipc", "uts", "mount", "cgroup", "user")
    made.linux.uid_mappings = [oci.IDMapping(container_id=0, host_id=user, size=1)]
    made.linux.gid_mappings = [oci.IDMapping(container_id=0, host_id=group, size=1)]
    return made


def without_group(options: list[str]) -> list[str]:
    """Leave out groups: the only one there is in the namespace is root's."""
    return [option for option in options if not option.startswith("gid=")]


def mount(destination: str, type: str, *options: str, source: str = "") -> oci.Mount:
    return oci.Mount(
        destination=destination, type=type, source=source or type, options=list(options)
    )


def spaces(*kinds: str) -> list[oci.Namespace]:
    return [oci.Namespace(type=kind) for kind in kinds]
