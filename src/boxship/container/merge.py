"""A container's config: what was asked for over what the image says."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

import msgspec

from boxship.errors import InvalidRequest
from boxship.spec.engine.common import HealthConfig
from boxship.spec.engine.container import ContainerConfig
from boxship.spec.engine.image import ImageConfig


def merged(asked: ContainerConfig, image: ImageConfig) -> ContainerConfig:
    """Return `asked` with what it leaves open taken from the image.

    An entrypoint that was given drops the image's command with the image's entrypoint; the
    entrypoint `[""]` asks for none at all.
    """
    config = msgspec.structs.replace(asked)
    config.user = config.user or image.user
    config.exposed_ports = {**(image.exposed_ports or {}), **(config.exposed_ports or {})} or None
    config.env = list(_environment(image.env or (), config.env or ()))
    config.labels = {**(image.labels or {}), **(config.labels or {})}
    if not config.entrypoint:
        if not config.cmd:
            config.cmd = image.cmd
            config.args_escaped = image.args_escaped
        if config.entrypoint is None:
            config.entrypoint = image.entrypoint
    elif config.entrypoint == [""]:
        config.entrypoint = None
    config.healthcheck = _healthcheck(config.healthcheck, image.healthcheck)
    config.working_dir = config.working_dir or image.working_dir
    config.volumes = {**(image.volumes or {}), **(config.volumes or {})} or None
    config.stop_signal = config.stop_signal or image.stop_signal
    config.shell = config.shell or image.shell
    config.on_build = config.on_build or image.on_build
    if config.working_dir:
        if not config.working_dir.startswith("/"):
            raise InvalidRequest(
                f"the working directory '{config.working_dir}' is invalid, it needs to be an "
                "absolute path"
            )
        config.working_dir = posixpath.normpath(config.working_dir)
    return config


def _environment(image: Iterable[str], asked: Iterable[str]) -> Iterable[str]:
    asked = list(asked)
    names = {line.partition("=")[0] for line in asked}
    yield from (line for line in image if line.partition("=")[0] not in names)
    yield from asked


def _healthcheck(asked: HealthConfig | None, image: HealthConfig | None) -> HealthConfig | None:
    if asked is None or image is None:
        return asked or image
    if not asked.test:
        asked = msgspec.structs.replace(asked, test=image.test)
    return HealthConfig(
        test=asked.test,
        interval=asked.interval or image.interval,
        timeout=asked.timeout or image.timeout,
        start_period=asked.start_period or image.start_period,
        start_interval=asked.start_interval or image.start_interval,
        retries=asked.retries or image.retries,
    )
