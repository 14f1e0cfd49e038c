"""Why a build failed, with the lines of the Dockerfile that are at fault."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

from google.protobuf.message import DecodeError

from boxship.lib.words import visible_block
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.wire.grpc import Failed

SOURCE = "errdefs.Source+json"
AROUND = 4
RULE = "-" * 20


def told(failure: Failed) -> str:
    """Return all that is to be said of a failure."""
    return f"{excerpt(failure.details)}ERROR: failed to solve: {failure}"


def excerpt(details: bytes) -> str:
    """Return the lines that typed details point at; empty where they point at none."""
    try:
        for detail in pb.Status.FromString(details).details:
            if detail.type_url.endswith(SOURCE):
                said = json.loads(detail.value)
                return _shown(said["info"], said["ranges"])
    except (DecodeError, ValueError, KeyError, TypeError, IndexError):
        pass  # the message alone must do
    return ""


def _shown(info: dict[str, Any], ranges: list[dict[str, Any]]) -> str:
    text = base64.b64decode(info["data"]).decode("utf-8", "replace")
    marked = {
        line
        for one in ranges
        for line in range(one["start"]["line"], one["end"].get("line", 0) + 1)
    }
    return lines_of(str(info["filename"]), text, marked)


def lines_of(name: str, text: str, marked: set[int]) -> str:
    """Return lines of a file with marks, and some around them."""
    lines = text.split("\n")
    first, last = min(marked), min(max(marked), len(lines))
    begin, end, room = first, last, AROUND if first == last else 2
    while room > 0 and (begin > 1 or end < len(lines)):
        if begin > 1:
            begin, room = begin - 1, room - 1
        if end < len(lines):
            end, room = end + 1, room - 1
    shown = [f"{name}:{first}", RULE]
    for number in range(begin, end + 1):
        mark = ">>>" if number in marked else "   "
        shown.append(f"{number:4d} | {mark} {visible_block(lines[number - 1].rstrip())}")
    return "\n".join([*shown, RULE]) + "\n"
