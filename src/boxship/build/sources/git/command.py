"""The host's git, told to trust nothing.

It reads no configuration of the host, runs no hook, follows no protocol but those named and no
redirect, and gets what comes from outside only behind `--`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

from boxship.build.running.helpers import Helpers
from boxship.build.sources.git.remote import PORTS
from boxship.errors import InvalidRequest

PATIENCE: Final = 1800.0
HARMLESS: Final = (  # what many old repositories have
    *("zeroPaddedFilemode", "badTimezone", "badDateOverflow", "missingSpaceBeforeDate"),
    *("missingEmail", "missingSpaceBeforeEmail", "missingNameBeforeEmail", "badEmail", "badName"),
    *("missingTaggerEntry", "extraHeaderEntry"),
)
SETTINGS: Final = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.sshCommand": "ssh -F /dev/null -o BatchMode=yes",
    "credential.helper": "",
    "protocol.allow": "never",
    "transfer.bundleURI": "false",
    "http.followRedirects": "false",
    "http.lowSpeedLimit": "1",
    "http.lowSpeedTime": "120",
    "fetch.recurseSubmodules": "false",
    "fetch.fsckObjects": "true",
    **{f"fetch.fsck.{name}": "ignore" for name in HARMLESS},
    "submodule.recurse": "false",
    "core.protectNTFS": "true",
    "core.protectHFS": "true",
    "advice.detachedHead": "false",
    "init.defaultBranch": "main",
    "init.templateDir": "",
    "filter.lfs.required": "false",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "safe.directory": "*",
    **{f"protocol.{name}.allow": "always" for name in PORTS},
}
ADVICE: Final = ("Please make sure you have", "and the repository exists", "Warning: Permanently")
ENVIRONMENT: Final = {
    "PATH": os.defpath if "/usr/bin" in os.defpath else "/usr/bin:/bin",
    "HOME": "/nonexistent",
    "LC_ALL": "C",
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_ASKPASS": "/bin/false",
    "GIT_ALLOW_PROTOCOL": ":".join(PORTS),
    "GIT_LFS_SKIP_SMUDGE": "1",
}


class GitFailed(InvalidRequest):
    """git did not do what it was told."""


@dataclass(frozen=True, slots=True)
class Git:
    """Calls of git in one folder; the settings are added to those that all calls have."""

    helpers: Helpers
    folder: str
    environment: Mapping[str, str]
    settings: Sequence[tuple[str, str]] = ()

    def within(self, folder: str) -> Git:
        """Return the same in another folder."""
        return replace(self, folder=folder)

    def told(self, *settings: tuple[str, str]) -> Git:
        """Return the same with settings more."""
        return replace(self, settings=(*self.settings, *settings))

    async def run(self, *words: str, more: Mapping[str, str] | None = None) -> str:
        """Run git; what it printed."""
        settings = [f"{key}={value}" for key, value in (*SETTINGS.items(), *self.settings)]
        finished = await self.helpers.run(
            ["git", *(word for one in settings for word in ("-c", one)), *words],
            {**ENVIRONMENT, **self.environment, **(more or {})},
            self.folder,
            PATIENCE,
        )
        if finished.code:
            said = [
                line.strip()
                for line in finished.err.decode("utf-8", "replace").splitlines()
                if line.strip() and not line.startswith(ADVICE)
            ]
            raise GitFailed(f"failed to fetch remote: git: {' / '.join(said[-3:])[:1000]}")
        return finished.out.decode("utf-8", "surrogateescape")
