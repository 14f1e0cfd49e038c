"""What a new container cannot ask for: each refusal in the words that clients know."""

from __future__ import annotations

from typing import Any

import pytest

from boxship.container import checks
from boxship.errors import BoxshipError, NotSupported
from boxship.spec.engine.common import HealthConfig
from boxship.spec.engine.container import (
    ContainerConfig,
    DeviceRequest,
    EndpointSettings,
    HostConfig,
    HostConfigUlimitsItem,
    PortBinding,
    RestartPolicy,
)
from boxship.spec.platform import Platform

HOST = Platform("linux", "amd64")


def restart(name: str, count: int = 0) -> dict[str, Any]:
    return {"restart_policy": RestartPolicy(name=name, maximum_retry_count=count)}


def limit(name: str, soft: int, hard: int) -> dict[str, Any]:
    return {"ulimits": [HostConfigUlimitsItem(name=name, soft=soft, hard=hard)]}


def published(port: str, host_port: str = "", host_ip: str = "") -> dict[str, Any]:
    return {"port_bindings": {port: [PortBinding(host_ip=host_ip, host_port=host_port)]}}


@pytest.mark.parametrize(
    ("config", "said"),
    [
        ({"cmd": None}, "no command specified"),
        ({"env": ["=x"]}, "invalid environment variable: =x"),
        ({"env": [""]}, "invalid environment variable: "),
        ({"env": ["A=\0"]}, "invalid environment variable: A=\0"),
        ({"cmd": ["a\0b"]}, "an argument of the command contains a NUL byte"),
        ({"hostname": "h" * 64}, "is too long (maximum 63 bytes)"),
        ({"hostname": "ä" * 32}, "is too long (maximum 63 bytes)"),
        ({"stop_signal": "SIGNO"}, "invalid signal: SIGNO"),
        ({"stop_signal": "65"}, "the linux daemon does not support signal 65"),
        ({"exposed_ports": {"0/tcp": {}}}, 'invalid port specification: "0/tcp"'),
        ({"exposed_ports": {"80/http": {}}}, 'invalid port specification: "80/http"'),
        ({"exposed_ports": {"90-80": {}}}, 'invalid port specification: "90-80"'),
        ({"exposed_ports": {"65536": {}}}, 'invalid port specification: "65536"'),
        (
            {"healthcheck": HealthConfig(interval=5)},
            "Interval in Healthcheck cannot be less than 1ms",
        ),
        (
            {"healthcheck": HealthConfig(start_interval=-1)},
            "StartInterval in Healthcheck cannot be less than 1ms",
        ),
        ({"healthcheck": HealthConfig(retries=-1)}, "Retries in Healthcheck cannot be negative"),
        ({"healthcheck": HealthConfig(test=["RUN", "x"])}, "unknown type 'RUN' in Healthcheck"),
    ],
)
def test_programs(config: dict[str, Any], said: str) -> None:
    with pytest.raises(BoxshipError) as refusal:
        checks.check_config(ContainerConfig(**{"cmd": ["true"], **config}))
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("host", "said"),
    [
        (
            restart("sometimes"),
            "invalid restart policy: unknown policy 'sometimes'; use one of 'no', 'always', "
            "'on-failure', or 'unless-stopped'",
        ),
        (
            restart("always", 3),
            "invalid restart policy: maximum retry count can only be used with 'on-failure'",
        ),
        (
            restart("no", -1),
            "maximum retry count can only be used with 'on-failure' and cannot be negative",
        ),
        (
            restart("on-failure", -1),
            "invalid restart policy: maximum retry count cannot be negative",
        ),
        (
            {**restart("always"), "auto_remove": True},
            "can't create 'AutoRemove' container with restart policy",
        ),
        ({"cap_add": ["FLY"]}, 'invalid CapAdd: unknown capability: "CAP_FLY"'),
        ({"cap_drop": ["CAP_"]}, 'invalid CapDrop: unknown capability: "CAP_"'),
        ({"ipc_mode": "mine"}, "invalid IPC mode: mine"),
        ({"ipc_mode": "container:"}, "invalid IPC mode: container:"),
        ({"pid_mode": "private"}, "invalid PID mode: private"),
        ({"uts_mode": "container:x"}, "invalid UTS mode: container:x"),
        ({"cgroupns_mode": "own"}, "invalid cgroup namespace mode: own"),
        ({"userns_mode": "private"}, "invalid USER mode: private"),
        ({"shm_size": -1}, "SHM size can not be less than 0"),
        ({"oom_score_adj": 1001}, "Invalid value 1001, range for oom score adj is [-1000, 1000]"),
        ({"oom_score_adj": -1001}, "Invalid value -1001, range for oom score adj is"),
        ({"isolation": "hyperv"}, "invalid isolation 'hyperv' on linux"),
        (
            {"storage_opt": {"size": "10G"}},
            "--storage-opt is supported only for overlay over xfs with 'pquota' mount option",
        ),
        (
            {"device_requests": [DeviceRequest(driver="", capabilities=[["gpu"]])]},
            'could not select device driver "" with capabilities: [[gpu]]',
        ),
        (limit("files", 1, 2), "invalid ulimit type: files"),
        (
            limit("nofile", 3, 2),
            "ulimit soft limit must be less than or equal to hard limit: 3 > 2",
        ),
        (limit("nofile", -1, 2), "ulimit soft limit must be less than or equal to hard limit"),
        (
            {"sysctls": {"vm.swappiness": "1"}},
            "sysctl 'vm.swappiness' is not in a separate kernel namespace",
        ),
        (
            {"sysctls": {"net.core.somaxconn": "1"}, "network_mode": "host"},
            "sysctl 'net.core.somaxconn' is not allowed in the hosts network namespace",
        ),
        (
            {"sysctls": {"kernel.shmmax": "1"}, "ipc_mode": "host"},
            "sysctl 'kernel.shmmax' is not allowed in the hosts ipc namespace",
        ),
        (
            {"sysctls": {"kernel.hostname": "x"}, "uts_mode": "host"},
            "sysctl 'kernel.hostname' is not in a separate kernel namespace",
        ),
        (published("80/tcp", "65536"), 'invalid port specification: "65536"'),
        (published("80/tcp", "0000080123"), 'invalid port specification: "0000080123"'),
        (published("80/tcp", "8000-x"), 'invalid port specification: "8000-x"'),
        (published("80/tcp", "-1"), 'invalid port specification: "-1"'),
        (published("80/tcp", "8010-8000"), 'invalid port specification: "8010-8000"'),
        (published("80-81/tcp", "80"), 'invalid port specification: "80-81/tcp"'),
        ({"annotations": {"": "x"}}, "the empty string is not permitted as an annotation key"),
        ({"console_size": [5]}, "ConsoleSize must be a height and a width"),
        ({"console_size": [-1, 5]}, "ConsoleSize must be a height and a width"),
        ({"security_opt": ["unknown"]}, 'invalid --security-opt 1: "unknown"'),
        (published("x/tcp"), 'invalid port specification: "x/tcp"'),
        (published("80/tcp", "80", "1.2.3"), 'invalid IP address: "1.2.3"'),
        ({"extra_hosts": ["name"]}, 'bad format for add-host: "name"'),
        ({"extra_hosts": ["name:1.2.3"]}, 'invalid IP address in add-host: "1.2.3"'),
        ({"security_opt": ["no-new-privileges=maybe"]}, "invalid --security-opt 2"),
        ({"security_opt": ["seccomp={"]}, "Decoding seccomp profile failed"),
        ({"security_opt": ["unknown=1"]}, 'invalid --security-opt 2: "unknown=1"'),
        ({"security_opt": ["systempaths=confined"]}, "invalid --security-opt 2"),
    ],
)
def test_the_hosts_side(host: dict[str, Any], said: str) -> None:
    with pytest.raises(BoxshipError) as refusal:
        checks.check_host_config(HostConfig(**host))
    assert said in str(refusal.value)


