"""What all registries of one engine share: connections, tokens, and what was learnt of hosts.

A pool belongs to one event loop. Nothing is imported or opened before the first request.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Any, Final

from boxship.distribution import resolver, trust
from boxship.distribution.endpoints import Endpoint, endpoints
from boxship.distribution.errors import RegistryUnavailable, Unreachable, Untrusted
from boxship.distribution.settings import Settings, hostname
from boxship.distribution.tokens import Tokens

if TYPE_CHECKING:
    import aiohttp

READ_AHEAD: Final = 1 << 20
KEPT_OPEN: Final = 30.0  # seconds that an idle connection is kept
UNTRUSTED_FOR: Final = 60.0  # seconds that a mirror which failed is not asked
PLAIN_FOR: Final = 300.0  # seconds that a host is known to speak no TLS

Connector = Callable[[], "aiohttp.BaseConnector"]


class Pool:
    """Connections and tokens; `connector` replaces the way to the other end."""

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        connector: Connector | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self.settings = settings or Settings()
        self.tokens = Tokens(clock)
        self.sleep = sleep
        self.clock = clock
        self._connector = connector
        self._session: aiohttp.ClientSession | None = None
        self._contexts: dict[tuple[trust.Files, bool], ssl.SSLContext] = {}
        self._failed: dict[Endpoint, float] = {}  # until when it is not asked
        self._plain: dict[
            str, float
        ] = {}  # hosts that do not speak TLS, and until when we think so

    async def endpoints(self, host: str, *, mirrors: bool) -> list[Endpoint]:
        """Return where to ask for `host`; what failed a moment ago comes last or not at all."""
        settings, addresses = self.settings, []
        if settings.insecure_networks and not settings.is_insecure(host):
            addresses = await self._addresses(hostname(host))
        found = endpoints(host, settings, mirrors=mirrors, addresses=addresses)
        now = self.clock()
        fit = [one for one in found if not one.mirror or self._failed.get(one, 0.0) <= now]
        if self._plain.get(host, 0.0) > now:
            plain = [one for one in fit if one.scheme == "http" or one.mirror]
            return plain or fit
        return fit

    def distrust(self, endpoint: Endpoint) -> None:
        """Do not ask a mirror for a while."""
        self._failed[endpoint] = self.clock() + UNTRUSTED_FOR

    def speaks_plain(self, endpoint: Endpoint) -> None:
        """Remember that a host answered only without TLS."""
        self._plain[endpoint.host] = self.clock() + PLAIN_FOR

    async def _addresses(self, host: str) -> list[str]:
        loop = asyncio.get_running_loop()
        with suppress(OSError):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
            return [str(one[4][0]) for one in found]
        return []

    @asynccontextmanager
    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        *,
        body: Any = None,
        verified: bool = True,
        hosts: tuple[str, ...] = (),
        timeout: float | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Send one request and nothing else: no redirect is followed, nothing is decompressed.

        `hosts` are the names by which certificates for the other end may be kept. What keeps the
        answer from coming is an OSError or a ClientError of aiohttp's.
        """
        import aiohttp
        from yarl import URL

        settings = self.settings
        session = self._opened()
        limits = aiohttp.ClientTimeout(
            total=timeout,
            sock_connect=settings.connect_timeout,
            sock_read=settings.stall_timeout if body is None else settings.stored_timeout,
        )
        context = await self._context(verified, hosts) if url.startswith("https:") else False
        async with (
            asyncio.timeout(None) as limit,
            session.request(
                method,
                URL(url, encoded=True),
                headers=headers,
                data=_watched(body, limit, settings.stall_timeout),
                allow_redirects=False,
                ssl=context,
                proxy=settings.proxies.for_url(url) if self._connector is None else None,
                timeout=limits,
            ) as response,
        ):
            limit.reschedule(None)
            yield response

    def _opened(self) -> aiohttp.ClientSession:
        import aiohttp

        if self._session is None or self._session.closed:
            connector = (
                self._connector()
                if self._connector
                else aiohttp.TCPConnector(
                    limit=0, keepalive_timeout=KEPT_OPEN, resolver=resolver.make()
                )
            )
            self._session = aiohttp.ClientSession(
                connector=connector,
                auto_decompress=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                read_bufsize=READ_AHEAD,
                skip_auto_headers=("Accept-Encoding", "Content-Type"),
                headers={"User-Agent": self.settings.user_agent},
                trust_env=False,
            )
        return self._session

    async def _context(self, verified: bool, hosts: tuple[str, ...]) -> ssl.SSLContext:
        files = trust.find(self.settings.certificates, hosts)
        known = self._contexts.get((files, verified))
        if known is None:
            known = await asyncio.to_thread(trust.context, files, verified=verified)
            self._contexts[files, verified] = known
        return known

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None


def _watched(body: Any, limit: asyncio.Timeout, stall: float) -> Any:
    """Return a body whose other end must take a piece now and then."""
    if not isinstance(body, AsyncIterator):
        return body

    async def pieces() -> AsyncIterator[bytes]:
        loop = asyncio.get_running_loop()
        async for piece in body:
            limit.reschedule(loop.time() + stall)
            yield piece
        limit.reschedule(None)

    return pieces()


def explain(method: str, url: str, error: BaseException) -> RegistryUnavailable:
    """Say why no answer came, in the words that people look for."""
    import aiohttp

    kind = RegistryUnavailable
    if _speaks_no_tls(error):
        kind = Unreachable
    elif _tls_failure(error) is not None:
        kind = Untrusted
    elif isinstance(error, aiohttp.ClientConnectorError):
        kind = Unreachable
    return kind(f'{method.capitalize()} "{url.partition("?")[0]}": {_why(error)}')


def _tls_failure(error: BaseException) -> ssl.SSLError | None:
    """Return what went wrong between two sides that both speak TLS."""
    import aiohttp

    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        error = error.certificate_error
    return next((one for one in (error, error.__cause__) if isinstance(one, ssl.SSLError)), None)


def _speaks_no_tls(error: BaseException) -> bool:
    """Whether the answer to a TLS greeting was none: OpenSSL took it for a record and stumbled."""
    said = str(error).upper()
    return "SSL" in said and any(
        word in said for word in ("WRONG_VERSION", "HTTP_REQUEST", "RECORD_LAYER", "UNEXPECTED_EOF")
    )


def _why(error: BaseException) -> str:
    import aiohttp

    if _speaks_no_tls(error):
        return "http: server gave HTTP response to HTTPS client"
    if (failure := _tls_failure(error)) is not None:
        return _why_tls(failure)
    match error:
        case aiohttp.ClientConnectorDNSError():
            return f"dial tcp: lookup {error.host}: no such host"
        case aiohttp.ClientConnectorError():
            # aiohttp puts its own sentence before the system's
            cause = error.os_error
            reason = os.strerror(cause.errno) if cause.errno else str(cause)
            return f"dial tcp {error.host}:{error.port}: connect: {reason.lower()}"
        case TimeoutError():
            return "timed out while waiting for an answer"
        case OSError() if error.errno:
            return os.strerror(error.errno).lower()
    return str(error) or type(error).__name__


def _why_tls(failure: ssl.SSLError) -> str:
    reason = str(getattr(failure, "verify_message", "") or "")
    if "self-signed" in reason or "self signed" in reason or "issuer" in reason:
        reason = f"certificate signed by unknown authority ({reason})"
    if reason:
        return f"tls: failed to verify certificate: x509: {reason}"
    said = (failure.reason or str(failure)).lower()
    prefix, alert, rest = said.partition("_alert_")
    return f"remote error: tls: {(rest if alert else prefix).replace('_', ' ')}"
