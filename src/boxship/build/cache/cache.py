"""The build cache as people see it: what there is, and what goes when there is too much of it."""

from __future__ import annotations

import asyncio
import logging
import re
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.build.cache.folders import Folders
from boxship.build.cache.record import Folder, Kind, Layer, Usage
from boxship.build.cache.records import Records
from boxship.errors import InvalidRequest
from boxship.image.images import Images
from boxship.lib import moments
from boxship.snapshot.driver import ChainId

log = logging.getLogger(__name__)

Filters = Mapping[str, Sequence[str]]
KNOWN: Final = frozenset(
    {
        *("id", "type", "description", "parent", "parents", "inuse", "mutable", "immutable"),
        *("shared", "private", "until", "unused-for"),
    }
)
FLAGS: Final = frozenset({"inuse", "mutable", "immutable", "shared", "private"})
SECOND: Final = 1_000_000_000
PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ns|us|ms|s|m|h|d)", re.ASCII)
DURATION: Final = re.compile(rf"(?:{PART.pattern})+", re.ASCII)
LATER: Final = 0.2  # seconds after a build: its client has its answer then
UNITS: Final = {
    "ns": 1,
    "us": 1000,
    "ms": 1_000_000,
    "s": SECOND,
    "m": 60 * SECOND,
    "h": 3600 * SECOND,
    "d": 86400 * SECOND,
}


@dataclass(frozen=True, slots=True)
class Keep:
    """How much may stay; bytes and nanoseconds, 0 for no such rule.

    reserved: so much is kept in any case. most: and no more than this. free: what the disk is to
    have free. unused_for: only what was not used for so long goes. everything: also what is
    shared with images, which frees nothing.
    """

    reserved: int = 0
    most: int = 0
    free: int = 0
    unused_for: int = 0
    everything: bool = False


class Cache:
    """Lists and prunes."""

    def __init__(
        self,
        records: Records,
        folders: Folders,
        images: Images,
        place: str,
        clock: Callable[[], int],
    ) -> None:
        self._records = records
        self._folders = folders
        self._images = images
        self._place = place
        self._clock = clock
        self._pruning = asyncio.Lock()
        self._changed = asyncio.Event()

    def usage(self, filters: Filters | None = None) -> Sequence[Usage]:
        """Return what there is and passes the filters, what was used last coming last."""
        chosen = selection(filters or {}, self._clock())
        return [one for one in sorted(self._all(), key=_age) if chosen(one)]

    def _all(self) -> list[Usage]:
        with self._records.turn:
            layers = list(self._records.layers.values())
            folders = list(self._records.folders.values())
        held = self._records.held_chains()
        busy = self._records.held_folders()
        shared = self._images.chains()
        return [
            *(_of_layer(one, one.chain in shared, held[one.chain] > 0) for one in layers),
            *(_of_folder(one, busy[one.id] > 0) for one in folders),
        ]

    async def prune(
        self,
        filters: Filters,
        *,
        everything: bool = False,
        keep: int = 0,
        most: int = 0,
        free: int = 0,
        unused_for: int = 0,
    ) -> Sequence[Usage]:
        """Remove what may go, what was used longest ago first; return it."""
        rule = Keep(keep, most, free, unused_for, everything)
        async with self._pruning:
            return await asyncio.to_thread(self._prune, filters, rule)

    def _prune(self, filters: Filters, rule: Keep) -> Sequence[Usage]:
        every = self._all()
        going = chosen(every, filters, rule, self._clock(), self._free())
        if going:
            self._remove(going)
        if self._records.take_litter() or going:
            self._images.collect()
        return going

    def _remove(self, going: Sequence[Usage]) -> None:
        chains = {one.id for one in going}
        with self._records.turn:  # builds go on adding to both
            layers = [c for c in self._records.layers if _name(c) in chains]
            folders = [f for f in self._records.folders.values() if f.id in chains]
        self._records.drop(layers)
        for folder in folders:
            self._folders.discard(folder)
        self._records.drop_all_keys()

    async def watch(self, policy: Keep | None) -> None:
        """After builds, write what they used and remove what is too much; until cancelled."""
        try:
            while True:
                await self._changed.wait()
                await asyncio.sleep(LATER)
                self._changed.clear()
                await asyncio.to_thread(self._flush)
                if policy is not None:
                    most, free = policy.most, policy.free
                    await self.prune({}, keep=policy.reserved, most=most, free=free)
        finally:
            self._flush()

    def _flush(self) -> None:
        try:
            self._records.flush()
        except OSError as failure:
            log.warning("what builds have used was not noted: %s", failure)

    def changed(self) -> None:
        """There may be more than there was."""
        self._changed.set()

    def _free(self) -> int:
        return shutil.disk_usage(self._place).free


