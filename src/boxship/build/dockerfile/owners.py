"""`user[:group]`, in numbers or names."""

from __future__ import annotations

from boxship.build.ops import Owner

HIGHEST = 1 << 32


def owner_of(text: str, names: int, *, required: bool = False) -> Owner | None:
    """Read an owner; names are looked up in input `names`.

    A user's number alone is its group's too; a user's name alone brings the group that its
    passwd line says, so the group is left open.
    """
    if not text:
        return None
    user_text, _, group_text = text.partition(":")
    user = _part(user_text)
    group = _part(group_text)
    if group is None and isinstance(user, int):
        group = user
    if user is None:
        user = 0
    named = isinstance(user, str) or isinstance(group, str)
    return Owner(user, group, names, required and named)


def _part(text: str) -> int | str | None:
    if text.isascii() and text.isdigit() and (number := int(text[:11])) < HIGHEST:
        return number
    return text or None
