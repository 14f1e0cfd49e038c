"""Images in registries, asked by the command itself: what one consists of, and new indexes of
manifests that are there already."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building.checks import annotations_of
from boxship.cli.building.run import write_file
from boxship.cli.manifest.remote import CONFIG_LIMIT, Remote, ask
from boxship.errors import InvalidRequest
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.reference import Reference

if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.distribution.manifests import Manifest

ATTESTATION: Final = "vnd.docker.reference.digest"
Document = dict[str, Any]


def _reference(said: str) -> Reference:
    found = Reference.parse(said)
    return found if found.digest else found.with_default_tag()


async def _resolve(remote: Remote, ref: Reference) -> Manifest:
    from boxship.cli.manifest.remote import NotInRegistry
    from boxship.distribution.errors import NotThere

    try:
        return await remote.registry.resolve(ref.path, str(ref.digest or ref.tag))
    except NotThere as error:
        raise NotInRegistry(ref) from error


# Showing


def inspect(shell: Shell, name: str, form: str, *, raw: bool) -> int:
    """Show an image: as it is, by a template, or as a list of its manifests."""
    ref = _reference(name)

    async def read(remote: Remote) -> tuple[Manifest, Document]:
        found = await _resolve(remote, ref)
        images = await _images(remote, ref, found) if "Image" in form or "json ." in form else {}
        return found, images

    found, images = ask(shell, ref.host, False, read)
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

        image = images if len(images) != 1 else next(iter(images.values()))
        fields = {
            "Name": ("NAME", lambda row: row["name"]),
            "Manifest": ("MANIFEST", lambda row: row["manifest"]),
            "Image": ("IMAGE", lambda row: row["image"]),
        }
        row = {"name": str(ref), "manifest": about, "image": image}
        shell.out.write(render(Listing("*imagetools.tplInput", "", fields), [row], form))
        return 0
    shell.out.write(_shown(ref, about))
    return 0


async def _images(remote: Remote, ref: Reference, found: Manifest) -> Document:
    """Return the configurations of the images, by platform."""
    document = json.loads(found.data)
    if found.media_type not in oci.INDEXES:
        return {"": await _config(remote, ref, document)}
    images: Document = {}
    for listed in document["manifests"]:
        if ATTESTATION in (listed.get("annotations") or {}):
            continue
        inner = await _resolve(remote, ref.with_digest(Digest.parse(listed["digest"])))
        config = await _config(remote, ref, json.loads(inner.data))
        images[platform_of(listed.get("platform") or config)] = config
    return images


async def _config(remote: Remote, ref: Reference, manifest: Document) -> Document:
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


# Making


@dataclass(frozen=True, slots=True)
class _Source:
    """A manifest that is to be listed, and where it lies."""

    descriptor: Document
    origin: Reference


def create(shell: Shell, words: Sequence[str], given: Mapping[str, Any]) -> int:
    """Make an index of what the words name, under every tag."""
    tags = [_reference(tag) for tag in given["tag"]]
    if not words and not given["file"]:
        raise InvalidRequest("no sources specified")
    if not tags and not given["dry_run"]:
        raise InvalidRequest("can't push with no tags specified, please set --tag or --dry-run")
    if given["append"] and len(tags) != 1:
        raise InvalidRequest("can't append to more than one tag, or to none")
    refs = [_reference(word) for word in words]
    listed = [_described(path) for path in given["file"]]
    if listed and not (tags or refs):
        raise InvalidRequest("can't find out where the described manifests are: set --tag")
    hosts = {ref.host for ref in (*tags, *refs)}
    if len(hosts) > 1:
        raise InvalidRequest(f"images in several registries are not put together: {sorted(hosts)}")
    annotations = _annotations(given["annotation"])

    async def made(remote: Remote) -> tuple[str, bytes]:
        sources = [_Source(one, (tags or refs)[0]) for one in listed]
        for ref in [*(tags if given["append"] else ()), *refs]:
            sources += await _sources(remote, ref)
        sources = _chosen(sources, given["platform"])
        kind, data = await _document(remote, refs, sources, annotations, given)
        if given["dry_run"]:
            return kind, data
        for tag in tags:
            for source in sources:
                await _copy(shell, remote, source, tag)
            digest = Digest.of(data)
            shell.err.line(f"pushing {digest} to {tag}")
            shell.err.flush()
            await remote.put(tag, kind, data)
        return kind, data

    kind, data = ask(shell, next(iter(hosts)), False, made)
    if given["dry_run"]:
        shell.out.write(json.dumps(json.loads(data), indent=2) + "\n")
        return 0
    if given["metadata_file"]:
        about = {"mediaType": kind, "digest": str(Digest.of(data)), "size": len(data)}
        said = {"containerimage.descriptor": about, "image.name": ",".join(map(str, tags))}
        write_file(given["metadata_file"], json.dumps(said, indent=2) + "\n")
    return 0


def _described(path: str) -> Document:
    try:
        with open(path, "rb") as file:
            found = json.loads(file.read(1 << 20))
        Digest.parse(found["digest"])
    except OSError as error:
        raise InvalidRequest(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(f"{path} holds no descriptor") from None
    return {key: found[key] for key in ("mediaType", "digest", "size", "platform", "annotations")
            if key in found}  # fmt: skip


async def _sources(remote: Remote, ref: Reference) -> list[_Source]:
    """Return the manifests that a reference stands for."""
    found = await _resolve(remote, ref)
    if found.media_type in oci.INDEXES:
        return [_Source(one, ref) for one in json.loads(found.data)["manifests"]]
    config = await _config(remote, ref, json.loads(found.data))
    keys = ("architecture", "os", "os.version", "os.features", "variant")
    platform = {key: config[key] for key in keys if config.get(key)}
    about = {
        "mediaType": found.media_type,
        "digest": str(found.digest),
        "size": len(found.data),
        "platform": platform,
    }
    return [_Source(about, ref)]


def _chosen(sources: Sequence[_Source], platforms: Sequence[str]) -> list[_Source]:
    """Return each manifest once, of the platforms asked for, with the attestations of those."""
    found = {str(one.descriptor["digest"]): one for one in sources}
    if not platforms:
        return list(found.values())
    wanted = {part for text in platforms for part in text.split(",")}
    kept = {
        digest
        for digest, one in found.items()
        if platform_of(one.descriptor.get("platform") or {}) in wanted
    }
    return [
        one
        for digest, one in found.items()
        if digest in kept or (one.descriptor.get("annotations") or {}).get(ATTESTATION) in kept
    ]


def _annotations(given: Sequence[str]) -> dict[str, dict[str, str]]:
    """Return annotations of the index and of its entries."""
    found: dict[str, dict[str, str]] = {"index": {}, "manifest-descriptor": {}}
    for key, value in annotations_of(given).items():
        kind, _, name = key.removeprefix("annotation").partition(".")
        kind = kind.removeprefix("-") or "index"
        if kind not in found:
            raise InvalidRequest(f"annotations of the type {kind} cannot be set here")
        found[kind][name] = value
    return found


async def _document(
    remote: Remote,
    refs: Sequence[Reference],
    sources: Sequence[_Source],
    annotations: Mapping[str, Mapping[str, str]],
    given: Mapping[str, Any],
) -> tuple[str, bytes]:
    """Return what is pushed: what is there already, unless there is something to change."""
    changes = any(annotations.values()) or given["platform"] or given["append"] or given["file"]
    if len(refs) == 1 and not changes:
        found = await _resolve(remote, refs[0])
        if found.media_type in oci.INDEXES or not given["prefer_index"]:
            return found.media_type, found.data
    if not sources:
        raise InvalidRequest("no manifest is left")
    kinds = {str(one.descriptor["mediaType"]) for one in sources}
    kind = oci.OCI_INDEX if any("oci" in one for one in kinds) else oci.DOCKER_INDEX
    listed = []
    for one in sources:
        noted = {**(one.descriptor.get("annotations") or {}), **annotations["manifest-descriptor"]}
        entry = {key: one.descriptor[key] for key in ("mediaType", "digest", "size")}
        if noted:
            entry["annotations"] = dict(sorted(noted.items()))
        if platform := one.descriptor.get("platform"):
            entry["platform"] = platform
        listed.append(entry)
    document: Document = {"schemaVersion": 2, "mediaType": kind, "manifests": listed}
    if annotations["index"]:
        document["annotations"] = dict(annotations["index"])
    return kind, json.dumps(document, indent=2, ensure_ascii=False).encode()


async def _copy(shell: Shell, remote: Remote, source: _Source, target: Reference) -> None:
    """Have a manifest, and all it points to, in the target's repository."""
    from boxship.cli.manifest.store import Entry

    if source.origin.path == target.path:
        return
    digest = Digest.parse(source.descriptor["digest"])
    found = await _resolve(remote, source.origin.without_tag().with_digest(digest))
    shell.err.line(f"copying {digest} from {source.origin} to {target}")
    await remote.mount(target, source.origin, Entry(str(source.origin), {}, found.data))
    there = target.without_tag().with_digest(digest)
    await remote.put(there, found.media_type, found.data)
