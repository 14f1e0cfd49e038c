"""Volumes as the Engine API shows them."""

from __future__ import annotations

from typing import Any

from boxship.volume.record import Volume
from boxship.volume.volumes import Usage


def volume(shown: Volume, usage: Usage | None = None) -> dict[str, Any]:
    """Return a volume; what it takes only where it was measured."""
    document: dict[str, Any] = {
        "CreatedAt": shown.created_at,
        "Driver": shown.driver,
        "Labels": dict(shown.labels) if shown.labels is not None else None,
        "Mountpoint": shown.mountpoint,
        "Name": shown.name,
        "Options": dict(shown.options) if shown.options is not None else None,
        "Scope": shown.scope,
    }
    if usage is not None:
        document["UsageData"] = {"Size": usage.size, "RefCount": usage.references}
    return document
