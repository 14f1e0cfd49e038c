"""Calls about later processes in a container."""

from __future__ import annotations

from boxship.client.engine import escape

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from boxship.client.documents import ExecDetails
    from boxship.client.engine import Engine, Stream


class Execs:
    """The exec calls of one engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def create(self, ref: str, body: Mapping[str, object]) -> str:
        made = self._engine.call("POST", f"/containers/{escape(ref)}/exec", None, body)
        identifier: str = made["Id"]
        return identifier

    def start(self, identifier: str, body: Mapping[str, object]) -> None:
        """Start it with nobody watching."""
        self._engine.call("POST", f"/exec/{escape(identifier)}/start", None, body)

    def start_attached(self, identifier: str, body: Mapping[str, object]) -> Stream:
        return self._engine.hijack(f"/exec/{escape(identifier)}/start", None, body)

    def resize(self, identifier: str, height: int, width: int) -> None:
        query = {"h": str(height), "w": str(width)}
        self._engine.call("POST", f"/exec/{escape(identifier)}/resize", query)

    def inspect(self, identifier: str) -> ExecDetails:
        found: ExecDetails = self._engine.call("GET", f"/exec/{escape(identifier)}/json")
        return found
