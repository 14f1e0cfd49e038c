"""What the engine counts of itself, under dockerd's names, for Prometheus to collect.

It is served on an address of its own (`--metrics-addr`), at /metrics, and nothing else is there.
"""

from __future__ import annotations

import os
import platform
import resource
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from http import HTTPStatus
from typing import Final

from boxship.lib import metrics
from boxship.lib.metrics import Histogram, Metric, Sample
from boxship.transport.exchange import Exchange

NETWORK_ACTIONS: Final = ("allocate", "release")
ACTIONS: Final = ("changes", "commit", "create", "delete", "start")
# What a route counts as, once it has been answered without an error.
CONTAINER_ACTIONS: Final = {
    ("GET", "/containers/{id}/changes"): "changes",
    ("POST", "/commit"): "commit",
    ("POST", "/containers/create"): "create",
    ("DELETE", "/containers/{id...}"): "delete",
    ("POST", "/containers/{id}/start"): "start",
}
HOST_FUNCTIONS: Final = {("GET", "/info"): "system_info", ("GET", "/version"): "system_version"}
RUNNING: Final = ("running", "restarting")
PLAIN: Final = [("Content-Type", "text/plain; charset=utf-8")]


class Meter:
    """Counts what routes do, and how long it takes."""

    def __init__(self) -> None:
        self._actions = Histogram(
            "engine_daemon_container_actions_seconds",
            "The number of seconds it takes to process each container action",
            "action",
            ACTIONS,
        )
        self._functions = Histogram(
            "engine_daemon_host_info_functions_seconds",
            "The number of seconds it takes to call functions gathering info about the host",
            "function",
            tuple(HOST_FUNCTIONS.values()),
        )
        self.networks = Histogram(
            "engine_daemon_network_actions_seconds",
            "The number of seconds it takes to process each network action",
            "action",
            NETWORK_ACTIONS,
        )

    def note(self, method: str, template: str, seconds: float) -> None:
        """A route has been answered."""
        route = method, template
        if action := CONTAINER_ACTIONS.get(route):
            self._actions.note(action, seconds)
        elif function := HOST_FUNCTIONS.get(route):
            self._functions.note(function, seconds)

    def metrics(self) -> list[Metric]:
        return [self._actions, self._functions, self.networks]


class Told:
    """What the parts of the engine say of themselves when they are asked."""

    def __init__(
        self,
        *,
        states: Callable[[], Sequence[str]],
        about: Mapping[str, str],
        processors: int,
        memory: int,
        events: Callable[[], int],
        subscribers: Callable[[], int],
        probes: Callable[[], int],
        failed_probes: Callable[[], int],
        builds: Callable[[], int],
        failed_builds: Callable[[], Mapping[str, int]],
    ) -> None:
        """`about` are the labels of the metric that tells which engine this is."""
        engine = "engine_daemon_"
        self._states = states
        self.metrics: list[Metric] = [
            Metric(
                f"{engine}container_states_containers", "gauge",
                "The count of containers in various states", self._count_states,
            ),
            Metric(
                f"{engine}engine_info", "gauge",
                "The information related to the engine and the OS it is running on",
                lambda: [(about, 1)],
            ),
            metrics.gauge(
                f"{engine}engine_cpus_cpus",
                "The number of cpus that the host system of the engine has", lambda: processors,
            ),
            metrics.gauge(
                f"{engine}engine_memory_bytes",
                "The number of bytes of memory that the host system of the engine has",
                lambda: memory,
            ),
            metrics.counter(f"{engine}events_total", "The number of events logged", events),
            metrics.gauge(
                f"{engine}events_subscribers_total",
                "The number of current subscribers to events", subscribers,
            ),
            metrics.counter(
                "builder_builds_triggered_total", "Number of triggered image builds", builds
            ),
            Metric(
                "builder_builds_failed_total", "counter", "Number of failed image builds",
                lambda: [({"reason": why}, count) for why, count in failed_builds().items()],
            ),
            metrics.counter(
                f"{engine}health_checks_total", "The total number of health checks", probes
            ),
            metrics.counter(
                f"{engine}health_checks_failed_total",
                "The total number of failed health checks", failed_probes,
            ),
        ]  # fmt: skip

    def _count_states(self) -> Iterator[Sample]:
        found = Counter(self._states())
        running = sum(found[state] for state in RUNNING)
        yield {"state": "paused"}, found["paused"]
        yield {"state": "running"}, running
        yield {"state": "stopped"}, found.total() - running - found["paused"]


class Page:
    """Answers whoever collects; `answer` is what a server calls."""

    def __init__(self, *sources: Sequence[Metric]) -> None:
        self._metrics = [*(metric for source in sources for metric in source), *of_process()]

    async def answer(self, exchange: Exchange) -> None:
        """Answer one request."""
        path = exchange.head.target.partition(b"?")[0]
        if path != b"/metrics":
            exchange.respond(HTTPStatus.NOT_FOUND, PLAIN, b"404 page not found\n")
        elif exchange.head.method not in ("GET", "HEAD"):
            exchange.respond(HTTPStatus.METHOD_NOT_ALLOWED, PLAIN, b"Method Not Allowed\n")
        else:
            headers = [("Content-Type", metrics.CONTENT_TYPE)]
            exchange.respond(HTTPStatus.OK, headers, metrics.page(self._metrics))


def of_process() -> list[Metric]:
    """Return what any process can say of itself."""
    page_size = resource.getpagesize()
    started = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME) + _start_after_boot()
    version = {"implementation": "CPython", "version": platform.python_version()}
    return [
        metrics.counter(
            "process_cpu_seconds_total", "Total user and system CPU time spent in seconds.",
            time.process_time,
        ),
        metrics.gauge(
            "process_open_fds", "Number of open file descriptors.",
            lambda: len(os.listdir("/proc/self/fd")) - 1,
        ),
        metrics.gauge(
            "process_max_fds", "Maximum number of open file descriptors.",
            lambda: resource.getrlimit(resource.RLIMIT_NOFILE)[0],
        ),
        metrics.gauge(
            "process_resident_memory_bytes", "Resident memory size in bytes.",
            lambda: _pages()[1] * page_size,
        ),
        metrics.gauge(
            "process_virtual_memory_bytes", "Virtual memory size in bytes.",
            lambda: _pages()[0] * page_size,
        ),
        metrics.gauge(
            "process_start_time_seconds",
            "Start time of the process since unix epoch in seconds.", lambda: started,
        ),
        Metric("python_info", "gauge", "The interpreter.", lambda: [(version, 1)]),
    ]  # fmt: skip


def _pages() -> list[int]:
    with open("/proc/self/statm", encoding="ascii") as file:
        return [int(word) for word in file.read().split()]


def _start_after_boot() -> float:
    with open("/proc/self/stat", "rb") as file:
        ticks = int(file.read().rpartition(b")")[2].split()[19])
    return ticks / os.sysconf("SC_CLK_TCK")
