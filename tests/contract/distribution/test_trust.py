"""Whom the registry client believes: TLS on every path, authorities of a registry's own, proxies.

The registry is on the loopback, where nothing need be proven; a name of its own takes it out.
"""

from __future__ import annotations

import asyncio
import shutil
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from tests.support import certificates
from tests.support.faulty_registry import FaultyRegistry
from tests.support.images import archive
from tests.support.pulling import QUICK

from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry
from boxship.distribution.errors import RegistryUnavailable, Unreachable, Untrusted
from boxship.distribution.pool import Pool
from boxship.distribution.settings import Proxies
from boxship.spec.digest import Digest

USER = Credentials("user", "secret")
DIGEST = Digest.of(b"x")


async def content(start: int, end: int) -> Any:
    yield b"x"[start:end]


async def read_all(asked: Registry) -> bytes:
    return b"".join([piece async for piece in asked.read_blob("a/b", DIGEST, 1)])


PATHS: dict[str, Callable[[Registry], Awaitable[Any]]] = {
    "resolve": lambda asked: asked.resolve("a/b", "1"),
    "head": lambda asked: asked.head_manifest("a/b", "1"),
    "blob": read_all,
    "tags": lambda asked: asked.tags("a/b"),
    "push": lambda asked: asked.upload_blob("a/b", DIGEST, 1, content),
    "put": lambda asked: asked.put_manifest("a/b", "2", "x", b"{}"),
    "login": lambda asked: asked.login(),
}


def asking(
    name: str, work: Callable[[Registry], Awaitable[Any]], *, named: bool = True, **settings: Any
) -> Any:
    """Ask a registry on the loopback by another name, for which nothing is excused."""

    async def run() -> Any:
        import aiohttp
        from aiohttp.abc import AbstractResolver, ResolveResult

        class Here(AbstractResolver):
            async def resolve(
                self, host: str, port: int = 0, family: Any = 0
            ) -> list[ResolveResult]:
                return [
                    ResolveResult(
                        hostname=host, host="127.0.0.1", port=port,
                        family=socket.AF_INET, proto=0, flags=0,
                    )
                ]  # fmt: skip

            async def close(self) -> None:
                pass

        connector = (lambda: aiohttp.TCPConnector(resolver=Here())) if named else None
        pool = Pool(replace(QUICK, **settings), connector=connector)
        try:
            return await work(Registry(name, USER, pool))
        finally:
            await pool.close()

    return asyncio.run(run())


@pytest.fixture
def made(tmp_path: Path) -> Path:
    return certificates.make_for_registry(tmp_path / "made", client=True)


@pytest.fixture
def registry(made: Path) -> Iterator[FaultyRegistry]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made / "server.crt", made / "server.key")
    with FaultyRegistry(tls=context) as running:
        running.add("a/b", "1", [archive(("x", b"x", {}))])
        running.add_blob("a/b", b"x")
        yield running


def port(registry: FaultyRegistry) -> str:
    return registry.host.rpartition(":")[2]


@pytest.mark.parametrize("path", PATHS)
def test_an_unknown_authority_is_refused_on_every_path(registry: FaultyRegistry, path: str) -> None:
    """SEC-51: not one of the ways to a registry goes without verification."""
    with pytest.raises(Untrusted, match="x509: certificate signed by unknown authority"):
        asking(f"named.test:{port(registry)}", PATHS[path])
    assert not registry.seen


def trusted(made: Path, tmp_path: Path, host: str, *names: str) -> tuple[str, ...]:
    place = tmp_path / "certs.d" / host
    place.mkdir(parents=True)
    for name in names:
        shutil.copy(made / name, place)
    return (str(tmp_path / "certs.d"),)


@pytest.mark.parametrize("path", PATHS)
def test_an_authority_of_the_registry_s_own_is_believed(
    registry: FaultyRegistry, made: Path, tmp_path: Path, path: str
) -> None:
    host = f"localhost.:{port(registry)}"  # the certificate's name, and not the loopback's word
    folders = trusted(made, tmp_path, host, "ca.crt")
    asking(host, PATHS[path], certificates=folders)
    assert registry.seen


def test_a_certificate_for_another_name_is_refused(
    registry: FaultyRegistry, made: Path, tmp_path: Path
) -> None:
    host = f"other.test:{port(registry)}"
    folders = trusted(made, tmp_path, host, "ca.crt")
    with pytest.raises(Untrusted, match=r"x509: .*other\.test"):
        asking(host, PATHS["resolve"], certificates=folders)


