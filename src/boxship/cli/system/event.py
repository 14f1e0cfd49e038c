"""An event on one line."""

from __future__ import annotations

from boxship.lib import moments, quickjson
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    Event = dict[str, Any]

NANOSECOND_LAYOUT = 9


def printer(format: str) -> Callable[[Event], str]:
    """Return what turns an event into its text."""
    if not format:
        return line_of
    if format in ("json", "{{json .}}"):
        return lambda event: quickjson.encode(event) + "\n"
    from boxship.cli.command import UsageError
    from boxship.lib import templates
    from boxship.lib.templates.errors import ParseError, TemplateError
    from boxship.lib.templates.values import Shape

    try:
        template = templates.compile(format)
    except ParseError as error:
        raise UsageError(f"Error parsing format: {error}", status=64) from error
    shape = Shape(("Attributes",), {"Status": "", "From": "", "ID": "", "Scope": ""})

    def show(event: Event) -> str:
        try:
            return template.render(event, shape=shape) + "\n"
        except TemplateError as error:
            raise UsageError(f"Error parsing format: {error}", status=64) from error

    return show


def line_of(event: Event) -> str:
    """Return `TIME TYPE ACTION ID (key=value, ...)`."""
    actor = event.get("Actor") or {}
    parts = [f"{stamp(event)} {visible(event.get('Type', ''))} {visible(event.get('Action', ''))}"]
    parts.append(visible(str(actor.get("ID", ""))))
    attributes = actor.get("Attributes") or {}
    if attributes:
        pairs = ", ".join(f"{key}={attributes[key]}" for key in sorted(attributes))
        parts.append(f"({visible(pairs)})")
    return " ".join(parts) + "\n"


def stamp(event: Event) -> str:
    """Return the event's local time with all nine digits of the second."""
    nanoseconds = event.get("timeNano") or event.get("time", 0) * moments.SECOND
    seconds, part = divmod(nanoseconds, moments.SECOND)
    text = moments.show(seconds * moments.SECOND, local=True)
    return f"{text[:19]}.{part:09d}{text[19:]}"
