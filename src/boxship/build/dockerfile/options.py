"""What a build asks of the front end, and what the front end asks of the world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from boxship.build.ops import Network, Ref, Resources, Source, Ulimit
from boxship.lib.ignore import Matcher
from boxship.spec.digest import Digest
from boxship.spec.platform import Platform

CONTEXT: Final = Source("local://context")
UNLIMITED: Final = Resources()


@dataclass(frozen=True, slots=True)
class Resolved:
    """A base image as it was found: its canonical name, digest and configuration."""

    reference: str
    digest: Digest | None
    config: bytes


class Images(Protocol):
    """Finds base images."""

    async def resolve(self, reference: str, platform: Platform) -> Resolved:
        """Return the image; `reference` is canonical. Raises NotFound and the like."""


@dataclass(frozen=True, slots=True)
class Input:
    """A result made elsewhere (another target of a bake), and its configuration if it has one."""

    ref: Ref | None
    config: bytes = b""


@dataclass(frozen=True, slots=True)
class Options:
    """How a Dockerfile is converted.

    context: where COPY and ADD read; a source, or the result of one. contexts: what
    `--build-context` says, by name, as `docker-image://…`, `oci-layout://…`, `local:NAME`, a URL
    of a repository or an archive, or `input:NAME`. excludes: what `.dockerignore` leaves out of
    these, by the NAME in `local:NAME`. no_cache: None for none, an empty set for all, or names of
    stages. platform_given: whether somebody asked for the target platform.
    ignore: what `.dockerignore` leaves out of the context, for the check that tells of it.
    classic: history as the classic builder wrote it. outline: also say what the target takes.
    scans: also say what a scanner is to look at.
    """

    target_platform: Platform
    build_platforms: tuple[Platform, ...]
    context: Source | Ref = CONTEXT
    target: str = ""
    build_args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    platform_given: bool = False
    multi_platform: bool = False
    contexts: Mapping[str, str] = field(default_factory=dict)
    excludes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inputs: Mapping[str, Input] = field(default_factory=dict)
    no_cache: frozenset[str] | None = None
    filename: str = "Dockerfile"
    network: Network = Network.SANDBOX
    network_name: str = ""
    hostname: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    resources: Resources = UNLIMITED
    cache_namespace: str = ""
    check: str | None = None
    ignore: Matcher | None = None
    classic: bool = False
    all_stages: bool = False
    outline: bool = False
    scans: bool = False
