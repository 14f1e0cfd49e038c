"""Definitions in repositories and behind URLs: the engine fetches them, and the contexts too."""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from boxship.cli.baking.files import USUAL, File, local_files
from boxship.cli.baking.target import HERE, is_repository
from boxship.cli.building.asked import Asked
from boxship.errors import InvalidRequest

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

ARCHIVES: Final = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
TOKENS: Final = {
    "BUILDX_BAKE_GIT_AUTH_TOKEN": "GIT_AUTH_TOKEN",
    "BUILDX_BAKE_GIT_AUTH_HEADER": "GIT_AUTH_HEADER",
}
DEFINITION: Final = "definition"


def remote_files(shell: Shell, url: str, given: Sequence[str]) -> list[File]:
    """Fetch a definition; files that are named with `cwd://` are read here."""
    here = [name.removeprefix(HERE) for name in given if name.startswith(HERE)]
    there = [name for name in given if not name.startswith(HERE)]
    found: list[File] = []
    if there or not here:
        fetch = _from_repository if is_repository(url) else _from_address
        found = fetch(shell, url, there)
    return [*found, *(local_files(here, shell.environment) if here else ())]


def _from_repository(shell: Shell, url: str, names: Sequence[str]) -> list[File]:
    wanted = [posixpath.normpath(name) for name in names] or list(USUAL)
    for name in wanted:
        if name.startswith("../") or any(char in name for char in " \n\"'\\[]*?$"):
            raise InvalidRequest(f"invalid definition file: {name!r}")
    # A wildcard may match nothing: which of the usual files there are is not known yet.
    sources = [name if names else f"{name}*" for name in wanted]
    lines = ["FROM scratch", *(f"COPY {name} /{number}/" for number, name in enumerate(sources))]
    with tempfile.TemporaryDirectory(prefix="boxship-bake-") as folder:
        _build(shell, url, lines, folder)
        found: list[File] = []
        for number, name in enumerate(wanted):
            path = os.path.join(folder, str(number), posixpath.basename(name))
            if os.path.isfile(path) and not os.path.islink(path):
                found.append(File(name, local_files([path], {})[0].text))
            elif names:
                raise InvalidRequest(f"{name} is not in {url}")
    return found


def _from_address(shell: Shell, url: str, names: Sequence[str]) -> list[File]:
    if names:
        raise InvalidRequest("a definition behind a URL is one file; -f takes only cwd:// with it")
    with tempfile.TemporaryDirectory(prefix="boxship-bake-") as folder:
        _build(shell, "", ["FROM scratch", f"ADD {url} /{DEFINITION}"], folder)
        path = os.path.join(folder, DEFINITION)
        if not os.path.isfile(path):
            raise InvalidRequest(f"{url} is no file")
        with open(path, "rb") as file:
            if file.read(512).startswith(ARCHIVES):
                raise InvalidRequest("archives as definitions are not supported; name a repository")
        text = local_files([path], {})[0].text
    return [File(posixpath.basename(url.partition("?")[0]) or url, text)]


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
