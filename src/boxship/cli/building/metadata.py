"""`--metadata-file`: what a build has come to, and where asked for its provenance."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building.run import write_file
from boxship.errors import InvalidRequest
from boxship.lib import quickjson

if TYPE_CHECKING:
    from boxship.cli.building.builders import Builder
    from boxship.cli.shell import Shell
    from boxship.client.builds import Builds

REF: Final = "buildx.build.ref"
PROVENANCE: Final = "buildx.build.provenance"
MODES: Final = {"": "", "disabled": "", "false": "", "0": "", "min": "min", "true": "min",
                "1": "min", "max": "max"}  # fmt: skip


def metadata(result: Mapping[str, str]) -> dict[str, Any]:
    """Return a result as the file holds it: what is JSON in base64 becomes JSON."""
    found: dict[str, Any] = {}
    for key, value in sorted(result.items()):
        found[key] = value
        try:
            decoded = json.loads(base64.b64decode(value, validate=True))
        except ValueError:
            continue
        if isinstance(decoded, dict | list):
            found[key] = decoded
    return found


def write_metadata(shell: Shell, path: str, result: Mapping[str, str], builder: Builder) -> None:
    """Write the file of one build."""
    write_file(path, text_of(with_provenance(shell, result, builder)))


def write_several(
    shell: Shell, path: str, results: Mapping[str, Mapping[str, str]], builder: Builder
) -> None:
    """Write the file of several builds, by name."""
    found = {name: with_provenance(shell, one, builder) for name, one in sorted(results.items())}
    write_file(path, text_of(found))


def text_of(document: object) -> str:
    return quickjson.indent(quickjson.encode(document), "  ") + "\n"


def with_provenance(shell: Shell, result: Mapping[str, str], builder: Builder) -> dict[str, Any]:
    """Return a result, with the provenance of its history where the environment asks for it."""
    found = metadata(result)
    said = shell.environment.get("BUILDX_METADATA_PROVENANCE", "").lower()
    if said not in MODES:
        raise InvalidRequest(f"invalid BUILDX_METADATA_PROVENANCE: {said!r}")
    mode = MODES[said]
    if mode and (document := _provenance(shell, result[REF].rpartition("/")[2], builder)):
        found[PROVENANCE] = _least(document) if mode == "min" else document
    return found


def _least(document: dict[str, Any]) -> dict[str, Any]:
    """Return a provenance without what `mode=max` adds."""
    kept = {key: value for key, value in document.items() if key != "buildConfig"}
    if isinstance(about := kept.get("metadata"), dict):
        kept["metadata"] = {k: v for k, v in about.items() if "buildkit" not in k}
    return kept


def _provenance(shell: Shell, ref: str, builder: Builder) -> dict[str, Any] | None:
    from boxship.cli.building.remote import ask
    from boxship.spec.buildkit import control_pb2 as pb

    async def read(builds: Builds) -> dict[str, Any] | None:
        request = pb.HistoryRequest(early_exit=True, ref=ref)
        async for event in builds.history(request):
            for one in event.record.result.attestations:
                if "slsa.dev/provenance" in one.annotations.get("in-toto.io/predicate-type", ""):
                    data = await builds.content(one.digest)
                    found = json.loads(data)
                    predicate = found.get("predicate", found)
                    return predicate if isinstance(predicate, dict) else None
        return None

    return ask(shell, read, builder)
