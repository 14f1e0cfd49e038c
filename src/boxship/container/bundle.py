"""A container as the runtime is told of it: its record and what start found out become a spec.

Pure, but for looking up devices of the host that were asked for by path.

    containers/<id>/   config.json  hostname  hosts  resolv.conf  <id>-json.log  exit.json
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from boxship.container import devices, resources, security
from boxship.container.defaults import Defaults
from boxship.container.record import Container, MountPoint
from boxship.container.users import Identity
from boxship.spec.oci import runtime as oci

PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
FILES: Final = {
    "/etc/resolv.conf": "resolv.conf",
    "/etc/hostname": "hostname",
    "/etc/hosts": "hosts",
}
ROOT: Final = "rootfs"
SYSTEM_FOLDERS: Final = ("/proc", "/sys", "/dev")


@dataclass(frozen=True, slots=True, kw_only=True)
class Host:
    """The machine, as far as a spec depends on it."""

    kernel: tuple[int, int]
    machine: str
    capabilities: frozenset[str]
    unified_cgroups: bool = False
    hostname: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What start found out: where the bundle is, who runs, which mounts lie where.

    `sources` says by its destination where each bind, volume and image mount comes from; where it
    comes as a descriptor, for people only. `joined` has namespaces of other containers, as paths
    by the specification's type.
    """

    folder: str
    files: str  # folder of hosts, hostname and resolv.conf; another's, in its network namespace
    identity: Identity
    sources: Mapping[str, str] = field(default_factory=dict)
    joined: Mapping[str, str] = field(default_factory=dict)
    shm: str = ""  # of the container whose IPC namespace is joined
    private_network: bool = True
    hostname: str = ""


def spec(container: Container, setting: Setting, host: Host, defaults: Defaults) -> oci.Spec:
    """Return the container's `config.json`."""
    config, wanted = container.config, container.host_config
    bounding = security.granted(wanted, host.capabilities)
    nodes, rules = devices.wanted(wanted)
    own_uts = wanted.uts_mode != "host"
    return oci.Spec(
        process=process(container, setting, bounding, defaults),
        root=oci.Root(path=ROOT, readonly=bool(wanted.readonly_rootfs)),
        hostname=(config.hostname or setting.hostname) if own_uts else "",
        domainname=(config.domainname or "") if own_uts else "",
        mounts=list(mounts(container, setting, host)),
        annotations=dict(wanted.annotations or {}),
        linux=oci.Linux(
            sysctl=sysctls(container, setting),
            resources=resources.of(wanted, rules),
            cgroups_path=cgroups_path(container, defaults),
            namespaces=namespaces(container, setting),
            devices=nodes,
            seccomp=security.filtered(
                wanted, bounding, defaults.seccomp_profile, host.kernel, host.machine
            ),
            masked_paths=list(wanted.masked_paths or ()),
            readonly_paths=list(wanted.readonly_paths or ()),
            rootfs_propagation=root_propagation(container.mounts),
        ),
    )


def make_place_for_hooks(spec: oci.Spec, folder: str) -> None:
    """Make the folder of a bundle where hooks of the host's expect to see the root, if need be."""
    if spec.hooks is not None:
        os.makedirs(os.path.join(folder, ROOT), 0o700, exist_ok=True)


def process(
    container: Container, setting: Setting, bounding: frozenset[str], defaults: Defaults
) -> oci.Process:
    """Return the first process."""
    config, wanted, who = container.config, container.host_config, setting.identity
    size = wanted.console_size or [0, 0]
    return oci.Process(
        terminal=container.tty,
        console_size=oci.ConsoleSize(height=size[0], width=size[1]) if any(size) else None,
        user=user(who),
        args=container.command,
        env=environment(container, who),
        cwd=config.working_dir or "/",
        capabilities=security.sets(bounding, root=who.uid == 0),
        rlimits=rlimits(container, defaults),
        no_new_privileges=security.no_new_privileges(wanted, defaults.no_new_privileges),
        oom_score_adj=wanted.oom_score_adj or 0,
    )


def user(who: Identity) -> oci.User:
    """Return an identity as the specification has it."""
    return oci.User(uid=who.uid, gid=who.gid, additional_gids=list(who.groups))


def environment(
    container: Container, who: Identity, *, extra: Sequence[str] = (), tty: bool | None = None
) -> list[str]:
    """Return the environment: Docker's own first, then the config's, `extra` last; a home."""
    tty = container.tty if tty is None else tty
    own = [PATH, f"HOSTNAME={container.config.hostname or ''}", *(["TERM=xterm"] if tty else ())]
    found: dict[str, str] = {}
    for line in (*own, *container.network.environment, *(container.config.env or ()), *extra):
        name, equals, _ = line.partition("=")
        if equals:
            found[name] = line
        else:
            found.pop(name, None)  # a name alone takes the variable away
    if not container.config.hostname and not any(
        line.startswith("HOSTNAME=") for line in container.config.env or ()
    ):
        found.pop("HOSTNAME", None)
    if found.get("HOME", "HOME=") == "HOME=":
        found["HOME"] = f"HOME={who.home}"
    return list(found.values())


