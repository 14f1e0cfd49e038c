"""RUN --device: a device of the host's is there while the step runs, with consent."""

from __future__ import annotations

import secrets
from pathlib import Path

from tests.support.buildkit import CONTROL, built, on_engine
from tests.support.engine import Engine

from boxship.spec.buildkit import control_pb2 as pb
from boxship.transport.http2 import Http2
from boxship.wire.grpc import Failed

USES = (
    "FROM busybox:latest\n"
    "RUN --device=vendor.com/thing=one,required head -c 3 /dev/thing | od -An -c && echo $THING\n"
    "RUN [ ! -e /dev/thing ]\n"
)


def build(engine: Engine, folder: Path, text: str, *consent: str) -> str:
    """Return what a build's steps have written, or how it failed."""
    (folder / "Dockerfile").write_text(text)
    found: list[str] = []

    async def story(client: Http2) -> None:
        ref = secrets.token_hex(8)
        try:
            told = await built(client, str(folder), ref, entitlements=consent)
        except Failed as failure:
            found.append(str(failure))
        else:
            found.append(b"".join(one.msg for one in told.logs).decode())

    on_engine(engine, story)
    return found[0]


def test_a_step_has_the_device_that_it_asks_for_and_may_have(
    offering: Engine, tmp_path: Path
) -> None:
    said = build(offering, tmp_path, USES, "device=vendor.com/thing=one")
    assert said.split() == [*["\\0"] * 3, "one"]
    assert offering.api().info()["DiscoveredDevices"] == [
        {"Source": "cdi", "ID": "vendor.com/thing=hooked"},
        {"Source": "cdi", "ID": "vendor.com/thing=one"},
    ]

    async def story(client: Http2) -> None:
        data = await client.ask(CONTROL + "ListWorkers", b"")
        (worker,) = pb.ListWorkersResponse.FromString(data).record
        assert [one.name for one in worker.devices] == [
            "vendor.com/thing=hooked",
            "vendor.com/thing=one",
        ]

    on_engine(offering, story)
    said = build(offering, tmp_path, USES)  # though the step's result is known
    assert "device vendor.com/thing=one is requested by the build but not allowed" in said
    none = "FROM busybox:latest\nRUN --device=vendor.com/other=x,required true\n"
    said = build(offering, tmp_path, none, "device")
    assert 'required device "vendor.com/other=x" is not registered' in said
    maybe = "FROM busybox:latest\nRUN --device=vendor.com/other=x echo without\n"
    assert build(offering, tmp_path, maybe) == "without\n"
    hooked = "FROM busybox:latest\nRUN --device=vendor.com/thing=hooked echo with\n"
    assert build(offering, tmp_path, hooked, "device") == "with\n"
    assert (tmp_path / "hook").exists()
