"""What a container asks of its networks when it starts, and what it gets."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from boxship.model.ids import ContainerId, SandboxId
from boxship.network.ports import Bindings, Shown
from boxship.spec.engine.container import EndpointSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxRequest:
    """What a container's configuration says about its networks."""

    container: ContainerId
    name: str  # without a slash
    hostname: str = ""
    domainname: str = ""
    mode: str = "bridge"  # HostConfig.NetworkMode
    endpoints: Mapping[str, EndpointSettings] | None = None  # None: what the mode says
    ports: Bindings = field(default_factory=dict)
    exposed: Collection[str] = ()
    publish_all: bool = False
    dns: Sequence[str] = ()
    dns_search: Sequence[str] = ()
    dns_options: Sequence[str] = ()
    extra_hosts: Sequence[str] = ()
    mac: str | None = None
    sysctls: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Sandbox:
    """An open sandbox.

    `netns` is the namespace to join, None for the host's own. The descriptor belongs to whoever
    opened the sandbox, who closes it (`let_go`) as soon as the container's init holds the
    namespace; from then on it ends with the last process in it.
    """

    id: SandboxId
    key: str
    netns: int | None
    settings: dict[str, EndpointSettings]
    ports: Shown
    hosts: bytes
    resolv_conf: bytes
    record: bytes

    def let_go(self) -> None:
        """Close the namespace's descriptor."""
        if self.netns is not None:
            os.close(self.netns)
