"""Who a process is and what it may do: limits, ids, capabilities, filters."""

from __future__ import annotations

import errno
import os
import resource
import signal
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Final

from boxship.kernel import capabilities, seccomp
from boxship.kernel.keyrings import KEYCTL_JOIN_SESSION_KEYRING
from boxship.kernel.paths import RESOLVE_NO_MAGICLINKS
from boxship.kernel.processes import PR_SET_KEEPCAPS, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG
from boxship.kernel.syscalls import AT_FDCWD
from boxship.runtime.errors import BadBundle
from boxship.runtime.parts import open_inside
from boxship.runtime.program import ANY, VALUE, Filter, Program, Result, tolerating
from boxship.spec.oci import runtime as oci

HIGHEST_ID: Final = (1 << 31) - 1  # of a user or group that means the same everywhere
RLIMITS: Final = {
    f"RLIMIT_{name}": int(getattr(resource, f"RLIMIT_{name}"))
    for name in (
        "AS", "CORE", "CPU", "DATA", "FSIZE", "MEMLOCK", "MSGQUEUE", "NICE", "NOFILE", "NPROC",
        "RSS", "RTPRIO", "RTTIME", "SIGPENDING", "STACK",
    )
    if hasattr(resource, f"RLIMIT_{name}")
} | {"RLIMIT_LOCKS": 10, "RLIMIT_RTTIME": 15}  # fmt: skip
PERSONALITIES: Final = {"LINUX": 0x0000, "LINUX32": 0x0008}
DENIED: Final = tolerating(errno.EACCES)
NOT_OPEN: Final = tolerating(errno.EBADF)
ALL: Final = 0xFFFFFFFF
MASK: Final = (1 << 64) - 1


def set_limits(program: Program, limits: Sequence[oci.Rlimit]) -> None:
    """Set resource limits; a hard one can be raised only with CAP_SYS_RESOURCE."""
    for limit in limits:
        if limit.type not in RLIMITS:
            raise BadBundle(f"invalid rlimit type: {limit.type}")
        number = RLIMITS[limit.type]
        packed = struct.pack("QQ", limit.soft & MASK, limit.hard & MASK)
        program.add(
            "prlimit64", 0, number, packed, 0,
            about=f"error setting rlimits for ready process: error setting rlimit type {number}",
        )  # fmt: skip


def join_keyring(program: Program, name: str) -> None:
    """Leave the keys of whoever started us."""
    program.add(
        "keyctl", KEYCTL_JOIN_SESSION_KEYRING, f"_ses.{name}".encode(), 0, 0, 0,
        about="unable to join session keyring", tolerated=tolerating(errno.ENOSYS),
    )  # fmt: skip


def own_streams(program: Program, user: oci.User) -> None:
    """Give 0, 1 and 2 to the user, who may want to open them once more by name."""
    if user.uid:
        for number in range(3):
            program.add("fchown", number, user.uid, ALL, tolerated=ANY)


def enter_folder(program: Program, cwd: str) -> Result:
    """Go to the working folder; what stands for the outcome goes to `enter_folder_as_user`.

    No link that leads out by a descriptor is followed. Root may be able to enter where the user
    is not, and the other way round: "permission denied" is not the last word here.
    """
    folder = _open_folder(program, cwd, tolerated=DENIED)
    return program.add("fchdir", folder, about=_about(cwd), tolerated=DENIED | NOT_OPEN)


def enter_folder_as_user(program: Program, cwd: str, tried: Result) -> None:
    """Try again with the user's own rights if root's were not enough."""
    entered = program.place()
    program.add(VALUE, tried, tolerated=ANY, on_success=entered)
    program.add("fchdir", _open_folder(program, cwd), about=_about(cwd))
    program.put(entered)


def _open_folder(program: Program, cwd: str, tolerated: int = 0) -> Result:
    flags = os.O_PATH | os.O_DIRECTORY
    return open_inside(
        program, AT_FDCWD, cwd or "/", flags,
        about=_about(cwd), resolve=RESOLVE_NO_MAGICLINKS, tolerated=tolerated,
    )  # fmt: skip


def _about(cwd: str) -> str:
    return f'chdir to cwd ("{cwd}") set in config.json failed'


