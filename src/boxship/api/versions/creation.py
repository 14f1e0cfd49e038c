"""What create requests of older clients mean: members that came later are not for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from boxship.api.version import ApiVersion, parse
from boxship.errors import InvalidRequest
from boxship.spec.engine.common import MountBindOptions
from boxship.spec.engine.container import ContainerConfig, HostConfig

Step = Callable[[ContainerConfig, HostConfig], None]


def take_down(config: ContainerConfig, host: HostConfig, version: ApiVersion) -> None:
    """Change a request, in place, to what the same words meant in an older version."""
    for newer, step in STEPS:
        if version < newer:
            step(config, host)


def _without_image_mounts(config: ContainerConfig, host: HostConfig) -> None:
    if any(mount.type == "image" for mount in host.mounts or ()):
        raise InvalidRequest('Mount type "Image" needs API v1.48 or newer')


def _without_tmpfs_options(config: ContainerConfig, host: HostConfig) -> None:
    for mount in host.mounts or ():
        if mount.tmpfs_options:
            mount.tmpfs_options.options = None


def _without_subpaths(config: ContainerConfig, host: HostConfig) -> None:
    for mount in host.mounts or ():
        if mount.volume_options:
            mount.volume_options.subpath = None


def _without_start_intervals(config: ContainerConfig, host: HostConfig) -> None:
    """Nor was anything read-only below the mount itself."""
    if config.healthcheck:
        config.healthcheck.start_interval = None
    for mount in host.mounts or ():
        if mount.type == "bind":
            options = mount.bind_options = mount.bind_options or MountBindOptions()
            options.read_only_non_recursive, options.read_only_force_recursive = True, False


def _without_annotations(config: ContainerConfig, host: HostConfig) -> None:
    host.annotations = None


def _without_console_size(config: ContainerConfig, host: HostConfig) -> None:
    host.console_size = None
    for mount in host.mounts or ():
        if mount.bind_options:
            mount.bind_options.create_mountpoint = None


def _with_shared_ipc(config: ContainerConfig, host: HostConfig) -> None:
    host.ipc_mode = host.ipc_mode or "shareable"
    for mount in host.mounts or ():
        if mount.bind_options:
            mount.bind_options.non_recursive = None


STEPS: Final[tuple[tuple[ApiVersion, Step], ...]] = (
    (parse("1.48"), _without_image_mounts),
    (parse("1.46"), _without_tmpfs_options),
    (parse("1.45"), _without_subpaths),
    (parse("1.44"), _without_start_intervals),
    (parse("1.43"), _without_annotations),
    (parse("1.42"), _without_console_size),
    (parse("1.40"), _with_shared_ipc),
)
