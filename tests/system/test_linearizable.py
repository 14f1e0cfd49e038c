"""R4.3: sixteen clients do what they like to the same names; what they hear fits one story."""

from __future__ import annotations

import random
import time
from collections import defaultdict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.support.engine import Engine
from tests.support.history import Operation, unexplained
from tests.support.wire import Wire

pytestmark = [pytest.mark.root, pytest.mark.timeout(3000), pytest.mark.usefixtures("unharmed")]
CLIENTS = 16
NAMES = 6


Do = Callable[[Wire, str, str], str]


def container(client: Wire, name: str, what: str) -> str:
    """Do something to a container's name; return what the model is to explain."""
    match what:
        case "make":
            wanted = {"Image": "busybox", "Cmd": ["true"], "HostConfig": {"NetworkMode": "none"}}
            return named(client.ask("POST", f"/containers/create?name={name}", wanted), 201)
        case "remove":
            return str(client.ask("DELETE", f"/containers/{name}?force=1")[0])
        case _:
            return named(client.ask("GET", f"/containers/{name}/json"), 200)


def named(answer: tuple[int, object], good: int) -> str:
    """Return the ID in an answer, or its status."""
    status, told = answer
    return told["Id"] if status == good and isinstance(told, dict) else str(status)


def tag(client: Wire, name: str, what: str) -> str:
    """Do something to a tag, which may be set again and again."""
    match what:
        case "make":
            status, _ = client.ask("POST", f"/images/busybox/tag?repo=stories&tag={name}")
            return "there" if status == 201 else str(status)
        case "remove":
            return {200: "204"}.get(status := client.ask("DELETE", f"/images/stories:{name}")[0],
                                    str(status))  # fmt: skip
        case _:
            status, _ = client.ask("GET", f"/images/stories:{name}/json")
            return "there" if status == 200 else str(status)


def step(state: str, one: Operation) -> str | None:
    """The model of a name: the ID that has it, or nobody."""
    match one.what, one.answer:
        case "make", "409":
            return state or None
        case "make", "there":
            return "there"
        case "make", identifier:
            return None if state else identifier
        case "remove", "204":
            return "" if state else None
        case "remove", "404":
            return None if state else state
        case "remove", "409":
            return state  # somebody else is at it
        case "look", "404":
            return None if state else state
        case "look", identifier:
            return state if state == identifier else None
    return None


@pytest.mark.parametrize(
    ("do", "each"),
    [
        pytest.param(container, 15, id="containers"),
        pytest.param(tag, 40, id="tags"),
        pytest.param(container, 3_200, id="containers-many", marks=pytest.mark.slow),
        pytest.param(tag, 3_200, id="tags-many", marks=pytest.mark.slow),
    ],
)
def test_r4_3_every_answer_fits_one_story(engine: Engine, do: Do, each: int) -> None:
    histories: defaultdict[str, list[Operation]] = defaultdict(list)

    def run(number: int) -> list[tuple[str, Operation]]:
        pick, client = random.Random(number), Wire(engine)
        found = []
        for _ in range(each):
            name = f"story{pick.randrange(NAMES)}"
            what = pick.choice(["make", "make", "remove", "remove", "look", "look", "look"])
            begun = time.monotonic()
            answer = do(client, name, what)
            found.append((name, Operation(begun, time.monotonic(), what, answer)))
        client.close()
        return found

    with ThreadPoolExecutor(CLIENTS) as pool:
        for some in pool.map(run, range(CLIENTS)):
            for name, one in some:
                histories[name].append(one)
    client = Wire(engine)
    for name in histories:
        do(client, name, "remove")
    client.close()
    assert sum(map(len, histories.values())) == CLIENTS * each
    for history in histories.values():
        found = "\n".join(told(unexplained(history, "", step)))
        assert not found, found


def told(operations: list[Operation]) -> list[str]:
    return [
        f"{one.begun - operations[0].begun:.4f} {one.ended - operations[0].begun:.4f} "
        f"{one.what} {one.answer[:12]}"
        for one in operations
    ]
