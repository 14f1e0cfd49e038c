"""`--security-opt`: profiles are read here, because the engine may be on another machine."""

from __future__ import annotations

from boxship.lib import quickjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

LARGEST_PROFILE = 16 << 20
ALL = "ALL"


def options_of(
    given: Iterable[str],
) -> tuple[list[str], list[str] | None, list[str] | None]:
    """Return the options, and masked and read-only paths where they are not the engine's own."""
    plain: list[str] = []
    masked: list[str] | None = None
    readonly: list[str] | None = None
    for text in given:
        if text == "systempaths=unconfined":
            masked, readonly = [], []
            continue
        mark = "=" if "=" in text else ":"
        key, separator, value = text.partition(mark)
        if not separator and key != "no-new-privileges":
            raise ValueError(f'Invalid --security-opt: "{text}"')
        if key == "seccomp" and value not in ("unconfined", "builtin"):
            text = f"{key}={_profile(value)}"
        plain.append(text)
    return plain, masked, readonly


def capability_names(given: list[str]) -> list[str]:
    """Return capabilities under their full names, each once."""
    return sorted({_full_name(name) for name in given})


def _full_name(name: str) -> str:
    name = name.strip().upper()
    return name if name == ALL or name.startswith("CAP_") else f"CAP_{name}"


def _profile(path: str) -> str:
    """Return a profile's JSON without its white space."""
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST_PROFILE)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        problem = f"opening seccomp profile ({path}) failed: open {path}: {reason}"
        raise ValueError(problem) from error
    try:
        return quickjson.encode(quickjson.decode(data))
    except ValueError as error:
        problem = f"compacting json for seccomp profile ({path}) failed: {error}"
        raise ValueError(problem) from error
