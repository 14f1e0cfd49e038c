"""An engine's images, asked for and given by the distribution protocol over its own connection."""

from __future__ import annotations

from boxship.client.engine import escape
from boxship.client.errors import EngineError
from boxship.errors import NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from boxship.client.engine import Engine

PREFIX = "/boxship/v2"
HEADER = "Boxship-Transfer"
NO_ROUTE = "page not found"


class Repository:
    """One repository of an engine; what is put there belongs to a transfer until its last part."""

    __slots__ = ("_engine", "_headers", "_path", "_transfer")

    def __init__(self, engine: Engine, name: str, transfer: str = "") -> None:
        self._engine = engine
        self._path = f"{PREFIX}/{'/'.join(map(escape, name.split('/')))}"
        self._transfer = transfer
        self._headers = {HEADER: transfer} if transfer else {}

    def manifest(self, reference: str) -> tuple[str, str, bytes] | None:
        """Return media type, digest and bytes of a manifest, None where there is none."""
        path = f"{self._path}/manifests/{reference}"
        try:
            response = self._engine.request("GET", path)
        except EngineError as error:
            if error.status != 404:
                raise
            self._understood(error)
            return None
        headers = response.headers
        digest, kind = headers.get("docker-content-digest", ""), headers.get("content-type", "")
        return kind, digest, self._engine.read(response)

    def blob_size(self, digest: str) -> int | None:
        """Return the size of a blob that is there, None where it is not."""
        path = f"{self._path}/blobs/{digest}"
        response = self._engine.request("HEAD", path, headers=self._headers)
        if response.status == 404:
            return None
        if response.status >= 400:
            raise EngineError(response.status, f"{digest} cannot be asked for")
        return int(response.headers.get("boxship-size", "-1"))

    def blob(self, digest: str) -> Iterator[bytes]:
        """Yield the content of a blob."""
        return self._engine.request("GET", f"{self._path}/blobs/{digest}").chunks()

    def put_blob(self, digest: str, pieces: Iterable[bytes], *, layer: bool) -> None:
        """Send a blob whole."""
        query = {"digest": digest, "layer": layer}
        path = f"{self._path}/blobs/uploads"
        response = self._engine.request("POST", path, query, stream=pieces, headers=self._headers)
        self._engine.read(response)

    def put_manifest(self, reference: str, kind: str, data: bytes, *, last: bool = False) -> None:
        """Send a manifest or an index; the last makes an image of all that was sent."""
        headers = {**self._headers, "Content-Type": kind}
        path = f"{self._path}/manifests/{reference}"
        response = self._engine.request(
            "PUT", path, {"last": last}, stream=(data,), headers=headers
        )
        self._engine.read(response)

    def give_up(self) -> None:
        """Have what was sent forgotten."""
        self._engine.call("DELETE", f"{PREFIX}/transfers/{self._transfer}")

    def check(self) -> None:
        """Make sure that the engine knows all this: only Boxship's does."""
        try:
            self._engine.call("DELETE", f"{PREFIX}/transfers/{self._transfer or 'none'}")
        except EngineError as error:
            self._understood(error)
            raise

    def _understood(self, error: EngineError) -> None:
        if error.status == 404 and NO_ROUTE in error.message:
            url = self._engine.target.url
            raise NotSupported(
                f"the engine at {url} cannot receive images like this: it is not Boxship's, or "
                "too old; save and load can take its place"
            ) from error
