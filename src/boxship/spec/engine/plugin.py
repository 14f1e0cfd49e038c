"""Engine API documents: plugins, as published for API 1.56.

Every member is optional: an absent member and a JSON null both read as None, and None is
left out when a document is written. `api/` decides what a version must show.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.document import Document


class PluginMount(Document):
    """Engine API object `PluginMount`."""

    name: str | None = field(default=None, name="Name")
    description: str | None = field(default=None, name="Description")
    settable: list[str] | None = field(default=None, name="Settable")
    source: str | None = field(default=None, name="Source")
    destination: str | None = field(default=None, name="Destination")
    type: str | None = field(default=None, name="Type")
    options: list[str] | None = field(default=None, name="Options")


class PluginDevice(Document):
    """Engine API object `PluginDevice`."""

    name: str | None = field(default=None, name="Name")
    description: str | None = field(default=None, name="Description")
    settable: list[str] | None = field(default=None, name="Settable")
    path: str | None = field(default=None, name="Path")


class PluginEnv(Document):
    """Engine API object `PluginEnv`."""

    name: str | None = field(default=None, name="Name")
    description: str | None = field(default=None, name="Description")
    settable: list[str] | None = field(default=None, name="Settable")
    value: str | None = field(default=None, name="Value")


class PluginSettings(Document):
    """Engine API object `PluginSettings`."""

    mounts: list[PluginMount] | None = field(default=None, name="Mounts")
    env: list[str] | None = field(default=None, name="Env")
    args: list[str] | None = field(default=None, name="Args")
    devices: list[PluginDevice] | None = field(default=None, name="Devices")


class PluginConfigInterface(Document):
    """Engine API object `PluginConfigInterface`."""

    types: list[str] | None = field(default=None, name="Types")
    socket: str | None = field(default=None, name="Socket")
    protocol_scheme: str | None = field(default=None, name="ProtocolScheme")


class PluginConfigUser(Document):
    """Engine API object `PluginConfigUser`."""

    uid: int | None = field(default=None, name="UID")
    gid: int | None = field(default=None, name="GID")


class PluginConfigNetwork(Document):
    """Engine API object `PluginConfigNetwork`."""

    type: str | None = field(default=None, name="Type")


class PluginConfigLinux(Document):
    """Engine API object `PluginConfigLinux`."""

    capabilities: list[str] | None = field(default=None, name="Capabilities")
    allow_all_devices: bool | None = field(default=None, name="AllowAllDevices")
    devices: list[PluginDevice] | None = field(default=None, name="Devices")


class PluginConfigArgs(Document):
    """Engine API object `PluginConfigArgs`."""

    name: str | None = field(default=None, name="Name")
    description: str | None = field(default=None, name="Description")
    settable: list[str] | None = field(default=None, name="Settable")
    value: list[str] | None = field(default=None, name="Value")


class PluginConfigRootfs(Document):
    """Engine API object `PluginConfigRootfs`."""

    type: str | None = field(default=None, name="type")
    diff_ids: list[str] | None = field(default=None, name="diff_ids")


class PluginConfig(Document):
    """Engine API object `PluginConfig`."""

    description: str | None = field(default=None, name="Description")
    documentation: str | None = field(default=None, name="Documentation")
    interface: PluginConfigInterface | None = field(default=None, name="Interface")
    entrypoint: list[str] | None = field(default=None, name="Entrypoint")
    work_dir: str | None = field(default=None, name="WorkDir")
    user: PluginConfigUser | None = field(default=None, name="User")
    network: PluginConfigNetwork | None = field(default=None, name="Network")
    linux: PluginConfigLinux | None = field(default=None, name="Linux")
    propagated_mount: str | None = field(default=None, name="PropagatedMount")
    ipc_host: bool | None = field(default=None, name="IpcHost")
    pid_host: bool | None = field(default=None, name="PidHost")
    mounts: list[PluginMount] | None = field(default=None, name="Mounts")
    env: list[PluginEnv] | None = field(default=None, name="Env")
    args: PluginConfigArgs | None = field(default=None, name="Args")
    rootfs: PluginConfigRootfs | None = field(default=None, name="rootfs")


class Plugin(Document):
    """Engine API object `Plugin`."""

    id: str | None = field(default=None, name="Id")
    name: str | None = field(default=None, name="Name")
    enabled: bool | None = field(default=None, name="Enabled")
    settings: PluginSettings | None = field(default=None, name="Settings")
    plugin_reference: str | None = field(default=None, name="PluginReference")
    config: PluginConfig | None = field(default=None, name="Config")
