"""The one worker that there is, as clients and frontends are told of it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Final

from boxship.build.control import llbwriting
from boxship.build.running.devices import is_free
from boxship.runtime.cdi import Devices
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.platform import Platform

PACKAGE: Final = "github.com/moby/buildkit"
VERSION: Final = "v0.23.2-moby"  # the protocol's, as clients compare it
SNAPSHOTTER: Final = "org.mobyproject.buildkit.worker.snapshotter"
EXECUTOR: Final = "org.mobyproject.buildkit.worker.executor"
HOSTNAME: Final = "org.mobyproject.buildkit.worker.hostname"


class Worker:
    """What does the building."""

    def __init__(
        self,
        platforms: Sequence[Platform],
        *,
        id: str,
        hostname: str,
        driver: str,
        devices: Devices,
    ) -> None:
        self._devices = devices
        self._known = pb.Worker(
            id=id,
            labels={EXECUTOR: "native", HOSTNAME: hostname, SNAPSHOTTER: driver},
            platforms=[llbwriting.platform_message(platform) for platform in platforms],
            version=version(),
        )

    async def known(self) -> pb.Worker:
        """Return what is told of it, with the devices that the host offers now."""
        worker = pb.Worker()
        worker.CopyFrom(self._known)
        for found in (await asyncio.to_thread(self._devices.all)).values():
            worker.devices.add(
                name=found.name,
                auto_allow=is_free(found),
                annotations=dict(found.annotations),
            )
        return worker


def version() -> pb.Version:
    """Return the version that clients compare."""
    return pb.Version(package=PACKAGE, version=VERSION, revision="", dockerfile_version="1.17.0")
