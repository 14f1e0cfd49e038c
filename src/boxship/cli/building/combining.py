"""New images of what registries have already: indexes put together, and carbon copies."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building.checks import annotations_of
from boxship.cli.building.imagecopy import Registries
from boxship.cli.building.imagetools import (
    ATTESTATION,
    Document,
    config_of,
    platform_of,
    reference,
)
from boxship.cli.building.run import write_file
from boxship.cli.manifest.remote import pool
from boxship.errors import InvalidRequest
from boxship.spec.digest import Digest
from boxship.spec.oci import image as oci
from boxship.spec.reference import Reference

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

MEMBERS: Final = ("mediaType", "digest", "size", "platform", "annotations")
PLATFORM: Final = ("architecture", "os", "os.version", "os.features", "variant")
KINDS: Final = ("index", "manifest-descriptor")


@dataclass(frozen=True, slots=True)
class _Source:
    """A manifest that is to be listed, and where it lies."""

    descriptor: Document
    origin: Reference


@dataclass(frozen=True, slots=True)
class _Asked:
    """A source as it was asked for: a reference, or what a file says of a manifest."""

    ref: Reference | None
    descriptor: Document | None = None


@dataclass(frozen=True, slots=True)
class _Note:
    """An annotation of the index, or of the entries for a platform, of all for none."""

    kind: str
    platform: str
    key: str
    value: str


def create(shell: Shell, words: Sequence[str], given: Mapping[str, Any]) -> int:
    """Make an index of what the words and files name, under every tag."""
    tags = [reference(tag) for tag in given["tag"]]
    if not words and not given["file"]:
        raise InvalidRequest("no sources specified")
    if not tags and not given["dry_run"]:
        raise InvalidRequest("can't push with no tags specified, please set --tag or --dry-run")
    if given["append"] and len(tags) != 1:
        raise InvalidRequest("can't append to more than one tag, or to none")
    asked = [_described(path) for path in given["file"]]
    asked = [*asked, *(_named(word) for word in words)]
    asked = _located(asked, tags)
    notes = _notes(given["annotation"])
    kind, data = asyncio.run(_made(shell, tags, asked, notes, given))
    if given["dry_run"]:
        shell.out.write(json.dumps(json.loads(data), indent=2) + "\n")
        return 0
    if given["metadata_file"]:
        about = {"mediaType": kind, "digest": str(Digest.of(data)), "size": len(data)}
        said = {"containerimage.descriptor": about, "image.name": ",".join(map(str, tags))}
        write_file(given["metadata_file"], json.dumps(said, indent=2) + "\n")
    return 0


async def _made(
    shell: Shell,
    tags: Sequence[Reference],
    asked: Sequence[_Asked],
    notes: Sequence[_Note],
    given: Mapping[str, Any],
) -> tuple[str, bytes]:
    async with pool(shell) as opened:
        registries = Registries(shell, opened)
        sources: list[_Source] = []
        for one in [*(map(_Asked, tags) if given["append"] else ()), *asked]:
            sources += await _sources(registries, one)
        sources = _chosen(sources, given["platform"])
        kind, data = await _document(registries, asked, sources, notes, given)
        if given["dry_run"]:
            return kind, data
        for tag in tags:
            for source in sources:
                digest = Digest.parse(source.descriptor["digest"])
                await registries.copy(source.origin, digest, tag)
            shell.err.line(f"pushing {Digest.of(data)} to {tag}")
            shell.err.flush()
            await registries.of(tag).put(tag, kind, data)
        return kind, data


# What is asked for


def _named(word: str) -> _Asked:
    """Read a reference, or a digest in the repository that the others name."""
    if word.startswith("sha256:") and len(word) == 71:
        return _Asked(None, {"digest": str(Digest.parse(word))})
    return _Asked(reference(word))


def _described(path: str) -> _Asked:
    """Read a file with a descriptor, a reference or a digest."""
    try:
        with open(path, "rb") as file:
            text = file.read(1 << 20).decode()
    except OSError as error:
        raise InvalidRequest(f"open {path}: {(error.strerror or str(error)).lower()}") from None
    except UnicodeDecodeError:
        raise InvalidRequest(f"{path} holds no descriptor") from None
    if not text.lstrip().startswith("{"):
        return _named(text.strip())
    try:
        found = json.loads(text)
        Digest.parse(found["digest"])
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(f"{path} holds no descriptor") from None
    return _Asked(None, {key: found[key] for key in MEMBERS if key in found})


def _located(asked: Sequence[_Asked], tags: Sequence[Reference]) -> list[_Asked]:
    """Give those that are only digests the repository that is meant: there must be one."""
    if all(one.ref is not None for one in asked):
        return list(asked)
    refs = [one.ref for one in asked if one.ref is not None] or tags
    places = {(ref.host, ref.path): ref for ref in refs}
    if not places:
        raise InvalidRequest("can't find out where the described manifests are: set --tag")
    if len(places) > 1:
        named = sorted(f"{host}/{path}" for host, path in places)
        raise InvalidRequest(f"several repositories are named, digests could be of any: {named}")
    place = next(iter(places.values())).without_tag()
    return [
        one
        if one.ref is not None or one.descriptor is None
        else _Asked(place.with_digest(Digest.parse(one.descriptor["digest"])), one.descriptor)
        for one in asked
    ]


def _notes(given: Iterable[str]) -> list[_Note]:
    found: list[_Note] = []
    for key, value in annotations_of(given).items():
        kind, _, name = key.removeprefix("annotation").partition(".")
        kind, _, platform = kind.removeprefix("-").removesuffix("]").partition("[")
        if (kind or "index") not in KINDS or (kind == "index" and platform):
            raise InvalidRequest(f"annotations of the type {kind} cannot be set here")
        found.append(_Note(kind or "index", platform, name, value))
    return found


# What comes of it


async def _sources(registries: Registries, asked: _Asked) -> list[_Source]:
    """Return the manifests that a source stands for."""
    assert asked.ref is not None
    found = await registries.resolve(asked.ref)
    said = asked.descriptor or {}
    if found.media_type in oci.INDEXES and set(said) <= {"digest"}:
        return [_Source(one, asked.ref) for one in json.loads(found.data)["manifests"]]
    about: Document = {
        "mediaType": found.media_type,
        "digest": str(found.digest),
        "size": len(found.data),
    }
    if "platform" not in said and found.media_type not in oci.INDEXES:
        config = await config_of(registries.of(asked.ref), asked.ref, json.loads(found.data))
        about["platform"] = {key: config[key] for key in PLATFORM if config.get(key)}
    # What a file says more of it, or otherwise, goes into the list.
    return [_Source({**about, **{key: said[key] for key in MEMBERS[3:] if key in said}}, asked.ref)]


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


async def _document(
    registries: Registries,
    asked: Sequence[_Asked],
    sources: Sequence[_Source],
    notes: Sequence[_Note],
    given: Mapping[str, Any],
) -> tuple[str, bytes]:
    """Return what is pushed: what is there already, unless there is something to change."""
    changes = notes or given["platform"] or given["append"] or given["file"]
    only = asked[0].ref
    if len(asked) == 1 and not changes and only is not None:
        found = await registries.resolve(only)
        if found.media_type in oci.INDEXES or not given["prefer_index"]:
            return found.media_type, found.data
    if not sources:
        raise InvalidRequest("no manifest is left")
    kinds = {str(one.descriptor["mediaType"]) for one in sources}
    kind = oci.OCI_INDEX if any("oci" in one for one in kinds) else oci.DOCKER_INDEX
    listed = [_entry(one.descriptor, notes) for one in sources]
    document: Document = {"schemaVersion": 2, "mediaType": kind, "manifests": listed}
    if noted := {note.key: note.value for note in notes if note.kind == "index"}:
        document["annotations"] = noted
    return kind, json.dumps(document, indent=2, ensure_ascii=False).encode()


def _entry(descriptor: Document, notes: Sequence[_Note]) -> Document:
    platform = descriptor.get("platform") or {}
    noted = dict(descriptor.get("annotations") or {})
    for note in notes:
        if note.kind != "index" and note.platform in ("", platform_of(platform)):
            noted[note.key] = note.value
    entry = {key: descriptor[key] for key in MEMBERS[:3]}
    if noted:
        entry["annotations"] = dict(sorted(noted.items()))
    if platform:
        entry["platform"] = platform
    return entry
