"""R4.2: each wait has a deadline, or this page says who ends it.

Looked at are the places where something is awaited that may never come: events, locks, queues,
futures, tasks, bytes of somebody else. What stands in a block with a timeout has a deadline. Of
calls to functions of ours, those functions are looked at.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

SOURCE = Path(__file__).resolve().parents[2] / "src/boxship"
WAITING = {
    "wait", "acquire", "get", "join", "recv", "accept", "sock_recv", "sock_accept", "sock_connect",
    "sock_sendall", "sock_recv_into", "wait_closed", "drain", "readline", "readexactly", "read",
    "connect", "communicate", "gather", "shield",
}  # fmt: skip
BOUNDED = {"timeout", "within"}
WITHOUT_DEADLINE = {
    "a task or thread of the same file, which ends with its work or its error": """
        api/buildkit.py api/progress.py build/cache/arrivals.py build/control/frontend.py
        build/control/frontendimages.py build/control/jobs.py build/control/processes.py
        build/control/solving.py build/control/stdio.py build/export/exporter.py
        build/running/container.py build/running/execution.py build/solver/keying.py
        build/solver/performing.py build/solver/shared.py build/solver/solver.py build/uploads.py
        client/builds.py cli/debugging/run.py container/archive.py container/background.py
        container/recovery.py container/starting.py daemon/wiring.py image/pull_layers.py
        image/sharing.py lib/finishing.py lib/threads.py registry/http/push.py
        registry/proxy/through.py transport/filesync/send.py transport/tunnel.py
        container/sampling.py container/probes.py""",
    "a lock, held for steps that end by themselves": """
        api/building.py build/cache/cache.py build/control/history.py build/dockerfile/bases.py
        build/export/caches.py container/turn.py image/push.py registry/app.py
        registry/auth/htpasswd.py registry/proxy/download.py shim/spawning.py""",
    "a client: the end of its connection, which cancels, or its next bytes": """
        api/app.py api/routing.py build/running/talk.py build/session/client.py events/journal.py
        container/attach.py logs/reader.py registry/control.py transport/connection.py
        transport/exchange.py transport/grpcstream.py transport/http2.py transport/aside.py
        lib/feed.py client/sshagents.py""",
    "whoever sits at the terminal: what is typed, or the end of the program that they run": """
        cli/debugging/console.py cli/debugging/monitor.py""",
    "a process that is killed by whoever stops waiting": """
        build/running/agent.py build/running/helpers.py build/running/runner.py container/top.py
        shim/client.py""",
    "the end of the daemon, or news for a watch that lasts as long": """
        daemon/main.py network/networks.py""",
    "an HTTP client that has its own deadlines": """
        registry/notify.py""",
    "a connection to a socket on this machine, made or refused at once; a function of ours": """
        daemon/joints.py api/routes/archive.py api/routes/containers.py api/routes/networks.py""",
}
KNOWN = {name: why for why, names in WITHOUT_DEADLINE.items() for name in names.split()}


def waits(node: ast.AST, guarded: bool = False) -> Iterator[tuple[int, str]]:
    """Yield the places that wait without a deadline."""
    match node:
        case ast.FunctionDef() | ast.AsyncFunctionDef():
            guarded = False
        case ast.AsyncWith():
            for item in node.items:
                context = item.context_expr
                if "timeout" in ast.unparse(context):
                    guarded = True
                elif isinstance(context, ast.Name | ast.Attribute) and not guarded:
                    yield node.lineno, f"async with {ast.unparse(context)}"
        case ast.Await(value=value) if not guarded:
            if may_wait(value):
                yield node.lineno, ast.unparse(value)
    for child in ast.iter_child_nodes(node):
        yield from waits(child, guarded)


def may_wait(value: ast.expr) -> bool:
    match value:
        case ast.Name() | ast.Attribute() | ast.Subscript():
            return True  # a future or a task
        case ast.Call(func=function, keywords=keywords):
            if any(word.arg in BOUNDED for word in keywords):
                return False
            name = function.attr if isinstance(function, ast.Attribute) else ""
            return name in WAITING
    return False


def test_each_wait_ends() -> None:
    found = {
        str(path.relative_to(SOURCE)): list(waits(ast.parse(path.read_bytes())))
        for path in SOURCE.rglob("*.py")
    }
    without = {name: places for name, places in found.items() if places}
    assert {name: places for name, places in without.items() if name not in KNOWN} == {}
    assert [name for name in KNOWN if name not in found] == []


def test_what_counts_as_a_wait() -> None:
    text = (
        "async def f():\n"
        "    await event.wait()\n"
        "    await asyncio.wait(tasks, timeout=3)\n"
        "    async with asyncio.timeout(1):\n"
        "        await queue.get()\n"
        "        async def g():\n"
        "            await queue.get()\n"
        "    async with lock: await task\n"
        "    await ours(1)\n"
    )
    assert [line for line, _ in waits(ast.parse(text))] == [2, 7, 8, 8]
