"""Definitions in repositories, in archives and behind URLs: the engine fetches them.

Folders of targets lie where the definition does. Those of a repository the engine takes from there
itself; an archive is unpacked into a folder here, for as long as bake runs.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from boxship.cli.baking.files import USUAL, local_files
from boxship.cli.baking.sources import File, Missing, Read, read_here
from boxship.cli.baking.target import HERE, is_repository
from boxship.cli.building.asked import Asked
from boxship.errors import InvalidRequest

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

ARCHIVES: Final = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
USTAR: Final = 257  # where a plain archive says that it is one
TOKENS: Final = {
    "BUILDX_BAKE_GIT_AUTH_TOKEN": "GIT_AUTH_TOKEN",
    "BUILDX_BAKE_GIT_AUTH_HEADER": "GIT_AUTH_HEADER",
}
DEFINITION: Final = "definition"
UNSAFE: Final = " \n\"'\\[]*?$"  # in a name that stands in a Dockerfile


@dataclass(frozen=True, slots=True)
class Found:
    """A definition: its files, how more of them are read, and where an archive was unpacked."""

    files: list[File]
    read: Read = read_here
    folder: str = ""


def remote_files(shell: Shell, url: str, given: Sequence[str], undo: ExitStack) -> Found:
    """Fetch a definition; files that are named with `cwd://` are read here."""
    here = [name.removeprefix(HERE) for name in given if name.startswith(HERE)]
    there = [name for name in given if not name.startswith(HERE)]
    found = Found([])
    if there or not here:
        fetch = _from_repository if is_repository(url) else _from_address
        found = fetch(shell, url, there, undo)
    own = local_files(here, shell.environment) if here else []
    return Found([*found.files, *own], found.read, found.folder)


def _from_repository(shell: Shell, url: str, names: Sequence[str], undo: ExitStack) -> Found:
    def read(path: str) -> str:
        found = _fetched(shell, url, [path], there=False)
        if not found:
            raise Missing(path)
        return found[0].text

    files = _fetched(shell, url, names or USUAL, there=bool(names))
    return Found(files, read)


def _fetched(shell: Shell, url: str, names: Sequence[str], *, there: bool) -> list[File]:
    """Return files of a repository, in one build; only those that there are, unless `there`."""
    wanted = [posixpath.normpath(name) for name in names]
    for name in wanted:
        if name.startswith(("../", "/")) or any(char in name for char in UNSAFE):
            raise InvalidRequest(f"invalid definition file: {name!r}")
    # A wildcard may match nothing: which of the files there are is not known yet.
    sources = [name if there else f"{name}*" for name in wanted]
    lines = ["FROM scratch", *(f"COPY {name} /{number}/" for number, name in enumerate(sources))]
    with tempfile.TemporaryDirectory(prefix="boxship-bake-") as folder:
        _build(shell, url, lines, folder)
        found: list[File] = []
        for number, name in enumerate(wanted):
            path = os.path.join(folder, str(number), posixpath.basename(name))
            if os.path.isfile(path) and not os.path.islink(path):
                found.append(File(name, read_here(path)))
            elif there:
                raise InvalidRequest(f"{name} is not in {url}")
    return found


def _from_address(shell: Shell, url: str, names: Sequence[str], undo: ExitStack) -> Found:
    folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="boxship-bake-"))
    _build(shell, "", ["FROM scratch", f"ADD {_plain(url)} /{DEFINITION}"], folder)
    path = os.path.join(folder, DEFINITION)
    if os.path.islink(path) or not os.path.isfile(path):
        raise InvalidRequest(f"{url} is no file")
    if _is_archive(path):
        os.unlink(path)
        return _from_archive(shell, url, names, undo)
    if names:
        raise InvalidRequest("a definition behind a URL is one file; -f takes only cwd:// with it")

    def read(path: str) -> str:
        raise InvalidRequest(f"{path}: a definition behind a URL is one file, and has no others")

    text = read_here(path)
    return Found([File(posixpath.basename(url.partition("?")[0]) or url, text)], read)


def _plain(url: str) -> str:
    """Return an address as a Dockerfile takes it literally."""
    if any(char.isspace() for char in url):
        raise InvalidRequest(f"invalid address: {url!r}")
    return url.replace("\\", "\\\\").replace("$", "\\$")


def _is_archive(path: str) -> bool:
    with open(path, "rb") as file:
        beginning = file.read(512)
    return beginning.startswith(ARCHIVES) or beginning[USTAR : USTAR + 5] == b"ustar"


def _from_archive(shell: Shell, url: str, names: Sequence[str], undo: ExitStack) -> Found:
    folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="boxship-bake-"))
    _build(shell, "", ["FROM scratch", f"ADD --unpack=true {_plain(url)} /"], folder)
    folder = os.path.realpath(folder)

    def read(path: str) -> str:
        if not os.path.lexists(os.path.join(folder, path)):
            raise Missing(path)
        return read_here(inside(folder, path))

    wanted = names or [name for name in USUAL if os.path.lexists(os.path.join(folder, name))]
    return Found([File(name, read(name)) for name in wanted], read, folder)


def inside(folder: str, path: str) -> str:
    """Return where a path of an archive leads; links must not lead out of it."""
    found = os.path.realpath(os.path.join(folder, path))
    if os.path.commonpath([folder, found]) != folder:
        raise InvalidRequest(f"{path!r} is outside of the archive")
    return found


def tokens(environment: Mapping[str, str]) -> list[str]:
    """Return the secrets with which the engine gets into private repositories."""
    return [f"id={id},env={name}" for name, id in TOKENS.items() if environment.get(name)]


def _build(shell: Shell, context: str, lines: Sequence[str], folder: str) -> None:
    from boxship.cli.building.run import build_all

    with tempfile.TemporaryDirectory(prefix="boxship-bake-") as empty:
        asked = Asked(
            context=context or empty,
            dockerfile_text=("\n".join(lines) + "\n").encode(),
            outputs=[f"type=local,dest={folder}"],
            ssh=["default"] if context.startswith(("git@", "ssh://")) else [],
            secrets=tokens(shell.environment),
        )
        status, _ = build_all(shell, {"": asked}, "quiet")
    if status:
        raise InvalidRequest(f"couldn't find a bake definition in {context or 'that address'}")
