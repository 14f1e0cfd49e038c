"""`--call`: what is asked of a Dockerfile instead of a build."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from boxship.cli.building.fields import fields
from boxship.errors import InvalidRequest
from boxship.lib.words import visible_block

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

REQUESTS: Final = {
    "build": "",
    "check": "frontend.lint",
    "lint": "frontend.lint",
    "outline": "frontend.outline",
    "targets": "frontend.targets",
    "subrequests.describe": "frontend.subrequests.describe",
}


@dataclass(frozen=True, slots=True)
class Call:
    """What is asked, how the answer is shown, and whether warnings count as a failure."""

    name: str
    form: str = "text"
    lenient: bool = False

    @property
    def is_build(self) -> bool:
        return not REQUESTS[self.name]

    @property
    def options(self) -> dict[str, str]:
        """What the front end is told."""
        return {} if self.is_build else {"requestid": REQUESTS[self.name]}

    def shown(self, result: Mapping[str, str]) -> str:
        """Return the answer as it is printed."""
        member = "result.json" if self.form == "json" else "result.txt"
        if member not in result:
            raise InvalidRequest(f"the builder gave no answer to --call={self.name}")
        text = visible_block(result[member])
        return text if text.endswith("\n") else text + "\n"

    def status(self, result: Mapping[str, str]) -> int:
        """Return the exit code for an answer."""
        if REQUESTS[self.name] != "frontend.lint":
            return 0
        try:
            found = json.loads(result.get("result.json", "{}"))
        except ValueError:
            return 1
        if found.get("buildError"):
            return 1
        return 1 if found.get("warnings") and not self.lenient else 0


def call_named(said: str) -> Call:
    """Read `--call`: a name, and `format=json` or `ignorestatus=true`."""
    name, _, rest = said.partition(",")
    name = name.removeprefix("frontend.")
    if name.startswith("method="):
        name = name.removeprefix("method=")
    if name not in REQUESTS:
        raise InvalidRequest(f"unknown call: {name}")
    more = fields(rest)
    unknown = more.keys() - {"format", "ignorestatus"}
    if unknown:
        raise InvalidRequest(f"invalid print function: {said}")
    form = more.get("format", "text")
    if form not in ("text", "json"):
        raise InvalidRequest(f"invalid format {form!r} of --call, use text or json")
    return Call(name, form, more.get("ignorestatus") in ("true", "1"))


def show(shell: Shell, call: Call, result: Mapping[str, str]) -> int:
    """Print an answer; return the exit code."""
    shell.out.write(call.shown(result))
    return call.status(result)
