"""Looking for repositories by words: the hub's old index, which some registries offer too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlencode

import msgspec

from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry
from boxship.distribution.endpoints import HUB_INDEX, Endpoint
from boxship.distribution.errors import Unreachable, WrongAnswer
from boxship.distribution.pool import Pool
from boxship.distribution.requests import Requests
from boxship.distribution.tokens import joined
from boxship.errors import InvalidRequest
from boxship.spec.reference import HUB, looks_like_host

MOST: Final = 100
USUAL: Final = 25
LIMIT: Final = 4 << 20


class Hit(msgspec.Struct):
    """One repository that was found."""

    name: str = ""
    description: str | None = None
    star_count: int = 0
    is_official: bool = False
    is_automated: bool = False


class _Results(msgspec.Struct):
    results: list[Hit] | None = None


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to look for; None is not asked."""

    term: str
    limit: int = USUAL
    official: bool | None = None
    automated: bool | None = None
    stars: int = 0


async def search(pool: Pool, wanted: Wanted, credentials: Credentials) -> Sequence[Hit]:
    """Return what the index finds; a term may begin with the host of another registry."""
    if not 1 <= wanted.limit <= MOST:
        raise InvalidRequest(f"invalid limit: {wanted.limit} is outside the range of [1, {MOST}]")
    host, term = _split(wanted.term)
    query = urlencode({"q": term, "n": wanted.limit})
    registry = Registry(host, credentials, pool)
    places = await pool.endpoints(host, mirrors=False)
    if host == HUB:
        places = [Endpoint(HUB, "https", HUB_INDEX)]
    for number, place in enumerate(places):
        requests = Requests(pool, place, registry.credentials)
        url = f"{place.origin}/v1/search?{query}"
        try:
            data, _ = await requests.document(url, joined(()), LIMIT)
            break
        except Unreachable:
            if number == len(places) - 1:
                raise
    try:
        found = msgspec.json.decode(data, type=_Results).results or []
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise WrongAnswer(f"search at {host}: {error}") from error
    return [one for one in found if _fits(one, wanted)][: wanted.limit]


def _split(term: str) -> tuple[str, str]:
    if not term.strip():
        raise InvalidRequest("search term cannot be blank")
    if "://" in term:
        raise InvalidRequest(f'invalid repository name: "{term[:100]}" must not have a scheme')
    first, slash, rest = term.partition("/")
    if slash and looks_like_host(first):
        return (HUB if first in (HUB, HUB_INDEX) else first), rest.removeprefix("library/")
    return HUB, term.removeprefix("library/")


def _fits(one: Hit, wanted: Wanted) -> bool:
    return (
        (wanted.official is None or one.is_official == wanted.official)
        and (wanted.automated is None or one.is_automated == wanted.automated)
        and one.star_count >= wanted.stars
    )
