"""A server from its configuration: the parts, what runs beside them, and the end of it."""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import signal
import socket
import ssl
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from contextlib import AsyncExitStack
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

from boxship.distribution.settings import Proxies
from boxship.registry import accesslog, control, listeners
from boxship.registry.auth import choose as ways
from boxship.registry.config import Config
from boxship.registry.events import Event
from boxship.registry.health import Checks
from boxship.registry.http.answer import Answers
from boxship.registry.http.call import Reply, reply_json
from boxship.registry.http.target import Place, Target
from boxship.registry.manifests import Rules
from boxship.registry.metrics import Metrics
from boxship.registry.notify import Notifier
from boxship.registry.proxy.upstreams import read as read_upstreams
from boxship.registry.retention import check_rules
from boxship.registry.service import Policy, Service
from boxship.registry.storage import choose
from boxship.registry.upkeep import Chore, Upkeep
from boxship.spec.product import VERSION
from boxship.transport.exchange import Exchange
from boxship.transport.server import Server

if TYPE_CHECKING:
    from boxship.registry.proxy.through import PullThrough

log = logging.getLogger(__name__)

Job = Callable[[], Coroutine[Any, Any, None]]
EVICTION: Final = 900.0  # seconds between looks at a cache
LAST_EVENTS: Final = 5.0  # seconds for what has happened to be told at the end


@dataclass(frozen=True, slots=True)
class Surroundings:
    """Where a server runs: the local folder of its storage, and the way out."""

    folder: str
    proxies: Proxies


@dataclass(frozen=True, slots=True)
class Bound:
    """The sockets of a server."""

    main: socket.socket
    tls: ssl.SSLContext | None
    debug: socket.socket | None


def policy_of(config: Config) -> Policy:
    """Return what the owner allows."""
    validation = config.validation
    checked = validation.enabled and not validation.disabled
    rules = Rules(
        blobs=checked,
        children=checked and validation.manifests.indexes.platforms != "none",
        platforms=frozenset(
            (one.os, one.architecture) for one in validation.manifests.indexes.platformlist
        )
        if validation.manifests.indexes.platforms == "list"
        else None,
        urls_allowed=tuple(validation.manifests.urls.allow),
        urls_denied=tuple(validation.manifests.urls.deny),
    )
    return Policy(
        read_only=config.storage.maintenance.readonly.enabled,
        delete=config.storage.delete.enabled,
        redirect=not config.storage.redirect.disable,
        most_names=config.catalog.maxentries,
        most_tags=config.tags.maxtags,
        prefix=config.http.prefix.rstrip("/"),
        host=config.http.host.rstrip("/"),
        rules=rules,
    )


def open_service(config: Config, folder: str) -> Service:
    """Return the registry itself, without anything that serves it."""
    return Service(choose.storage(config.storage, folder), policy_of(config))


