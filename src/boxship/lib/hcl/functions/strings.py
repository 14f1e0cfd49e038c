"""Strings, regular expressions and paths."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Mapping
from typing import Final

from boxship.lib.hcl.functions.define import STRING, WHOLE, strings, takes
from boxship.lib.hcl.source import BadValue
from boxship.lib.hcl.values import Value

MOST_INDENT: Final = 4096


def _title(said: str) -> str:
    found, before = "", " "
    for char in said:
        separates = not (before.isalnum() or before == "_") if before.isascii() else before == " "
        found += char.upper() if separates else char
        before = char
    return found


def _indent(spaces: int, said: str) -> str:
    if not 0 <= spaces <= MOST_INDENT:
        raise BadValue("the number of spaces is out of range")
    return said.replace("\n", "\n" + " " * spaces)


def _substr(said: str, offset: int, length: int) -> str:
    if offset < 0:
        offset += len(said)
    if offset > len(said) or length == 0:
        return ""
    offset = max(offset, 0)
    return said[offset:] if length < 0 else said[offset : offset + length]


def _bytes_slice(said: str, offset: int, length: int) -> str:
    data = said.encode()
    if offset < 0 or length < 0 or offset + length > len(data):
        raise BadValue("offset and length must be within the string")
    return data[offset : offset + length].decode("utf-8", "replace")


def _join(separator: str, *lists: list[str]) -> str:
    return separator.join(one for each in lists for one in each)


def _split(separator: str, said: str) -> list[str]:
    return said.split(separator) if separator else list(said)


def _compiled(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern.replace("\\z", "\\Z"))
    except (re.error, OverflowError) as error:
        raise BadValue(f"invalid regular expression: {error}") from None


def _captured(found: re.Match[str]) -> Value:
    """Return what was found: the whole, or the groups by place or by name."""
    names = found.re.groupindex
    if not found.re.groups:
        return found[0]
    if len(names) == found.re.groups:
        return {name: found[name] for name in names}
    if names:
        raise BadValue("can not mix named and unnamed capture groups")
    return list(found.groups())


def _regex(pattern: str, said: str) -> Value:
    found = _compiled(pattern).search(said)
    if found is None:
        raise BadValue("pattern did not match any part of the given string")
    return _captured(found)


def _regex_all(pattern: str, said: str) -> Value:
    return [_captured(found) for found in _compiled(pattern).finditer(said)]


def _regex_replace(said: str, pattern: str, new: str) -> str:
    """Replace; `$1`, `${1}` and `${name}` in the new text stand for groups."""

    def put(found: re.Match[str]) -> str:
        def group(reference: re.Match[str]) -> str:
            if reference[0] == "$$":
                return "$"
            name = reference[1] or reference[2]
            try:
                return found[int(name) if name.isdecimal() else name] or ""
            except IndexError:
                return ""

        return re.sub(r"\$\$|\$\{(\w+)\}|\$(\w+)", group, new)

    return _compiled(pattern).sub(put, said)


def _sanitize(said: str) -> str:
    return re.sub(r"[^a-zA-Z0-9_-]", "_", said)


def _base(path: str) -> str:
    if not path:
        return "."
    return posixpath.basename(path.rstrip("/")) or "/"


def _folder(path: str) -> str:
    return posixpath.normpath(posixpath.dirname(path) or ".").replace("//", "/")


FUNCTIONS: Final[Mapping[str, Callable[..., Value]]] = {
    "basename": takes(STRING)(_base),
    "byteslen": takes(STRING)(lambda said: len(said.encode())),
    "bytesslice": takes(STRING, WHOLE, WHOLE)(_bytes_slice),
    "chomp": takes(STRING)(lambda said: said.rstrip("\r\n")),
    "dirname": takes(STRING)(_folder),
    "indent": takes(WHOLE, STRING)(_indent),
    "join": takes(STRING, rest=strings, least=1)(_join),
    "lower": takes(STRING)(str.lower),
    "regex": takes(STRING, STRING)(_regex),
    "regex_replace": takes(STRING, STRING, STRING)(_regex_replace),
    "regexall": takes(STRING, STRING)(_regex_all),
    "replace": takes(STRING, STRING, STRING)(str.replace),
    "reverse": takes(STRING)(lambda said: said[::-1]),
    "sanitize": takes(STRING)(_sanitize),
    "sort": takes(strings)(sorted),
    "split": takes(STRING, STRING)(_split),
    "strlen": takes(STRING)(len),
    "substr": takes(STRING, WHOLE, WHOLE)(_substr),
    "title": takes(STRING)(_title),
    "trim": takes(STRING, STRING)(str.strip),
    "trimprefix": takes(STRING, STRING)(str.removeprefix),
    "trimspace": takes(STRING)(str.strip),
    "trimsuffix": takes(STRING, STRING)(str.removesuffix),
    "upper": takes(STRING)(str.upper),
}
