"""state, list, ps and features: what there is."""

from __future__ import annotations

from typing import Final

import msgspec

from boxship.errors import BoxshipError
from boxship.kernel.capabilities import NAMES, last_cap
from boxship.runtime import flags, standing
from boxship.runtime.options import ATTRIBUTES, PROPAGATION
from boxship.runtime.standing import Folder, Standing
from boxship.runtime.verbs.call import Call, group_of, show
from boxship.spec.oci import runtime as oci

HOOKS: Final = (
    "prestart",
    "createRuntime",
    "createContainer",
    "startContainer",
    "poststart",
    "poststop",
)


def state(call: Call) -> int:
    """Print the state document."""
    folder = call.folder()
    made = folder.read()
    found = folder.state(made, folder.spec().annotations)
    more = {"rootfs": made.rootfs, "created": made.created, "owner": made.owner}
    show({**msgspec.to_builtins(found), **more})
    return 0


def list_all(call: Call) -> int:
    """Print every container."""
    found = [(folder, made) for folder in standing.every(call.root) if (made := known(folder))]
    if flags.given(call.flags, "quiet"):
        print(*(made.id for _, made in found), sep="\n")
    elif flags.text(call.flags, "format") == "json":
        show([msgspec.to_builtins(folder.state(made, {})) for folder, made in found])
    else:
        row = "{:<20} {:<10} {:<10} {:<40} {:<22} {}".format
        print(row("ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"))
        for folder, made in found:
            shown = folder.state(made, {})
            print(row(made.id, shown.pid, shown.status, made.bundle, made.created, made.owner))
    return 0


def known(folder: Folder) -> Standing | None:
    try:
        return folder.read()
    except BoxshipError:
        return None


def ps(call: Call) -> int:
    """Print the processes of a container."""
    group = group_of(call.folder().read())
    if flags.text(call.flags, "format", "table") == "json":
        show(group.pids())
    else:
        print("PID")
        print(*group.pids(), sep="\n")
    return 0


def features(_call: Call) -> int:
    """Print what this runtime can do."""
    recursive = [f"r{word}" for word in (*ATTRIBUTES, *PROPAGATION)]
    show(
        {
            "ociVersionMin": "1.0.0",
            "ociVersionMax": oci.VERSION,
            "hooks": list(HOOKS),
            "mountOptions": sorted([*ATTRIBUTES, *PROPAGATION, *recursive, "bind", "rbind"]),
            "linux": {
                "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "user", "uts"],
                "capabilities": list(NAMES[: last_cap() + 1]),
                "cgroup": {"v1": True, "v2": True, "systemd": False},
                "seccomp": {"enabled": True},
                "apparmor": {"enabled": False},
                "selinux": {"enabled": False},
            },
        }
    )
    return 0
