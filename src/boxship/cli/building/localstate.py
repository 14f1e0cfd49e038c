"""Where builds of this machine were done from: builders know only what was sent to them.

<config>/buildx/refs/<builder>/<node>/<ref>   JSON: Target, LocalPath, DockerfilePath

Docker buildx keeps the same files, so that each client names the other's builds too.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from boxship.cli.building.fields import REMOTE
from boxship.lib import atomicfile, quickjson

if TYPE_CHECKING:
    from boxship.cli.building.asked import Asked
    from boxship.cli.building.builders import Builder
    from boxship.cli.shell import Shell

LARGEST: Final = 64 << 10
USUAL: Final = "Dockerfile"
REF: Final = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")  # others are no names of files
KEPT: Final = 7 * 86400  # seconds that one without a record is kept


@dataclass(frozen=True, slots=True)
class LocalState:
    """Paths as they were given, made absolute; `-` and URLs as they are."""

    context: str
    dockerfile: str

    @property
    def is_here(self) -> bool:
        return os.path.isabs(self.context)

    def name(self) -> str:
        """Return what the build is called: its folder, and its Dockerfile if that says more."""
        if not self.is_here:
            return ""
        file = self.dockerfile if os.path.isabs(self.dockerfile) else ""
        plain = file.removesuffix("/" + USUAL)
        if plain.startswith(self.context + "/"):
            return os.path.basename(self.context) + plain[len(self.context) :]
        if file == plain and file:
            return os.path.join(os.path.basename(os.path.dirname(file)), os.path.basename(file))
        return os.path.basename(plain or self.context)

    def is_beneath(self, folder: str) -> bool:
        return self.is_here and os.path.commonpath([folder, self.context]) == folder


class LocalStates:
    """Those of the builds of one builder."""

    def __init__(self, shell: Shell, builder: Builder) -> None:
        self._folder = os.path.join(
            shell.config.folder, "buildx", "refs", builder.name, builder.node
        )

    def keep(self, ref: str, target: str, asked: Asked) -> None:
        """Remember where a build is done from; a folder that cannot be written stops no build."""
        here = asked.context != "-" and not asked.context.startswith(REMOTE)
        context = os.path.abspath(asked.context) if here else asked.context
        file = "-" if asked.dockerfile == "-" or asked.dockerfile_text is not None else ""
        if here and not file:
            file = os.path.abspath(asked.dockerfile or os.path.join(context, USUAL))
        said = {"Target": target or "default", "LocalPath": context, "DockerfilePath": file}
        with suppress(OSError):
            os.makedirs(self._folder, 0o700, exist_ok=True)
            path = os.path.join(self._folder, ref)
            atomicfile.write(path, quickjson.encode(said).encode(), durable=False)

    def of(self, ref: str) -> LocalState:
        """Return where a build was done from, as far as it is known."""
        if not REF.fullmatch(ref):
            return LocalState("", "")
        try:
            with open(os.path.join(self._folder, ref), encoding="utf-8") as file:
                said = quickjson.decode(file.read(LARGEST))
            return LocalState(str(said.get("LocalPath", "")), str(said.get("DockerfilePath", "")))
        except (OSError, ValueError, AttributeError):
            return LocalState("", "")

    def forget(self, refs: Iterable[str]) -> None:
        for ref in filter(REF.fullmatch, refs):
            with suppress(OSError):
                os.unlink(os.path.join(self._folder, ref))

    def tidy(self, known: Iterable[str]) -> None:
        """Remove what belongs to builds that the builder does not know any more."""
        left = frozenset(known)
        with suppress(OSError):
            for entry in os.scandir(self._folder):
                if entry.name not in left and time.time() - entry.stat().st_mtime > KEPT:
                    os.unlink(entry.path)
