"""`--device vendor.com/class=name`: devices that the host offers by name (CDI)."""

from __future__ import annotations

import json
from pathlib import Path

from tests.support.engine import Engine
from tests.system.conftest import IMAGE

SEEN = "head -c 3 /dev/thing | od -An -c; echo $THING"


def test_a_container_has_the_devices_that_it_names(offering: Engine) -> None:
    words = ("run", "--rm", "--device", "vendor.com/thing=one", IMAGE, "sh", "-c", SEEN)
    assert offering.docker(*words).stdout.split() == [*["\\0"] * 3, "one"]
    assert offering.boxship(*words).stdout.split() == [*["\\0"] * 3, "one"]
    made = offering.docker("create", *words[2:]).stdout.strip()
    (request,) = json.loads(offering.docker("inspect", made).stdout)[0]["HostConfig"][
        "DeviceRequests"
    ]
    assert (request["Driver"], request["DeviceIDs"]) == ("cdi", ["vendor.com/thing=one"])
    offering.restart()
    assert offering.docker("start", "-a", made).stdout.split() == [*["\\0"] * 3, "one"]


def test_a_device_that_is_not_there_is_named(offering: Engine) -> None:
    words = ("run", "--device", "vendor.com/thing=two", IMAGE, "true")
    done = offering.docker(*words, check=False)
    assert done.returncode == 125
    assert "CDI device injection failed: unresolvable CDI devices vendor.com/thing=two" in (
        done.stderr
    )
    words = ("run", "--gpus", "all", IMAGE, "true")
    assert "could not select device driver" in offering.docker(*words, check=False).stderr


def test_hooks_of_a_device_are_run_by_the_host(offering: Engine, tmp_path: Path) -> None:
    """Also for a container that joins another's processes."""
    words = ("--device", "vendor.com/thing=hooked", IMAGE)
    assert offering.docker("run", "--rm", *words, "echo", "there").stdout == "there\n"
    told = json.loads((tmp_path / "hook").read_text())
    assert told["status"] == "creating"
    first = offering.docker("run", "-d", IMAGE, "sleep", "3600").stdout.strip()
    done = offering.docker("run", "--rm", "--pid", f"container:{first}", *words, "ps")
    assert "sleep 3600" in done.stdout
    assert json.loads((tmp_path / "hook").read_text())["id"] != told["id"]
