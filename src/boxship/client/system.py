"""Calls about the engine as a whole."""

from __future__ import annotations

from boxship.client.engine import filters_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping
    from typing import Any

    from boxship.client.engine import Engine


class System:
    """The system calls of one engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def info(self) -> dict[str, Any]:
        found: dict[str, Any] = self._engine.call("GET", "/info")
        return found

    def version(self) -> dict[str, Any]:
        found: dict[str, Any] = self._engine.call("GET", "/version")
        return found

    def disk_usage(self, *, verbose: bool = False) -> dict[str, Any]:
        """Return the usage; from 1.52 on a plain question answers totals only."""
        query = {"verbose": "1" if verbose and self._engine.at_least("1.52") else ""}
        found: dict[str, Any] = self._engine.call("GET", "/system/df", query)
        return found

    def log_in(self, credentials: Mapping[str, str]) -> dict[str, Any]:
        """Have the engine try credentials for a registry; EngineError when they are refused."""
        found: dict[str, Any] = self._engine.call("POST", "/auth", body=dict(credentials)) or {}
        return found

    def events(
        self,
        *,
        since: str = "",
        until: str = "",
        filters: Mapping[str, Iterable[str]] | None = None,
    ) -> Iterator[dict[str, Any]]:
        query = {"since": since, "until": until, "filters": filters_text(filters)}
        return self._engine.messages("GET", "/events", query)

    def prune_build_cache(
        self, *, everything: bool, filters: Mapping[str, Iterable[str]]
    ) -> dict[str, Any]:
        query = {"all": everything, "filters": filters_text(filters)}
        found: dict[str, Any] = self._engine.call("POST", "/build/prune", query)
        return found

    def check(self, *, verify: bool = False) -> dict[str, Any]:
        """Ask the engine to look for what is left over, or damaged; a call of ours."""
        found: dict[str, Any] = self._engine.call("GET", "/system/check", {"verify": verify})
        return found

    def repair(self) -> dict[str, Any]:
        """Ask the engine to mend what is damaged; a call of ours."""
        done: dict[str, Any] = self._engine.call("POST", "/system/repair")
        return done
