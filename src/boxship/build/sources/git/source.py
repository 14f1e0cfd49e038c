"""`git://…`: a commit's files.

<folder of the remote>/fs/         a bare repository, only ever fetched into
<folder of the remote>/changing    there while git changes it: what is found so was cut short
<folder of the checkout>/fs/       the files of one commit
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import Final

from boxship.build.cache.folders import Folders
from boxship.build.cache.record import Folder, Kind
from boxship.build.digests import joined
from boxship.build.filesystems import Files
from boxship.build.ops import Source
from boxship.build.running.helpers import Helpers
from boxship.build.sources.git.access import access
from boxship.build.sources.git.checkout import FETCH, has, has_commit, part, write_files
from boxship.build.sources.git.command import Git, GitFailed
from boxship.build.sources.git.remote import COMMIT, Wanted, shown
from boxship.build.sources.source import Asker, Fetched, Looked, Tell, Told
from boxship.errors import BoxshipError, InvalidRequest, NotFound
from boxship.spec.platform import Platform

SHA1: Final = 40
CHANGING: Final = "changing"
EVERYTHING: Final = "+refs/heads/*:refs/remotes/origin/*"


class GitSource:
    """Fetches commits; `known_hosts` is where the keys of ssh servers are kept."""

    def __init__(self, folders: Folders, helpers: Helpers, known_hosts: str) -> None:
        self._folders = folders
        self._helpers = helpers
        self._known_hosts = known_hosts

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Return the files of the commit that a ref means now."""
        wanted = Wanted.of(source)
        key = joined("git", [wanted.remote])
        async with self._folders.turn(key):
            commit, checkout = wanted.ref, await self._checked_out(wanted, wanted.ref, asker)
            if checkout is None:
                commit, checkout = await self._bring(key, wanted, asker, tell)
            else:
                _check_commit(commit, wanted)
        path = await asyncio.to_thread(part, self._folders.path(checkout), wanted.folder)
        kept = f"{wanted.folder} {wanted.keeps} {wanted.submodules} {wanted.of_commit}"
        uri = shown(wanted.remote) + (f"#{wanted.ref}" if wanted.ref else "")
        kind = "sha1" if len(commit) == SHA1 else "sha256"
        date = int(checkout.note) if checkout.note else None
        return Fetched(Files(path), f"git {commit} {kept}", uri, {kind: commit}, date)

    async def look(self, source: Source, asker: Asker, tell: Tell, *, objects: bool) -> Looked:
        """Say which commit a ref means now, and fetch it only if its objects are wanted."""
        wanted = Wanted.of(source)
        key = joined("git", [wanted.remote])
        async with (
            self._folders.turn(key),
            self._repository(key, wanted, asker) as (git, remote, meant),
        ):
            said = await _objects(git, remote, meant) if objects else (b"", b"")
        tagged = meant.commit if meant.object != meant.commit else ""
        return Looked(meant.object, ref=meant.name, commit=tagged, objects=said)

    async def _checked_out(self, wanted: Wanted, commit: str, asker: Asker) -> Folder | None:
        """Return a commit's files if they are here."""
        folder = self._folders.find(Kind.GIT, _key(wanted, commit))
        if folder is not None:
            asker.held.folder(folder)
            await asyncio.to_thread(self._folders.keep, folder)
        return folder

    async def _bring(
        self, key: str, wanted: Wanted, asker: Asker, tell: Tell
    ) -> tuple[str, Folder]:
        """Ask the remote which commit is meant, and fetch that if it is not here."""
        async with self._repository(key, wanted, asker) as (git, remote, meant):
            commit = meant.commit
            tell(Told(shown(wanted.remote), f"commit {commit}", done=True))
            checkout = await self._checked_out(wanted, commit, asker)
            if checkout is None:
                if not await has_commit(git, commit):
                    await _fetch(git, remote, commit, meant.name)
                checkout = await self._check_out(git, commit, wanted, asker)
        return commit, checkout

    @asynccontextmanager
    async def _repository(
        self, key: str, wanted: Wanted, asker: Asker
    ) -> AsyncIterator[tuple[Git, str, Meant]]:
        """Open what is kept of a repository, with its remote and what the ref means there."""
        async with AsyncExitStack() as undo:
            store = await self._store(key, wanted, asker)
            way = await access(wanted, asker, self._known_hosts, undo)
            path = self._folders.path(store)
            git = Git(self._helpers, path, way.environment, way.settings)
            with _changing(os.path.dirname(path)):
                meant = await _resolve(git, way.remote, wanted.ref)
                _check_commit(meant.commit, wanted)
                yield git, way.remote, meant
            await asyncio.to_thread(self._folders.keep, store)

    async def _store(self, key: str, wanted: Wanted, asker: Asker) -> Folder:
        folder = self._folders.find(Kind.GIT, key)
        if folder is not None:
            if not os.path.exists(os.path.join(self._folders.path(folder), "..", CHANGING)):
                asker.held.folder(folder)
                return folder
            await asyncio.to_thread(self._folders.discard, folder)
        about = f"git repository {shown(wanted.remote)}"
        folder = self._folders.make(Kind.GIT, key, about, asker.held)
        git = Git(self._helpers, self._folders.path(folder), {})
        try:
            await git.run("init", "--quiet", "--bare", ".")
            await asyncio.to_thread(self._folders.keep, folder)
        except BaseException:
            await asyncio.to_thread(self._folders.discard, folder)
            raise
        return folder

    async def _check_out(self, git: Git, commit: str, wanted: Wanted, asker: Asker) -> Folder:
        about = f"git snapshot {commit[:12]} of {shown(wanted.remote)}"
        folder = self._folders.make(Kind.GIT, _key(wanted, commit), about, asker.held)
        try:
            date = await write_files(git, commit, self._folders.path(folder), wanted)
            folder.note = str(date)
            await asyncio.to_thread(self._folders.keep, folder)
        except BaseException:
            await asyncio.to_thread(self._folders.discard, folder)
            raise
        return folder


