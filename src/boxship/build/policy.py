"""Source policies: which sources a build may use, and which are replaced by others.

A policy is a list of rules. Of the rules of one policy that match a source, the last that allows
or denies counts; a rule that converts ends the round, and the new source is judged again, by all.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from typing import Final, Protocol, assert_never

from boxship.build.ops import Source
from boxship.errors import Forbidden, InvalidRequest
from boxship.lib import re2
from boxship.spec.platform import Platform

ROUNDS: Final = 20
LONGEST: Final = 4096  # of a pattern, and of what it is tried on
SPECIAL: Final = frozenset("\\.+*?()|[]{}^$")
REFERENCE: Final = re.compile(r"\$(?:(\$)|(\w+)|\{(\w+)\})")


class SourceDenied(Forbidden):
    """A policy denies a source."""

    @classmethod
    def of(cls, identifier: str) -> SourceDenied:
        said = identifier[:500]
        return cls(f'source "{said}" denied by policy: source denied by policy')


class BadPolicy(InvalidRequest):
    """A policy that makes no sense."""

    @classmethod
    def of(cls, pattern: str, error: re2.InvalidExpression) -> BadPolicy:
        said = pattern[:200]
        return cls(f'error matching source policy: invalid regex "{said}": {error}')


class Action(Enum):
    """What a rule does with what it matches."""

    ALLOW = "ALLOW"
    DENY = "DENY"
    CONVERT = "CONVERT"


class Match(Enum):
    """How a rule's identifier is compared."""

    WILDCARD = "WILDCARD"
    EXACT = "EXACT"
    REGEX = "REGEX"


class Condition(Enum):
    """How an attribute is compared."""

    EQUAL = "EQUAL"
    NOTEQUAL = "NOTEQUAL"
    MATCHES = "MATCHES"


