"""`boxshipd`: reads its configuration, builds the engine, serves it, and takes it down again.

Containers run on when the daemon ends, however it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import resource
import signal
import sys
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack, ExitStack
from types import ModuleType
from typing import Any, Final

from boxship.api import app
from boxship.api.app import Api, common_headers
from boxship.daemon import config as configuration
from boxship.daemon import listeners, lock, notify, quiet, wiring
from boxship.daemon import logging as daemon_log
from boxship.daemon.config import BadUsage, Config
from boxship.daemon.reload import Reload
from boxship.daemon.usage import usage
from boxship.errors import BoxshipError
from boxship.kernel import processes
from boxship.shim import memory
from boxship.spec.product import NAME, VERSION
from boxship.transport.server import Server

log = logging.getLogger(__name__)

STOP_GRACE: Final = 5.0  # seconds for requests that are being answered
WORKERS: Final = 64  # threads for what blocks, made when they are needed
USAGE_ERROR: Final = 125


def main(words: Sequence[str] | None = None) -> int:
    """Run the daemon until it is told to stop; return its exit code."""
    try:
        flags = configuration.parse_flags(sys.argv[1:] if words is None else words)
    except BadUsage as error:
        print(f"{error}\nSee 'boxshipd --help'.", file=sys.stderr)
        return USAGE_ERROR
    if flags.get("help"):
        print(usage())
        return 0
    if flags.get("version"):
        print(f"{NAME} version {VERSION}")
        return 0
    try:
        config = configuration.load(flags, os.environ)
        if config.flag("validate"):
            print("configuration OK", file=sys.stderr)
            return 0
        daemon_log.set_up(config.log_level, config.text("log_format"))
        if os.geteuid():
            raise BadUsage("the daemon needs to be started with root privileges")
        with ExitStack() as undo:
            lock.write_pid(config.text("pidfile"), undo)
            lock.lock(config.data_root, undo)
            bound = listeners.open_all(config, os.environ, undo)
            asyncio.run(serve(config, flags, os.environ, bound))
    except BoxshipError as error:
        print(f"failed to start daemon: {error}", file=sys.stderr)
        return 1
    return 0


async def serve(
    config: Config,
    flags: Mapping[str, Any],
    environment: Mapping[str, str],
    bound: Sequence[listeners.Listener],
) -> None:
    """Build the engine, answer until a signal says stop, and take it down."""
    _raise_descriptor_limit()
    memory.keep_pieces()
    os.umask(0o022)
    ending = asyncio.Event()
    # Slow clients hold a thread each while they are waited for: they must not hold up the others.
    workers = ThreadPoolExecutor(WORKERS, "worker")
    asyncio.get_running_loop().set_default_executor(workers)
    async with AsyncExitStack() as undo:
        undo.callback(log.info, "the daemon has stopped; containers run on")
        folders = wiring.Folders(config.data_root, config.exec_root)
        engine = await wiring.build(config, folders, environment, undo)
        hosts = listeners.allowed_hosts(config)
        meter = await _metered(config, engine, undo)
        api = Api(
            route_modules(),
            engine.parts,
            oldest=config.oldest_version,
            hosts=hosts,
            meter=meter,
        )
        headers = common_headers(experimental=config.flag("experimental"))
        server = Server(api.answer, headers, http2=engine.doors.serve_grpc)
        undo.push_async_callback(server.stop, STOP_GRACE)
        _heed_signals(ending, Reload(config, flags, environment, engine.take_settings), engine)
        for listener in bound:
            await server.listen(listener.socket, listener.tls)
            log.info("API listens on %s", listener.name)
        engine.background.start(
            "start containers again", wiring.start_again(engine.containers, engine.to_start)
        )
        engine.background.start("give back memory", quiet.give_back())
        notify.tell(environment, "READY=1")
        log.info("ready %.2f s after its process began", processes.age())
        gc.collect()
        gc.freeze()
        memory.trim()
        await ending.wait()
        notify.tell(environment, "STOPPING=1")
        log.info("the daemon stops")


async def _metered(config: Config, engine: wiring.Engine, undo: AsyncExitStack) -> app.Meter | None:
    """Serve metrics where that is asked for; return what counts for them."""
    if not config.text("metrics_addr"):
        return None
    from boxship.api.metrics import Meter
    from boxship.daemon import metering

    meter = Meter()
    await metering.serve(config, engine, meter, undo)
    return meter


def route_modules() -> list[ModuleType]:
    """Return every module that has routes."""
    from boxship.api.routes import (
        archive,
        build,
        check,
        commit,
        containers,
        debug,
        diskusage,
        distribution,
        events,
        exec,
        images,
        networks,
        session,
        stats,
        swarm,
        system,
        transfer,
        volumes,
    )

    engine = [containers, exec, images, volumes, networks]
    engine += [stats, commit, archive, distribution, transfer]
    return [*engine, build, check, debug, diskusage, events, session, swarm, system]


def _heed_signals(ending: asyncio.Event, reload: Reload, engine: wiring.Engine) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    facts = engine.system.facts
    loop.add_signal_handler(signal.SIGHUP, reload.run, engine.journal, facts.id, facts.name)
    loop.add_signal_handler(signal.SIGUSR1, _dump_tasks)


def _dump_tasks() -> None:
    """Write where each task waits to the log."""
    for task in sorted(asyncio.all_tasks(), key=lambda one: one.get_name()):
        frames = task.get_stack(limit=4)
        where = " < ".join(
            f"{frame.f_code.co_qualname}:{frame.f_lineno}" for frame in reversed(frames)
        )
        log.info("task %s: %s", task.get_name(), where)


def _raise_descriptor_limit() -> None:
    """Let many clients and containers be served: the soft limit is for programs with select(2)."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


if __name__ == "__main__":
    sys.exit(main())
