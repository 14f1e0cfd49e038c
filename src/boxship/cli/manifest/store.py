"""Manifest lists that are being put together: Docker's own folder for them, so that both see both.

    <config>/manifests/<list>/<manifest>   a JSON document for each manifest of a list

Names in it are references with `:` as `-` and `/` as `_`.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxship.errors import InvalidRequest, NotFound
from boxship.lib import atomicfile
from boxship.spec.reference import Reference

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

LARGEST = 16 << 20
DOCKER_MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
DESCRIPTOR = ("mediaType", "digest", "size", "urls", "annotations", "data", "platform")
PLATFORM = ("architecture", "os", "os.version", "os.features", "variant")


class NoSuchManifest(NotFound):
    """There is no list of this name here, or no such manifest in it."""

    def __init__(self, ref: object) -> None:
        super().__init__(f"No such manifest: {ref}")


@dataclass(slots=True)
class Entry:
    """One manifest of a list: where it came from, what points to it, and its bytes."""

    ref: str
    descriptor: dict[str, Any]
    raw: bytes

    @property
    def platform(self) -> dict[str, Any]:
        return self.descriptor.get("platform") or {}

    def document(self) -> dict[str, Any]:
        """Return it as it is kept and shown."""
        kind = "OCIManifest"
        if self.descriptor.get("mediaType") == DOCKER_MANIFEST:
            kind = "SchemaV2Manifest"
        return {
            "Ref": self.ref,
            "Descriptor": ordered(self.descriptor),
            "Raw": base64.b64encode(self.raw).decode(),
            kind: json.loads(self.raw),
        }


def ordered(descriptor: dict[str, Any]) -> dict[str, Any]:
    """Return a descriptor's members in the order in which they are written."""
    found = {key: descriptor[key] for key in DESCRIPTOR if key in descriptor}
    if platform := descriptor.get("platform"):
        found["platform"] = {
            key: platform.get(key, "")
            for key in PLATFORM
            if platform.get(key) or key in ("architecture", "os")
        }
    return found


def named(text: str) -> Reference:
    """Read a reference; one without tag and digest means `latest`."""
    return Reference.parse(text).with_default_tag()


class Lists:
    """The lists in one configuration folder."""

    def __init__(self, shell: Shell) -> None:
        self._folder = os.path.join(shell.config.folder, "manifests")

    def get(self, target: Reference, ref: Reference) -> Entry:
        """Return one manifest of a list."""
        return self._read(os.path.join(self._path(target), safe(ref)), ref)

    def list(self, target: Reference) -> list[Entry]:
        """Return the manifests of a list, in the order of their names."""
        path = self._path(target)
        try:
            names = sorted(name for name in os.listdir(path) if not name.endswith(".new"))
        except FileNotFoundError:
            raise NoSuchManifest(target) from None
        return [self._read(os.path.join(path, name), target) for name in names]

    def save(self, target: Reference, ref: Reference, entry: Entry) -> None:
        """Put a manifest into a list, which begins with it if need be."""
        path = self._path(target)
        os.makedirs(path, 0o755, exist_ok=True)
        data = json.dumps(entry.document(), separators=(",", ":"), ensure_ascii=False)
        atomicfile.write(os.path.join(path, safe(ref)), data.encode(), mode=0o644, durable=False)

    def remove(self, target: Reference) -> None:
        """Forget a list."""
        self.list(target)
        shutil.rmtree(self._path(target))

    def _path(self, target: Reference) -> str:
        return os.path.join(self._folder, safe(target))

    def _read(self, path: str, about: Reference) -> Entry:
        try:
            with open(path, "rb") as file:
                data = file.read(LARGEST + 1)
        except FileNotFoundError:
            raise NoSuchManifest(about) from None
        try:
            found = json.loads(data)
            raw = base64.b64decode(found["Raw"], validate=True) if found.get("Raw") else None
            if raw is None:  # an old client kept only the decoded view, laid out as it was sent
                view = found.get("SchemaV2Manifest") or found["OCIManifest"]
                raw = json.dumps(view, indent=3, ensure_ascii=False).encode()
            return Entry(str(found["Ref"]), dict(found["Descriptor"]), raw)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise InvalidRequest(f"{path} cannot be read: {error}") from error


def safe(ref: Reference) -> str:
    """Return the name of a reference's file."""
    return str(ref).replace(":", "-").replace("/", "_")