class App:
    """One running server."""

    def __init__(
        self, config: Config, surroundings: Surroundings, bound: Bound, lines: accesslog.Lines
    ) -> None:
        folder = surroundings.folder
        self._config = config
        self._proxies = surroundings.proxies
        self._bound = bound
        self._metrics = Metrics()
        self._folder = folder
        self._service = open_service(config, folder)
        self._upkeep = Upkeep(self._service, config)
        self._chores = asyncio.Lock()
        self._checks = Checks(config.health, self._service.storage)
        self._access = ways.choose(config, folder)
        write = None if config.log.accesslog.disabled else _write_line
        journal = accesslog.Journal(lines, write, self._metrics)
        answers = Answers(self._service, self._access.authority, self._extra, journal)
        self._server = Server(answers.answer, listeners.headers_of(config.http))
        self._debug = Server(self._answer_debug)
        self._upstreams = read_upstreams(config.proxy)
        self._notifiers = self._make_notifiers()
        check_rules(config.retention.rules)
        self._declare()

    async def run(self, ending: asyncio.Event) -> None:
        """Serve until the event is set, then end what is being done, and what has been told."""
        async with AsyncExitStack() as undo:
            tasks = await undo.enter_async_context(asyncio.TaskGroup())
            running = [
                tasks.create_task(job(), name=name) for name, job in self._background().items()
            ]
            await undo.enter_async_context(control.listen(self._folder, self.chore))
            if list(self._upstreams):
                undo.push_async_callback(self._pull_through().close)
            await self._server.listen(self._bound.main, self._bound.tls)
            if self._bound.debug is not None:
                await self._debug.listen(self._bound.debug)
            log.info("the registry listens on %s", _shown(self._bound.main))
            await ending.wait()
            log.info("the registry stops")
            self._checks.stopping = True
            await self._server.stop(self._config.http.draintimeout)
            await self._debug.stop(1.0)
            for notifier in self._notifiers:
                await notifier.flush(LAST_EVENTS)
            for task in running:
                task.cancel()

    async def chore(self, chore: Chore) -> AsyncIterator[str]:
        """Do a chore beside serving; one at a time."""
        async with self._chores:
            lines = await asyncio.to_thread(self._upkeep.run, chore)
            while (line := await asyncio.to_thread(next, lines, None)) is not None:
                yield line

    def reload(self) -> None:
        """Take a renewed certificate; users and rules of files are read as they change anyway."""
        if self._bound.tls is not None:
            listeners.load_certificate(self._bound.tls, self._config.http.tls)
            log.info("the certificate has been read again")

    # Beside the distribution protocol

    async def _extra(self, exchange: Exchange, target: Target) -> Reply | None:
        if self._access.issuer is not None and target.path == "/auth/token":
            return await self._access.issuer.answer(exchange, target)
        match target.path:
            case "/healthz":
                return Reply(HTTPStatus.OK, [("Content-Type", "text/plain")], b"ok\n")
            case "/readyz":
                return self._health()
        if self._bound.debug is None:
            return self._metrics_at(target)
        return None

    async def _answer_debug(self, exchange: Exchange) -> None:
        path = exchange.head.target.partition(b"?")[0].decode("latin-1")
        target = Target(path=path, place=Place.OTHER, name="", item="", query={})
        reply = self._health() if path in ("/debug/health", "/readyz") else None
        reply = reply or self._metrics_at(target) or Reply(HTTPStatus.NOT_FOUND)
        assert isinstance(reply.body, bytes)
        exchange.respond(reply.status, reply.headers, reply.body)

    def _health(self) -> Reply:
        problems = self._checks.problems()
        reply = reply_json(problems)
        status = HTTPStatus.SERVICE_UNAVAILABLE if problems else HTTPStatus.OK
        return Reply(status, reply.headers, reply.body)

    def _metrics_at(self, target: Target) -> Reply | None:
        section = self._config.http.debug.prometheus
        if not section.enabled or target.path != section.path:
            return None
        headers = [("Content-Type", "text/plain; version=0.0.4; charset=utf-8")]
        return Reply(HTTPStatus.OK, headers, self._metrics.render())

    # What runs beside the server

    def _background(self) -> dict[str, Job]:
        found: dict[str, Job] = {}
        for notifier in self._notifiers:
            found[f"notify {notifier.name}"] = notifier.run
        for check in self._checks.checks:
            found[f"check {check.name}"] = check.run
        purging = self._config.storage.maintenance.uploadpurging
        if purging.enabled and not self._config.storage.maintenance.readonly.enabled:
            found["purge"] = self._every(purging.interval, Chore("purge", purging.dryrun), now=True)
        if interval := self._config.retention.interval:
            found["retention"] = self._every(interval, Chore("retention"))
        if list(self._upstreams):
            found["evict"] = self._every(EVICTION, Chore("evict"))
        elif interval := self._config.storage.collection.interval:
            found["gc"] = self._every(interval, Chore("gc"))
        return found

    def _every(self, interval: float, chore: Chore, *, now: bool = False) -> Job:
        async def run() -> None:
            if not now:
                await asyncio.sleep(interval)
            while True:
                try:
                    async for line in self.chore(chore):
                        log.info("%s: %s", chore.kind, line)
                except Exception:
                    log.exception("%s has failed; it is tried again", chore.kind)
                self._metrics.count("registry_chores_total", kind=chore.kind)
                await asyncio.sleep(interval)

        return run

    def _pull_through(self) -> PullThrough:
        from boxship.registry.proxy.through import PullThrough

        service = self._service
        parts = (service.manifests, service.blobs, service.uploads)
        service.through = PullThrough(self._upstreams, parts, self._metrics, self._proxies)
        return service.through

    def _make_notifiers(self) -> list[Notifier]:
        section = self._config.notifications
        port = _shown(self._bound.main).rpartition(":")[2]
        instance = {"addr": f"{socket.gethostname()}:{port}", "instanceID": str(uuid.uuid4())}
        references = section.events.includereferences
        made = [
            Notifier(endpoint, instance, self._metrics, references)
            for endpoint in section.endpoints
            if not endpoint.disabled
        ]
        for notifier in made:
            self._service.events.add(notifier.tell)
        return made

    def _declare(self) -> None:
        metrics = self._metrics
        began = time.time()
        version = (("version", VERSION),)
        metrics.gauge("registry_build_info", "The program.", lambda: {version: 1})
        metrics.gauge("registry_start_time_seconds", "When it started.", lambda: {(): began})
        metrics.gauge(
            "registry_notifications_pending",
            "Events that wait to be sent.",
            lambda: {(("endpoint", one.name),): one.pending for one in self._notifiers},
        )
        metrics.gauge(
            "registry_uploads", "Blobs on their way.", lambda: {(): self._service.uploads.active}
        )
        metrics.declare("registry_events_total", "What has happened in the registry.")
        self._service.events.add(self._count)

    def _count(self, event: Event) -> None:
        self._metrics.count("registry_events_total", action=event.action)


def serve(config: Config, proxies: Proxies) -> None:
    """Run a server until a signal says stop."""
    lines = accesslog.set_up(config.log, config.loglevel)
    folder = choose.folder_of(config.storage)
    held = control.lock(folder)
    try:
        tls = listeners.tls_context(config.http.tls)
        debug = config.http.debug.addr
        bound = Bound(
            listeners.open_socket(config.http.net, config.http.addr),
            tls,
            listeners.open_socket("tcp", debug) if debug else None,
        )
        asyncio.run(_serve(config, Surroundings(folder, proxies), bound, lines))
    finally:
        os.close(held)
        if config.storage.inmemory is not None:
            shutil.rmtree(folder)


async def _serve(
    config: Config, surroundings: Surroundings, bound: Bound, lines: accesslog.Lines
) -> None:
    loop = asyncio.get_running_loop()
    loop.set_default_executor(ThreadPoolExecutor(_threads(config), "worker"))
    ending = asyncio.Event()
    app = App(config, surroundings, bound, lines)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ending.set)
    loop.add_signal_handler(signal.SIGHUP, app.reload)
    await app.run(ending)


def _shown(sock: socket.socket) -> str:
    """Return where a socket listens, as people write it."""
    name = sock.getsockname()
    if not isinstance(name, tuple):
        return str(name)
    return f"[{name[0]}]:{name[1]}" if ":" in name[0] else f"{name[0]}:{name[1]}"


def _threads(config: Config) -> int:
    section = config.storage.filesystem
    return max(8, section.maxthreads if section else 64)


def _write_line(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()
