"""Which targets are built: names and groups are opened, inheritance and overrides applied."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from boxship.cli.baking.outputs import with_load, with_push
from boxship.cli.baking.target import (
    DEFAULT,
    MEMBERS,
    Definition,
    Group,
    Kind,
    Target,
    by_type,
    shown,
    tidied,
    wrong_flag,
)
from boxship.cli.building.fields import LINK
from boxship.cli.kinds import parse_bool
from boxship.errors import InvalidRequest
from boxship.lib import globs

# Keys of --set whose members are called otherwise.
KEYS: Final = {"platform": "platforms", "secrets": "secret"}
ARRAYS: Final = frozenset(
    {
        "output", "cache-to", "cache-from", "tags", "platform", "secrets", "ssh", "attest",
        "entitlements", "annotations", "no-cache-filter", "ulimits", "resources",
    }
)  # fmt: skip
NAMED: Final = frozenset({"args", "contexts", "labels", "extra-hosts"})
ALWAYS_APPENDED: Final = frozenset({"annotations", "entitlements"})
PATTERN: Final = "*?[]"


@dataclass(slots=True)
class Override:
    """What `--set` says of one key of one target."""

    value: str = ""
    several: list[str] = field(default_factory=list)
    append: bool = False


Overrides = dict[str, dict[str, Override]]


@dataclass(slots=True)
class Plan:
    """Targets ready to be built, by name; `linked` are only there because others use them."""

    targets: dict[str, Target]
    groups: dict[str, Group]
    linked: set[str] = field(default_factory=set)

    def document(self) -> dict[str, Any]:
        """Return it as `--print` shows it."""
        groups: dict[str, Any] = {}
        for name, group in sorted(self.groups.items()):
            groups[name] = {"description": group.description, "targets": group.targets}
            if not group.description:
                del groups[name]["description"]
        targets = {name: shown(target) for name, target in sorted(self.targets.items())}
        return {**({"group": groups} if groups else {}), "target": targets}


def make_plan(
    definition: Definition,
    names: Sequence[str],
    overrides: Iterable[str],
    environment: Mapping[str, str],
) -> Plan:
    """Work out what is to be built."""
    asked = [one for name in names for one in _matching(definition, name.replace(".", "_"))]
    asked = list(dict.fromkeys(asked))
    set_ = read_overrides(definition, overrides, environment)
    plan = Plan({}, {})
    for name in asked:
        targets, groups = opened(definition, name)
        for one in targets:
            plan.targets[one] = resolved(definition, one, set_)
        for group in groups:
            known = definition.groups[group]
            plan.groups[group] = Group(group, list(known.targets), known.description)
    for name in asked:
        if name == DEFAULT:
            continue
        plan.groups.setdefault(DEFAULT, Group(DEFAULT, [])).targets.append(name)
    if DEFAULT in plan.groups:
        plan.groups[DEFAULT].targets = sorted(set(plan.groups[DEFAULT].targets))
    for name in list(plan.targets):
        _link(definition, plan, name, set_, [])
    return plan


def _matching(definition: Definition, pattern: str) -> list[str]:
    if not any(char in pattern for char in PATTERN):
        return [pattern]
    known = [*definition.groups, *definition.targets]
    found = [name for name in known if globs.match(pattern, name)]
    if not found:
        raise InvalidRequest(f'could not find any target matching "{pattern}"')
    return found


def opened(definition: Definition, name: str) -> tuple[list[str], list[str]]:
    """Return the targets and the groups that a name means, once each."""
    visited: dict[str, tuple[list[str], list[str]]] = {}

    def visit(here: str) -> tuple[list[str], list[str]]:
        if here in visited:
            return visited[here]
        if here not in definition.groups:
            return [here], []
        visited[here] = ([], [])
        targets: list[str] = []
        groups = [here]
        for member in definition.groups[here].targets:
            inner, others = visit(member)
            targets += inner or [member]
            groups += others
        visited[here] = (targets, groups)
        return targets, groups

    targets, groups = visit(name)
    return list(dict.fromkeys(targets)), list(dict.fromkeys(groups))


def resolved(definition: Definition, name: str, overrides: Overrides) -> Target:
    """Return a target with what it inherits, what is overridden, and its defaults."""
    target = dict(_inherited(definition, name, {}, overrides) or {})
    target.pop("inherits", None)
    target.setdefault("context", ".")
    target["dockerfile"] = target.get("dockerfile") or "Dockerfile"
    return target


def _inherited(
    definition: Definition, name: str, visited: dict[str, Target | None], overrides: Overrides
) -> Target | None:
    from boxship.cli.baking.target import merged

    if name in visited:
        return visited[name]
    visited[name] = None
    if name not in definition.targets:
        raise InvalidRequest(f"failed to find target {name}")
    said = definition.targets[name]
    found: Target = {}
    for parent in said.get("inherits", ()):
        if (below := _inherited(definition, parent, visited, overrides)) is not None:
            found = merged(found, below)
    found = _overridden(merged(found, said), overrides.get(name, {}))
    found = tidied(found)
    if found.get("network") == "host":
        allowed = [*found.get("entitlements", ()), "network.host"]
        found["entitlements"] = list(dict.fromkeys(allowed))
    visited[name] = found
    return found


def _link(
    definition: Definition, plan: Plan, name: str, overrides: Overrides, path: list[str]
) -> None:
    """Have the targets that a target uses as contexts in the plan too."""
    path = [*path, name]
    target = plan.targets[name]
    for place in (target.get("contexts") or {}).values():
        if not place.startswith(LINK):
            continue
        other = place.removeprefix(LINK)
        if other == name:
            raise InvalidRequest(f"target {other} cannot link to itself")
        if other in path:
            raise InvalidRequest(f"infinite loop from {name} to {other}")
        if other not in plan.targets:
            below = resolved(definition, other, overrides)
            plan.targets[other] = {key: said for key, said in below.items() if key != "output"}
            plan.linked.add(other)
        _link(definition, plan, other, overrides, path)
        below = plan.targets[other]
        if allowed := below.get("entitlements"):
            both = [*target.get("entitlements", ()), *allowed]
            target["entitlements"] = list(dict.fromkeys(both))
        wanted, there = target.get("platforms") or [], below.get("platforms") or []
        if len(wanted) > 1 and len(there) > 1 and not set(wanted) <= set(there):
            raise InvalidRequest(
                f"target {other} can't be used by {name} because its platforms "
                f"[{' '.join(there)}] are not a subset of [{' '.join(wanted)}]"
            )


# Overrides


def read_overrides(
    definition: Definition, given: Iterable[str], environment: Mapping[str, str]
) -> Overrides:
    """Read `--set PATTERN.KEY[.NAME][+]=VALUE`."""
    found: Overrides = {}
    for said in given:
        place, equals, value = said.partition("=")
        plain = place.removesuffix("+")
        keys = plain.split(".", 2)
        if len(keys) < 2:
            raise InvalidRequest(f"invalid override key {plain}, expected target.name")
        if not equals and keys[1] != "args":
            raise InvalidRequest(f"invalid override {said}, expected target.name=value")
        if keys[1] in NAMED and len(keys) != 3:
            raise InvalidRequest(f"invalid key {place}, {keys[1]} requires name")
        for name in _expanded(definition, keys[0]):
            if not equals and keys[2] not in environment:
                continue
            override = found.setdefault(name, {}).setdefault(".".join(keys[1:]), Override())
            if keys[1] in ARRAYS:
                override.append = place.endswith("+")
                override.several.append(value)
            else:
                override.value = value if equals else environment[keys[2]]
    return found


def _expanded(definition: Definition, pattern: str) -> list[str]:
    if pattern in definition.targets:
        return [pattern]
    found = [name for name in definition.targets if globs.match(pattern, name)]
    if not found:
        raise InvalidRequest(f"could not find any target matching '{pattern}'")
    return found


def _overridden(target: Target, overrides: Mapping[str, Override]) -> Target:
    found = dict(target)
    # What says where results go acts on what the others have left.
    for key in sorted(overrides, key=lambda key: key in ("push", "load")):
        override = overrides[key]
        base, _, name = key.partition(".")
        member = KEYS.get(base, base)
        if base in NAMED:
            found[member] = {**(found.get(member) or {}), name: override.value}
        elif base in ("push", "load"):
            change = with_push if base == "push" else with_load
            found["output"] = change(found.get("output") or [], _flag(override.value, base))
        elif base in ARRAYS:
            kept = found.get(member) or []
            if member == "attest":
                found[member] = by_type([*kept, *override.several])
            elif override.append or member in ALWAYS_APPENDED:
                found[member] = [*kept, *override.several]
            else:
                found[member] = list(override.several)
        elif member not in MEMBERS or member in ("inherits", "platforms", "secret"):
            raise InvalidRequest(f"unknown key: {base}")
        elif MEMBERS[member][0] is Kind.FLAG:
            found[member] = _flag(override.value, base)
        else:
            found[member] = override.value
    return found


def _flag(value: str, key: str) -> bool:
    try:
        return parse_bool(value)
    except ValueError:
        raise wrong_flag(value, key) from None


def looks_up(environment: Mapping[str, str]) -> Mapping[str, str]:
    """Return the environment that definitions may see."""
    try:
        hidden = parse_bool(environment.get("BUILDX_BAKE_DISABLE_VARS_ENV_LOOKUP", "false"))
    except ValueError:
        hidden = False
    return {} if hidden else environment