def check_user(user: oci.User) -> None:
    """Refuse ids that some part of the system would take for others."""
    for number in (user.uid, user.gid, *user.additional_gids):
        if not 0 <= number <= HIGHEST_ID:
            raise BadBundle(f"uids and gids must be in range 0-{HIGHEST_ID}")


def personality(program: Program, wanted: oci.Personality | None) -> None:
    """Set the execution domain."""
    if wanted is not None:
        if wanted.domain not in PERSONALITIES:
            raise BadBundle(f"invalid personality domain: {wanted.domain}")
        program.add("personality", PERSONALITIES[wanted.domain], about="unable to set personality")


def load_filter(program: Program, code: bytes | None, flags: int) -> None:
    """Put the process under a filter for ever."""
    if code:
        program.add(
            "seccomp", seccomp.SECCOMP_SET_MODE_FILTER, flags, Filter(code),
            about="unable to init seccomp: error loading seccomp filter",
        )  # fmt: skip


@lru_cache(maxsize=32)
def _sets(names: tuple[str, ...]) -> int:
    return capabilities.bits(name for name in names if name in capabilities.NUMBER)


class Privileges:
    """The capabilities of a process, with those that this kernel does not know left out."""

    def __init__(self, wanted: oci.Capabilities | None) -> None:
        known = (1 << capabilities.last_cap() + 1) - 1
        wanted = wanted or oci.Capabilities()
        self.bounding = _sets(tuple(wanted.bounding)) & known
        self.permitted = _sets(tuple(wanted.permitted)) & known
        self.effective = _sets(tuple(wanted.effective)) & known & self.permitted
        self.inheritable = _sets(tuple(wanted.inheritable)) & known & self.permitted
        self.ambient = _sets(tuple(wanted.ambient)) & self.permitted & self.inheritable
        self.dropped = [n for n in range(capabilities.last_cap() + 1) if not self.bounding >> n & 1]


def become_user(program: Program, process: oci.Process) -> None:
    """Drop what the process may not have, go to its folder and become its user.

    The order is the kernel's: the bounding set needs CAP_SETPCAP, so it comes first; capabilities
    survive the change of user only where asked, and are set once that is done.
    """
    privileges = Privileges(process.capabilities)
    if process.capabilities is not None:
        for number in privileges.dropped:
            program.add(
                "prctl", capabilities.PR_CAPBSET_DROP, number, 0, 0, 0,
                about="unable to apply bounding set",
            )  # fmt: skip
    tried = enter_folder(program, process.cwd)
    user = process.user
    program.add("prctl", PR_SET_KEEPCAPS, 1, 0, 0, 0, about="unable to set keep caps")
    groups = struct.pack(f"{len(user.additional_gids)}I", *user.additional_gids)
    program.add("setgroups", len(user.additional_gids), groups, about="setgroups")
    program.add("setresgid", user.gid, user.gid, user.gid, about="setgid")
    program.add("setresuid", user.uid, user.uid, user.uid, about="setuid")
    if process.capabilities is not None:
        _set_capabilities(program, privileges)
    enter_folder_as_user(program, process.cwd, tried)


def _set_capabilities(program: Program, privileges: Privileges) -> None:
    program.add(
        "capset", capabilities.header(),
        capabilities.sets(privileges.effective, privileges.permitted, privileges.inheritable),
        about="unable to apply caps",
    )  # fmt: skip
    program.add(
        "prctl", capabilities.PR_CAP_AMBIENT, capabilities.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0,
        tolerated=ANY,
    )  # fmt: skip
    for number in range(capabilities.last_cap() + 1):
        if privileges.ambient >> number & 1:
            program.add(
                "prctl", capabilities.PR_CAP_AMBIENT, capabilities.PR_CAP_AMBIENT_RAISE,
                number, 0, 0, about="unable to apply caps",
            )  # fmt: skip


def die_with_parent(program: Program) -> None:
    """Have the kernel kill the process when we end; a change of user would undo it."""
    program.add(
        "prctl", PR_SET_PDEATHSIG, int(signal.SIGKILL), 0, 0, 0, about="error setting pdeathsig"
    )


def forbid_new_privileges(program: Program, process: oci.Process) -> None:
    """Let no later program have more than this one, whatever its file says."""
    if process.no_new_privileges:
        program.add("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0, about="error setting no_new_privs")
