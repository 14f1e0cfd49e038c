"""Repositories in ADD and as contexts.

https://host/path.git[#ref[:folder]][?ref=…&branch=…&tag=…&subdir=…&checksum=…&…]
git://host/path   ssh://user@host/path   user@host:path   github.com/owner/repository
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final
from urllib.parse import parse_qs, urlsplit

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.mounts import FALSE, TRUE
from boxship.build.dockerfile.shell import quoted
from boxship.build.ops import Source

WEB: Final = ("http", "https")
SCHEMES: Final = (*WEB, "ssh", "git")
SCP: Final = re.compile(
    r"(?:[a-zA-Z0-9_.\-]+)@[a-zA-Z0-9.\-\[\]]+:[^/].*|[a-zA-Z0-9_.\-]+@[^/:]+:/.*"
)


@dataclass(frozen=True, slots=True)
class GitRef:
    """A commit of a repository, and the folder of it that is meant."""

    remote: str
    ref: str = ""
    folder: str = ""
    checksum: str = ""
    keep_git_dir: bool | None = None
    submodules: bool | None = None
    mtime: str = ""
    fetch_by_commit: bool | None = None
    looks_local: bool = False

    def source(self, *, keep_git_dir: bool = False, checksum: str = "") -> Source:
        """Return the source that fetches it."""
        identifier = "git://" + _without_scheme(self.remote)
        if self.ref or self.folder:
            identifier += "#" + self.ref + (f":{self.folder}" if self.folder else "")
        attrs = {"git.fullurl": self.remote}
        if keep_git_dir:
            attrs["git.keepgitdir"] = "true"
        if checksum:
            attrs["git.checksum"] = checksum
        if self.submodules is False:
            attrs["git.skipsubmodules"] = "true"
        if self.mtime:
            attrs["git.mtime"] = self.mtime
        if self.fetch_by_commit:
            attrs["git.fetchbycommit"] = "true"
        if self.remote.startswith("https://") or self.remote.startswith("http://"):
            attrs["git.authheadersecret"] = "GIT_AUTH_HEADER"
            attrs["git.authtokensecret"] = "GIT_AUTH_TOKEN"
        else:
            attrs["git.mountsshsock"] = "default"
        return Source(identifier, tuple(sorted(attrs.items())))


def parse(text: str) -> GitRef | None:
    """Read a reference; None where the text is none, an error where it is a wrong one."""
    if text.startswith(("./", "../")) or not text.isprintable():
        return None
    if text.startswith("github.com/"):
        found = _url("https://" + text)
        return found and replace(found, looks_local=True)
    scheme, colon, _ = text.partition("://")
    if colon:
        if scheme not in SCHEMES or (scheme in WEB and not _is_repository(text)):
            return None
        return _url(text)
    if SCP.fullmatch(text):
        remote, _, fragment = text.partition("#")
        ref, _, folder = fragment.partition(":")
        return GitRef(remote, ref, folder)
    return None


def _is_repository(url: str) -> bool:
    """Whether a URL of the web is a repository's; any other is a file's, whatever its query."""
    try:
        return urlsplit(url).path.endswith(".git")
    except ValueError:
        return False


def _url(text: str) -> GitRef | None:
    try:
        parts = urlsplit(text)
    except ValueError:
        return None
    if not parts.netloc:
        return None
    remote = parts._replace(query="", fragment="").geturl()
    ref, _, folder = parts.fragment.partition(":")
    found = GitRef(remote, ref, folder)
    return _with_query(found, parts.query) if parts.query else found


def _with_query(found: GitRef, query: str) -> GitRef:
    tag = branch = ""
    for key, values in parse_qs(query, keep_blank_values=True).items():
        if len(values) > 1:
            raise DockerfileError(f"query {quoted(key)} has multiple values")
        value = values[0]
        if not value and key not in ("submodules", "keep-git-dir", "fetch-by-commit"):
            raise DockerfileError(f"query {quoted(key)} has no value")
        match key:
            case "ref":
                found = replace(found, ref=_same("ref", found.ref, value))
            case "subdir":
                found = replace(found, folder=_same("subdir", found.folder, value))
            case "tag":
                tag = "refs/tags/" + value.removeprefix("refs/tags/")
            case "branch":
                branch = "refs/heads/" + value.removeprefix("refs/heads/")
            case "checksum" | "commit":
                found = replace(found, checksum=value)
            case "keep-git-dir":
                found = replace(found, keep_git_dir=_truth(key, value))
            case "submodules":
                found = replace(found, submodules=_truth(key, value))
            case "fetch-by-commit":
                found = replace(found, fetch_by_commit=_truth(key, value))
            case "mtime" if value in ("checkout", "commit"):
                found = replace(found, mtime=value)
            case "mtime":
                raise DockerfileError(f"invalid mtime value: {quoted(value)}")
            case _:
                raise DockerfileError(f"unexpected query {quoted(key)}")
    if tag and branch:
        raise DockerfileError("branch conflicts with tag")
    if tag or branch:
        found = replace(found, ref=_same("ref", found.ref, tag or branch))
    if found.checksum and not found.ref:
        found = replace(found, ref=found.checksum)
    return found


def _same(name: str, known: str, value: str) -> str:
    if known and known != value:
        raise DockerfileError(f"{name} conflicts: {quoted(known)} vs {quoted(value)}")
    return value


def _truth(key: str, value: str) -> bool:
    if value in TRUE or not value:
        return True
    if value in FALSE:
        return False
    raise DockerfileError(f"invalid {key} value: {quoted(value)}")


def _without_scheme(remote: str) -> str:
    _, colon, rest = remote.partition("://")
    return rest if colon else remote.replace(":", "/", 1)
