"""The files of one commit, with those of its submodules; nothing of them leads outside."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from boxship.build.errors import NoSuchFile
from boxship.build.sources import reach
from boxship.build.sources.git.access import Setting, followed
from boxship.build.sources.git.command import Git, GitFailed
from boxship.build.sources.git.remote import Wanted, check_remote, host_of, is_web
from boxship.errors import InvalidRequest
from boxship.kernel import paths
from boxship.snapshot import trees

MOST_LEVELS: Final = 10
INDEX: Final = "index"
FETCH: Final = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1")
LOCALLY: Final = {"GIT_ALLOW_PROTOCOL": "file"}


async def write_files(git: Git, commit: str, path: str, wanted: Wanted) -> int:
    """Write the files of a commit that `git`'s repository has to a new folder at `path`.

    Returns when it was committed, in seconds.
    """
    has_modules = wanted.submodules and await has(git, f"{commit}:.gitmodules")
    if wanted.keeps or has_modules:
        inner = git.within(path)
        await _clone(inner, git.folder, commit, wanted)
        if has_modules and await asyncio.to_thread(_has_submodules, path):
            await _submodules(inner)
        if not wanted.keeps:
            await asyncio.to_thread(_without_git, path)
    else:
        index = os.path.join(os.path.dirname(path), INDEX)
        words = (f"--work-tree={path}", "checkout", "--quiet", "--force", commit, "--", ".")
        await git.run(*words, more={"GIT_INDEX_FILE": index})
        with suppress(FileNotFoundError):  # of a commit without files
            os.unlink(index)
    seconds = int(await git.run("show", "--no-patch", "--format=%ct", commit))
    if wanted.of_commit:
        await asyncio.to_thread(_date, path, seconds)
    return seconds


async def has(git: Git, what: str) -> bool:
    """Whether a repository has an object."""
    try:
        await git.run("cat-file", "-e", what)
    except GitFailed:
        return False
    return True


async def has_commit(git: Git, commit: str) -> bool:
    """Whether a repository has a commit already."""
    return await has(git, f"{commit}^{{commit}}")


async def _clone(git: Git, source: str, commit: str, wanted: Wanted) -> None:
    await git.run("init", "--quiet", ".")
    await git.told(("protocol.file.allow", "always")).run(
        *FETCH, "--update-shallow", "--", source, commit, more=LOCALLY
    )
    await git.run("remote", "add", "origin", "--", wanted.remote)
    await git.run("checkout", "--quiet", "--detach", commit)


async def _submodules(git: Git, depth: int = 0) -> None:
    """Bring what a repository says belongs into it; each level is looked at before the next."""
    if depth > MOST_LEVELS:
        raise InvalidRequest("submodules lie too deep in each other")
    listed = await git.run(
        "config", "--null", "--file", ".gitmodules", "--get-regexp", r"^submodule\..*\.(url|path)$"
    )
    inner: list[str] = []
    for entry in filter(None, listed.split("\0")):
        name, _, value = entry.partition("\n")
        if name.endswith(".path"):
            if value.startswith(("/", "-")) or ".." in value.split("/"):
                raise InvalidRequest(f"invalid submodule path {value[:200]!r}")
            inner.append(value)
    await git.run("submodule", "--quiet", "init")
    ways = await _ways(git)
    await git.told(*ways).run("submodule", "--quiet", "update", "--depth=1")
    for path in inner:
        folder = await asyncio.to_thread(part, git.folder, path)
        if await asyncio.to_thread(_has_submodules, folder):
            await _submodules(git.within(folder), depth + 1)


async def _ways(git: Git) -> list[Setting]:
    """Look at where each submodule is to come from, as git has understood it; set the way there."""
    found: list[Setting] = []
    listed = await git.run("config", "--null", "--local", "--get-regexp", r"^submodule\..*\.url$")
    for entry in filter(None, listed.split("\0")):
        name, _, url = entry.partition("\n")
        check_remote(url)
        await reach.addresses(*host_of(url))
        if is_web(url):
            moved, ways = await followed(url)
            found += ways
            if moved != url:
                found.append((name, moved))
    return found


def _has_submodules(folder: str) -> bool:
    path = os.path.join(folder, ".gitmodules")
    return os.path.isfile(path) and not os.path.islink(path)


def _without_git(path: str) -> None:
    """Remove what git keeps for itself, of submodules too."""
    root = os.open(path, trees.FOLDER)
    try:
        found = [node.path for node in trees.walk(root) if node.name == b".git"]
        for one in found:
            up, _, name = one.rpartition(b"/")
            folder = paths.openat2(root, up or b".", trees.FOLDER, 0, paths.RESOLVE_BENEATH)
            try:
                trees.remove(folder, name)
            finally:
                os.close(folder)
    finally:
        os.close(root)


def _date(path: str, seconds: int) -> None:
    """Let all files be of one time."""
    root = os.open(path, trees.FOLDER)
    try:
        for node in trees.walk(root):
            up, _, name = node.path.rpartition(b"/")
            folder = paths.openat2(root, up or b".", trees.FOLDER, 0, paths.RESOLVE_BENEATH)
            try:
                os.utime(name, (seconds, seconds), dir_fd=folder, follow_symlinks=False)
            finally:
                os.close(folder)
        os.utime(root, (seconds, seconds))
    finally:
        os.close(root)


def part(path: str, folder: str) -> str:
    """Return the path of a folder in a checkout, which no link leads to."""
    words: Sequence[str] = [word for word in folder.split("/") if word not in ("", ".")]
    if not words:
        return path
    if ".." in words:
        raise InvalidRequest(f"invalid git subdirectory {folder[:200]!r}")
    root = os.open(path, os.O_PATH | os.O_DIRECTORY)
    try:
        within = paths.RESOLVE_BENEATH | paths.RESOLVE_NO_SYMLINKS
        relative = os.fsencode("/".join(words))
        os.close(paths.openat2(root, relative, os.O_PATH | os.O_DIRECTORY, 0, within))
    except OSError:
        raise NoSuchFile(folder) from None
    finally:
        os.close(root)
    return os.path.join(path, *words)
