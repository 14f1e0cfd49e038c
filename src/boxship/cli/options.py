"""What options of several commands have in common."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT_USAGE = (
    "How to show the list:\n"
    "'table':            Columns with titles (default)\n"
    "'table TEMPLATE':   Columns by a Go template, with titles\n"
    "'json':             One JSON object a line\n"
    "'TEMPLATE':         By a Go template"
)
INSPECT_FORMAT_USAGE = (
    "How to show the result:\n"
    "'json':             JSON on one line\n"
    "'TEMPLATE':         By a Go template"
)


def filters_of(given: Iterable[str]) -> dict[str, list[str]]:
    """Return `key=value` conditions by key."""
    found: dict[str, list[str]] = {}
    for text in given:
        if not text:
            continue
        key, _, value = text.partition("=")
        found.setdefault(key.strip(" ").lower(), []).append(value.strip(" "))
    return found


def labels_of(given: Iterable[str]) -> dict[str, str]:
    """Return `key=value` pairs; a key alone has an empty value."""
    return {key: value for key, _, value in (text.partition("=") for text in given)}


def check_label(text: str) -> str:
    if not text.partition("=")[0].strip():
        raise ValueError(f"invalid label '{text}': empty name")
    return text


def pairs_of(given: Iterable[str]) -> dict[str, str]:
    """Return `key=value` options; one without a sign has an empty value."""
    return labels_of(given)
