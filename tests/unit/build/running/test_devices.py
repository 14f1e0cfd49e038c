"""Which devices a process of a build is given, and in whose words others are refused."""

from __future__ import annotations

import pytest

from boxship.build.dockerfile import devices as flags
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.errors import NoSuchDevice, NotConsented
from boxship.build.ops import Device
from boxship.build.running.devices import AUTO_ALLOW, CLASS, allowed
from boxship.runtime.cdi import Found

KIND = "vendor.com/thing"
OFFERED = {
    one.name: one
    for one in (
        Found(f"{KIND}=a", {CLASS: "fast"}, ()),
        Found(f"{KIND}=b", {CLASS: "fast"}, ()),
        Found(f"{KIND}=c", {AUTO_ALLOW: "true"}, ()),
    )
}


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        (f"{KIND}=b", ["b"]),
        (KIND, ["a"]),
        (f"{KIND}=*", ["a", "b", "c"]),
        (f"{KIND}=fast", ["a", "b"]),
    ],
)
def test_a_name_may_mean_one_device_or_several(asked: str, found: list[str]) -> None:
    assert allowed([Device(asked)], OFFERED, {"device"}) == tuple(f"{KIND}={n}" for n in found)


def test_a_device_that_is_needed_must_be_there() -> None:
    with pytest.raises(NoSuchDevice, match=r'required device "vendor.com/thing=x" is not reg'):
        allowed([Device(f"{KIND}=x")], OFFERED, {"device"})
    with pytest.raises(NoSuchDevice, match='invalid device "thing"'):
        allowed([Device("thing", optional=True)], OFFERED, {"device"})
    assert allowed([Device(f"{KIND}=x", optional=True)], OFFERED, ()) == ()


def test_a_device_needs_consent_unless_it_says_otherwise() -> None:
    assert allowed([Device(f"{KIND}=c")], OFFERED, ()) == (f"{KIND}=c",)
    with pytest.raises(NotConsented, match=r"^device .*=a is requested by the build but not allow"):
        allowed([Device(f"{KIND}=a")], OFFERED, {"network.host"})
    with pytest.raises(NotConsented, match=r"^devices .*=a, .*=b are requested by the build but"):
        allowed([Device(f"{KIND}=*")], OFFERED, ())
    assert allowed([Device(f"{KIND}=a")], OFFERED, {f"device={KIND}=a"}) == (f"{KIND}=a",)
    assert len(allowed([Device(f"{KIND}=*")], OFFERED, {f"device={KIND}"})) == 3
    renamed = {f"device={KIND}=b,alias=other.com/dev=1"}
    assert allowed([Device("other.com/dev=1")], OFFERED, renamed) == (f"{KIND}=b",)


@pytest.mark.parametrize(
    ("text", "device"),
    [
        ("a.b/c=d", Device("a.b/c=d", optional=True)),
        ("a.b/c", Device("a.b/c", optional=True)),
        ("a.b/c=d,required", Device("a.b/c=d")),
        ("name=a.b/c=d,required=true", Device("a.b/c=d")),
        ("required=false,name=a.b/c=*", Device("a.b/c=*", optional=True)),
    ],
)
def test_the_flag_is_read(text: str, device: Device) -> None:
    assert flags.parse(text, str) == device


@pytest.mark.parametrize("text", ["", "required", "a.b/c,other=1", "a.b/c,required=2", '"'])
def test_a_flag_that_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(DockerfileError):
        flags.parse(text, str)
