"""Paths of instructions, as text: nothing here looks at any file."""

from __future__ import annotations

from boxship.lib.ignore import clean


def absolute(cwd: str, path: str) -> str:
    """Return a destination beneath the working folder; a slash at its end stays."""
    if path in ("", "."):
        path = "./"
    joined = path if path.startswith("/") else f"{cwd}/{path}"
    result = clean("/" + joined)
    if path.endswith(("/", "/.")) and result != "/":
        result += "/"
    return result


def rooted(path: str) -> str:
    """Return a source's path from its root; what leads out of it ends there."""
    return clean("/" + path)


def base_name(path: str) -> str:
    """Return the last part of a path; `.` or `/` where there is none."""
    stripped = path.rstrip("/")
    if not stripped:
        return "/" if path else "."
    return stripped.rsplit("/", 1)[-1]


def has_wildcards(path: str) -> bool:
    """Whether a path is a pattern."""
    at = 0
    while at < len(path):
        if path[at] in "*?[":
            return True
        at += 2 if path[at] == "\\" else 1
    return False
