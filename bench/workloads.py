"""The workloads of one container: starts, execs, lists and looks, by the API and by the client."""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Callable, Iterator, Sequence

from bench.api import Api
from bench.engines import IMAGE, Peer
from bench.measure import Effort, Row, Stage, alone, stopwatch

MOST_SECONDS = 120


def create(api: Api, *command: str, network: str = "none", **host: object) -> str:
    """Create a container and return its ID."""
    made = api.call(
        "POST",
        "/containers/create",
        {
            "Image": IMAGE,
            "Cmd": list(command),
            "HostConfig": {"NetworkMode": network, **host},
        },
    )
    return str(made["Id"])


def remove(api: Api, container: str) -> None:
    """Remove a container, running or not."""
    api.call("DELETE", f"/containers/{container}?force=1")


@contextlib.contextmanager
def running(peer: Peer, *command: str, **host: object) -> Iterator[tuple[Api, str]]:
    """Have a container that runs, and what to ask about it with."""
    api = peer.api()
    container = create(api, *(command or ("sleep", "3600")), **host)  # type: ignore[arg-type]
    try:
        api.call("POST", f"/containers/{container}/start")
        yield api, container
    finally:
        remove(api, container)


def client(peer: Peer, *words: str) -> tuple[float, str]:
    """Run the real client; return the milliseconds it took, and what it said."""
    command = peer.docker(*words)
    with stopwatch() as seconds:
        done = subprocess.run(
            command,
            check=True,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=MOST_SECONDS,
            text=True,
        )
        return seconds() * 1e3, done.stdout


def middle(count: int, what: Callable[[], object]) -> float:
    """Return the median of the seconds that something takes."""
    times = []
    for _ in range(count):
        with stopwatch() as seconds:
            what()
            times.append(seconds())
    return sorted(times)[count // 2]


def cli_run(network: str) -> Row:
    def work(peer: Peer) -> float:
        return client(peer, "run", "--rm", "--network", network, IMAGE, "true")[0]

    return Row(f"docker run --rm busybox true, {network}", "ms", work, rounds=15)


def cli_run_detached(peer: Peer) -> float:
    took, container = client(peer, "run", "-d", "--network", "bridge", IMAGE, "sleep", "3600")
    remove(peer.api(), container.strip())
    return took


def api_cycle(network: str) -> Stage:
    """A container's life, and the steps that it is made of."""
    whole = Row(f"API create + start + wait + remove, {network}", "ms", rounds=15)
    steps = [Row(f"of it {step}", "ms") for step in ("create", "start", "wait", "remove")]

    def work(peer: Peer) -> float:
        api = peer.api()
        with stopwatch() as seconds:
            container = create(api, "true", network=network)
            passed = [seconds()]
            for method, path in (("POST", "/start"), ("POST", "/wait"), ("DELETE", "")):
                api.call(method, f"/containers/{container}{path}")
                passed.append(seconds())
        for step, began, ended in zip(steps, [0.0, *passed], passed, strict=False):
            step.add(peer, (ended - began) * 1e3)
        return passed[-1] * 1e3

    def measure(peers: Sequence[Peer], effort: Effort) -> None:
        whole.work = work
        whole.take(peers, effort.most_rounds)
        for step in steps:
            for figures in step.figures.values():
                del figures[0]  # of the round that does not count

    return Stage([whole, *steps], measure)


def first_byte(peer: Peer) -> float:
    api = peer.api()
    with stopwatch() as seconds:
        container = create(api, "echo", "hello")
        taken, rest = api.upgrade(f"/containers/{container}/attach?stream=1&stdout=1")
        api.call("POST", f"/containers/{container}/start")
        if not rest:
            taken.recv(100)
        took = seconds() * 1e3
    taken.close()
    api.call("POST", f"/containers/{container}/wait")
    remove(api, container)
    return took


def exec_once(api: Api, container: str) -> float:
    """Run `true` in a container until the end of its output; return the milliseconds."""
    with stopwatch() as seconds:
        made = api.call(
            "POST",
            f"/containers/{container}/exec",
            {"Cmd": ["true"], "AttachStdout": True},
        )
        taken, _ = api.upgrade(f"/exec/{made['Id']}/start", {"Detach": False})
        while taken.recv(65536):
            pass
        took = seconds() * 1e3
    taken.close()
    return took


def api_exec(peer: Peer) -> float:
    with running(peer) as (api, container):
        times = sorted(exec_once(api, container) for _ in range(10))
        return times[len(times) // 2]


def cli_exec(peer: Peer) -> float:
    with running(peer) as (_, container):
        return client(peer, "exec", container, "true")[0]


def ping(peer: Peer) -> float:
    api = peer.api()
    return middle(300, lambda: api.call("GET", "/_ping")) * 1e6


def ping_fresh(peer: Peer) -> float:
    def once() -> None:
        api = peer.api()
        api.call("GET", "/_ping")
        api.close()

    return middle(100, once) * 1e6


def listing(peer: Peer) -> float:
    api = peer.api()
    return middle(20, lambda: api.call("GET", "/containers/json")) * 1e3


def cli_ps(peer: Peer) -> float:
    return client(peer, "ps")[0]


def inspect(peer: Peer) -> float:
    api = peer.api()
    container = create(api, "true")
    try:
        return middle(100, lambda: api.call("GET", f"/containers/{container}/json")) * 1e6
    finally:
        remove(api, container)


def inspect_image(peer: Peer) -> float:
    api = peer.api()
    return middle(100, lambda: api.call("GET", f"/images/{IMAGE}/json")) * 1e6


def cli_inspect(peer: Peer) -> float:
    api = peer.api()
    container = create(api, "true")
    try:
        return client(peer, "inspect", container)[0]
    finally:
        remove(api, container)


def stages() -> Iterator[Stage]:
    """Yield what is measured with one container at most."""
    yield alone(Row("API ps, none running", "ms", listing))
    yield alone(Row("docker ps, none running", "ms", cli_ps))
    yield alone(cli_run("bridge"))
    yield alone(cli_run("none"))
    yield alone(Row("docker run -d, bridge", "ms", cli_run_detached))
    yield api_cycle("bridge")
    yield api_cycle("none")
    yield alone(Row("API create + attach + start to first byte, none", "ms", first_byte))
    yield alone(Row("API exec true", "ms", api_exec, rounds=3))
    yield alone(Row("docker exec true", "ms", cli_exec))
    yield alone(Row("ping, one connection", "us", ping))
    yield alone(Row("ping, a fresh connection", "us", ping_fresh))
    yield alone(Row("API inspect container", "us", inspect))
    yield alone(Row("API inspect image", "us", inspect_image))
    yield alone(Row("docker inspect", "ms", cli_inspect))
