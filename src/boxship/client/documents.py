"""The documents of the API that the command line reads, as types.

Only checkers import this; at run time the documents are plain dictionaries, because building
anything else would cost a short command more than the whole of its work.
"""

from __future__ import annotations

from typing import Any, TypedDict


class Port(TypedDict, total=False):
    IP: str
    PrivatePort: int
    PublicPort: int
    Type: str


class ContainerSummary(TypedDict, total=False):
    Id: str
    Names: list[str]
    Image: str
    ImageID: str
    Command: str
    Created: int
    Ports: list[Port]
    SizeRw: int
    SizeRootFs: int
    Labels: dict[str, str]
    State: str
    Status: str
    NetworkSettings: dict[str, Any]
    Mounts: list[dict[str, Any]]
    ImageManifestDescriptor: dict[str, Any]


class ContainerCreated(TypedDict, total=False):
    Id: str
    Warnings: list[str] | None


class ContainerState(TypedDict, total=False):
    Status: str
    Running: bool
    Paused: bool
    Restarting: bool
    ExitCode: int
    Error: str


class ContainerConfig(TypedDict, total=False):
    Tty: bool
    OpenStdin: bool
    AttachStdin: bool
    AttachStdout: bool
    AttachStderr: bool
    Image: str


class ContainerDetails(TypedDict, total=False):
    Id: str
    Name: str
    State: ContainerState
    Config: ContainerConfig
    HostConfig: dict[str, Any]
    NetworkSettings: dict[str, Any]


class ExecDetails(TypedDict, total=False):
    ID: str
    Running: bool
    ExitCode: int | None


class WaitError(TypedDict, total=False):
    Message: str


class WaitReport(TypedDict, total=False):
    StatusCode: int
    Error: WaitError | None


class Change(TypedDict):
    Path: str
    Kind: int


class ProcessList(TypedDict):
    Titles: list[str]
    Processes: list[list[str]] | None


class ImageSummary(TypedDict, total=False):
    Id: str
    ParentId: str
    RepoTags: list[str] | None
    RepoDigests: list[str] | None
    Created: int
    Size: int
    SharedSize: int
    VirtualSize: int
    Containers: int
    Labels: dict[str, str] | None
    Manifests: list[dict[str, Any]] | None


class ImageRemoved(TypedDict, total=False):
    Untagged: str
    Deleted: str


class PruneReport(TypedDict, total=False):
    ContainersDeleted: list[str] | None
    ImagesDeleted: list[ImageRemoved] | None
    VolumesDeleted: list[str] | None
    NetworksDeleted: list[str] | None
    CachesDeleted: list[str] | None
    SpaceReclaimed: int


class HistoryStep(TypedDict, total=False):
    Id: str
    Created: int
    CreatedBy: str
    Size: int
    Comment: str
    Tags: list[str] | None


class Volume(TypedDict, total=False):
    Name: str
    Driver: str
    Mountpoint: str
    Labels: dict[str, str] | None
    Scope: str
    UsageData: dict[str, int] | None


class Network(TypedDict, total=False):
    Id: str
    Name: str
    Driver: str
    Scope: str
    EnableIPv4: bool
    EnableIPv6: bool
    Internal: bool
    Labels: dict[str, str] | None
    Created: str
