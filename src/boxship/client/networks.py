"""Calls about networks."""

from __future__ import annotations

from boxship.client.engine import escape, filters_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from boxship.client.documents import Network, PruneReport
    from boxship.client.engine import Engine


class Networks:
    """The network calls of one engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(self, filters: Mapping[str, Iterable[str]] | None = None) -> list[Network]:
        query = {"filters": filters_text(filters)}
        found: list[Network] = self._engine.call("GET", "/networks", query)
        return found

    def create(self, body: Mapping[str, object]) -> tuple[str, str]:
        """Return the new network's ID and the engine's warning, if any."""
        made = self._engine.call("POST", "/networks/create", None, body)
        return made["Id"], made.get("Warning") or ""

    def inspect_text(self, name: str, *, verbose: bool = False, scope: str = "") -> str:
        query = {"verbose": "true" if verbose else "", "scope": scope}
        return self._engine.call_text("GET", f"/networks/{escape(name)}", query)

    def remove(self, name: str) -> None:
        self._engine.call("DELETE", f"/networks/{escape(name)}")

    def connect(self, name: str, container: str, settings: Mapping[str, object]) -> None:
        body = {"Container": container, "EndpointConfig": settings}
        self._engine.call("POST", f"/networks/{escape(name)}/connect", None, body)

    def disconnect(self, name: str, container: str, *, force: bool = False) -> None:
        body = {"Container": container, "Force": force}
        self._engine.call("POST", f"/networks/{escape(name)}/disconnect", None, body)

    def prune(self, filters: Mapping[str, Iterable[str]] | None = None) -> PruneReport:
        query = {"filters": filters_text(filters)}
        report: PruneReport = self._engine.call("POST", "/networks/prune", query)
        return report
