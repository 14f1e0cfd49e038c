"""`git://…`: a commit's files, by the host's git, which is told to trust nothing.

<folder of the remote>/fs/     a bare repository, only ever fetched into
<folder of the checkout>/fs/   the files of one commit

git reads no configuration of the host, runs no hook, follows no protocol but those named, and
gets what comes from outside only behind `--`.
"""

from __future__ import annotations

import asyncio
import base64
import os
import re
import signal
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from boxship.build.cache.folders import Folders
from boxship.build.cache.record import Folder, Kind
from boxship.build.digests import joined
from boxship.build.errors import BadGraph, NoSuchFile
from boxship.build.filesystems import Files
from boxship.build.ops import Source
from boxship.build.running.agent import Agent
from boxship.build.sources import reach
from boxship.build.sources.source import Asker, Fetched, Tell, Told
from boxship.errors import BoxshipError, InvalidRequest, NotFound, NotSupported, Unavailable
from boxship.kernel import paths
from boxship.snapshot import trees
from boxship.spec.platform import Platform

REF: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@+#=-]{0,254}", re.ASCII)
COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?", re.ASCII)
SCP: Final = re.compile(r"(?:[A-Za-z0-9_.-]+@)?([A-Za-z0-9_.-]+):[^/\\].*", re.ASCII)
PROTOCOLS: Final = ("https", "http", "git", "ssh")
PATIENCE: Final = 1800.0
MOST_LEVELS: Final = 10
SHA1: Final = 40
SETTINGS: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.sshCommand": "ssh -F /dev/null -o BatchMode=yes",
    "credential.helper": "",
    "protocol.allow": "never",
    "transfer.bundleURI": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.fsckObjects": "true",
    "submodule.recurse": "false",
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    "advice.detachedHead": "false",
    "init.defaultBranch": "main",
    "init.templateDir": "",
    "filter.lfs.required": "false",
    "safe.directory": "*",
    **{f"protocol.{name}.allow": "always" for name in PROTOCOLS},
}


class GitFailed(InvalidRequest):
    """git did not do what it was told."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a source asks for."""

    remote: str
    ref: str
    folder: str
    keeps: bool
    submodules: bool
    checksum: str
    attrs: Mapping[str, str]

    @classmethod
    def of(cls, source: Source) -> Wanted:
        """Read a source; InvalidRequest for what git could take for something else."""
        attrs = dict(source.attrs)
        plain, _, fragment = source.identifier.partition("#")
        ref, _, folder = fragment.partition(":")
        remote = attrs.get("git.fullurl") or "https://" + plain.removeprefix("git://")
        check_remote(remote)
        check_ref(ref)
        checksum = attrs.get("git.checksum", "")
        if checksum and not re.fullmatch(r"[0-9a-f]{7,64}", checksum):
            raise BadGraph(f"invalid checksum {checksum[:80]!r}")
        return cls(
            remote,
            ref,
            folder,
            attrs.get("git.keepgitdir") == "true",
            attrs.get("git.skipsubmodules") != "true",
            checksum,
            attrs,
        )


def check_remote(remote: str) -> None:
    """Refuse what is no address of a repository elsewhere."""
    scheme, colon, _ = remote.partition("://")
    plain = remote.isprintable() and not remote.startswith("-") and " " not in remote
    if plain and colon and scheme in PROTOCOLS:
        host = urlsplit(remote).hostname or ""
        if host and not host.startswith("-"):
            return
    found = SCP.fullmatch(remote) if plain and not colon and "::" not in remote else None
    if found is not None and not found[1].startswith("-"):
        return
    raise InvalidRequest(f"invalid git remote {remote[:200]!r}")


def check_ref(ref: str) -> None:
    """Refuse what git could take for an option or for a path."""
    if ref and (not REF.fullmatch(ref) or ".." in ref or ref.endswith(("/", ".lock"))):
        raise InvalidRequest(f"invalid git ref {ref[:200]!r}")


def host_of(remote: str) -> tuple[str, int]:
    """Return where a remote is."""
    if "://" not in remote:
        found = SCP.fullmatch(remote)
        assert found is not None
        return found[1], 22
    parts = urlsplit(remote)
    ports = {"https": 443, "http": 80, "git": 9418, "ssh": 22}
    return parts.hostname or "", parts.port or ports[parts.scheme]


