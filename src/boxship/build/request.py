"""What is asked of the builder, and what it answers; every door speaks in these values."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

from boxship.build.dockerfile.convert import Converted
from boxship.build.dockerfile.lint import Finding
from boxship.build.ops import Network, Ref, Resources, Ulimit
from boxship.build.policy import NOBODY, Judges
from boxship.build.statements import Claim
from boxship.lib.ignore import Matcher
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.spec.oci.image import Descriptor, ImageConfig
from boxship.spec.platform import Platform

YES: Final = frozenset({"1", "t", "true", "True", "TRUE", "T"})
NO: Final = frozenset({"0", "f", "F", "false", "False", "FALSE"})
UNLIMITED: Final = Resources()


class Kind(Enum):
    """What becomes of a result."""

    IMAGE = "image"  # into the engine's store, and pushed with `push`
    DOCKER = "docker"  # an archive for `docker load`
    OCI = "oci"  # an archive in OCI layout
    LOCAL = "local"  # files in a folder of the client's
    TAR = "tar"  # files in an archive of the client's


@dataclass(frozen=True, slots=True)
class Export:
    """One thing to make of the result; `attrs` are BuildKit's exporter attributes.

    target: the number by which the client knows where it goes.
    """

    kind: Kind
    attrs: Mapping[str, str] = field(default_factory=dict)
    target: int = 0


TO_STORE: Final = (Export(Kind.IMAGE),)


@dataclass(frozen=True, slots=True)
class CacheOption:
    """Where cached results come from or go to: registry, local, inline; BuildKit's attributes."""

    kind: str
    attrs: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Step:
    """A line of an image's history, in order; each that is not empty has a layer."""

    created_by: str
    empty: bool = False
    comment: str = "buildkit.dockerfile.v0"


@dataclass(frozen=True, slots=True)
class Target:
    """One result to build: for one platform, what it is and how it is run.

    config: all but its layers and history. Where there is no history, or it does not fit the
    layers, lines are made up for them. epoch: of what time it is, in seconds, if nobody who asks
    says another.
    """

    root: Ref | None
    platform: Platform | None = None
    config: ImageConfig | None = None
    history: tuple[Step, ...] = ()
    name: str = ""  # a platform's ID where there are several
    epoch: int | None = None
    scanned: tuple[tuple[str, Ref | None], ...] = ()  # what a scanner looks at too, by name
    claims: tuple[Claim, ...] = ()


@dataclass(frozen=True, slots=True)
class Graph:
    """Results that are already worked out, as a client that speaks BuildKit sends them."""

    targets: tuple[Target, ...]


@dataclass(frozen=True, slots=True)
class Dockerfile:
    """A Dockerfile's text, for the front end of our own.

    left_out: what `.dockerignore` leaves out, for the check that tells of it. classic: write
    history as the classic builder did. told: is called with each conversion, before it is solved.
    solved: is called with the layers of its vertices as far as they are known, if it fails too.
    include: reads a file of the context, for INCLUDE. check: what `# check=` would say. outline:
    what is told says what the target takes, too. checked: is called with what the checks have
    found, if a conversion fails too; the build tells nothing of it then. all_stages: also those
    that nothing needs are converted.
    """

    text: bytes
    name: str = "Dockerfile"
    left_out: Matcher | None = None
    classic: bool = False
    told: Callable[[Converted], None] | None = None
    solved: Callable[[Mapping[Digest, ChainId | None]], None] | None = None
    include: Callable[[str], bytes | None] | None = None
    check: str | None = None
    outline: bool = False
    checked: Callable[[Sequence[Finding]], None] | None = None
    all_stages: bool = False


@dataclass(frozen=True, slots=True)
class NoCache:
    """Whose results are made anew: those of all stages, or of some."""

    all: bool = False
    stages: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Material:
    """Something that a build took from outside: what it is called, and its digests."""

    uri: str
    digest: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildRequest:
    """Everything that a door asks.

    context: a source's identifier, `local://context`, `context://ID`, or of git or a URL.
    inputs: results that named contexts call `input:NAME`, with their image configurations.
    excludes: what `.dockerignore` leaves out of a context that is a client's folder.
    named_excludes: the same of named contexts, by the folders' names.
    exports: what is made of the results; none, and they are only kept in the cache.
    sessions: the clients who may be asked for files, secrets and credentials, first to last.
    provenance, sbom: None for none, otherwise their attributes (`mode`, `version`, …).
    entitlements: `security.insecure`, `network.host`; what is not granted is refused.
    judges: who says which sources may be used, and which are replaced. keep_failed: what steps that
    fail have left behind is kept, to be looked into. materials: what was taken to work out what is
    to be built.
    """

    frontend: Dockerfile | Graph
    ref: str = ""
    context: str = ""
    excludes: tuple[str, ...] = ()
    named_contexts: Mapping[str, str] = field(default_factory=dict)
    named_excludes: Mapping[str, Sequence[str]] = field(default_factory=dict)
    inputs: Mapping[str, Ref | None] = field(default_factory=dict)
    input_configs: Mapping[str, bytes] = field(default_factory=dict)
    build_args: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platforms: tuple[Platform, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    annotations: Mapping[str, str] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    no_cache: NoCache = NoCache()
    pull: bool = False
    network: Network = Network.SANDBOX
    network_name: str = ""
    hosts: tuple[tuple[str, str], ...] = ()
    ulimits: tuple[Ulimit, ...] = ()
    resources: Resources = UNLIMITED
    hostname: str = ""
    sessions: tuple[str, ...] = ()
    credentials: Mapping[str, object] = field(default_factory=dict)
    exports: tuple[Export, ...] = TO_STORE
    cache_from: tuple[CacheOption, ...] = ()
    cache_to: tuple[CacheOption, ...] = ()
    squash: bool = False
    provenance: Mapping[str, str] | None = None
    sbom: Mapping[str, str] | None = None
    source_date_epoch: int | None = None  # seconds
    entitlements: frozenset[str] = frozenset()
    judges: Judges = NOBODY
    keep_failed: bool = False
    materials: tuple[Material, ...] = ()

    @property
    def caches_inline(self) -> bool:
        """Whether the image is to say which steps its layers are the results of."""
        return any(option.kind == "inline" for option in self.cache_to)


Attested = tuple[str, str, Mapping[str, object]]
"""A platform where there are several, the kind of a predicate, and the predicate."""


@dataclass(frozen=True, slots=True)
class Built:
    """What a build came to.

    image: what the tags point to, None where no image was made. configs: each platform's
    configuration digest, which the classic builder calls the image's ID. metadata: what
    `--metadata-file` holds, and an exporter's response in BuildKit. attested: works out where
    each result came from, asked for or not.
    """

    image: Descriptor | None = None
    manifests: Mapping[str, Descriptor] = field(default_factory=dict)
    configs: Mapping[str, Digest] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    attested: Callable[[], Sequence[Attested]] = lambda: ()