def _key(wanted: Wanted, commit: str) -> str:
    flags = (wanted.keeps, wanted.submodules, wanted.of_commit)
    return joined("checkout", [wanted.remote, commit, *map(str, flags)])


@contextmanager
def _changing(folder: str) -> Iterator[None]:
    """Leave a mark if git does not end by itself: its locks and half a pack may be left."""
    mark = os.path.join(folder, CHANGING)
    with open(mark, "xb"):
        pass
    try:
        yield
    except BoxshipError:
        os.unlink(mark)
        raise
    os.unlink(mark)


@dataclass(frozen=True, slots=True)
class Meant:
    """What a ref means: a commit, what names it directly (a tag, or itself), and its whole name."""

    commit: str
    object: str
    name: str


async def _resolve(git: Git, remote: str, ref: str) -> Meant:
    """Return the commit that is meant, and by what name it can be fetched."""
    if COMMIT.fullmatch(ref):
        return Meant(ref, ref, ref)
    listed = await git.run("ls-remote", "--symref", "--", remote)
    known: dict[str, str] = {}
    branches: dict[str, str] = {}
    for line in listed.splitlines():
        commit, _, name = line.partition("\t")
        if commit.startswith("ref: "):
            branches[name] = commit.removeprefix("ref: ")
        if COMMIT.fullmatch(commit):
            known[name] = commit
    ref = ref or "HEAD"
    partly = next((name for name in known if name.endswith(f"/{ref}")), ref)
    for name in (ref, f"refs/tags/{ref}", f"refs/heads/{ref}", partly):
        if name in known:
            commit = known.get(f"{name}^{{}}", known[name])
            return Meant(commit, known[name], branches.get(name, name))
    raise NotFound(f"repository does not contain ref {ref}")


def _check_commit(commit: str, wanted: Wanted) -> None:
    if wanted.checksum and not commit.startswith(wanted.checksum):
        raise InvalidRequest(f"expected checksum to match {wanted.checksum}, got {commit}")


async def _objects(git: Git, remote: str, meant: Meant) -> tuple[bytes, bytes]:
    """Return what is written in a commit, and in the tag that names it."""
    if not await has_commit(git, meant.commit) or not await has(git, meant.object):
        await _fetch(git, remote, meant.commit, meant.name)
    commit = await git.run("cat-file", "commit", meant.commit)
    tag = await git.run("cat-file", "tag", meant.object) if meant.object != meant.commit else ""
    return commit.encode("utf-8", "surrogateescape"), tag.encode("utf-8", "surrogateescape")


async def _fetch(git: Git, remote: str, commit: str, fetched_as: str) -> None:
    """Fetch one commit; from servers that give out no single ones, all of the branches."""
    try:
        await git.run(*FETCH, "--", remote, fetched_as)
    except GitFailed:
        if not COMMIT.fullmatch(fetched_as):
            raise
        words = ("fetch", "--quiet", "--tags", "--no-write-fetch-head", "--")
        await git.run(*words, remote, EVERYTHING)
    if not await has_commit(git, commit):
        raise NotFound(f"repository does not contain commit {commit}")
