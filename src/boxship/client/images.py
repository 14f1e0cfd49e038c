"""Calls about images."""

from __future__ import annotations

from boxship.client.engine import escape, filters_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from typing import Any

    from boxship.client.documents import HistoryStep, ImageRemoved, ImageSummary, PruneReport
    from boxship.client.engine import Engine
    from boxship.client.http import Response

EMPTY_AUTHORIZATION = "e30="


class Images:
    """The image calls of one engine."""

    __slots__ = ("_engine",)

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def list(
        self,
        *,
        everything: bool = False,
        filters: Mapping[str, Iterable[str]] | None = None,
        shared_size: bool = False,
        manifests: bool = False,
    ) -> list[ImageSummary]:
        query = {
            "all": everything,
            "filters": filters_text(filters),
            "shared-size": shared_size,
            "manifests": manifests,
        }
        found: list[ImageSummary] = self._engine.call("GET", "/images/json", query)
        return found

    def inspect_text(self, ref: str, *, platform: str = "") -> str:
        path = f"/images/{path_of(ref)}/json"
        return self._engine.call_text("GET", path, {"platform": platform})

    def history(self, ref: str, *, platform: str = "") -> Sequence[HistoryStep]:
        path = f"/images/{path_of(ref)}/history"
        found: Sequence[HistoryStep] = self._engine.call("GET", path, {"platform": platform})
        return found

    def tag(self, ref: str, repository: str, tag: str) -> None:
        query = {"repo": repository, "tag": tag}
        self._engine.call("POST", f"/images/{path_of(ref)}/tag", query)

    def remove(
        self, ref: str, *, force: bool = False, prune: bool = True, platforms: Sequence[str] = ()
    ) -> Sequence[ImageRemoved]:
        query = {"force": force, "noprune": not prune, "platforms": tuple(platforms)}
        found: Sequence[ImageRemoved] = self._engine.call(
            "DELETE", f"/images/{path_of(ref)}", query
        )
        return found

    def prune(self, filters: Mapping[str, Iterable[str]] | None = None) -> PruneReport:
        query = {"filters": filters_text(filters)}
        report: PruneReport = self._engine.call("POST", "/images/prune", query)
        return report

    def save(self, names: Sequence[str], *, platforms: Sequence[str] = ()) -> Response:
        query = {"names": tuple(names), "platform": tuple(platforms)}
        return self._engine.request("GET", "/images/get", query)

    def load(
        self, archive: Iterable[bytes], *, quiet: bool, platforms: Sequence[str] = ()
    ) -> Response:
        query = {"quiet": "1" if quiet else "0", "platform": tuple(platforms)}
        headers = {"Content-Type": "application/x-tar"}
        return self._engine.request("POST", "/images/load", query, stream=archive, headers=headers)

    def pull(self, query: Mapping[str, object], authorization: str) -> Iterator[dict[str, Any]]:
        headers = {"X-Registry-Auth": authorization} if authorization else None
        return self._engine.messages("POST", "/images/create", query, headers=headers)

    def push(
        self, name: str, tag: str, platform: str, authorization: str
    ) -> Iterator[dict[str, Any]]:
        """Push a tag, or all tags where none is named; reports as they come."""
        # Docker's engine wants the header even where it has nothing to say.
        headers = {"X-Registry-Auth": authorization or EMPTY_AUTHORIZATION}
        query = {"tag": tag, "platform": platform}
        return self._engine.messages(
            "POST", f"/images/{path_of(name)}/push", query, headers=headers
        )

    def search(
        self, term: str, limit: int, filters: Mapping[str, Iterable[str]], authorization: str
    ) -> Sequence[dict[str, Any]]:
        """Return the images that a registry's index finds for a term."""
        headers = {"X-Registry-Auth": authorization} if authorization else None
        query = {"term": term, "limit": limit or "", "filters": filters_text(filters)}
        found: Sequence[dict[str, Any]] = self._engine.call(
            "GET", "/images/search", query, headers=headers
        )
        return found

    def import_(
        self, query: Mapping[str, object], archive: Iterable[bytes] | None
    ) -> Iterator[dict[str, Any]]:
        headers = {"Content-Type": "text/plain"} if archive is not None else None
        return self._engine.messages(
            "POST", "/images/create", query, stream=archive, headers=headers
        )

    def bootstrap(self, kind: str, suite: str, tag: str) -> Iterator[dict[str, Any]]:
        """Make a base image from the distribution's packages; a call of ours, not Docker's."""
        query = {"kind": kind, "suite": suite, "tag": tag}
        return self._engine.messages("POST", "/images/bootstrap", query)

    def commit(self, query: Mapping[str, object], body: object) -> str:
        made = self._engine.call("POST", "/commit", query, body)
        identifier: str = made["Id"]
        return identifier


def path_of(ref: str) -> str:
    """Return an image's name as part of a path: its slashes stay."""
    return "/".join(escape(part).replace("%3A", ":").replace("%40", "@") for part in ref.split("/"))
