"""What the daemon tells of itself in debug mode; without it these pages are not there."""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
from http import HTTPStatus

from boxship.api.routing import Call, Reply, route
from boxship.errors import NotFound, NotSupported
from boxship.system.info import System


class NoPage(NotFound):
    """There is no such page."""

    def __init__(self) -> None:
        super().__init__("page not found")


@route("GET", "/debug/vars")
def vars(call: Call, system: System) -> Reply:
    """Tell what Go's expvar would of a daemon written in it, as far as there is the like."""
    _require_debug(system)
    shown = {
        "cmdline": sys.orig_argv,
        "threads": [thread.name for thread in threading.enumerate()],
        "tasks": sorted(task.get_name() for task in asyncio.all_tasks()),
        "memstats": {"Mallocs": sys.getallocatedblocks(), "NumGC": _collections()},
    }
    return Reply(HTTPStatus.OK, shown)


@route("GET", "/debug/pprof")
@route("GET", "/debug/pprof/{profile...}")
@route("POST", "/debug/pprof/{profile...}")
def pprof(call: Call, system: System) -> Reply:
    """Refuse: these are profiles of Go's runtime."""
    _require_debug(system)
    raise NotSupported(
        "this daemon is not written in Go and has no pprof profiles; "
        "SIGUSR1 writes where its tasks wait to its log"
    )


def _require_debug(system: System) -> None:
    if not system.settings.debug:
        raise NoPage


def _collections() -> int:
    return sum(generation["collections"] for generation in gc.get_stats())
