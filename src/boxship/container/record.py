"""Container: the noun as it is kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import msgspec

from boxship.container.lifecycle import State
from boxship.model.ids import ContainerId
from boxship.spec.engine.container import (
    ContainerConfig,
    EndpointSettings,
    Health,
    HostConfig,
    PortBinding,
)

NEVER: Final = "0001-01-01T00:00:00Z"  # Go's zero time, which clients compare with


@dataclass(frozen=True, slots=True, kw_only=True)
class MountPoint:
    """One thing to attach inside a container, beyond what every container has.

    `type` is bind, volume, tmpfs or image. `mode` is what the user wrote after the last colon.
    `anonymous` marks a volume that goes with the container when asked; `make_source` a bind
    whose missing host path is made as a folder.
    """

    type: str
    destination: str
    source: str = ""
    name: str = ""
    driver: str = ""
    mode: str = ""
    rw: bool = True
    propagation: str = ""
    options: tuple[str, ...] = ()
    subpath: str = ""
    anonymous: bool = False
    make_source: bool = False
    no_copy: bool = False
    non_recursive: bool = False
    readonly_non_recursive: bool = False
    readonly_force_recursive: bool = False
    shown: bool = True  # --tmpfs is not listed among the mounts


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """The current run of a container's program, or the last one; times in nanoseconds."""

    pid: int = 0
    started_at: int = 0
    finished_at: int = 0
    exit_code: int = 0
    oom_killed: bool = False
    error: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkView:
    """What the sandbox of a running container was given; `record` belongs to the network.

    `environment` tells the program of the containers it is linked to.
    """

    sandbox_id: str = ""
    sandbox_key: str = ""
    ports: dict[str, list[PortBinding] | None] = field(default_factory=dict)
    endpoints: dict[str, EndpointSettings] = field(default_factory=dict)
    record: bytes = b""
    environment: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Container:
    """All that is known of a container, also when it does not run.

    `manually_stopped` keeps restart policies away, until the next start or, for `always`, the
    next start of the daemon. `endpoints` is what was asked for; `network` what it has.
    """

    id: ContainerId
    name: str
    created: int
    image: str
    config: ContainerConfig
    host_config: HostConfig
    endpoints: dict[str, EndpointSettings] = field(default_factory=dict)
    platform: str = "linux"
    driver: str = ""
    mounts: tuple[MountPoint, ...] = ()
    links: dict[str, str] = field(default_factory=dict)  # IDs by alias
    state: State = State.CREATED
    run: Run = Run()
    network: NetworkView = NetworkView()
    health: Health | None = None
    restart_count: int = 0
    failures: int = 0  # runs that failed in a row, for on-failure:N and its back-off
    manually_stopped: bool = False
    manifest: bytes = b""  # descriptor of the image's manifest, as JSON

    @property
    def tty(self) -> bool:
        """Whether the program has a terminal."""
        return bool(self.config.tty)

    @property
    def command(self) -> list[str]:
        """The program and its arguments."""
        return [*(self.config.entrypoint or ()), *(self.config.cmd or ())]

    @property
    def auto_remove(self) -> bool:
        """Whether it goes when its program ends."""
        return bool(self.host_config.auto_remove)


_ENCODER: Final = msgspec.json.Encoder()
_DECODER: Final = msgspec.json.Decoder(Container)


def encode(container: Container) -> bytes:
    """Return the record as it is written to the database."""
    return _ENCODER.encode(container)


def decode(record: bytes) -> Container:
    """Read what `encode` made."""
    return _DECODER.decode(record)
