"""Engine API documents that only travel to the engine: what requests about containers carry.

A command may be one word instead of a list of words, as in the published API.
"""

from __future__ import annotations

from msgspec import field

from boxship.spec.engine.container import (
    ContainerConfig,
    HostConfig,
    NetworkingConfig,
    Resources,
    RestartPolicy,
)
from boxship.spec.engine.document import Document

Words = list[str] | str | None


class ContainerCreateRequest(ContainerConfig):
    """Body of `POST /containers/create`."""

    cmd: Words = field(default=None, name="Cmd")  # type: ignore[assignment]
    entrypoint: Words = field(default=None, name="Entrypoint")  # type: ignore[assignment]
    shell: Words = field(default=None, name="Shell")  # type: ignore[assignment]
    mac_address: str | None = field(default=None, name="MacAddress")
    host_config: HostConfig | None = field(default=None, name="HostConfig")
    networking_config: NetworkingConfig | None = field(default=None, name="NetworkingConfig")


class ContainerUpdateRequest(Resources):
    """Body of `POST /containers/{id}/update`."""

    restart_policy: RestartPolicy | None = field(default=None, name="RestartPolicy")


class ExecConfig(Document):
    """Body of `POST /containers/{id}/exec`."""

    attach_stdin: bool | None = field(default=None, name="AttachStdin")
    attach_stdout: bool | None = field(default=None, name="AttachStdout")
    attach_stderr: bool | None = field(default=None, name="AttachStderr")
    console_size: list[int] | None = field(default=None, name="ConsoleSize")
    detach_keys: str | None = field(default=None, name="DetachKeys")
    tty: bool | None = field(default=None, name="Tty")
    env: list[str] | None = field(default=None, name="Env")
    cmd: Words = field(default=None, name="Cmd")
    privileged: bool | None = field(default=None, name="Privileged")
    user: str | None = field(default=None, name="User")
    working_dir: str | None = field(default=None, name="WorkingDir")


class ExecStartConfig(Document):
    """Body of `POST /exec/{id}/start`."""

    detach: bool | None = field(default=None, name="Detach")
    tty: bool | None = field(default=None, name="Tty")
    console_size: list[int] | None = field(default=None, name="ConsoleSize")
