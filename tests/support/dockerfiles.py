"""Dockerfiles converted without an engine: base images come from a dictionary."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from boxship.build.dockerfile.convert import Converted, convert
from boxship.build.dockerfile.options import Options, Resolved
from boxship.build.ops import Op, Vertex, ancestry
from boxship.errors import NotFound
from boxship.spec.digest import Digest
from boxship.spec.platform import Platform

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
T = TypeVar("T")
LAYER = "sha256:" + "a" * 64


def config(platform: Platform = AMD64, layers: int = 1, **run: Any) -> bytes:
    """Return a base image's configuration."""
    return json.dumps(
        {
            "architecture": platform.architecture,
            "os": platform.os,
            "config": {"Env": ["PATH=/bin"], **run},
            "rootfs": {"type": "layers", "diff_ids": [LAYER] * layers},
            "history": [{"created_by": "base"}] * layers,
        }
    ).encode()


@dataclass
class Bases:
    """Base images by canonical name; what was asked for is kept."""

    images: Mapping[str, bytes] = field(default_factory=dict)
    asked: list[tuple[str, Platform]] = field(default_factory=list)

    async def resolve(self, reference: str, platform: Platform) -> Resolved:
        self.asked.append((reference, platform))
        name = reference.removeprefix("docker.io/library/").removesuffix(":latest")
        if name not in self.images and name != "base":
            raise NotFound(f"{reference}: not found")
        found = self.images.get(name) or config(platform)
        return Resolved(reference, Digest.of(reference.encode()), found)


def build(text: str, bases: Bases | None = None, **options: Any) -> Converted:
    """Convert a Dockerfile for this machine's platform."""
    options.setdefault("target_platform", AMD64)
    options.setdefault("build_platforms", (AMD64,))
    return asyncio.run(convert(text, Options(**options), bases or Bases()))


def ops_of(converted: Converted, kind: type[T]) -> list[T]:
    """Return what the graph's vertices do, as far as it is of one kind."""
    return [v.op for v in ancestry(converted.root) if isinstance(v.op, kind)]


def vertices(converted: Converted) -> dict[str, Vertex]:
    """Return the graph's vertices by name."""
    return {vertex.about.name: vertex for vertex in ancestry(converted.root)}


def op(converted: Converted, name: str) -> Op:
    """Return what the vertex does whose name ends so."""
    (found,) = [v.op for known, v in vertices(converted).items() if known.endswith(name)]
    return found


def history(converted: Converted) -> list[tuple[str, bool]]:
    """Return what was done, and whether it made no layer; without the base's own."""
    told = converted.config.history or []
    return [(h.created_by, h.empty_layer) for h in told if h.created_by != "base"]


def rules(converted: Converted) -> list[tuple[str, int]]:
    """Return the broken rules and where."""
    return [(f.rule.name, f.places[0].first) for f in converted.findings]
