"""SEC-27: what a container gets by default, as a file that a reviewer reads.

Whoever changes a default changes the file with it: TEST_GOLDEN=write writes it.
"""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import msgspec
import pytest

from boxship.container import bundle, defaults
from boxship.container.bundle import Host, Setting
from boxship.container.defaults import Defaults
from boxship.container.record import Container
from boxship.container.users import Identity
from boxship.kernel import capabilities
from boxship.model.ids import ContainerId
from boxship.spec.engine.container import ContainerConfig, HostConfig

GOLDEN = Path(__file__).resolve().parents[2] / "golden"
HOST = Host(
    kernel=(6, 1),
    machine="x86_64",
    capabilities=frozenset(capabilities.NAMES[:41]),
    unified_cgroups=True,
)
WISHES: dict[str, dict[str, Any]] = {
    "default": {},
    "as-a-user": {},
    "without-capabilities": {"cap_drop": ["ALL"], "security_opt": ["no-new-privileges"]},
    "read-only": {"readonly_rootfs": True},
    "of-the-host": {
        "network_mode": "host", "pid_mode": "host", "ipc_mode": "host", "uts_mode": "host",
        "cgroupns_mode": "host",
    },
}  # fmt: skip


def spec(name: str) -> dict[str, Any]:
    """Return the container's config.json, the filter as its digest."""
    config = ContainerConfig(cmd=["true"], hostname="golden")
    host = HostConfig(**WISHES[name])
    settings = Defaults(cgroupns_mode="private")
    defaults.fill_host_config(host, settings)
    record = Container(
        id=ContainerId("0" * 64), name="golden", created=0, image="", config=config,
        host_config=host,
    )  # fmt: skip
    who = (
        Identity(1000, 1000, (1000,), "/") if name == "as-a-user" else Identity(0, 0, (0,), "/root")
    )
    setting = Setting(
        folder="/bundle", files="/bundle", identity=who, private_network=host.network_mode != "host"
    )
    found: dict[str, Any] = json.loads(
        msgspec.json.encode(bundle.spec(record, setting, HOST, settings))
    )
    profile = json.dumps(found["linux"]["seccomp"], sort_keys=True).encode()
    found["linux"]["seccomp"] = f"sha256:{hashlib.sha256(profile).hexdigest()}"
    return found


@pytest.mark.parametrize("name", WISHES)
def test_a_containers_privileges_are_those_on_file(name: str) -> None:
    path = GOLDEN / "containers" / f"{name}.json"
    text = json.dumps(spec(name), indent=1, sort_keys=True) + "\n"
    if os.environ.get("TEST_GOLDEN") == "write":
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    assert text == path.read_text()
