"""Events of containers, with the attributes that every one of them has."""

from __future__ import annotations

from boxship.container.needs import Publisher
from boxship.container.record import Container


def announce(publisher: Publisher, container: Container, action: str, **more: str) -> None:
    """Tell what has happened to a container; labels first, so that they cannot pose as ours."""
    attributes = {
        **(container.config.labels or {}),
        "image": container.config.image or "",
        "name": container.name,
        **more,
    }
    publisher.publish("container", action, container.id, attributes)