@dataclass(slots=True)
class Git:
    """Calls of git for one remote."""

    folder: str
    environment: dict[str, str] = field(default_factory=dict)

    async def run(self, *words: str, more: Mapping[str, str] | None = None) -> str:
        """Run git; what it printed."""
        settings = [word for key, value in SETTINGS.items() for word in ("-c", f"{key}={value}")]
        try:
            process = await asyncio.create_subprocess_exec(
                "git",
                *settings,
                *words,
                cwd=self.folder,
                env={**ENVIRONMENT, **self.environment, **(more or {})},
                stdin=asyncio.subprocess.DEVNULL,
                stdout=asyncio.subprocess.PIPE,
                stderr=asyncio.subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise NotSupported("git is not installed on the engine's host") from None
        try:
            async with asyncio.timeout(PATIENCE):
                out, err = await process.communicate()
        except TimeoutError:
            raise Unavailable("git did not end in time") from None
        finally:
            if process.returncode is None:
                _kill(process.pid)
                await process.wait()
        if process.returncode:
            said = err.decode("utf-8", "replace").strip().splitlines()
            raise GitFailed(f"failed to fetch remote: git: {' / '.join(said[-3:])[:1000]}")
        return out.decode("utf-8", "surrogateescape")


ENVIRONMENT: Final = {
    "PATH": os.defpath if "/usr/bin" in os.defpath else "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_ALLOW_PROTOCOL": ":".join(PROTOCOLS),
    "GIT_LFS_SKIP_SMUDGE": "1",
}


class GitSource:
    """Fetches commits."""

    def __init__(self, folders: Folders) -> None:
        self._folders = folders
        self._turns: dict[str, asyncio.Lock] = {}

    async def fetch(
        self, source: Source, platform: Platform | None, asker: Asker, tell: Tell
    ) -> Fetched:
        """Return the files of the commit that a ref means now."""
        wanted = Wanted.of(source)
        await _reachable(wanted.remote)
        async with AsyncExitStack() as undo:
            environment = await _access(wanted, asker, undo)
            key = joined("git", [wanted.remote])
            async with self._turns.setdefault(key, asyncio.Lock()):
                store = await self._store(key, wanted, asker)
                git = Git(self._folders.path(store), environment)
                commit, fetched_as = await _resolve(git, wanted)
                _check_commit(commit, wanted)
                tell(Told(_shown(wanted.remote), f"commit {commit}", done=True))
                checkout = await self._checkout(git, commit, fetched_as, wanted, asker)
                await asyncio.to_thread(self._folders.keep, store)
        path = await asyncio.to_thread(_part, self._folders.path(checkout), wanted.folder)
        kept = f"{wanted.folder} {wanted.keeps} {wanted.submodules}"
        uri = _shown(wanted.remote) + (f"#{wanted.ref}" if wanted.ref else "")
        kind = "sha1" if len(commit) == SHA1 else "sha256"
        return Fetched(Files(path), f"git {commit} {kept}", uri, {kind: commit})

    async def _store(self, key: str, wanted: Wanted, asker: Asker) -> Folder:
        folder = self._folders.find(Kind.GIT, key)
        if folder is not None:
            asker.held.folder(folder)
            return folder
        shown = f"git repository {_shown(wanted.remote)}"
        folder = self._folders.make(Kind.GIT, key, shown, asker.held)
        await Git(self._folders.path(folder)).run("init", "--quiet", "--bare", ".")
        await asyncio.to_thread(self._folders.keep, folder)
        return folder

    async def _checkout(
        self, git: Git, commit: str, fetched_as: str, wanted: Wanted, asker: Asker
    ) -> Folder:
        key = joined("checkout", [wanted.remote, commit, str(wanted.keeps), str(wanted.submodules)])
        folder = self._folders.find(Kind.GIT, key)
        if folder is not None:
            asker.held.folder(folder)
            await asyncio.to_thread(self._folders.keep, folder)
            return folder
        if not await _has(git, commit):
            await _bring(git, wanted.remote, commit, fetched_as)
        shown = f"git snapshot {commit[:12]} of {_shown(wanted.remote)}"
        folder = self._folders.make(Kind.GIT, key, shown, asker.held)
        path = self._folders.path(folder)
        try:
            await _write_files(git, commit, path, wanted)
            await asyncio.to_thread(self._folders.keep, folder)
        except BaseException:
            await asyncio.to_thread(self._folders.discard, folder)
            raise
        return folder


async def _reachable(remote: str) -> None:
    host, port = host_of(remote)
    await reach.addresses(host, port)


async def _access(wanted: Wanted, asker: Asker, undo: AsyncExitStack) -> dict[str, str]:
    """Return the environment in which git can log in, as far as the client lets it."""
    if wanted.remote.startswith(("http://", "https://")):
        header = await _header(wanted, asker)
        if header:
            return {
                "GIT_CONFIG_COUNT": "1",
                "GIT_CONFIG_KEY_0": f"http.{_site(wanted.remote)}.extraHeader",
                "GIT_CONFIG_VALUE_0": f"Authorization: {header}",
            }
        return {}
    identifier = wanted.attrs.get("git.mountsshsock", "")
    if not identifier or not asker.sessions or wanted.remote.startswith("git://"):
        return {}
    agent = Agent(asker.sessions, identifier)
    path = await agent.listen(0, 0, 0o600)
    undo.push_async_callback(agent.close)
    command = "ssh -F /dev/null -o BatchMode=yes -o UserKnownHostsFile=/dev/null"
    known = wanted.attrs.get("git.knownsshhosts", "")
    if known:
        file = os.path.join(os.path.dirname(path), "known_hosts")
        await asyncio.to_thread(Path(file).write_text, known)
        command += f" -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile={file}"
    return {"SSH_AUTH_SOCK": path, "GIT_SSH_COMMAND": command}


async def _header(wanted: Wanted, asker: Asker) -> str:
    """Return what the client's secrets say for an Authorization header."""
    for attr, make in (("git.authheadersecret", str), ("git.authtokensecret", _basic)):
        name = wanted.attrs.get(attr, "")
        if not name:
            continue
        host, _ = host_of(wanted.remote)
        for one in (f"{name}.{host}", name):
            for session in asker.sessions:
                try:
                    data = await session.secret(one)
                except BoxshipError:
                    continue
                return make(data.decode("utf-8", "replace").strip())
    return ""


def _basic(token: str) -> str:
    return "basic " + base64.b64encode(f"x-access-token:{token}".encode()).decode()


def _site(remote: str) -> str:
    parts = urlsplit(remote)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/"


async def _resolve(git: Git, wanted: Wanted) -> tuple[str, str]:
    """Return the commit that is meant, and by what name it can be fetched."""
    if COMMIT.fullmatch(wanted.ref):
        return wanted.ref, wanted.ref
    listed = await git.run("ls-remote", "--", wanted.remote)
    known: dict[str, str] = {}
    for line in listed.splitlines():
        commit, _, name = line.partition("\t")
        if COMMIT.fullmatch(commit):
            known[name] = commit
    ref = wanted.ref or "HEAD"
    for name in (ref, f"refs/tags/{ref}", f"refs/heads/{ref}"):
        if name in known:
            return known.get(f"{name}^{{}}", known[name]), name
    raise NotFound(f"repository does not contain ref {ref}")


def _check_commit(commit: str, wanted: Wanted) -> None:
    if wanted.checksum and not commit.startswith(wanted.checksum):
        raise InvalidRequest(f"expected checksum to match {wanted.checksum}, got {commit}")


async def _has(git: Git, commit: str) -> bool:
    try:
        await git.run("cat-file", "-e", f"{commit}^{{commit}}")
    except GitFailed:
        return False
    return True


async def _bring(git: Git, remote: str, commit: str, fetched_as: str) -> None:
    """Fetch one commit; from servers that give out no single ones, all of the branches."""
    usual = ("fetch", "--quiet", "--no-tags", "--no-write-fetch-head", "--depth=1")
    try:
        await git.run(*usual, "--", remote, fetched_as)
    except GitFailed:
        if not COMMIT.fullmatch(fetched_as):
            raise
        await git.run(
            "fetch", "--quiet", "--tags", "--no-write-fetch-head", "--", remote,
            "+refs/heads/*:refs/remotes/origin/*",
        )  # fmt: skip
    if not await _has(git, commit):
        raise NotFound(f"repository does not contain commit {commit}")


async def _write_files(git: Git, commit: str, path: str, wanted: Wanted) -> None:
    """Write a commit's files, and those of its submodules."""
    if wanted.keeps or wanted.submodules:
        inner = Git(path, git.environment)
        await inner.run("init", "--quiet", ".")
        local = {"GIT_ALLOW_PROTOCOL": "file"}
        settings = ("-c", "protocol.file.allow=always")
        source = ("fetch", "--quiet", "--depth=1", "--update-shallow", "--no-tags")
        await inner.run(*settings, *source, "--", git.folder, commit, more=local)
        await inner.run("remote", "add", "origin", "--", wanted.remote)
        await inner.run("checkout", "--quiet", "--detach", commit)
        if wanted.submodules and await asyncio.to_thread(_has_submodules, path):
            await _submodules(inner)
        if not wanted.keeps:
            await asyncio.to_thread(_without_git, path)
        return
    await git.run(f"--work-tree={path}", "checkout", "--quiet", "--force", commit, "--", ".")


async def _submodules(git: Git, depth: int = 0) -> None:
    """Bring what a repository says belongs into it; each level is looked at before the next."""
    if depth > MOST_LEVELS:
        raise InvalidRequest("submodules lie too deep in each other")
    listed = await git.run("config", "--file", ".gitmodules", "--get-regexp", r"\.(url|path)$")
    inner: list[str] = []
    for line in listed.splitlines():
        name, _, value = line.partition(" ")
        if name.endswith(".url") and not value.startswith(("./", "../")):
            check_remote(value)
            await _reachable(value)
        elif name.endswith(".path"):
            if value.startswith(("/", "-")) or ".." in value.split("/"):
                raise InvalidRequest(f"invalid submodule path {value[:200]!r}")
            inner.append(value)
    await git.run("submodule", "update", "--init", "--depth=1", "--quiet")
    for path in inner:
        folder = await asyncio.to_thread(_part, git.folder, path)
        if await asyncio.to_thread(_has_submodules, folder):
            await _submodules(Git(folder, git.environment), depth + 1)


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


def _part(path: str, folder: str) -> str:
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


def _shown(remote: str) -> str:
    """Return an address without who logs in there."""
    scheme, colon, rest = remote.partition("://")
    return f"{scheme}://{rest.rpartition('@')[2]}" if colon else remote


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
