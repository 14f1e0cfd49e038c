"""Retention: tags go by count, age and pattern, each with a reason that can be read.

The first rule that a repository and a tag fit decides of the tag. It goes when nothing that the
rule keeps is true of it. What only that tag named goes with the next collection.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from boxship.errors import InvalidRequest
from boxship.lib import globs
from boxship.lib.duration import human
from boxship.registry import layout
from boxship.registry.config import BadConfig, RetentionRule
from boxship.registry.errors import ManifestUnknown
from boxship.registry.events import Event, Source, Target
from boxship.registry.manifests import repositories
from boxship.registry.names import Digest, Name, Tag
from boxship.registry.patterns import matches
from boxship.registry.service import Service


@dataclass(frozen=True, slots=True)
class Tagged:
    """A tag, what it names, and since when."""

    tag: str
    digest: str
    since: float


@dataclass(frozen=True, slots=True)
class Expired:
    """A tag that may go."""

    name: Name
    tagged: Tagged
    reason: str

    def sentence(self, verb: str) -> str:
        return f"{verb} tag {self.name}:{self.tagged.tag}: {self.reason}"


def expired(
    name: Name, tags: Sequence[Tagged], rules: Sequence[RetentionRule], now: float
) -> Iterator[Expired]:
    """Say which tags of a repository may go."""
    governed: dict[int, list[Tagged]] = {}
    for tagged in tags:
        for number, rule in enumerate(rules):
            if _applies(rule, name, tagged.tag):
                governed.setdefault(number, []).append(tagged)
                break
    for number, found in sorted(governed.items()):
        newest_first = sorted(found, key=lambda one: (-one.since, one.tag))
        for place, tagged in enumerate(newest_first, 1):
            reasons = list(_reasons(rules[number], tagged, place, now))
            if all(reasons):
                text = ", ".join(reasons)
                yield Expired(name, tagged, f"by rule {number + 1} it is {text}")


def _applies(rule: RetentionRule, name: str, tag: str) -> bool:
    return any(matches(one, name) for one in rule.repositories) and any(
        globs.match(one, tag) for one in rule.tags
    )


def _reasons(rule: RetentionRule, tagged: Tagged, place: int, now: float) -> Iterator[str]:
    """Yield, for each thing that the rule keeps, why this is not one; "" where it is."""
    keep = rule.keep
    if keep.newest is not None:
        kept = place <= keep.newest
        yield "" if kept else f"number {place} of which {keep.newest} are kept"
    if keep.younger is not None:
        age = now - tagged.since
        old = f"{human(age).lower()} old and {human(keep.younger).lower()} are kept"
        yield "" if age < keep.younger else old
    if keep.tags:
        kept = any(globs.match(one, tagged.tag) for one in keep.tags)
        yield "" if kept else f"none of {', '.join(keep.tags)}"


def check_rules(rules: Sequence[RetentionRule]) -> None:
    """BadConfig for a rule that keeps nothing, or whose patterns are none."""
    for number, rule in enumerate(rules, 1):
        keep = rule.keep
        if keep.newest is None and keep.younger is None and not keep.tags:
            raise BadConfig(f"configuration: retention.rules: rule {number} keeps nothing")
        try:
            for pattern in (*rule.tags, *keep.tags):
                globs.match(pattern, "x")
            for pattern in rule.repositories:
                matches(pattern, "x")
        except InvalidRequest as error:
            raise BadConfig(f"configuration: retention.rules: rule {number}: {error}") from error


class Retention:
    """Applies the rules to one registry."""

    def __init__(self, service: Service, rules: Sequence[RetentionRule]) -> None:
        check_rules(rules)
        self._service = service
        self._rules = rules

    def plan(self) -> list[Expired]:
        """Say which tags may go."""
        now = self._service.now()
        found: list[Expired] = []
        for name in repositories(self._service.storage):
            found += expired(name, list(self._tags(name)), self._rules, now)
        return found

    def carry_out(self, plan: Iterable[Expired]) -> Iterator[Expired]:
        """Take away the tags that still name what they did; yield each as it goes."""
        manifests = self._service.manifests
        for one in plan:
            tag = Tag(one.tagged.tag)
            if self._at(one.name, tag) != one.tagged:
                continue
            try:
                digest = manifests.untag(one.name, tag)
            except ManifestUnknown:
                continue
            target = Target("", digest, 0, one.name, tag=tag)
            self._service.events.tell(Event("delete", target, Source(actor="retention")))
            yield one

    def _tags(self, name: Name) -> Iterator[Tagged]:
        for tag in self._service.manifests.all_tags(name):
            if (tagged := self._at(name, Tag(tag))) is not None:
                yield tagged

    def _at(self, name: Name, tag: Tag) -> Tagged | None:
        stat = self._service.storage.stat(layout.current(name, tag))
        digest: Digest | None = self._service.manifests.tagged(name, tag)
        return Tagged(tag, digest, stat.changed) if stat and digest else None


def told(removals: Iterable[Expired], *, dry: bool) -> Iterator[str]:
    """Yield what is said of a retention: a line for each tag, then the sum."""
    verb = "would remove" if dry else "removed"
    count = 0
    for one in removals:
        count += 1
        yield one.sentence(verb)
    yield f"{verb} {count} tags"
