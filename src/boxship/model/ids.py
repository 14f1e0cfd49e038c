"""Names that the engine gives to its nouns."""

from __future__ import annotations

from typing import Final, NewType

ContainerId = NewType("ContainerId", str)  # 64 hex digits
ExecId = NewType("ExecId", str)  # 64 hex digits
NetworkId = NewType("NetworkId", str)  # 64 hex digits
EndpointId = NewType("EndpointId", str)  # 64 hex digits
SandboxId = NewType("SandboxId", str)  # 64 hex digits

SHORT: Final = 12  # how many digits of an ID are shown


def short(identifier: str) -> str:
    """Return the form that people see, without an algorithm's name."""
    return identifier.removeprefix("sha256:")[:SHORT]
