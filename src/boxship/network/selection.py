"""Filters of lists of networks, and references to one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from boxship.errors import InvalidRequest
from boxship.lib import moments
from boxship.model.filters import has_label, has_labels, matches_name, truth
from boxship.network.errors import AmbiguousNetwork, NoSuchNetwork
from boxship.network.record import Network

Filters = Mapping[str, Sequence[str]]


def find(networks: Iterable[Network], ref: str) -> Network:
    """Return the network of this ID, else this name, else this unique ID prefix."""
    networks = list(networks)
    for match in (
        [one for one in networks if one.id == ref],
        [one for one in networks if one.name == ref],
        [one for one in networks if ref and one.id.startswith(ref)],
    ):
        if len(match) > 1:
            raise AmbiguousNetwork(ref, len(match))
        if match:
            return match[0]
    raise NoSuchNetwork(ref)


def select(networks: Iterable[Network], filters: Filters, used: set[str]) -> list[Network]:
    """Return the networks that pass; `used` are the IDs of those with endpoints."""
    names = filters.get("name", ())
    identifiers = filters.get("id", ())
    kinds = filters.get("type", ())
    for kind in kinds:
        if kind not in ("custom", "builtin"):
            raise InvalidRequest(f"invalid filter: 'type'='{kind}'")
    dangling = truth("dangling", filters.get("dangling", ()))

    def passes(one: Network) -> bool:
        unused = one.user_defined and one.id not in used
        return (
            (not names or any(matches_name(text, one.name) for text in names))
            and (not identifiers or any(one.id.startswith(text) for text in identifiers))
            and _in(one.driver, filters.get("driver", ()))
            and _in(one.scope, filters.get("scope", ()))
            and has_labels(one.labels, filters.get("label", ()))
            and (not kinds or ("builtin" if one.predefined else "custom") in kinds)
            and (dangling is None or unused == dangling)
        )

    return [one for one in networks if passes(one)]


def prunable(one: Network, filters: Filters, before: int | None) -> bool:
    """Tell whether a network without endpoints may be pruned; `before` is in nanoseconds."""
    return (
        one.user_defined
        and has_labels(one.labels, filters.get("label", ()))
        and not any(has_label(one.labels, text) for text in filters.get("label!", ()))
        and (before is None or moments.parse(one.created) < before)
    )


def _in(value: str, wanted: Sequence[str]) -> bool:
    return not wanted or value in wanted
