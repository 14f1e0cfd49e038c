"""What software an image has, as an SPDX 2.3 document: read from its package databases.

The databases are the image's, and hostile: read beneath its root, with a bound, and parsed
leniently. Nothing of the image is executed.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote

from boxship.kernel import paths
from boxship.lib import moments
from boxship.spec.digest import Digest

KIND: Final = "https://spdx.dev/Document"
MOST_BYTES: Final = 64 << 20
MOST_PACKAGES: Final = 50_000
LONGEST: Final = 500


@dataclass(frozen=True, slots=True, order=True)
class Package:
    """One package that is installed."""

    name: str
    version: str
    architecture: str
    kind: str  # deb, apk
    source: str = ""


def packages(root: int) -> list[Package]:
    """Return what is installed, as far as dpkg and apk know of it."""
    found: set[Package] = set()
    for path in ("/var/lib/dpkg/status", *_parts(root)):
        found |= set(_debian(_read(root, path)))
    for path in ("/lib/apk/db/installed", "/usr/lib/apk/db/installed"):
        found |= set(_alpine(_read(root, path)))
    return sorted(found)[:MOST_PACKAGES]


def _parts(root: int) -> Iterator[str]:
    """Yield dpkg's files of images without a package manager."""
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        folder = paths.open_in_root(root, "/var/lib/dpkg/status.d", flags)
    except OSError:
        return
    try:
        for name in sorted(os.listdir(folder))[:MOST_PACKAGES]:
            if not name.endswith(".md5sums"):
                yield f"/var/lib/dpkg/status.d/{name}"
    finally:
        os.close(folder)


def _read(root: int, path: str) -> str:
    data = paths.read_file_in_root(root, path, MOST_BYTES) or b""
    return data.decode("utf-8", "replace")


def _debian(text: str) -> Iterator[Package]:
    for paragraph in text.split("\n\n"):
        fields = dict(
            line.split(": ", 1)
            for line in paragraph.splitlines()
            if ": " in line and not line.startswith(" ")
        )
        installed = fields.get("Status", "install ok installed").endswith(" installed")
        if installed and fields.get("Package") and fields.get("Version"):
            yield Package(
                fields["Package"][:LONGEST],
                fields["Version"][:LONGEST],
                fields.get("Architecture", "")[:LONGEST],
                "deb",
                fields.get("Source", "").partition(" ")[0][:LONGEST],
            )


def _alpine(text: str) -> Iterator[Package]:
    for paragraph in text.split("\n\n"):
        fields = {line[:1]: line[2:] for line in paragraph.splitlines() if line[1:2] == ":"}
        if fields.get("P") and fields.get("V"):
            yield Package(
                fields["P"][:LONGEST],
                fields["V"][:LONGEST],
                fields.get("A", "")[:LONGEST],
                "apk",
                fields.get("o", "")[:LONGEST],
            )


def document(found: list[Package], distribution: str, created: int) -> dict[str, Any]:
    """Return the document; `created` in nanoseconds."""
    described = [_package(at, one, distribution) for at, one in enumerate(found)]
    name = Digest.of(repr(found).encode()).hex
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": "sbom",
        "documentNamespace": f"https://boxship.invalid/spdx/{name}",
        "creationInfo": {
            "created": moments.show(created // 1_000_000_000 * 1_000_000_000),
            "creators": ["Tool: boxship"],
        },
        "packages": described,
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT",
                "relationshipType": "DESCRIBES",
                "relatedSpdxElement": one["SPDXID"],
            }
            for one in described
        ],
    }


def _package(at: int, one: Package, distribution: str) -> dict[str, Any]:
    kind = f"pkg:{one.kind}/{quote(distribution or 'linux')}/{quote(one.name)}"
    locator = f"{kind}@{quote(one.version)}?arch={quote(one.architecture)}"
    described: dict[str, Any] = {
        "SPDXID": f"SPDXRef-Package-{at}",
        "name": one.name,
        "versionInfo": one.version,
        "downloadLocation": "NOASSERTION",
        "licenseConcluded": "NOASSERTION",
        "licenseDeclared": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "filesAnalyzed": False,
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": locator,
            }
        ],
    }
    if one.source:
        described["sourceInfo"] = f"built from: {one.source}"
    return described


def distribution(root: int) -> str:
    """Return what the image says it is: debian, alpine, ..."""
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        data = paths.read_file_in_root(root, path, 1 << 16) or b""
        for line in data.decode("utf-8", "replace").splitlines():
            if line.startswith("ID="):
                return line[3:].strip("\"'")[:100]
    return ""