@pytest.mark.parametrize("option", ["apparmor=docker-default", "label=type:x"])
def test_what_the_kernel_has_not_is_said_to_be_missing(option: str) -> None:
    with pytest.raises(NotSupported):
        checks.check_host_config(HostConfig(security_opt=[option]))


@pytest.mark.parametrize(
    "host",
    [
        {},
        restart("on-failure", 5),
        {"cap_add": ["ALL", "net_admin", "CAP_SYS_TIME"], "cap_drop": ["all"]},
        {"ipc_mode": "container:x", "pid_mode": "container:x", "uts_mode": "host"},
        limit("nofile", 1, -1),
        limit("nofile", -1, -1),
        {"sysctls": {"net.ipv4.ip_forward": "1", "kernel.msgmax": "1", "fs.mqueue.msg_max": "5"}},
        published("80/tcp", "8080-8090", "127.0.0.1"),
        published("80/sctp", "", "[::1]"),
        {"extra_hosts": ["a:1.2.3.4", "b:host-gateway", "c:::1", "d:[::1]"]},
        {"security_opt": ["no-new-privileges", "seccomp=unconfined", "label=disable"]},
    ],
)
def test_what_makes_sense(host: dict[str, Any]) -> None:
    checks.check_host_config(HostConfig(**host))


