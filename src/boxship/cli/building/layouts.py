"""Folders in OCI layout that a build reads or writes: caches, named contexts, results."""

from __future__ import annotations

import base64
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boxship.client.contents import Layout
from boxship.errors import BoxshipError, InvalidRequest

if TYPE_CHECKING:
    from boxship.cli.building.fields import Output
    from boxship.spec.buildkit import control_pb2 as pb

SCHEME = "oci-layout://"
LATEST = "latest"
CACHE = "cache.manifest"
IMAGE = "containerimage.descriptor"


@dataclass(slots=True)
class Layouts:
    """What is offered to the engine, by name, and what is to point to what it has written."""

    folders: dict[str, str] = field(default_factory=dict)
    written: list[tuple[str, str, str]] = field(default_factory=list)  # folder, tag, member

    def context(self, value: str) -> str:
        """Offer a named context; return what the engine is told of it."""
        path, at, digest = value.removeprefix(SCHEME).partition("@")
        tag = LATEST
        if not os.path.isdir(path) and ":" in os.path.basename(path):
            path, _, tag = path.rpartition(":")
        if not os.path.isfile(os.path.join(path, "index.json")):
            raise InvalidRequest(f"{path!r} is no folder in OCI layout")
        if not at:
            digest = str(Layout(path).entry(tag)["digest"])
        name = secrets.token_hex(12)
        self.folders[f"oci:{name}"] = os.path.abspath(path)
        return f"{SCHEME}{name}:{tag}@{digest}"

    def cache_from(self, attrs: dict[str, str]) -> str:
        """Offer a folder that holds a cache; return why there is none, where there is none."""
        folder = attrs.get("src", "")
        if not folder:
            raise InvalidRequest("a local cache import needs a src")
        if "digest" not in attrs:
            try:
                attrs["digest"] = str(Layout(folder).entry(attrs.get("tag", LATEST))["digest"])
            except KeyError:
                return f"the entry in {folder}/index.json has no digest"
            except (BoxshipError, OSError) as error:
                if not os.path.exists(os.path.join(folder, "index.json")):
                    return f"open {folder}/index.json: no such file or directory"
                return str(error)
        self.folders[f"local:{folder}"] = os.path.abspath(folder)
        return ""

    def cache_to(self, attrs: Mapping[str, str]) -> None:
        """Offer a folder that takes a cache."""
        folder = attrs.get("dest", "")
        if not folder:
            raise InvalidRequest("a local cache export needs a dest")
        os.makedirs(folder, exist_ok=True)
        self.folders[f"local:{folder}"] = os.path.abspath(folder)
        self.written.append((folder, attrs.get("tag", LATEST), CACHE))

    def result(self, output: Output) -> bool:
        """Offer a folder that takes an image; False where that goes elsewhere."""
        if output.kind not in ("oci", "docker") or output.attrs.get("tar") not in ("false", "0"):
            return False
        os.makedirs(output.target, exist_ok=True)
        self.folders["export"] = os.path.abspath(output.target)
        self.written.append((output.target, output.attrs.get("tag", LATEST), IMAGE))
        return True

    def finish(self, answer: Mapping[str, str]) -> None:
        """Have the folders' indexes point to what was written."""
        for folder, tag, member in self.written:
            if said := answer.get(member):
                text = base64.b64decode(said) if member == IMAGE else said.encode()
                Layout(folder).point(tag, json.loads(text))


def add_caches(
    request: pb.SolveRequest,
    imports: list[tuple[str, dict[str, str]]],
    exports: list[tuple[str, dict[str, str]]],
    layouts: Layouts,
) -> list[tuple[str, str]]:
    """Say where cached results come from and go to; return the folders that hold none, and why."""
    missing: list[tuple[str, str]] = []
    for kind, attrs in imports:
        if kind == "local" and (reason := layouts.cache_from(attrs)):
            missing.append((attrs["src"], reason))
            continue
        request.cache.imports.add(type=kind, attrs=attrs)
    for kind, attrs in exports:
        if kind == "local":
            layouts.cache_to(attrs)
        request.cache.exports.add(type=kind, attrs=attrs)
    return missing
