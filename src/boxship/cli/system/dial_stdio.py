"""Join standard input and output to the engine's socket: the far end of an ssh:// address."""

from __future__ import annotations

import os
import select

from boxship.cli.command import Command
from boxship.cli.output import write_all

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="dial-stdio",
    summary="Join standard input and output to the engine's socket",
    names=("system dial-stdio",),
    at_most=0,
    hidden=True,
)
CHUNK = 256 * 1024
SHUT_WR = 1


def run(shell: Shell, words: list[str]) -> int:
    """Copy both ways until the engine's side ends; the end of our input is only half of it."""
    from boxship.client.dial import connect

    engine = shell.client
    engine.negotiate()  # starts the engine where that is ours to do
    connection = connect(engine.target)
    poll = select.poll()
    poll.register(0, select.POLLIN)
    poll.register(connection.fileno(), select.POLLIN)
    while True:
        for descriptor, _ in poll.poll():
            if descriptor == 0:
                data = os.read(0, CHUNK)
                if data:
                    connection.sendall(data)
                else:
                    poll.unregister(0)
                    connection.shutdown(SHUT_WR)
            else:
                data = connection.recv(CHUNK)
                if not data:
                    return 0
                write_all(1, data)
