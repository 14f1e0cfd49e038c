"""The build graph as values: what each step does, and on which results it stands.

A graph is made of vertices; each does one operation on the results of others. Every front end
ends here (a Dockerfile, a definition that a BuildKit client sends), and the solver knows nothing
else. The operations are those of BuildKit's low-level build definition (solver/pb/ops.proto), so
that a definition can be taken in and given out without loss.

    Source ──▶ Exec ──▶ File ──▶ ...        a result is a filesystem, or nothing (scratch)
                 ╲──▶ (a second mount's output)

A vertex's digest says what it does and with what; it names the vertex in progress messages. It
is not the cache key: that is worked out by the solver, from what the inputs turned out to be.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

import msgspec

from boxship.spec.digest import Digest
from boxship.spec.platform import Platform

ROOT: Final = "/"
NO_OUTPUT: Final = -1
SCRATCH: Final = -1  # an input of this number is the empty filesystem


class Network(Enum):
    """What network a process is given."""

    SANDBOX = "sandbox"
    HOST = "host"
    NONE = "none"


class Security(Enum):
    """How confined a process is; `insecure` needs the consent of client and daemon."""

    SANDBOX = "sandbox"
    INSECURE = "insecure"


class Sharing(Enum):
    """What happens when two steps want one cache folder at a time."""

    SHARED = "shared"
    PRIVATE = "private"
    LOCKED = "locked"


@dataclass(frozen=True, slots=True)
class Source:
    """Something from outside.

    identifier: `docker-image://NAME`, `git://…`, `https://…`, `http://…`, `local://NAME` (a folder
    that the client offers), `oci-layout://…`, `context://ID` (a folder the door has unpacked).
    attrs: sorted pairs, keys as in BuildKit (`image.resolvemode`, `local.includepattern`,
    `local.excludepatterns`, `local.followpaths`, `local.sharedkeyhint`, `http.checksum`,
    `http.filename`, `http.perm`, `http.uid`, `http.gid`, `git.keepgitdir`, `git.fullurl`, …);
    lists are JSON arrays.
    """

    identifier: str
    attrs: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Bind:
    """A result, or a part of one, shown in a process's tree.

    input: number of the vertex's input, SCRATCH for an empty folder. output: number of the result
    that what is written becomes, NO_OUTPUT where it is dropped.
    """

    target: str
    input: int
    selector: str = ""
    output: int = NO_OUTPUT
    readonly: bool = False


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder that outlives the step; begins as `input` (or SCRATCH) beneath `selector`."""

    target: str
    id: str
    sharing: Sharing = Sharing.SHARED
    readonly: bool = False
    input: int = SCRATCH
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Tmpfs:
    """An empty filesystem in memory; size in bytes, 0 for no limit of its own."""

    target: str
    size: int = 0


@dataclass(frozen=True, slots=True)
class Secret:
    """A file with a secret of the client's."""

    target: str
    id: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o400
    optional: bool = False


@dataclass(frozen=True, slots=True)
class SecretEnv:
    """An environment variable with a secret of the client's."""

    name: str
    id: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Ssh:
    """A socket that leads to the client's ssh agent."""

    target: str
    id: str
    uid: int = 0
    gid: int = 0
    mode: int = 0o600
    optional: bool = False


Mount = Bind | Cache | Tmpfs | Secret | Ssh


@dataclass(frozen=True, slots=True)
class Ulimit:
    """One resource limit of a process."""

    name: str
    soft: int
    hard: int


@dataclass(frozen=True, slots=True)
class Resources:
    """Limits of a process; bytes, microseconds, 0 for none. Not part of what is cached."""

    memory: int = 0
    memory_swap: int = 0
    cpu_shares: int = 0
    cpu_period: int = 0
    cpu_quota: int = 0
    cpuset_cpus: str = ""
    cpuset_mems: str = ""
    cgroup_parent: str = ""
    shm_size: int = 0
    pids: int = 0


@dataclass(frozen=True, slots=True)
class Device:
    """A device of the host, by its CDI name: `vendor.com/class=name`."""

    name: str
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Exec:
    """A process; the mount at `/` is its root, and comes first.

    proxies: variables that the process sees and the cache key does not. network_name: an engine
    network, where one was asked for by name.
    """

    args: tuple[str, ...]
    env: tuple[str, ...] = ()
    cwd: str = "/"
    user: str = ""
    mounts: tuple[Mount, ...] = ()
    secret_env: tuple[SecretEnv, ...] = ()
    network: Network = Network.SANDBOX
    network_name: str = ""
    security: Security = Security.SANDBOX
    hostname: str = ""
    hosts: tuple[tuple[str, str], ...] = ()  # name, address
    ulimits: tuple[Ulimit, ...] = ()
    proxies: tuple[tuple[str, str], ...] = ()
    valid_exit_codes: tuple[int, ...] = (0,)
    devices: tuple[Device, ...] = ()


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose a file becomes: numbers, or names looked up in the passwd files of input `names`.

    None leaves a part as it is (0 for what is made new). A name that nobody has is 0 too, unless it
    is `required`.
    """

    user: int | str | None = None
    group: int | str | None = None
    names: int = SCRATCH
    required: bool = False


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy from the action's second input into its first.

    mode: what permissions become, as an octal number or as chmod's words; empty to keep them.
    timestamp: nanoseconds, -1 to keep the file's own.
    """

    source: str
    target: str
    owner: Owner | None = None
    mode: str = ""
    follow_links: bool = False
    contents_only: bool = False
    unpack: bool = False
    make_parents: bool = False
    wildcard: bool = False
    allow_no_match: bool = False
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    required: tuple[str, ...] = ()
    replace: bool = False
    timestamp: int = -1


