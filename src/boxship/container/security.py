"""What a container's program may do: capabilities, system calls, hidden paths."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from boxship.container.checks import capability
from boxship.kernel import capabilities
from boxship.runtime import seccomp
from boxship.spec.engine.container import HostConfig
from boxship.spec.oci import runtime as oci

PROFILES: Final = 32  # built-in ones that are kept, for as many sets of capabilities
DEFAULT: Final = frozenset(
    {
        "CAP_CHOWN",
        "CAP_DAC_OVERRIDE",
        "CAP_FSETID",
        "CAP_FOWNER",
        "CAP_MKNOD",
        "CAP_NET_RAW",
        "CAP_SETGID",
        "CAP_SETUID",
        "CAP_SETFCAP",
        "CAP_SETPCAP",
        "CAP_NET_BIND_SERVICE",
        "CAP_SYS_CHROOT",
        "CAP_KILL",
        "CAP_AUDIT_WRITE",
    }
)


def known() -> frozenset[str]:
    """Return the capabilities that this kernel has."""
    return frozenset(capabilities.NAMES[: capabilities.last_cap() + 1])


def granted(host: HostConfig, everything: frozenset[str]) -> frozenset[str]:
    """Return the capabilities that a container gets, of `everything` there is."""
    if host.privileged:
        return everything
    added = {capability(name) for name in host.cap_add or ()}
    dropped = {capability(name) for name in host.cap_drop or ()}
    if "ALL" in added:
        return everything - dropped
    if "ALL" in dropped:
        return frozenset(added) & everything
    return frozenset((DEFAULT | added) - dropped) & everything


def sets(bounding: Iterable[str], *, root: bool) -> oci.Capabilities:
    """Return the sets: a user other than root begins with none; nothing is inheritable."""
    names = sorted(bounding)
    own = names if root else []
    return oci.Capabilities(bounding=names, effective=own, permitted=own)


def options(host: HostConfig, key: str) -> str | None:
    """Return what a security option says, None when it is not given."""
    found = None
    for option in host.security_opt or ():
        name, equals, value = option.partition("=")
        if not equals:
            name, _, value = option.partition(":")
        if name == key:
            found = value
    return found


def no_new_privileges(host: HostConfig, default: bool) -> bool:
    """Whether set-user-ID programs and file capabilities are of no effect."""
    said = options(host, "no-new-privileges")
    return default if said is None else said != "false"


def filtered(
    host: HostConfig,
    bounding: frozenset[str],
    default: str,
    kernel: tuple[int, int],
    machine: str,
) -> oci.Seccomp | None:
    """Return the filter of system calls; `default` is the daemon's profile, empty the built-in."""
    said = options(host, "seccomp")
    if said is None:
        said = "unconfined" if host.privileged else default
    if said == "unconfined":
        return None
    if said in ("", "builtin", "default"):
        return _builtin(bounding, kernel, machine)
    return seccomp.parse_profile(said, bounding, kernel, machine)


@lru_cache(PROFILES)
def _builtin(bounding: frozenset[str], kernel: tuple[int, int], machine: str) -> oci.Seccomp:
    """Return the built-in profile, which nobody changes."""
    return seccomp.default_profile(bounding, kernel, machine)
