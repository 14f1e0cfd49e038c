"""Asking a registry at one place after the other: its mirrors, then itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import Final, TypeVar

import msgspec

from boxship.distribution import tokens
from boxship.distribution.auth import ANONYMOUS, Credentials
from boxship.distribution.endpoints import Endpoint
from boxship.distribution.errors import NotThere, Unreachable, WrongAnswer
from boxship.distribution.pool import Pool
from boxship.distribution.requests import Requests
from boxship.errors import BoxshipError
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci

PAGES: Final = 1000
LIST_LIMIT: Final = 8 << 20

T = TypeVar("T")


class Places:
    """One registry as one user sees it, and where it is asked."""

    def __init__(
        self, host: str, credentials: Credentials | None = None, pool: Pool | None = None
    ) -> None:
        self.host = host
        self.pool = pool or Pool()
        self.credentials = (credentials or ANONYMOUS).belonging_to(host)

    async def _places(self, *, mirrors: bool) -> list[Requests]:
        found = await self.pool.endpoints(self.host, mirrors=mirrors)
        return [Requests(self.pool, endpoint, self.credentials) for endpoint in found]

    async def _itself(self, ask: Callable[[Requests], Awaitable[T]]) -> T:
        return await self._first(await self._places(mirrors=False), ask)

    async def _anywhere(self, ask: Callable[[Requests], Awaitable[T]]) -> T:
        return await self._first(await self._places(mirrors=True), ask)

    async def _first(
        self, places: Iterable[Requests], ask: Callable[[Requests], Awaitable[T]]
    ) -> T:
        """Return the first answer; of several failures, the registry's own counts."""
        rest = list(places)
        while True:
            place = rest.pop(0)
            try:
                found = await ask(place)
            except BoxshipError as error:
                if not self._goes_on(place.endpoint, error, last=not rest):
                    raise
                continue
            if place.endpoint.scheme == "http" and not place.endpoint.mirror:
                self.pool.speaks_plain(place.endpoint)
            return found

    def _goes_on(self, endpoint: Endpoint, error: BoxshipError, *, last: bool) -> bool:
        """Whether the next place is worth asking after this one failed."""
        if last:
            return False
        if endpoint.mirror:
            if not isinstance(error, NotThere):
                self.pool.distrust(endpoint)
            return True
        return isinstance(error, Unreachable)

    async def _pages(
        self, path: str, scopes: tokens.Scopes, kind: type[T], limit: int, **query: str
    ) -> list[T]:
        """Return all pages of a list, following its links."""

        async def ask(at: Requests) -> list[T]:
            url = at.endpoint.url(path, **query)
            found: list[T] = []
            for _ in range(PAGES):
                headers = {"Accept": f"application/json, {oci.OCI_INDEX}"}
                data, response = await at.document(url, scopes, LIST_LIMIT, headers)
                link = response.links.get("next")
                following = str(link["url"]) if link else ""
                try:
                    found.append(msgspec.json.decode(data, type=kind, dec_hook=_digest))
                except (msgspec.MsgspecError, ValueError, RecursionError) as error:
                    raise WrongAnswer(f"{path}: {error}") from error
                if not following or len(found) * 1000 >= limit + 1000:
                    break
                url = at.follow(url, following)
            return found

        return await self._anywhere(ask)


def _digest(kind: type, value: object) -> object:
    if kind is Digest:
        if not isinstance(value, str):
            raise ValueError("a digest is text")
        return Digest.parse(value)
    raise NotImplementedError(kind)
