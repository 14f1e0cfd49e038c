"""What a keeper will do, done before there is one, in the process that all are copied from.

The interpreter learns while it runs: it rewrites code that is run often, and makes what was not
there yet. Each keeper that learns for itself has the pages it writes to for as long as its
container runs. So the spawner keeps a container that is none, whose programs are copies of itself
that end at once.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from time import sleep
from typing import Final

from boxship.kernel import processes
from boxship.runtime import api
from boxship.shim import fdsocket, protocol
from boxship.shim.keeper import SOON, Keeper, report, uncatch_children
from boxship.shim.launching import Begun, Launching
from boxship.shim.needs import Host
from boxship.shim.starter import Job

ROUNDS: Final = 16  # as often as it takes until the interpreter has learnt what it can
LONGER: Final = 2  # of them, in which a program runs long enough for it to be noted
NAME: Final = "rehearsal"
_BUNDLE: Final = {
    "process": {"args": ["a"], "user": {"uid": 0, "gid": 0}},
    "linux": {"namespaces": [{"type": "pid"}], "cgroupsPath": f"/boxship-{NAME}"},
}


def rehearse(host: Host, folder: str) -> None:
    """Keep containers that are none in a folder that is gone afterwards."""
    try:
        remove(folder)
        os.makedirs(folder, mode=0o700)
        with open(f"{folder}/config.json", "w", encoding="ascii") as file:
            json.dump(_BUNDLE, file)
        for number in range(ROUNDS):
            _keep_once(host, folder, 2 * SOON if number < LONGER else 0)
    except OSError as failure:
        report(failure)  # keepers are larger then, and no worse
    finally:
        uncatch_children()
        remove(folder)


def remove(folder: str) -> None:
    """Remove what a rehearsal leaves, also one that was cut short."""
    for path in (f"{folder}/keeper", folder):
        with suppress(OSError):
            for entry in os.scandir(path):
                os.unlink(entry)
            os.rmdir(path)


def _keep_once(host: Host, folder: str, seconds: float) -> None:
    keeper = Keeper(host, Pretending(host, seconds))
    keeper.rehearse()
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    client, attached = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
    with ours, client:
        start = protocol.StartRequest(
            bundle=folder,
            exit_record=f"{folder}/exit",
            log=protocol.LogChoice("json-file", f"{folder}/log"),
        )
        further = protocol.ExecRequest(
            "further",
            json.dumps(_BUNDLE["process"]).encode(),
            attachments=[protocol.Attachment(stdout=True, stderr=True, multiplex=True)],
        )
        ours.send(protocol.encode(protocol.Start(number=1, request=start)))
        with attached:
            asked = protocol.encode(protocol.Exec(number=2, request=further), 1)
            fdsocket.send(ours, asked, [attached.fileno()])
        keeper.run(NAME, f"{folder}/keeper", theirs)


class Pretending(Launching):
    """Starts copies of this process that say a word and end."""

    def __init__(self, host: Host, seconds: float) -> None:
        super().__init__(host, None)
        self._keeps = host
        self._seconds = seconds

    def run(self, job: Job, given: Mapping[str, int], cgroup: str) -> api.Init:
        self._keeps.adopt(job.runtime, job.container, cgroup, 0)
        return _program(given, self._seconds)

    def begin(self, job: Job, given: Mapping[str, int]) -> Begun:
        return Begun(_program(given, 0))


def _program(given: Mapping[str, int], seconds: float) -> api.Init:
    pid = os.fork()
    if pid == 0:
        with suppress(BaseException):
            os.write(given["stdout"], b"a word\n")
            sleep(seconds)
        os._exit(0)
    return api.Init(pid, processes.open_pidfd(pid))
