"""Calls about volumes."""

from __future__ import annotations

from boxship.client.engine import escape, filters_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from boxship.client.documents import PruneReport, Volume
    from boxship.client.engine import Engine


class Volumes:
    """The volume calls of one engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, filters: Mapping[str, Iterable[str]] | None = None) -> list[Volume]:
        found = self._engine.call("GET", "/volumes", {"filters": filters_text(filters)})
        return found.get("Volumes") or []

    def create(self, body: Mapping[str, object]) -> str:
        made = self._engine.call("POST", "/volumes/create", None, body)
        name: str = made["Name"]
        return name

    def inspect_text(self, name: str) -> str:
        return self._engine.call_text("GET", f"/volumes/{escape(name)}")

    def remove(self, name: str, *, force: bool = False) -> None:
        self._engine.call("DELETE", f"/volumes/{escape(name)}", {"force": force})

    def prune(self, filters: Mapping[str, Iterable[str]] | None = None) -> PruneReport:
        query = {"filters": filters_text(filters)}
        report: PruneReport = self._engine.call("POST", "/volumes/prune", query)
        return report
