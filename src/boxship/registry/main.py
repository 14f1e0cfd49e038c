"""`boxship-registry`: the registry as a program."""

from __future__ import annotations

import argparse
import asyncio
import signal
import socket
import sys
from collections.abc import Sequence

from boxship.registry.auth.access import Open
from boxship.registry.http.answer import Answers, Record
from boxship.registry.http.call import Reply
from boxship.registry.http.target import Target
from boxship.registry.service import Policy, Service
from boxship.registry.storage.filesystem import Filesystem
from boxship.transport.exchange import Exchange
from boxship.transport.server import Server


def main(words: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="boxship registry")
    parser.add_argument("command")
    parser.add_argument("config", nargs="?")
    parser.add_argument("--addr", default=":5000")
    parser.add_argument("--root", default="/var/lib/registry")
    parser.add_argument("--delete", action="store_true")
    asked = parser.parse_args(words)
    asyncio.run(serve(asked.root, asked.addr, asked.delete))
    return 0


async def serve(root: str, addr: str, delete: bool) -> None:
    service = Service(Filesystem(root), Policy(delete=delete))

    async def extra(exchange: Exchange, target: Target) -> Reply | None:
        return None

    def journal(record: Record) -> None:
        pass

    answers = Answers(service, Open(), extra, journal)
    server = Server(answers.answer, b"Docker-Distribution-Api-Version: registry/2.0\r\n")
    host, _, port = addr.rpartition(":")
    sock = socket.create_server((host, int(port)), backlog=1024)
    await server.listen(sock)
    ending = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, ending.set)
    await ending.wait()
    await server.stop(5.0)


if __name__ == "__main__":
    sys.exit(main())
