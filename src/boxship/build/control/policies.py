"""Source policies as clients send them, as rules of the builder's own."""

from __future__ import annotations

from collections.abc import Iterable

from boxship.build.policy import Action, BadPolicy, Condition, Constraint, Match, Policy, Rule
from boxship.spec.buildkit import control_pb2 as pb

VERSIONS = (0, 1)
MOST_RULES = 10_000


def read(said: Iterable[pb.Policy]) -> tuple[Policy, ...]:
    """Return the policies that have rules; BadPolicy where one makes no sense."""
    return tuple(_policy(one) for one in said if one.rules)


def _policy(said: pb.Policy) -> Policy:
    if said.version not in VERSIONS:
        raise BadPolicy(f"source policies of version {said.version} are not known")
    if len(said.rules) > MOST_RULES:
        raise BadPolicy("a source policy of too many rules")
    return tuple(_rule(one) for one in said.rules)


def _rule(said: pb.Rule) -> Rule:
    try:
        return Rule(
            Action[pb.PolicyAction.Name(said.action)],
            said.selector.identifier,
            Match[pb.MatchType.Name(said.selector.match_type)],
            tuple(
                Constraint(one.key, one.value, Condition[pb.AttrMatch.Name(one.condition)])
                for one in said.selector.constraints
            ),
            said.updates.identifier if said.HasField("updates") else None,
            dict(said.updates.attrs),
        )
    except (KeyError, ValueError) as error:
        raise BadPolicy(f"source policy: unknown word in a rule: {error}") from None