@dataclass(frozen=True, slots=True)
class MakeFile:
    """Write a file."""

    path: str
    data: bytes
    mode: int = 0o644
    owner: Owner | None = None
    timestamp: int = -1


@dataclass(frozen=True, slots=True)
class MakeFolder:
    """Make a folder."""

    path: str
    mode: int = 0o755
    parents: bool = False
    owner: Owner | None = None
    timestamp: int = -1


@dataclass(frozen=True, slots=True)
class MakeLink:
    """Make a symbolic link at `path` that says `says`."""

    says: str
    path: str
    owner: Owner | None = None
    timestamp: int = -1


@dataclass(frozen=True, slots=True)
class Delete:
    """Delete a path, or all that match it."""

    path: str
    allow_missing: bool = False
    wildcard: bool = False


@dataclass(frozen=True, slots=True)
class Action:
    """One change of files, carried out on `input` (reading from `second`).

    The numbers count the vertex's inputs first and then the actions before this one; SCRATCH is
    the empty filesystem. output: number of the vertex's result, NO_OUTPUT between actions.
    """

    does: Copy | MakeFile | MakeFolder | MakeLink | Delete
    input: int
    second: int = SCRATCH
    output: int = NO_OUTPUT


@dataclass(frozen=True, slots=True)
class Files:
    """Changes of files, in order."""

    actions: tuple[Action, ...]


@dataclass(frozen=True, slots=True)
class Merge:
    """All inputs laid over each other, the last on top."""


@dataclass(frozen=True, slots=True)
class Diff:
    """What the second input has changed in the first; `whole` where there is no first."""

    whole: bool = False


Op = Source | Exec | Files | Merge | Diff


@dataclass(frozen=True, slots=True)
class Place:
    """A range of lines in the file that a vertex came from, both counted from 1."""

    first: int
    last: int


@dataclass(frozen=True, slots=True)
class About:
    """What is known of a vertex besides what it does; none of it is part of its digest."""

    name: str = ""
    ignore_cache: bool = False
    file: str = ""  # which file's lines the places are, a key of Graph.files
    places: tuple[Place, ...] = ()
    group: str = ""  # of vertices that are shown as one
    resources: Resources = Resources()


@dataclass(frozen=True, slots=True)
class Ref:
    """One result of a vertex."""

    vertex: Vertex
    output: int = 0


@dataclass(frozen=True, slots=True, eq=False)
class Vertex:
    """One operation on the results of others."""

    op: Op
    inputs: tuple[Ref, ...] = ()
    platform: Platform | None = None
    about: About = About()
    digest: Digest = field(init=False)

    def __post_init__(self) -> None:
        said = msgspec.msgpack.encode(
            (
                type(self.op).__name__,
                [_shape(action) for action in self.op.actions]
                if isinstance(self.op, Files)
                else self.op,
                [type(m).__name__ for m in self.op.mounts] if isinstance(self.op, Exec) else [],
                [(str(ref.vertex.digest), ref.output) for ref in self.inputs],
                self.platform,
            )
        )
        digest = Digest("sha256:" + hashlib.sha256(said).hexdigest())
        object.__setattr__(self, "digest", digest)

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vertex) and other.digest == self.digest


def _shape(action: Action) -> tuple[str, Action]:
    return type(action.does).__name__, action


def main_line(*refs: Ref | None) -> frozenset[Vertex]:
    """Return the vertices that results stand on with their first inputs: they make the layers."""
    found: set[Vertex] = set()
    for ref in refs:
        vertex = None if ref is None else ref.vertex
        while vertex is not None and vertex not in found:
            found.add(vertex)
            vertex = vertex.inputs[0].vertex if vertex.inputs else None
    return frozenset(found)


def ancestry(*results: Ref | None) -> Iterator[Vertex]:
    """Yield each vertex that the results stand on, once, inputs before what uses them."""
    seen: set[Digest] = set()
    waiting: list[tuple[Vertex, bool]] = [
        (ref.vertex, False) for ref in reversed(results) if ref is not None
    ]
    while waiting:
        vertex, entered = waiting.pop()
        if entered:
            yield vertex
        elif vertex.digest not in seen:
            seen.add(vertex.digest)
            waiting.append((vertex, True))
            waiting.extend((ref.vertex, False) for ref in reversed(vertex.inputs))