def rlimits(container: Container, defaults: Defaults) -> list[oci.Rlimit]:
    """Return the limits of the process; -1 is without limit."""
    asked = dict(defaults.ulimits)
    for limit in container.host_config.ulimits or ():
        asked[limit.name or ""] = (limit.soft or 0, limit.hard or 0)
    return [
        oci.Rlimit(type=f"RLIMIT_{name.upper()}", soft=_unlimited(soft), hard=_unlimited(hard))
        for name, (soft, hard) in asked.items()
    ]


def _unlimited(value: int) -> int:
    return 2**64 - 1 if value == -1 else value


def cgroups_path(container: Container, defaults: Defaults) -> str:
    """Return where the container's control group is."""
    parent = container.host_config.cgroup_parent or defaults.cgroup_parent
    if parent.endswith(".slice"):
        return f"{parent}:boxship:{container.id}"
    return f"/{parent.strip('/')}/{container.id}"


def namespaces(container: Container, setting: Setting) -> list[oci.Namespace]:
    """Return the namespaces that are the container's own, or another container's."""
    wanted = container.host_config
    kinds = {"mount": True}
    kinds["pid"] = wanted.pid_mode != "host"
    kinds["uts"] = wanted.uts_mode != "host"
    kinds["ipc"] = wanted.ipc_mode != "host"
    kinds["network"] = setting.private_network or "network" in setting.joined
    kinds["cgroup"] = wanted.cgroupns_mode == "private"
    return [
        oci.Namespace(type=kind, path=setting.joined.get(kind, ""))
        for kind, own in kinds.items()
        if own
    ]


def sysctls(container: Container, setting: Setting) -> dict[str, str]:
    """Return the kernel settings of the container's own namespaces."""
    asked = dict(container.host_config.sysctls or {})
    if setting.private_network and "network" not in setting.joined:
        # As Docker: low ports and ping need no capability within a network of one's own.
        asked.setdefault("net.ipv4.ip_unprivileged_port_start", "0")
        asked.setdefault("net.ipv4.ping_group_range", "0 2147483647")
    return asked


def root_propagation(points: Sequence[MountPoint]) -> str:
    """A mount that sends or receives needs a root that does."""
    kinds = {point.propagation.removeprefix("r") for point in points if point.type == "bind"}
    if "shared" in kinds:
        return "shared"
    return "slave" if "slave" in kinds else ""


def mounts(container: Container, setting: Setting, host: Host) -> list[oci.Mount]:
    """Return every mount, parents before what lies in them."""
    wanted = container.host_config
    taken = {point.destination for point in container.mounts}
    found = [one for one in _system(container, setting, host) if one.destination not in taken]
    for path, name in FILES.items():
        if path not in taken:
            found.append(
                oci.Mount(
                    destination=path,
                    type="bind",
                    source=f"{setting.files}/{name}",
                    options=["rbind", "rprivate", *(["ro"] if wanted.readonly_rootfs else [])],
                )
            )
    for point in container.mounts:
        found.append(_asked(point, setting, privileged=bool(wanted.privileged)))
    return sorted(found, key=lambda one: one.destination.rstrip("/").count("/"))


def _system(container: Container, setting: Setting, host: Host) -> list[oci.Mount]:
    wanted = container.host_config
    secure = ["nosuid", "noexec", "nodev"]
    access = [] if wanted.privileged else ["ro"]
    writable = security.options(wanted, "writable-cgroups") == "true"
    found = [
        _mount("/proc", "proc", secure),
        _mount("/dev", "tmpfs", ["nosuid", "strictatime", "mode=755", "size=65536k"]),
        _mount(
            "/dev/pts",
            "devpts",
            ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        _mount("/sys", "sysfs", [*secure, *access]),
        _mount("/sys/fs/cgroup", "cgroup", [*secure, *([] if writable else access)]),
        _mount("/dev/mqueue", "mqueue", secure),  # shows the queues of the ipc namespace
    ]
    match wanted.ipc_mode or "private":
        case "none":
            pass
        case "host":
            found.append(_bind("/dev/shm", "/dev/shm"))
        case mode if setting.shm and (mode.startswith("container:") or mode == "shareable"):
            found.append(_bind(setting.shm, "/dev/shm"))
        case _:
            size = wanted.shm_size or 0
            found.append(_mount("/dev/shm", "tmpfs", [*secure, "mode=1777", f"size={size}"], "shm"))
    return found


def _mount(target: str, type: str, options: Sequence[str], source: str = "") -> oci.Mount:
    return oci.Mount(destination=target, type=type, source=source or type, options=list(options))


def _bind(source: str, target: str) -> oci.Mount:
    return oci.Mount(destination=target, type="bind", source=source, options=["rbind", "rprivate"])


def _asked(point: MountPoint, setting: Setting, *, privileged: bool) -> oci.Mount:
    if point.type == "tmpfs":
        options = [word for word in point.options if word not in ("defaults",)]
        negated = {"suid": "nosuid", "dev": "nodev", "exec": "noexec"}
        for positive, flag in negated.items():
            if positive not in options and flag not in options:
                options.insert(0, flag)
        return _mount(point.destination, "tmpfs", options)
    options = ["bind" if point.non_recursive else "rbind"]
    if not point.rw:
        recursive = not (point.readonly_non_recursive or point.non_recursive)
        options.append("rro" if recursive and point.type == "bind" else "ro")
    options.append(point.propagation or "rprivate")
    return oci.Mount(
        destination=point.destination,
        type="bind",
        source=setting.sources[point.destination],
        options=options,
    )
