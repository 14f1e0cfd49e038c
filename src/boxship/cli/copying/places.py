"""Docker's rules for what `cp` makes of its two paths.

A folder copied to a folder that exists goes into it under its own name, to a name that does not
exist it takes that name; `folder/.` means its content. A file takes the name it is given.
"""

from __future__ import annotations

import os

from boxship.errors import InvalidRequest

MOST_LINKS = 10


class Place:
    """One end of a copy. `rename` is the name a followed link was asked for by."""

    __slots__ = ("exists", "is_folder", "path", "rename")

    def __init__(self, path: str, *, exists: bool, is_folder: bool, rename: str = "") -> None:
        self.path = path
        self.exists = exists
        self.is_folder = is_folder
        self.rename = rename


class Plan:
    """The folder that a copy arrives in, and by what name: `old` becomes `new` at the front."""

    __slots__ = ("folder", "new", "old")

    def __init__(self, folder: str, old: str = "", new: str = "") -> None:
        self.folder = folder
        self.old = old
        self.new = new


def split_argument(text: str) -> tuple[str, str]:
    """Return the container, empty for this machine, and the path."""
    if os.path.isabs(text):
        return "", text
    container, colon, path = text.partition(":")
    if not colon or container.startswith("."):
        return "", text
    return container, path


def means_content(path: str) -> bool:
    """Tell whether a path ends in `.`: the content of the folder and not the folder."""
    return os.path.basename(path) == "."


def wants_folder(path: str) -> bool:
    """Tell whether a path can only be a folder's."""
    return path.endswith("/") or means_content(path)


def absolute(path: str) -> str:
    """Make a path absolute without losing a `/` or `/.` at its end, which have a meaning."""
    whole = os.path.normpath(os.path.join(os.getcwd(), path))
    return keep_ending(whole, path)


def keep_ending(clean: str, original: str) -> str:
    if means_content(original) and not means_content(clean):
        return clean.rstrip("/") + "/."
    if original.endswith("/") and not clean.endswith("/"):
        return clean + "/"
    return clean


def split_entry(path: str) -> tuple[str, str]:
    """Return a path's folder and its last name, which is `.` where the content is meant."""
    clean = os.path.normpath(path)
    if means_content(path):
        return clean, "."
    folder, name = os.path.split(clean)
    return folder or ".", name or "/"


def plan(source: Place, target: Place) -> Plan:
    """Decide where the copy goes."""
    folder, new = split_entry(target.path)
    _, old = split_entry(source.path)
    if target.exists and target.is_folder:
        if source.rename:
            return Plan(target.path, old, source.rename)
        return Plan(target.path)
    if target.exists:
        if source.is_folder:
            raise InvalidRequest("cannot copy directory")
        return Plan(folder, old, new)
    if not source.is_folder and wants_folder(target.path):
        raise InvalidRequest("no such directory")
    return Plan(folder, old, new)


def local_target(path: str) -> Place:
    """Look at where a copy to this machine ends; links are followed, as any program would."""
    original = path
    for _ in range(MOST_LINKS):
        if not os.path.islink(path.rstrip("/") or "/"):
            break
        link = os.readlink(path.rstrip("/"))
        path = os.path.join(os.path.dirname(path.rstrip("/")), link)
    else:
        raise InvalidRequest(f"too many symbolic links in {original}")
    if os.path.exists(path):
        return Place(path, exists=True, is_folder=os.path.isdir(path))
    parent, _ = split_entry(path)
    if not os.path.isdir(parent):
        raise InvalidRequest(f'invalid output path: directory "{parent}" does not exist')
    return Place(path, exists=False, is_folder=False)


def local_source(path: str, *, follow: bool) -> Place:
    """Look at where a copy from this machine begins."""
    try:
        os.lstat(path.rstrip("/") or "/")
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(f"lstat {path.rstrip('/') or '/'}: {reason}") from error
    is_folder = os.path.isdir(path) and (follow or wants_folder(path) or not os.path.islink(path))
    if wants_folder(path) and not os.path.isdir(path):
        raise InvalidRequest("not a directory")
    rename = ""
    if follow and os.path.islink(path.rstrip("/")):
        resolved = os.path.realpath(path)
        rename = os.path.basename(path.rstrip("/"))
        if rename == os.path.basename(resolved):
            rename = ""
        path = keep_ending(resolved, path)
        if means_content(path):
            rename = ""
    return Place(path, exists=True, is_folder=is_folder, rename=rename)
