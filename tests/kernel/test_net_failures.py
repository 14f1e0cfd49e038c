"""Opening a sandbox takes several steps; each fails in turn, and nothing is left of it."""

from __future__ import annotations

import os
import time

import pytest
from tests.support.engine import PATIENCE
from tests.support.netns import in_new_host, run
from tests.support.networking import BRIDGE, engine_host

from boxship.kernel.netlink.sockets import Netlink
from boxship.network import opening, sandboxes
from boxship.network.files import SandboxFiles
from boxship.network.firewall import Firewall
from boxship.network.namespaces import Namespaces
from boxship.network.ports import HostPorts

pytestmark = pytest.mark.root

STEPS = [
    (HostPorts, "hold"),
    (Namespaces, "take"),
    (Netlink, "send"),
    (Firewall, "publish"),
    (SandboxFiles, "hosts"),
    (SandboxFiles, "resolv_conf"),
    (sandboxes, "encode"),
    (opening, "encode"),
]


def settled(host, descriptors):
    """Wait for what is done after an answer; return how many descriptors there are too many."""
    deadline = time.monotonic() + 30 * PATIENCE
    while True:
        host.idle(0.1)
        grown = max(0, len(os.listdir("/proc/self/fd")) - descriptors)
        if not (grown or host.networks.leaks()) or time.monotonic() > deadline:
            return grown


@pytest.mark.parametrize(
    ("where", "step"), STEPS, ids=lambda value: getattr(value, "__name__", value)
)
@pytest.mark.parametrize("nth", [0, 1, 2])
def test_a_failed_start_leaves_nothing(where, step, nth):
    def story():
        with engine_host() as host:
            asked = {"publish": {"80/tcp": [("", 8080), ("", 8081)], "53/udp": [("", 53)]}}
            host.start("first", **asked)
            host.stop("first")
            host.idle(0.1)
            descriptors = sorted(os.listdir("/proc/self/fd"))
            real, calls = getattr(where, step), iter(range(1000))

            def failing(*arguments, **named):
                if next(calls) == nth:
                    raise OSError("this step fails")
                return real(*arguments, **named)

            setattr(where, step, failing)
            try:
                host.start("second", **asked)
                failed = False
            except Exception:
                failed = True
            finally:
                setattr(where, step, real)
            if not failed:
                host.stop("second")
            grown = settled(host, len(descriptors))
            again = host.start("third", **asked).address
            settled(host, 1 << 20)
            return (
                grown,
                again,
                host.networks.leaks(),
                run(f"nft list map inet boxship_{BRIDGE} any4").count("172.17.0.2"),
            )

    assert in_new_host(story) == (0, "172.17.0.2", [], 3)
