"""What a scanner is to look at besides the result: other stages, and the build context.

ARG BUILDKIT_SBOM_SCAN_STAGE=true     of a stage: it too; before the stages: all; or their names
ARG BUILDKIT_SBOM_SCAN_CONTEXT=true   of the target: what the client has sent
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile.converter import Converter
from boxship.build.dockerfile.drafts import DraftRef
from boxship.build.dockerfile.mounts import FALSE, TRUE
from boxship.build.dockerfile.state import State

STAGE: Final = "BUILDKIT_SBOM_SCAN_STAGE"
CONTEXT: Final = "BUILDKIT_SBOM_SCAN_CONTEXT"
WHOLE: Final = "/"


def extras(to: Converter, target: State, order: Sequence[State]) -> dict[str, DraftRef | None]:
    """Return what is to be looked at too, by name; the whole context is fetched for that."""
    found: dict[str, DraftRef | None] = {}
    if _is_on(to, target, CONTEXT):
        to.context_paths.add(WHOLE)
        found["context"] = to.build_context()
    for state in order:
        if state is not target and state.stage is not None and _is_on(to, state, STAGE):
            found[state.stage.alias or f"stage-{state.index}"] = state.root
    return found


def _is_on(to: Converter, state: State, key: str) -> bool:
    """Whether a stage is to be looked at: what it says itself counts before what all are told."""
    given = to.options.build_args.get(key)
    said = to.global_args.get(key, given or "")
    for command in state.commands:
        it = command.instruction
        if isinstance(it, ins.Arg):
            for one in it.definitions:
                if one.key == key and (own := one.value if given is None else given) is not None:
                    said = own
    if said in TRUE or said in FALSE:
        return said in TRUE
    name = "" if state.stage is None else state.stage.alias
    return bool(name) and name in said.split(",")
