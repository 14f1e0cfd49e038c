"""Calls about containers."""

from __future__ import annotations

from boxship.client.engine import escape, filters_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from boxship.client.documents import (
        Change,
        ContainerCreated,
        ContainerDetails,
        ContainerSummary,
        ProcessList,
        PruneReport,
        WaitReport,
    )
    from boxship.client.engine import Engine, Stream
    from boxship.client.http import Response


class Containers:
    """The container calls of one engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def _post(
        self,
        ref: str,
        action: str,
        query: Mapping[str, object] | None = None,
        body: object = None,
    ) -> Any:
        return self._engine.call("POST", f"/containers/{escape(ref)}/{action}", query, body)

    def list(
        self,
        *,
        everything: bool = False,
        limit: int = 0,
        size: bool = False,
        filters: Mapping[str, Iterable[str]] | None = None,
    ) -> list[ContainerSummary]:
        query = {
            "all": everything,
            "limit": limit if limit > 0 else None,
            "size": size,
            "filters": filters_text(filters),
        }
        found: list[ContainerSummary] = self._engine.call("GET", "/containers/json", query)
        return found

    def create(
        self, body: Mapping[str, object], *, name: str = "", platform: str = ""
    ) -> ContainerCreated:
        query = {"name": name, "platform": platform}
        made: ContainerCreated = self._engine.call("POST", "/containers/create", query, body)
        return made

    def inspect(self, ref: str) -> ContainerDetails:
        found: ContainerDetails = self._engine.call("GET", f"/containers/{escape(ref)}/json")
        return found

    def inspect_text(self, ref: str, *, size: bool = False) -> str:
        return self._engine.call_text("GET", f"/containers/{escape(ref)}/json", {"size": size})

    def start(
        self, ref: str, *, detach_keys: str = "", checkpoint: str = "", folder: str = ""
    ) -> None:
        query = {
            "detachKeys": detach_keys,
            "checkpoint": checkpoint,
            "checkpoint-dir": folder,
        }
        self._post(ref, "start", query)

    def stop(self, ref: str, *, seconds: int | None = None, signal: str = "") -> None:
        self._post(ref, "stop", {"t": seconds, "signal": signal})

    def restart(self, ref: str, *, seconds: int | None = None, signal: str = "") -> None:
        self._post(ref, "restart", {"t": seconds, "signal": signal})

    def kill(self, ref: str, signal: str = "") -> None:
        self._post(ref, "kill", {"signal": signal})

    def pause(self, ref: str) -> None:
        self._post(ref, "pause")

    def unpause(self, ref: str) -> None:
        self._post(ref, "unpause")

    def rename(self, ref: str, name: str) -> None:
        self._post(ref, "rename", {"name": name})

    def update(self, ref: str, body: Mapping[str, object]) -> Sequence[str]:
        return (self._post(ref, "update", None, body) or {}).get("Warnings") or []

    def resize(self, ref: str, height: int, width: int) -> None:
        self._post(ref, "resize", {"h": str(height), "w": str(width)})

    def remove(
        self, ref: str, *, force: bool = False, volumes: bool = False, link: bool = False
    ) -> None:
        query = {"force": force, "v": volumes, "link": link}
        self._engine.call("DELETE", f"/containers/{escape(ref)}", query)

    def wait(self, ref: str, condition: str = "") -> Response:
        """Return the answer once the engine has begun it; its body comes when the wait is over."""
        query = {"condition": condition}
        return self._engine.request("POST", f"/containers/{escape(ref)}/wait", query)

    def wait_result(self, response: Response) -> WaitReport:
        from boxship.lib import quickjson

        report: WaitReport = quickjson.decode(response.read())
        return report

    def attach(self, ref: str, query: Mapping[str, object]) -> Stream:
        return self._engine.hijack(f"/containers/{escape(ref)}/attach", query)

    def logs(self, ref: str, query: Mapping[str, object]) -> Response:
        return self._engine.request("GET", f"/containers/{escape(ref)}/logs", query)

    def top(self, ref: str, arguments: str = "") -> ProcessList:
        query = {"ps_args": arguments}
        found: ProcessList = self._engine.call("GET", f"/containers/{escape(ref)}/top", query)
        return found

    def stats(self, ref: str, *, stream: bool) -> Iterator[dict[str, Any]]:
        query = {"stream": "1" if stream else "0"}
        return self._engine.messages("GET", f"/containers/{escape(ref)}/stats", query)

    def changes(self, ref: str) -> Sequence[Change]:
        return self._engine.call("GET", f"/containers/{escape(ref)}/changes") or []

    def export(self, ref: str) -> Response:
        return self._engine.request("GET", f"/containers/{escape(ref)}/export")

    def stat_path(self, ref: str, path: str) -> dict[str, Any] | None:
        """Return what is at a path in a container; None where it cannot be looked at.

        The refusal of such a question has no message: what is wrong, the call that follows tells.
        """
        import binascii

        from boxship.lib import quickjson

        where = f"/containers/{escape(ref)}/archive"
        response = self._engine.request("HEAD", where, {"path": path})
        text = response.headers.get("x-docker-container-path-stat", "")
        if response.status >= 400 or not text:
            return None
        found: dict[str, Any] = quickjson.decode(binascii.a2b_base64(text))
        return found

    def get_archive(self, ref: str, path: str) -> Response:
        return self._engine.request("GET", f"/containers/{escape(ref)}/archive", {"path": path})

    def put_archive(
        self, ref: str, path: str, archive: Iterable[bytes], *, copy_ids: bool = False
    ) -> None:
        query = {
            "path": path,
            "noOverwriteDirNonDir": "true",
            "copyUIDGID": "true" if copy_ids else "",
        }
        headers = {"Content-Type": "application/x-tar"}
        where = f"/containers/{escape(ref)}/archive"
        self._engine.request("PUT", where, query, stream=archive, headers=headers).read()

    def prune(self, filters: Mapping[str, Iterable[str]] | None = None) -> PruneReport:
        query = {"filters": filters_text(filters)}
        report: PruneReport = self._engine.call("POST", "/containers/prune", query)
        return report