def test_an_authority_counts_for_its_registry_alone(
    registry: FaultyRegistry, made: Path, tmp_path: Path
) -> None:
    folders = trusted(made, tmp_path, "elsewhere.test", "ca.crt")
    with pytest.raises(Untrusted):
        asking(f"localhost.:{port(registry)}", PATHS["resolve"], certificates=folders)


def test_a_client_certificate_is_shown(made: Path, tmp_path: Path) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made / "server.crt", made / "server.key")
    context.load_verify_locations(made / "ca.crt")
    context.verify_mode = ssl.CERT_REQUIRED
    with FaultyRegistry(tls=context) as registry:
        registry.add("a/b", "1", [archive(("x", b"x", {}))])
        host = f"localhost.:{port(registry)}"
        folders = trusted(made, tmp_path, host, "ca.crt", "client.cert", "client.key")
        asking(host, PATHS["resolve"], certificates=folders)
        (tmp_path / "certs.d" / host / "client.cert").unlink()
        with pytest.raises(RegistryUnavailable, match=r"remote error: tls|reset by peer"):
            asking(host, PATHS["resolve"], certificates=folders)


def test_a_client_certificate_without_its_key_is_told(
    registry: FaultyRegistry, made: Path, tmp_path: Path
) -> None:
    host = f"localhost.:{port(registry)}"
    folders = trusted(made, tmp_path, host, "ca.crt", "client.cert")
    with pytest.raises(RegistryUnavailable, match=r"missing key client\.key"):
        asking(host, PATHS["resolve"], certificates=folders)


@pytest.mark.parametrize("how", ["host and port", "host"])
def test_what_is_set_insecure_need_not_prove_itself(registry: FaultyRegistry, how: str) -> None:
    host = f"named.test:{port(registry)}"
    asking(host, PATHS["resolve"], insecure=(host if how == "host and port" else "named.test",))


def test_a_registry_that_speaks_plain_is_told_in_the_usual_words() -> None:
    with FaultyRegistry() as registry:
        host = f"named.test:{port(registry)}"
        with pytest.raises(Unreachable, match="server gave HTTP response to HTTPS client"):
            asking(host, PATHS["resolve"])
        assert not registry.seen
        registry.add("a/b", "1", [archive(("x", b"x", {}))])
        asking(host, PATHS["resolve"], insecure=(host,))


def test_a_redirect_out_of_encryption_is_refused(
    registry: FaultyRegistry, made: Path, tmp_path: Path
) -> None:
    from tests.support.faulty_registry import Answer

    from boxship.distribution.errors import WrongAnswer

    with FaultyRegistry("127.0.0.2") as plain:
        where = {"Location": f"{plain.origin}/v2/a/b/blobs/{DIGEST}"}
        registry.when("GET", "/blobs/", Answer(307, where))
        host = f"localhost.:{port(registry)}"
        folders = trusted(made, tmp_path, host, "ca.crt")
        with pytest.raises(WrongAnswer, match="encrypted"):
            asking(host, PATHS["blob"], certificates=folders)
        assert not plain.seen


class Proxy:
    """What a client sends to its proxy, first lines only; nothing is passed on."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://user:pass@127.0.0.1:{self._socket.getsockname()[1]}"
        self.heads: list[bytes] = []
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        while True:
            try:
                taken, _ = self._socket.accept()
            except OSError:
                return
            with taken:
                self.heads.append(taken.recv(4096))
                taken.sendall(b"HTTP/1.1 502 no\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


def test_a_proxy_is_asked_for_what_is_not_excepted() -> None:
    proxy = Proxy()
    try:
        proxies = Proxies(proxy.url, proxy.url, "direct.invalid")
        with pytest.raises(RegistryUnavailable):
            asking("far.invalid", PATHS["resolve"], named=False, proxies=proxies, attempts=1)
        (head,) = proxy.heads
        assert head.startswith(b"CONNECT far.invalid:443 HTTP/1.1\r\n")
        assert b"Proxy-Authorization: Basic dXNlcjpwYXNz\r\n" in head
        with pytest.raises(RegistryUnavailable):
            asking("direct.invalid", PATHS["resolve"], named=False, proxies=proxies, attempts=1)
        assert len(proxy.heads) == 1
    finally:
        proxy.close()
