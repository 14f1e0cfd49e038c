"""Documents of the Container Device Interface: what a device is to a container.

A file has one kind of device, `vendor.com/class`, and what each of its devices changes in a
container's configuration; a device is called `vendor.com/class=name`.
"""

from __future__ import annotations

from msgspec import Struct, field


class Document(Struct, rename="camel", omit_defaults=True):
    """What CDI's documents have in common: members that we do not know are passed over."""


class DeviceNode(Document):
    path: str
    host_path: str = ""
    type: str = ""
    major: int | None = None
    minor: int | None = None
    file_mode: int | None = None
    permissions: str = ""
    uid: int | None = None
    gid: int | None = None


class Mount(Document):
    host_path: str
    container_path: str
    type: str = ""
    options: list[str] = []


class Hook(Document):
    hook_name: str
    path: str
    args: list[str] = []
    env: list[str] = []
    timeout: int | None = None


class Edits(Document):
    """What a device changes; `net_devices` and `intel_rdt` are not heeded, but refused."""

    env: list[str] = []
    device_nodes: list[DeviceNode] = []
    mounts: list[Mount] = []
    hooks: list[Hook] = []
    additional_gids: list[int] = field(default_factory=list, name="additionalGids")
    net_devices: list[dict[str, str]] = []
    intel_rdt: dict[str, object] | None = None


class Device(Document):
    name: str
    annotations: dict[str, str] = {}
    container_edits: Edits = field(default_factory=Edits)


class Spec(Document):
    """One file."""

    cdi_version: str
    kind: str
    devices: list[Device] = []
    annotations: dict[str, str] = {}
    container_edits: Edits = field(default_factory=Edits)