def chosen(
    every: Sequence[Usage], filters: Filters, rule: Keep, now: int, free: int
) -> list[Usage]:
    """Say what goes. Pure.

    A layer that another stands on goes only after that one; what is in use stays.
    """
    passes = selection(filters, now)
    total = sum(one.size for one in every if not one.shared)
    limit = _limit(rule, total, free)
    going: list[Usage] = []
    gone: set[str] = set()
    children: dict[str, set[str]] = {}
    for one in every:
        for parent in one.parents:
            children.setdefault(parent, set()).add(one.id)
    left = sorted((one for one in every if _may_go(one, passes, rule, now)), key=_age)
    while limit is None or total > limit:
        oldest = next((o for o in left if not children.get(o.id, set()) - gone), None)
        if oldest is None:
            break
        left.remove(oldest)
        going.append(oldest)
        gone.add(oldest.id)
        total -= 0 if oldest.shared else oldest.size
    return going


def _may_go(one: Usage, passes: Callable[[Usage], bool], rule: Keep, now: int) -> bool:
    too_new = rule.unused_for and one.used > now - rule.unused_for
    return not (one.in_use or too_new or (one.shared and not rule.everything)) and passes(one)


def _limit(rule: Keep, total: int, free: int) -> int | None:
    """Return how many bytes may stay; None where all may go."""
    if not (rule.reserved or rule.most or rule.free):
        return None
    limits = []
    if rule.most:
        limits.append(rule.most)
    if rule.free:
        limits.append(total - max(0, rule.free - free))
    if not limits:
        return rule.reserved
    return max(rule.reserved, min(limits))


def selection(filters: Filters, now: int) -> Callable[[Usage], bool]:
    """Return what decides whether a record passes; InvalidRequest for filters nobody knows."""
    for name in filters:
        if name.rstrip("!~") not in KNOWN:
            raise InvalidRequest(f"invalid filter '{name}'")
    tests = [_test(name, list(values), now) for name, values in filters.items()]
    return lambda one: all(test(one) for test in tests)


def _test(name: str, values: Sequence[str], now: int) -> Callable[[Usage], bool]:
    if name in ("until", "unused-for"):
        before = min((_before(value, now) for value in values), default=now)
        return lambda one: one.used < before
    if name in FLAGS:
        wanted = not values or values[-1].lower() not in ("false", "0")
        return lambda one: _flag(one, name) == wanted
    plain = name.rstrip("!~")
    negated = name.endswith(("!", "!~"))
    if name.endswith("~"):
        patterns = [_pattern(value) for value in values]
        return lambda one: (
            any(p.search(text) for p in patterns for text in _texts(one, plain)) != negated
        )
    return lambda one: (
        any(_is(plain, value, text) for value in values for text in _texts(one, plain)) != negated
    )


def _is(name: str, value: str, text: str) -> bool:
    return text.startswith(value) if name == "id" else text == value


def _pattern(value: str) -> re.Pattern[str]:
    if len(value) > 200:
        raise InvalidRequest("a filter's pattern is too long")
    return re.compile(re.escape(value))


def _flag(one: Usage, name: str) -> bool:
    match name:
        case "inuse":
            return one.in_use
        case "mutable":
            return one.mutable
        case "immutable":
            return not one.mutable
        case "shared":
            return one.shared
        case _:
            return not one.shared


def _texts(one: Usage, name: str) -> tuple[str, ...]:
    match name:
        case "id":
            return (one.id,)
        case "type":
            return (one.kind.value,)
        case "description":
            return (one.description,)
        case _:
            return one.parents


def _before(value: str, now: int) -> int:
    """Read `24h`, or a time, as the moment that it means."""
    if DURATION.fullmatch(value):
        return now - sum(int(float(n) * UNITS[unit]) for n, unit in PART.findall(value))
    try:
        return int(value) * SECOND if value.isdigit() else moments.parse(value)
    except ValueError:
        raise InvalidRequest(f"invalid time {value!r}") from None


def _age(one: Usage) -> tuple[int, int]:
    return one.used, one.created


def _name(chain: ChainId) -> str:
    """Return a layer's name in lists: shorter than a digest, as BuildKit's are."""
    return chain.hex[:25]


def _of_layer(layer: Layer, shared: bool, in_use: bool) -> Usage:
    return Usage(
        id=_name(layer.chain),
        parents=(_name(layer.parent),) if layer.parent else (),
        kind=Kind.REGULAR,
        description=layer.description,
        created=layer.created,
        used=layer.used,
        uses=layer.uses,
        size=layer.size,
        shared=shared,
        in_use=in_use,
        mutable=False,
    )


def _of_folder(folder: Folder, in_use: bool) -> Usage:
    return Usage(
        id=folder.id,
        parents=(),
        kind=folder.kind,
        description=folder.description,
        created=folder.created,
        used=folder.used,
        uses=folder.uses,
        size=folder.size,
        shared=False,
        in_use=in_use,
        mutable=True,
    )
