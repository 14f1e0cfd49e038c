"""Who a program runs as: what `--user` and `--group-add` say, looked up in the image.

A word of digits is always an ID and never a name, so an image cannot give the name `1000` to
its root. The image's passwd and group files are hostile: read with a bound, parsed leniently.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.errors import InvalidRequest
from boxship.kernel import paths

GREATEST_ID: Final = 2**31 - 1
MOST_BYTES: Final = 4 << 20


class NoSuchUser(InvalidRequest):
    """The image knows no user or group of this name, or the ID is out of range."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user as numbers, the groups with the primary one first, and a home."""

    uid: int
    gid: int
    groups: tuple[int, ...]
    home: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Accounts:
    """The user databases of one root filesystem."""

    passwd: bytes
    group: bytes

    @classmethod
    def read(cls, root: int) -> Accounts:
        """Read them beneath `root`; an absent file is an empty one."""
        return cls(_read(root, "/etc/passwd"), _read(root, "/etc/group"))

    def resolve(self, user: str, groups_added: Sequence[str] = ()) -> Identity:
        """Return who `user` is: name, ID, name:group or ID:ID; empty is 0:0."""
        wanted, _, group = user.partition(":")
        uid, name, gid, home = self._user(wanted or "0")
        if group:
            gid = self._group(group)
            groups = [gid]
        else:
            groups = [gid, *(self._memberships(name) if name else ())]
        groups += [self._group(added) for added in groups_added]
        return Identity(uid, gid, tuple(dict.fromkeys(groups)), home or "/", name)

    def _user(self, wanted: str) -> tuple[int, str, int, str]:
        uid = _number(wanted)
        for fields in _lines(self.passwd, 7):
            found, gid = _number(fields[2]), _number(fields[3])
            if found is None or gid is None:
                continue
            if (found == uid) if uid is not None else (fields[0] == wanted):
                return _bounded(found), fields[0], _bounded(gid), fields[5]
        if uid is None:
            raise NoSuchUser(f"unable to find user {wanted}: no matching entries in passwd file")
        return _bounded(uid), "", 0, ""

    def _group(self, wanted: str) -> int:
        if (gid := _number(wanted)) is not None:
            return _bounded(gid)
        for fields in _lines(self.group, 4):
            if fields[0] == wanted and (gid := _number(fields[2])) is not None:
                return _bounded(gid)
        raise NoSuchUser(f"unable to find group {wanted}: no matching entries in group file")

    def _memberships(self, name: str) -> Iterator[int]:
        for fields in _lines(self.group, 4):
            if name in fields[3].split(",") and (gid := _number(fields[2])) is not None:
                yield _bounded(gid)


def _read(root: int, path: str) -> bytes:
    data = paths.read_file_in_root(root, path, MOST_BYTES + 1) or b""
    if len(data) > MOST_BYTES:
        raise InvalidRequest(f"{path} of the container is larger than {MOST_BYTES >> 20} MiB")
    return data


def _lines(data: bytes, fields: int) -> Iterator[list[str]]:
    for line in data.split(b"\n"):
        words = line.strip().decode("utf-8", "surrogateescape").split(":")
        if words[0] and not words[0].startswith("#"):
            yield [*words, *([""] * (fields - len(words)))]


def _number(text: str) -> int | None:
    if not (text.isascii() and text.isdigit()):
        return None
    return int((text.lstrip("0") or "0")[:20])  # what is longer is out of range all the same


def _bounded(number: int) -> int:
    if number > GREATEST_ID:
        raise NoSuchUser(f"uids and gids must be in range 0-{GREATEST_ID}")
    return number