@dataclass(frozen=True, slots=True)
class Constraint:
    """What must be true of one attribute of the source."""

    key: str
    value: str
    condition: Condition = Condition.EQUAL

    def holds(self, attrs: Mapping[str, str]) -> bool:
        said = attrs.get(self.key, "")
        match self.condition:
            case Condition.EQUAL:
                return said == self.value
            case Condition.NOTEQUAL:
                return said != self.value
            case Condition.MATCHES:
                return expression(self.value).search(said[:LONGEST])
        assert_never(self.condition)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is done with sources that are called so.

    identifier, attrs: what a source becomes that is converted; None for no conversion.
    """

    action: Action
    selector: str
    match: Match = Match.WILDCARD
    constraints: tuple[Constraint, ...] = ()
    identifier: str | None = None
    attrs: Mapping[str, str] = field(default_factory=dict)

    def matches(self, source: Source) -> bool:
        """Whether the rule is about a source."""
        attrs = dict(source.attrs)
        if not all(one.holds(attrs) for one in self.constraints):
            return False
        return self.selector == source.identifier or self._finds(source.identifier)

    def _finds(self, identifier: str) -> bool:
        if len(identifier) > LONGEST:
            return False
        match self.match:
            case Match.EXACT:
                return False
            case Match.REGEX:
                return expression(self.selector).search(identifier)
            case Match.WILDCARD:
                return expression(_wildcard(self.selector)).search(identifier)
        assert_never(self.match)

    def converted(self, source: Source) -> Source:
        """Return what the source becomes."""
        if self.identifier is None:
            raise BadPolicy("error mutating source policy: missing destination for convert rule")
        target = self._target(source.identifier, self.identifier or self.selector)
        attrs = {**dict(source.attrs), **self.attrs}
        return Source(target or source.identifier, tuple(sorted(attrs.items())))

    def _target(self, identifier: str, said: str) -> str:
        match self.match:
            case Match.EXACT:
                return said
            case Match.REGEX:
                return _replaced(self.selector, identifier, said)
            case Match.WILDCARD:
                found = _found(_wildcard(self.selector), identifier)
                return identifier if found is None else _expanded(said, found)
        assert_never(self.match)


Policy = tuple[Rule, ...]


class Verifier(Protocol):
    """Somebody else who judges sources: a client, over its session."""

    async def __call__(self, source: Source, platform: Platform | None) -> Source:
        """Return the source that is to be used; SourceDenied when it may not be."""


@dataclass(frozen=True, slots=True)
class Judges:
    """All who have a say in which sources a build uses: rules first."""

    policies: tuple[Policy, ...] = ()
    verifier: Verifier | None = None

    async def admitted(self, source: Source, platform: Platform | None, doing: str) -> Source:
        """Return the source that is to be used; a refusal says what was being done."""
        try:
            if self.policies:
                source = await asyncio.to_thread(judged, source, self.policies)
            if self.verifier is not None:
                source = await self.verifier(source, platform)
        except (SourceDenied, BadPolicy) as error:
            raise type(error)(f"{doing}: {error}") from None
        return source


NOBODY: Final = Judges()


def judged(source: Source, policies: Sequence[Policy]) -> Source:
    """Return the source that is to be used; SourceDenied when it may not be."""
    for _ in range(ROUNDS + 1):
        for policy in policies:
            converted = _round(source, policy)
            if converted != source:
                break
        else:
            return source
        source = converted
    raise BadPolicy("too many mutations on a single source: too many operations")


def _round(source: Source, policy: Policy) -> Source:
    denied = False
    for rule in policy:
        if not rule.matches(source):
            continue
        match rule.action:
            case Action.ALLOW:
                denied = False
            case Action.DENY:
                denied = True
            case Action.CONVERT:
                converted = rule.converted(source)
                if converted != source:
                    return converted
            case _:
                assert_never(rule.action)
    if denied:
        raise SourceDenied.of(source.identifier)
    return source


def expression(pattern: str) -> re2.Expression:
    """Return a pattern ready to be looked for."""
    try:
        return re2.compile(pattern)
    except re2.InvalidExpression as error:
        raise BadPolicy.of(pattern, error) from None


def _found(pattern: str, text: str) -> re2.Match | None:
    """Return what a pattern matches in a text, with its groups."""
    try:
        return re2.matcher(pattern).find(text)
    except re2.InvalidExpression as error:
        raise BadPolicy.of(pattern, error) from None


def _replaced(pattern: str, text: str, said: str) -> str:
    """Return a text with `said` in place of all that a pattern matches."""
    if len(text) > LONGEST or len(said) > LONGEST:
        raise BadPolicy("error mutating source policy: too long")
    size = 0

    def expanded(found: re2.Match) -> str:
        nonlocal size
        piece = _expanded(said, found)
        size += len(piece)
        if size > LONGEST:
            raise BadPolicy("error mutating source policy: too long")
        return piece

    try:
        return re2.matcher(pattern).replace(text, expanded)
    except re2.InvalidExpression as error:
        raise BadPolicy.of(pattern, error) from None


@lru_cache(maxsize=256)
def _wildcard(said: str) -> str:
    """Return the expression that a pattern with `*` stands for."""
    if "**" in said:
        raise BadPolicy(
            f'error matching source policy: failed to translate wildcard "{said[:200]}" '
            'to regexp: invalid wildcard: "**"'
        )
    return "^" + "(.*)".join(map(_quoted, said.split("*"))) + "$"


def _quoted(text: str) -> str:
    return "".join(f"\\{letter}" if letter in SPECIAL else letter for letter in text)


def _expanded(said: str, found: re2.Match) -> str:
    """Return `said` with `$1`, `${1}` and `${name}` replaced; what is unknown becomes nothing."""

    def value(reference: re.Match[str]) -> str:
        if reference[1]:
            return "$"
        name = reference[2] or reference[3]
        return found.group(int(name) if name.isascii() and name.isdecimal() else name)

    return REFERENCE.sub(value, said)
