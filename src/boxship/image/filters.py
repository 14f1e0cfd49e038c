"""Which images are wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

from boxship.image.record import Image
from boxship.lib import globs, moments
from boxship.model.filters import has_label
from boxship.spec.reference import Reference

SECOND = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Wanted:
    """What `filters` may say of images; what is empty is not asked."""

    dangling: bool | None = None
    labels: tuple[str, ...] = ()
    without_labels: tuple[str, ...] = ()
    before: str = ""  # images
    since: str = ""
    references: tuple[str, ...] = ()  # patterns; one of them
    until: float | None = None  # seconds since 1970


def apply(images: Iterable[Image], wanted: Wanted, get: Callable[[str], Image]) -> list[Image]:
    """Return those images that all of the filters let through.

    Where names are asked for, an image comes with those of its names that match, and no others.
    """
    before = _made(get(wanted.before)) if wanted.before else None
    since = _made(get(wanted.since)) if wanted.since else None
    found = []
    for image in images:
        made = _made(image)
        if (before is not None and made >= before) or (since is not None and made <= since):
            continue
        if wanted.until is not None and made >= wanted.until * SECOND:
            continue
        if wanted.dangling is not None and bool(image.names) == wanted.dangling:
            continue
        if not all(has_label(image.labels, label) for label in wanted.labels):
            continue
        if any(has_label(image.labels, label) for label in wanted.without_labels):
            continue
        if wanted.references:
            names = tuple(n for n in image.names if any(matches(n, p) for p in wanted.references))
            if not names:
                continue
            image = replace(image, names=names)
        found.append(image)
    return found


def matches(name: str, pattern: str) -> bool:
    """Whether a name is like the pattern, with its tag or without."""
    reference = Reference.parse(name)
    return globs.match(pattern, reference.familiar) or globs.match(
        pattern, reference.familiar_repository
    )


def _made(image: Image) -> int:
    try:
        return moments.parse(image.created)
    except ValueError:
        return 0
