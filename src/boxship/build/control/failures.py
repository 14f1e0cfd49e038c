"""Failures as BuildKit's clients like them: with the lines of the Dockerfile that are at fault."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final

from google.protobuf.message import DecodeError

from boxship.build.dockerfile.errors import AtLines
from boxship.build.errors import BuildFailed
from boxship.build.ops import Place
from boxship.lib.urls import without_logins
from boxship.spec.buildkit import control_pb2 as pb
from boxship.wire import grpc
from boxship.wire.grpc import Code, Failed

SOURCE: Final = "github.com/moby/buildkit/errdefs.Source+json"
VERTEX: Final = "github.com/moby/buildkit/errdefs.Vertex+json"
PLAIN: Final = frozenset(
    {Code.INVALID_ARGUMENT, Code.NOT_FOUND, Code.FAILED_PRECONDITION, Code.UNAVAILABLE}
)
DETAILS_LIMIT: Final = 64 << 10
NOTHING: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType({})


def failed(
    error: BaseException,
    files: Mapping[str, bytes],
    more: Mapping[str, Mapping[str, object]] = NOTHING,
    *,
    message: str = "",
) -> Failed:
    """Return an error as gRPC's, with what there is to show.

    `files` are the sources by name, `more` are further particulars by their kinds; `message` is
    said in place of the error's own.
    """
    if isinstance(error, Failed):
        return Failed(error.code, message, error.details) if message else error
    code = grpc.code_of(error)
    if code in PLAIN:  # clients would show it, and BuildKit has none here
        code = Code.UNKNOWN
    message = message or str(error)
    status = pb.Status(code=int(code), message=message)
    for kind, document in (*_details(error, files), *more.items()):
        detail = status.details.add(type_url=kind)
        detail.value = json.dumps(document).encode()
    details = status.SerializeToString()
    if len(details) > DETAILS_LIMIT or not status.details:
        details = b""
    return Failed(code, message, details)


def is_located(error: BaseException) -> bool:
    """Whether an error of gRPC's shows lines of a file."""
    if not isinstance(error, Failed) or not error.details:
        return False
    try:
        return any(one.type_url == SOURCE for one in pb.Status.FromString(error.details).details)
    except DecodeError:
        return False


def located(error: BaseException, files: Mapping[str, bytes], place: Place) -> Failed:
    """Return an error with the lines that have led to it, unless it shows others itself."""
    found = failed(error, files)
    if is_located(found):
        return found
    name = next(iter(files), "")
    document = {"info": _info(name, files.get(name, b"")), "ranges": [_range(place)]}
    status = pb.Status(code=int(found.code), message=str(found))
    try:
        status.MergeFromString(found.details)
    except DecodeError:
        status.ClearField("details")
    status.details.add(type_url=SOURCE, value=json.dumps(document).encode())
    details = status.SerializeToString()
    return Failed(found.code, str(found), details if len(details) <= DETAILS_LIMIT else b"")


def _details(
    error: BaseException, files: Mapping[str, bytes]
) -> Iterator[tuple[str, dict[str, object]]]:
    for cause in causes(error):
        name, places = next(iter(files), ""), tuple[Place, ...]()
        if isinstance(cause, AtLines):
            places = cause.places
        elif isinstance(cause, BuildFailed) and cause.vertex is not None:
            yield VERTEX, {"digest": str(cause.vertex.digest)}
            about = cause.vertex.about
            name, places = about.file or name, about.places
        if places and name in files:
            yield SOURCE, {"info": _info(name, files[name]), "ranges": [*map(_range, places)]}
            return


def causes(error: BaseException | None) -> Iterator[BaseException]:
    """Yield an error and what caused it; one taken out of a group may have that as its cause."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.exceptions[0] if isinstance(error, BaseExceptionGroup) else error.__cause__


def _info(name: str, data: bytes) -> dict[str, object]:
    return {
        "filename": name,
        "data": base64.b64encode(without_logins(data)).decode(),
        "language": "Dockerfile",
    }


def _range(place: Place) -> dict[str, object]:
    return {"start": {"line": place.first}, "end": {"line": place.last}}
