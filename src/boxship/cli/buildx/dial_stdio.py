"""Connect standard input and output to a builder's gRPC."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="dial-stdio [OPTIONS] < in.fifo > out.fifo &",
    summary="Proxy current stdio streams to builder instance",
    names=("buildx dial-stdio", "builder dial-stdio"),
    flags=(
        Flag("builder", "", "Override the configured builder instance", "string", ""),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("platform", "", "Accepted: a builder has one node", "string", "", hidden=True),
        Flag("progress", "", "Accepted: nothing is shown", "string", "none", hidden=True),
    ),
    at_most=0,
)


def run(shell: Shell, words: list[str], *, builder: str, **more: object) -> int:
    """Copy in both directions until the builder's side ends."""
    find_libraries()
    import threading

    from boxship.cli.building.builders import chosen_builder
    from boxship.client.dial import connect
    from boxship.client.target import Target
    from boxship.errors import BoxshipError

    try:
        place = chosen_builder(shell, builder).place(shell)
        pending = b""
        if isinstance(place, Target):
            socket = connect(place)
        else:
            stream = place.hijack("/grpc", protocol="h2c")
            socket, pending = stream.socket, stream.pending
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
    import os
    import socket as sockets

    def send() -> None:
        try:
            while data := os.read(0, 64 << 10):
                socket.sendall(data)
            socket.shutdown(sockets.SHUT_WR)
        except OSError:
            pass  # the builder has gone, and reading tells of that

    shell.out.write_bytes(pending)
    shell.out.flush()
    threading.Thread(target=send, daemon=True).start()
    while data := socket.recv(64 << 10):
        shell.out.write_bytes(data)
        shell.out.flush()
    return 0
