"""Policies of builds (`--policy`, `Dockerfile.rego`): not evaluated, and never passed over.

They are written in Rego. A build that one belongs to is refused unless it is switched off by
`--policy disabled=true`: what should have been forbidden would be built otherwise.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import Final

from boxship.cli.building.fields import TRUE, fields
from boxship.errors import NotSupported

SUFFIX: Final = ".rego"
INSTEAD: Final = "rules for sources are given by EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"


def are_off(given: Iterable[str]) -> bool:
    """Read `--policy`: all that can be said is that there is none."""
    off = False
    for text in given:
        said = fields(text)
        if set(said) - {"disabled"} or not said:
            raise NotSupported(
                f"--policy {text} is not supported: policies in Rego are not evaluated; {INSTEAD}"
            )
        off = said["disabled"] in TRUE
    return off


def check(dockerfile: str) -> None:
    """Refuse a Dockerfile that has a policy beside it."""
    if os.path.exists(path := dockerfile + SUFFIX):
        raise NotSupported(
            f"{os.path.basename(path)} is a policy, and policies in Rego are not evaluated; "
            "--policy disabled=true builds without it"
        )
