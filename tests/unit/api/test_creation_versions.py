"""What a create request means depends on the version that its client speaks."""

from __future__ import annotations

from typing import Any

import pytest

from boxship.api.routes.containers import requested
from boxship.api.version import parse
from boxship.container.create import Asked
from boxship.errors import InvalidRequest
from boxship.spec.engine.common import HealthConfig, Mount
from boxship.spec.engine.common import MountBindOptions as BindOptions
from boxship.spec.engine.common import MountTmpfsOptions as TmpfsOptions
from boxship.spec.engine.common import MountVolumeOptions as VolumeOptions
from boxship.spec.engine.container import EndpointSettings, HostConfig, NetworkingConfig
from boxship.spec.engine.container_bodies import ContainerCreateRequest


def asked(version: str, **members: Any) -> Asked:
    mounts = [
        Mount(type="bind", source="/h", target="/b",
              bind_options=BindOptions(non_recursive=True, create_mountpoint=True)),
        Mount(type="volume", source="v", target="/v", volume_options=VolumeOptions(subpath="x")),
        Mount(type="tmpfs", target="/t", tmpfs_options=TmpfsOptions(options=[["uid", "1"]])),
    ]  # fmt: skip
    host = HostConfig(mounts=mounts, annotations={"a": "b"}, console_size=[1, 2])
    members.setdefault("host_config", host)
    body = ContainerCreateRequest(
        cmd="true", healthcheck=HealthConfig(start_interval=10**9), **members
    )
    return requested(body, "name", "", parse(version))


@pytest.mark.parametrize(
    ("since", "look"),
    [
        ("1.40", lambda one: one.host_config.mounts[0].bind_options.non_recursive),
        ("1.42", lambda one: one.host_config.mounts[0].bind_options.create_mountpoint),
        ("1.42", lambda one: one.host_config.console_size),
        ("1.43", lambda one: one.host_config.annotations),
        ("1.44", lambda one: one.config.healthcheck.start_interval),
        ("1.44", lambda one: not one.host_config.mounts[0].bind_options.read_only_non_recursive),
        ("1.45", lambda one: one.host_config.mounts[1].volume_options.subpath),
        ("1.46", lambda one: one.host_config.mounts[2].tmpfs_options.options),
    ],
)
def test_what_came_later_is_not_for_older_clients(since: str, look: Any) -> None:
    major, minor = since.split(".")
    for number in range(24, 57):
        assert bool(look(asked(f"{major}.{number}"))) is (number >= int(minor)), number


def test_old_clients_share_their_ipc_namespace_unless_they_say_otherwise() -> None:
    assert asked("1.39").host_config.ipc_mode == "shareable"
    assert asked("1.40").host_config.ipc_mode is None
    assert asked("1.24", host_config=HostConfig(ipc_mode="none")).host_config.ipc_mode == "none"


def test_image_mounts_are_refused_to_clients_that_do_not_know_them() -> None:
    host = HostConfig(mounts=[Mount(type="image", source="i", target="/i")])
    assert asked("1.48", host_config=host).host_config.mounts
    with pytest.raises(InvalidRequest, match=r"needs API v1\.48 or newer"):
        asked("1.47", host_config=host)


def test_several_networks_at_once_are_for_newer_clients() -> None:
    several = NetworkingConfig(endpoints_config={"b": EndpointSettings(), "a": None})
    assert set(asked("1.44", networking_config=several).endpoints) == {"a", "b"}
    with pytest.raises(InvalidRequest, match=r"multiple network endpoints: a, b"):
        asked("1.43", networking_config=several)


def test_one_word_is_a_command_of_one_word() -> None:
    assert asked("1.24").config.cmd == ["true"]


def test_a_mac_address_of_old_goes_to_the_network() -> None:
    found = asked("1.43", mac_address="02:00:00:00:00:01")
    assert found.endpoints["bridge"].mac_address == "02:00:00:00:00:01"


def test_nothing_is_not_enough() -> None:
    with pytest.raises(InvalidRequest, match="config cannot be empty"):
        requested(ContainerCreateRequest(), "", "", parse("1.51"))
