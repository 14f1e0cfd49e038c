"""`# syntax=`, `# escape=` and `# check=`: what a Dockerfile says of itself in its first lines."""

from __future__ import annotations

import re
from typing import Final

import msgspec

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.ops import Place

DIRECTIVE: Final = re.compile(r"([a-zA-Z][a-zA-Z0-9]*)\s*=(.+)", re.ASCII)
BLANKS: Final = " \t\n\v\f\r"
NAMES: Final = frozenset({"syntax", "escape", "check"})
OUR_OWN: Final = re.compile(r"#\s*include\s*=\s*(?:on|true|1)\s*", re.IGNORECASE)
BOM: Final = "\ufeff"


class DirectiveReader:
    """Takes a file's lines in turn; the first that is no directive ends the directives."""

    def __init__(self, mark: str = "#") -> None:
        self.found: dict[str, str] = {}
        self.places: dict[str, Place] = {}
        self.escape = "\\"
        self._mark = mark
        self._done = False

    def feed(self, line: str, number: int) -> bool:
        """Take a line; whether it was a directive."""
        if self._done:
            return False
        if not line.startswith(self._mark):
            self._done = True
            return False
        found = DIRECTIVE.fullmatch(line[len(self._mark) :].lstrip())
        known = NAMES if not OUR_OWN.fullmatch(line) else {"include"}
        if not found or (name := found[1].lower()) not in known:
            self._done = True
            return False
        value = found[2].strip(BLANKS) or found[2][-1]
        place = Place(number, number)
        if name in self.found:
            raise DockerfileError(f"only one {name} parser directive can be used", [place])
        self.found[name], self.places[name] = value, place
        if name == "escape":
            if value not in ("\\", "`"):
                raise DockerfileError(
                    f"invalid escape token '{value}' does not match ` or \\", [place]
                )
            self.escape = value
        return True


def syntax_of(text: str) -> tuple[str, str, Place] | None:
    """Return the front end image that the text asks for, its whole directive and its place.

    Besides `# syntax=` it may stand as `// syntax=` or as a JSON document's `syntax`, and after
    a line that begins with `#!`, so that files of other languages can say it too.
    """
    text = text.removeprefix(BOM)
    skipped = 0
    if text.startswith("#!"):
        text = text.partition("\n")[2]
        skipped = 1
    for mark in ("#", "//"):
        reader = DirectiveReader(mark)
        try:
            for number, line in enumerate(text.split("\n"), skipped + 1):
                if not reader.feed(line.removesuffix("\r"), number):
                    break
        except DockerfileError:
            pass  # the parser will say so
        if said := reader.found.get("syntax"):
            return said.split(" ", 1)[0], said, reader.places["syntax"]
    if text.lstrip().startswith("{"):
        try:
            document = msgspec.json.decode(text)
        except (msgspec.DecodeError, RecursionError, UnicodeEncodeError):
            return None
        if isinstance(document, dict) and isinstance(said := document.get("syntax"), str):
            return said, said, Place(skipped, skipped)
    return None
