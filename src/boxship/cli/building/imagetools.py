"""Images in registries, asked by the command itself: what one consists of."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.manifest.remote import CONFIG_LIMIT, Remote, ask
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.reference import Reference

if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.distribution.manifests import Manifest

ATTESTATION: Final = "vnd.docker.reference.digest"
PREDICATE: Final = "in-toto.io/predicate-type"
SLSA: Final = "https://slsa.dev/provenance/"
SPDX: Final = "https://spdx.dev/Document"
STATEMENT_LIMIT: Final = 64 << 20
Document = dict[str, Any]


def reference(said: str) -> Reference:
    found = Reference.parse(said)
    return found if found.digest else found.with_default_tag()


async def resolve(remote: Remote, ref: Reference) -> Manifest:
    from boxship.cli.manifest.remote import NotInRegistry
    from boxship.distribution.errors import NotThere

    try:
        return await remote.registry.resolve(ref.path, str(ref.digest or ref.tag))
    except NotThere as error:
        raise NotInRegistry(ref) from error


# Showing


def inspect(shell: Shell, name: str, form: str, *, raw: bool) -> int:
    """Show an image: as it is, by a template, or as a list of its manifests."""
    ref = reference(name)

    async def read(remote: Remote) -> tuple[Manifest, About]:
        found = await resolve(remote, ref)
        about = About()
        if form:
            await _look(remote, ref, found, about)
        return found, about

    found, about_images = ask(shell, ref.host, False, read)
    if raw:
        shell.out.write_bytes(found.data)
        return 0
    document = json.loads(found.data)
    about = {"mediaType": found.media_type, "digest": str(found.digest), "size": len(found.data)}
    if found.media_type in oci.INDEXES:
        about = {"schemaVersion": 2, **about, "manifests": document["manifests"]}
        if document.get("annotations"):
            about["annotations"] = document["annotations"]
    if form:
        from boxship.cli.formatter import Listing, render

        single = found.media_type not in oci.INDEXES or len(about_images.images) == 1
        fields = {
            "Name": ("NAME", lambda row: row["name"]),
            "Manifest": ("MANIFEST", lambda row: row["manifest"]),
            "Image": ("IMAGE", lambda row: row["image"]),
            "Provenance": ("PROVENANCE", lambda row: row["provenance"]),
            "SBOM": ("SBOM", lambda row: row["sbom"]),
        }
        row = {
            "name": str(ref),
            "manifest": about,
            "image": _only(about_images.images, single=single),
            "provenance": _only(about_images.provenance, single=single),
            "sbom": _only(about_images.sbom, single=single),
        }
        shell.out.write(render(Listing("*imagetools.tplInput", "", fields), [row], form))
        return 0
    shell.out.write(_shown(ref, about))
    return 0


@dataclass(slots=True)
class About:
    """What is known of the images of an index, by platform."""

    images: Document = field(default_factory=dict)
    provenance: Document = field(default_factory=dict)
    sbom: Document = field(default_factory=dict)


def _only(found: Document, *, single: bool) -> Any:
    return next(iter(found.values()), None) if single else found


async def _look(remote: Remote, ref: Reference, found: Manifest, about: About) -> None:
    """Read configurations and attestations."""
    document = json.loads(found.data)
    if found.media_type not in oci.INDEXES:
        about.images[""] = await config_of(remote, ref, document)
        return
    platforms: dict[str, str] = {}
    attested: list[tuple[str, str]] = []
    for listed in document["manifests"]:
        if subject := (listed.get("annotations") or {}).get(ATTESTATION):
            attested.append((subject, listed["digest"]))
            continue
        inner = await resolve(remote, ref.with_digest(Digest.parse(listed["digest"])))
        config = await config_of(remote, ref, json.loads(inner.data))
        platform = platforms[listed["digest"]] = platform_of(listed.get("platform") or config)
        about.images[platform] = config
    for subject, digest in attested:
        if (platform := platforms.get(subject, "")) == "":
            continue
        inner = await resolve(remote, ref.with_digest(Digest.parse(digest)))
        await _statements(remote, ref, json.loads(inner.data), platform, about)


async def _statements(
    remote: Remote, ref: Reference, manifest: Document, platform: str, about: About
) -> None:
    """Read what is attested of an image: its provenance, and what it contains."""
    for layer in manifest.get("layers") or ():
        kind = (layer.get("annotations") or {}).get(PREDICATE, "")
        if not kind.startswith((SLSA, SPDX)):
            continue
        data = await remote.registry.small_blob(
            ref.path, Digest.parse(layer["digest"]), layer["size"], STATEMENT_LIMIT
        )
        predicate = json.loads(data).get("predicate")
        if kind.startswith(SLSA):
            about.provenance[platform] = {"SLSA": predicate}
            continue
        known = about.sbom.setdefault(platform, {})
        if "SPDX" in known:  # the image's own is first, those of its stages follow
            known.setdefault("AdditionalSPDXs", []).append(predicate)
        else:
            known["SPDX"] = predicate


async def config_of(remote: Remote, ref: Reference, manifest: Document) -> Document:
    about = manifest["config"]
    digest = Digest.parse(about["digest"])
    data = await remote.registry.small_blob(ref.path, digest, about["size"], CONFIG_LIMIT)
    found: Document = json.loads(data)
    return found


def platform_of(said: Mapping[str, Any]) -> str:
    """Return a platform as text."""
    parts = (said.get("os"), said.get("architecture"), said.get("variant"))
    return "/".join(str(part) for part in parts if part)


def _shown(ref: Reference, about: Document) -> str:
    lines = [
        f"Name:      {ref}",
        f"MediaType: {about['mediaType']}",
        f"Digest:    {about['digest']}",
    ]
    if "manifests" not in about:
        return "\n".join(lines) + "\n"
    lines += [" " * 11, "Manifests: "]
    width = 12 if any(one.get("annotations") for one in about["manifests"]) else 10
    place = f"{ref.host}/{ref.path}" + (f":{ref.tag}" if ref.tag else "")
    for listed in about["manifests"]:
        pairs = [("Name", f"{place}@{listed['digest']}"), ("MediaType", listed["mediaType"])]
        if listed.get("platform"):
            pairs.append(("Platform", platform_of(listed["platform"])))
        noted = listed.get("annotations") or {}
        lines += [f"  {key + ':':<{width}} {value}" for key, value in pairs]
        if noted:
            lines.append("  Annotations: ")
            longest = max(map(len, noted)) + 1
            lines += [f"    {k + ':':<{longest}} {v}" for k, v in noted.items()]
        lines.append(" " * (width + 3))
    return "\n".join(lines[:-1]) + "\n"
