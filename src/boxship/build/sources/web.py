"""URLs asked for from a build: each address on the way is looked at before it is connected to."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, urljoin, urlsplit

from boxship.build.errors import Outside
from boxship.build.sources import reach
from boxship.errors import InvalidRequest, Unavailable

if TYPE_CHECKING:
    import aiohttp

REDIRECTS: Final = 10
SILENCE: Final = 60.0  # seconds without a byte
CONNECT: Final = 30.0
MOVED: Final = frozenset({301, 302, 303, 307, 308})


class Wrong(InvalidRequest):
    """What came is not what was asked for."""


@dataclass(frozen=True, slots=True)
class Opened:
    """An answer whose body has not been read, and the URL that it came from in the end."""

    answer: aiohttp.ClientResponse
    url: str


@asynccontextmanager
async def opened(url: str, headers: Mapping[str, str], login: str = "") -> AsyncIterator[Opened]:
    """Ask for a URL, through redirects; `login` proves who asks, to the first site only."""
    import aiohttp

    timeout = aiohttp.ClientTimeout(total=None, connect=CONNECT, sock_read=SILENCE)
    connector = aiohttp.TCPConnector(resolver=_resolver(), use_dns_cache=False)
    site = _site(_checked(url))
    async with aiohttp.ClientSession(
        connector=connector, timeout=timeout, auto_decompress=False, trust_env=False
    ) as session:
        for _ in range(REDIRECTS + 1):
            asked = {"Accept-Encoding": "identity", **headers}
            if login and _site(_checked(url)) == site:
                asked["Authorization"] = login
            try:
                answer = await session.get(url, headers=asked, allow_redirects=False)
            except Outside:
                raise
            except (aiohttp.ClientError, OSError, TimeoutError) as failure:
                if isinstance(failure.__cause__, Outside):
                    raise failure.__cause__ from None
                raise Unavailable(f"{shown(url)}: {failure}") from failure
            async with answer:
                if answer.status not in MOVED:
                    yield Opened(answer, url)
                    return
                url = urljoin(url, answer.headers.get("Location", ""))
                _checked(url)
    raise Wrong(f"stopped after {REDIRECTS} redirects")


def _checked(url: str) -> SplitResult:
    try:
        parts = urlsplit(url)
        readable = parts.port != 0 and url.isprintable()
    except ValueError:
        readable = False
    if not readable:
        raise Outside("a URL cannot be read")
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise Outside(f"{parts.scheme or 'no'} is not a scheme that files are fetched by")
    reach.check_host(parts.netloc)
    return parts


def _site(parts: SplitResult) -> tuple[str, str, int | None]:
    return parts.scheme, parts.hostname or "", parts.port


def _resolver() -> Any:
    """Return a resolver that refuses what may not be reached."""
    from aiohttp.abc import AbstractResolver, ResolveResult

    class Resolver(AbstractResolver):
        async def resolve(
            self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
        ) -> list[ResolveResult]:
            return [
                ResolveResult(
                    hostname=host,
                    host=address,
                    port=port,
                    family=kind,
                    proto=0,
                    flags=socket.AI_NUMERICHOST,
                )
                for kind, address in await reach.addresses(host, port)
            ]

        async def close(self) -> None:
            pass

    return Resolver()


def shown(url: str) -> str:
    """Return a URL without what it may hold of a password."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=host, query="").geturl()
