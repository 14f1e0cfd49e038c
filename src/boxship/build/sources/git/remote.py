"""What a git source asks for, read and checked before git sees any of it."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote, urlsplit

from boxship.build.errors import BadGraph
from boxship.build.ops import Source
from boxship.errors import InvalidRequest

REF: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./@+#=-]{0,254}", re.ASCII)
COMMIT: Final = re.compile(r"[0-9a-f]{40}([0-9a-f]{24})?", re.ASCII)
CHECKSUM: Final = re.compile(r"[0-9a-f]{7,64}", re.ASCII)
SCP: Final = re.compile(r"(?:[A-Za-z0-9_.-]+@)?([A-Za-z0-9_.-]+):[^/\\].*", re.ASCII)
SCP_ROOTED: Final = re.compile(r"[A-Za-z0-9_.-]+@([A-Za-z0-9_.-]+):/.*", re.ASCII)
PORTS: Final = {"https": 443, "http": 80, "git": 9418, "ssh": 22}
MTIMES: Final = ("", "checkout", "commit")


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a source asks for; `login` is the header by which the address itself logs in."""

    remote: str
    login: str
    ref: str
    folder: str
    keeps: bool
    submodules: bool
    checksum: str
    of_commit: bool
    attrs: Mapping[str, str]

    @classmethod
    def of(cls, source: Source) -> Wanted:
        """Read a source; InvalidRequest for what git could take for something else."""
        attrs = dict(source.attrs)
        plain, _, fragment = source.identifier.partition("#")
        ref, _, folder = fragment.partition(":")
        remote = attrs.get("git.fullurl") or "https://" + plain.removeprefix("git://")
        check_remote(remote)
        remote, login = without_login(remote)
        check_ref(ref)
        checksum = attrs.get("git.checksum", "")
        if checksum and not CHECKSUM.fullmatch(checksum):
            raise BadGraph(f"invalid checksum {checksum[:80]!r}")
        mtime = attrs.get("git.mtime", "")
        if mtime not in MTIMES:
            raise BadGraph(f"invalid git mtime {mtime[:80]!r}")
        return cls(
            remote,
            login,
            ref,
            folder,
            attrs.get("git.keepgitdir") == "true",
            attrs.get("git.skipsubmodules") != "true",
            checksum,
            mtime == "commit",
            attrs,
        )


def check_remote(remote: str) -> None:
    """Refuse what is no address of a repository elsewhere."""
    plain = remote.isprintable() and not remote.startswith("-") and " " not in remote
    if not plain or not _host(remote):
        raise InvalidRequest(f"invalid git remote {remote[:200]!r}")


def _host(remote: str) -> str:
    """Return the host of an address, empty where it is none that git may be given."""
    scheme, colon, _ = remote.partition("://")
    if colon:
        try:
            parts = urlsplit(remote)
            host = (parts.hostname or "") if scheme in PORTS and parts.port != 0 else ""
        except ValueError:
            return ""
    else:
        found = SCP.fullmatch(remote) or SCP_ROOTED.fullmatch(remote)
        host = found[1] if found is not None and "::" not in remote else ""
    return "" if host.startswith("-") else host


def check_ref(ref: str) -> None:
    """Refuse what git could take for an option or for a path."""
    if ref and (not REF.fullmatch(ref) or ".." in ref or ref.endswith(("/", ".lock"))):
        raise InvalidRequest(f"invalid git ref {ref[:200]!r}")


def host_of(remote: str) -> tuple[str, int]:
    """Return where a remote that was checked is."""
    if "://" not in remote:
        return _host(remote), PORTS["ssh"]
    parts = urlsplit(remote)
    return parts.hostname or "", parts.port or PORTS[parts.scheme]


def is_web(remote: str) -> bool:
    """Whether git speaks HTTP there."""
    return remote.startswith(("http://", "https://"))


def site_of(remote: str) -> str:
    """Return the site of a URL."""
    parts = urlsplit(remote)
    return f"{parts.scheme}://{parts.netloc}/"


def without_login(remote: str) -> tuple[str, str]:
    """Return a URL of the web without who logs in there, and the header that says who."""
    parts = urlsplit(remote)
    who, at, host = parts.netloc.rpartition("@")
    if not at or not is_web(remote):
        return remote, ""
    user, _, password = who.partition(":")
    return parts._replace(netloc=host).geturl(), basic(unquote(user), unquote(password))


def basic(user: str, password: str) -> str:
    """Return the header that logs a user in."""
    return "basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def shown(remote: str) -> str:
    """Return an address without who logs in there."""
    scheme, colon, rest = remote.partition("://")
    if not colon:
        return remote
    host, slash, path = rest.partition("/")
    return f"{scheme}://{host.rpartition('@')[2]}{slash}{path}"
