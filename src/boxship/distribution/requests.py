"""One request to one endpoint: logged in, sent on, tried again.

Credentials are for the endpoint's own origin. A redirect elsewhere is followed without them, by
GET and HEAD only, never from an encrypted connection to a plain one; and when that other place
asks for a log-in, it is refused.
"""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urljoin, urlsplit

from boxship.distribution.answers import TRANSIENT, failure, read, retry_after
from boxship.distribution.auth import Credentials
from boxship.distribution.endpoints import Endpoint
from boxship.distribution.errors import (
    BrokenOff,
    LoginNeeded,
    RegistryUnavailable,
    Unreachable,
    Untrusted,
    WrongAnswer,
)
from boxship.distribution.login import Login
from boxship.distribution.pool import Pool, explain
from boxship.distribution.tokens import Scopes

if TYPE_CHECKING:
    import aiohttp

REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
HOPS: Final = 5
LOGINS: Final = 2  # how often one request is sent again after a 401
LONGEST_URL: Final = 16 << 10


class Requests:
    """Requests to one endpoint, for one user."""

    def __init__(self, pool: Pool, endpoint: Endpoint, credentials: Credentials) -> None:
        self.pool = pool
        self.endpoint = endpoint
        self.login = Login(pool, endpoint, credentials)

    @asynccontextmanager
    async def send(
        self,
        method: str,
        url: str,
        scopes: Scopes,
        *,
        expected: Collection[int],
        headers: Mapping[str, str] | None = None,
        body: Callable[[], Any] | None = None,
        attempts: int | None = None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield an answer with a status that is expected; what keeps it from coming is raised.

        `body` makes the body anew for each try. What may pass by itself is tried again, later
        each time and no sooner than the registry asks for.
        """
        tries = attempts if attempts is not None else self.pool.settings.attempts
        for attempt in range(tries):
            last = attempt == tries - 1
            async with AsyncExitStack() as opened:
                wait = None
                try:
                    response = await opened.enter_async_context(
                        self._logged_in(method, url, scopes, headers or {}, body)
                    )
                except RegistryUnavailable as error:
                    if last or error.status or isinstance(error, Unreachable | Untrusted):
                        raise
                else:
                    if response.status in expected:
                        yield response
                        return
                    wait = retry_after(response)
                    if response.status not in TRANSIENT or last or not self._patient(wait):
                        raise await failure(response, f"{method} {url.partition('?')[0]}")
            await self.pause(attempt, wait)

    async def document(
        self, url: str, scopes: Scopes, limit: int, headers: Mapping[str, str] | None = None
    ) -> tuple[bytes, aiohttp.ClientResponse]:
        """Return a bounded document and its answer; one that breaks off is asked for again."""
        tries = self.pool.settings.attempts
        for attempt in range(tries):
            try:
                async with self.send(
                    "GET", url, scopes, expected=(200,), headers=headers
                ) as response:
                    return await read(response, limit), response
            except BrokenOff:
                if attempt == tries - 1:
                    raise
            await self.pause(attempt)
        raise AssertionError("no attempt")

    def _patient(self, wait: float | None) -> bool:
        return wait is None or wait <= self.pool.settings.longest_wait

    async def pause(self, attempt: int, wait: float | None = None) -> None:
        """Wait before the next try: longer each time, not all clients at the same moment."""
        step = self.pool.settings.back_off * 2**attempt
        await self.pool.sleep(max(wait or 0.0, step * (0.5 + random.random() / 2)))

    @asynccontextmanager
    async def _logged_in(
        self,
        method: str,
        url: str,
        scopes: Scopes,
        headers: Mapping[str, str],
        body: Callable[[], Any] | None,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        """Yield the answer to a request that is sent again, with a log-in, after a 401."""
        sent = await self.login.header(scopes)
        for _ in range(LOGINS + 1):
            async with self._redirected(method, url, headers, sent, body) as (response, own):
                if response.status != 401:
                    yield response
                    return
                refusal = await failure(response, f"{method} {url.partition('?')[0]}")
                if not own:
                    raise LoginNeeded(
                        f"{response.url.host} asks for a log-in, and was only the place that "
                        f"{self.endpoint.host} named",
                        status=401,
                    )
                offered = response.headers
            answer = await self.login.after_refusal(offered, scopes, sent)
            if answer is None:
                raise refusal
            sent = answer
        raise refusal

    @asynccontextmanager
    async def _redirected(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        authorization: str | None,
        body: Callable[[], Any] | None,
    ) -> AsyncIterator[tuple[aiohttp.ClientResponse, bool]]:
        """Yield the answer at the end of the redirects, and whether it is the endpoint's own."""
        for _ in range(HOPS + 1):
            own = origin(url) == self.endpoint.origin
            fields = {"Accept-Encoding": "identity", **headers}
            if own and authorization:
                fields["Authorization"] = authorization
            async with self._plain(method, url, fields, body, own=own) as response:
                where = response.headers.get("Location")
                if response.status not in REDIRECTS or where is None:
                    yield response, own
                    return
                if method not in ("GET", "HEAD"):
                    raise WrongAnswer(f"{self.endpoint.host} redirects a {method}")
                url = self.follow(url, where)
        raise WrongAnswer(f"{self.endpoint.host} redirects more than {HOPS} times")

    def follow(self, url: str, where: str) -> str:
        """Return the URL that an answer points to; WrongAnswer where it must not be asked."""
        target = urljoin(url, where)
        try:
            parts = urlsplit(target)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname)
            fine = fine and not parts.username and len(target) <= LONGEST_URL
            _ = parts.port
        except ValueError:
            fine = False
        if not fine:
            raise WrongAnswer(f"{self.endpoint.host} points to {target[:200]!r}")
        if url.startswith("https:") and parts.scheme == "http":
            raise WrongAnswer(
                f"{self.endpoint.host} points from an encrypted connection to {target[:200]!r}"
            )
        return target

    @asynccontextmanager
    async def _plain(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: Callable[[], Any] | None,
        *,
        own: bool,
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        import aiohttp

        netloc = urlsplit(url).netloc
        names = (self.endpoint.host, self.endpoint.address) if own else (netloc,)
        verified = self.endpoint.verified if own else not self.pool.settings.is_insecure(netloc)
        opened = self.pool.request(
            method,
            url,
            headers,
            body=body() if body else None,
            verified=verified,
            hosts=names,
        )
        try:
            response = await opened.__aenter__()
        except (aiohttp.ClientError, OSError) as error:
            raise explain(method, url, error) from error
        try:
            yield response
        except BaseException as error:
            if not await opened.__aexit__(type(error), error, error.__traceback__):
                raise
        else:
            await opened.__aexit__(None, None, None)


def origin(url: str) -> str:
    """Return scheme, host and port of a URL."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
