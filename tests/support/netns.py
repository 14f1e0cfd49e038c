"""Network namespaces that play hosts: an engine's host, its neighbour on the LAN."""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import socket
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from typing import TypeVar

from boxship.kernel import namespaces

T = TypeVar("T")

ANSWER = b"here "


def in_new_host(action: Callable[[], T]) -> T:
    """Run `action` in a child that has network, mount and pid namespaces of its own.

    Its result comes back pickled; what it started ends with it.
    """
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(reader)
        _child(writer, action)
    os.close(writer)
    with open(reader, "rb") as file:
        told = file.read()
    os.waitpid(pid, 0)
    assert told, "the child ended without a word"
    good, value = pickle.loads(told)  # noqa: S301 (our own child)
    if not good:
        raise AssertionError(f"in the host:\n{value}")
    result: T = value
    return result


def _child(writer: int, action: Callable[[], object]) -> None:
    namespaces.unshare(namespaces.CLONE_NEWNET | namespaces.CLONE_NEWNS | namespaces.CLONE_NEWPID)
    pid = os.fork()
    if pid:
        os.close(writer)
        os.waitpid(pid, 0)
        os._exit(0)
    try:
        run("mount --make-rprivate / && mount -t proc proc /proc && mount -t sysfs sysfs /sys")
        run("ip link set lo up")
        told = (True, action())
    except BaseException:
        told = (False, traceback.format_exc())
    with open(writer, "wb") as file:
        file.write(pickle.dumps(told))
    sys.stdout.flush()
    os._exit(0)


def run(command: str) -> str:
    """Run a shell command; it must succeed."""
    done = subprocess.run(command, shell=True, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command}: {done.stderr}{done.stdout}"
    return done.stdout


class Place:
    """A process in a network namespace, doing what it is told: a container, or a neighbour."""

    def __init__(self, namespace: int | None = None) -> None:
        self._ours, theirs = socket.socketpair()
        self.pid = os.fork()
        if self.pid == 0:
            self._ours.close()
            os.setpgid(0, 0)
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            if namespace is None:
                namespaces.unshare(namespaces.CLONE_NEWNET)
            else:
                namespaces.setns(namespace, namespaces.CLONE_NEWNET)
            _keep_only(theirs.fileno())
            _serve(theirs)
        theirs.close()
        assert self._ours.recv(1) == b"+"

    def do(self, action: Callable[..., T], *arguments: object) -> T:
        """Run a module's function there."""
        self._ours.sendall(pickle.dumps((action, arguments)).ljust(65536, b"\0"))
        good, value = pickle.loads(self._ours.recv(1 << 20))  # noqa: S301
        if not good:
            raise AssertionError(f"in the place:\n{value}")
        result: T = value
        return result

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        self._ours.close()


def _serve(channel: socket.socket) -> None:
    channel.sendall(b"+")
    kept: list[object] = []
    while True:
        asked = b""
        while len(asked) < 65536:
            part = channel.recv(65536 - len(asked))
            if not part:
                os._exit(0)
            asked += part
        action, arguments = pickle.loads(asked)  # noqa: S301
        try:
            value = action(*arguments)
            if isinstance(value, int | str | bytes | list | tuple | dict | None):
                told = (True, value)
            else:
                kept.append(value)
                told = (True, None)
        except BaseException:
            told = (False, traceback.format_exc())
        channel.sendall(pickle.dumps(told))


def _keep_only(descriptor: int) -> None:
    """Close what was inherited: a fork must not hold the engine's ports."""
    os.closerange(3, descriptor)
    os.closerange(descriptor + 1, 4096)


def listen(port: int, name: str, kind: str = "tcp", host: str = "0.0.0.0") -> None:
    """Answer every connection or datagram with a name and the address it came from."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    stream = kind == "tcp"
    server = socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind((host, port))
    if stream:
        server.listen(64)
    if os.fork():
        server.close()
        return
    _keep_only(server.fileno())
    while True:
        if stream:
            connection, peer = server.accept()
            connection.sendall(f"{name} saw {peer[0]}".encode())
            connection.close()
        else:
            _, peer = server.recvfrom(100)
            server.sendto(f"{name} saw {peer[0]}".encode(), peer)


def ask(host: str, port: int, kind: str = "tcp", timeout: float = 0.5) -> str:
    """Return what answers at an address, or the kind of failure."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    stream = kind == "tcp"
    with socket.socket(family, socket.SOCK_STREAM if stream else socket.SOCK_DGRAM) as client:
        client.settimeout(timeout)
        try:
            client.connect((host, port))
            if not stream:
                client.send(b"x")
            return client.recv(100).decode()
        except OSError as failure:
            return type(failure).__name__


@contextlib.contextmanager
def places(*made: Place) -> Iterator[None]:
    """End the places when the block ends."""
    try:
        yield
    finally:
        for place in made:
            place.end()
