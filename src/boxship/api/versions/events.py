"""Events: below 1.52 some members of the actor stood at the top as well."""

from __future__ import annotations

from boxship.api.versions import Object, below
from boxship.spec.engine.system import EventMessage

LEGACY = frozenset({"container", "image"})


@below("1.52", EventMessage)
def with_legacy_members(event: Object) -> None:
    """Repeat the action, the ID and a container's image."""
    if event.get("Type") not in LEGACY:
        return
    actor = event.get("Actor", {})
    rest = dict(event)
    event.clear()
    event["status"] = rest.get("Action", "")
    event["id"] = actor.get("ID", "")
    if rest["Type"] == "container" and (image := actor.get("Attributes", {}).get("image")):
        event["from"] = image
    event.update(rest)
