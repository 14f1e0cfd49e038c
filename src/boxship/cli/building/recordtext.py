"""Records of builds as JSON, with the names and shapes that docker buildx writes and reads.

They are those of Go's encoder and not of protocol buffers: times are seconds and nanoseconds,
sizes are numbers.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.timestamp_pb2 import Timestamp

from boxship.errors import InvalidRequest
from boxship.lib import moments
from boxship.spec.buildkit import control_pb2 as pb

PLAIN: Final = {
    "ref": "Ref",
    "frontend": "Frontend",
    "generation": "Generation",
    "pinned": "pinned",
    "cached_steps": "numCachedSteps",
    "total_steps": "numTotalSteps",
    "completed_steps": "numCompletedSteps",
    "warnings": "numWarnings",
}
MAPS: Final = {"frontend_attrs": "FrontendAttrs", "exporter_response": "ExporterResponse"}
TIMES: Final = {"created_at": "CreatedAt", "completed_at": "CompletedAt"}
DESCRIPTORS: Final = {"logs": "logs", "trace": "trace", "external_error": "externalError"}
CACHES: Final = "cache-imports"
SHOWN: Final = ("ref", "scope")  # of where a cache comes from; the rest may be credentials


def written(record: pb.HistoryRecord, platform: str) -> bytes:
    """Return a record as JSON; `platform` is what the builder builds for by itself."""
    found: dict[str, Any] = {name: getattr(record, key) for key, name in PLAIN.items()}
    found = {name: value for name, value in found.items() if value}
    for key, name in MAPS.items():
        if said := dict(getattr(record, key)):
            found[name] = dict(sorted(said.items()))
    if CACHES in record.frontend_attrs:
        found["FrontendAttrs"][CACHES] = _bare(record.frontend_attrs[CACHES])
    for key, name in TIMES.items():
        if record.HasField(key):  # type: ignore[arg-type]
            at: Timestamp = getattr(record, key)
            found[name] = {"seconds": at.seconds, "nanos": at.nanos}
    for key, name in DESCRIPTORS.items():
        if record.HasField(key):  # type: ignore[arg-type]
            found[name] = _described(getattr(record, key))
    if record.HasField("error"):
        found["error"] = {"code": record.error.code, "message": record.error.message}
    if record.exporters:
        found["Exporters"] = [
            {"Type": one.type, "Attrs": dict(sorted(one.attrs.items()))} for one in record.exporters
        ]
    if record.HasField("result"):
        found["Result"] = _result(record.result)
    if record.results:
        found["Results"] = {name: _result(one) for name, one in sorted(record.results.items())}
    found["DefaultPlatform"] = platform
    return json.dumps(found, indent=2, ensure_ascii=False).encode()


def _bare(said: str) -> str:
    try:
        found = json.loads(said)
        kept = [
            {
                "Type": one["Type"],
                "Attrs": {key: value for key, value in one["Attrs"].items() if key in SHOWN},
            }
            for one in found
        ]
    except (ValueError, TypeError, KeyError, AttributeError):
        return ""
    return json.dumps(kept)


def _described(one: pb.Descriptor) -> dict[str, Any]:
    found: dict[str, Any] = {"media_type": one.media_type, "digest": one.digest, "size": one.size}
    if one.annotations:
        found["annotations"] = dict(sorted(one.annotations.items()))
    return found


def _result(one: pb.ResultInfo) -> dict[str, Any]:
    found: dict[str, Any] = {}
    if one.attestations:
        found["Attestations"] = [_described(each) for each in one.attestations]
    if one.results:
        found["Results"] = {str(key): _described(each) for key, each in one.results.items()}
    return found


# Reading


def read(data: bytes) -> pb.HistoryRecord:
    """Read a record; names may be in any case, as Go reads them."""
    try:
        said = _Any(json.loads(data))
        record = pb.HistoryRecord()
        for key, name in PLAIN.items():
            if (value := said.get(name)) is not None:
                setattr(record, key, value)
        for key, name in MAPS.items():
            getattr(record, key).update(said.get(name) or {})
        for key, name in TIMES.items():
            if (at := said.get(name)) is not None:
                getattr(record, key).CopyFrom(_moment(at))
        for key, name in DESCRIPTORS.items():
            if (one := said.get(name)) is not None:
                getattr(record, key).CopyFrom(_descriptor(one))
        if (error := said.get("error")) is not None:
            record.error.code = _Any(error).get("code") or 0
            record.error.message = _Any(error).get("message") or ""
        for one in said.get("exporters") or ():
            exporter = _Any(one)
            attrs = exporter.get("attrs") or {}
            record.exporters.add(type=exporter.get("type") or "", attrs=attrs)
        if (result := said.get("result")) is not None:
            _take(record.result, _Any(result))
        for name, result in (said.get("results") or {}).items():
            _take(record.results[name], _Any(result))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise InvalidRequest(f"this is no record of a build: {error}") from None
    return record


class _Any:
    """An object whose names are found in any case."""

    def __init__(self, said: Mapping[str, Any]) -> None:
        self._said = {key.lower(): value for key, value in said.items()}

    def get(self, name: str) -> Any:
        return self._said.get(name.lower())


def _moment(said: Any) -> Timestamp:
    if isinstance(said, str):
        at = moments.parse(said)
        return Timestamp(seconds=at // moments.SECOND, nanos=at % moments.SECOND)
    return Timestamp(seconds=int(said.get("seconds", 0)), nanos=int(said.get("nanos", 0)))


def _descriptor(said: Mapping[str, Any]) -> pb.Descriptor:
    one = _Any(said)
    return pb.Descriptor(
        media_type=one.get("media_type") or one.get("mediaType") or "",
        digest=one.get("digest") or "",
        size=int(one.get("size") or 0),
        annotations=one.get("annotations") or {},
    )


def _take(result: pb.ResultInfo, said: _Any) -> None:
    for one in said.get("attestations") or ():
        result.attestations.add().CopyFrom(_descriptor(one))
    for key, one in (said.get("results") or {}).items():
        result.results[int(key)].CopyFrom(_descriptor(one))
