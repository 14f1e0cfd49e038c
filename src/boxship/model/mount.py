"""What to attach where, as a value: `snapshot` and `volume` make it, `runtime` performs it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mount:
    """A filesystem to mount: as mount(8) would be told, without the target.

    `type` is "overlay", "bind", "tmpfs" and so on; `options` are mount(8) options, flags
    ("ro", "nosuid") and data ("lowerdir=...") alike, one a member.
    """

    type: str
    source: str
    options: tuple[str, ...] = ()