@pytest.mark.parametrize(
    ("config", "host", "said"),
    [
        (
            {}, {"network_mode": "container:x", "links": ["y"]},
            "conflicting options: container type network can't be used with links. "
            "This would result in undefined behavior",
        ),
        (
            {}, {"network_mode": "host", "links": ["y"]},
            "conflicting options: host type networking can't be used with links. "
            "This would result in undefined behavior",
        ),
        ({}, {"network_mode": "container:"}, "invalid container format container:<name|id>"),
        (
            {"hostname": "h"}, {"uts_mode": "host"},
            "conflicting options: hostname and the UTS mode",
        ),
        (
            {"hostname": "h"}, {"network_mode": "container:x"},
            "conflicting options: hostname and the network mode",
        ),
        (
            {}, {"network_mode": "container:x", "dns": ["1.1.1.1"]},
            "conflicting options: dns and the network mode",
        ),
        (
            {}, {"network_mode": "container:x", "extra_hosts": ["a:1.1.1.1"]},
            "conflicting options: custom host-to-IP mapping and the network mode",
        ),
        (
            {}, {"network_mode": "container:x", "publish_all_ports": True},
            "conflicting options: port publishing and the container type network mode",
        ),
        (
            {"exposed_ports": {"80": {}}}, {"network_mode": "container:x"},
            "conflicting options: port exposing and the container type network mode",
        ),
    ],
)  # fmt: skip
def test_what_does_not_go_together(config: dict[str, Any], host: dict[str, Any], said: str) -> None:
    with pytest.raises(BoxshipError) as refusal:
        checks.check_network(ContainerConfig(**config), HostConfig(**host), {})
    assert said in str(refusal.value)


def test_a_mac_address_belongs_to_a_network_of_ones_own() -> None:
    endpoints = {"x": EndpointSettings(mac_address="02:00:00:00:00:01")}
    with pytest.raises(BoxshipError, match="conflicting options: mac-address and the network mode"):
        checks.check_network(ContainerConfig(), HostConfig(network_mode="container:x"), endpoints)


def test_an_image_for_another_machine_is_warned_of() -> None:
    assert checks.other_platform(HOST, HOST) == []
    (said,) = checks.other_platform(Platform("linux", "arm64"), HOST)
    assert said == (
        "The requested image's platform (linux/arm64) does not match the detected host platform "
        "(linux/amd64) and no specific platform was requested"
    )
