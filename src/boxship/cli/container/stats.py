"""Show what containers use, again and again."""

from __future__ import annotations

import time

from boxship.cli.command import Command, Flag
from boxship.cli.container.usage import USAGES, Usage
from boxship.cli.formatter import render
from boxship.cli.options import FORMAT_USAGE
from boxship.errors import BoxshipError
from boxship.lib.words import visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.client.engine import Engine

COMMAND = Command(
    usage="stats [OPTIONS] [CONTAINER...]",
    summary="Display a live stream of container(s) resource usage statistics",
    names=("container stats", "stats"),
    flags=(
        Flag("all", "a", "Show all containers, not only running ones"),
        Flag("format", "", FORMAT_USAGE, "string", ""),
        Flag("no-stream", "", "Show one result and leave"),
        Flag("no-trunc", "", "Do not shorten what is long"),
    ),
    words="container",
)
PERIOD = 0.5
HOME = "\x1b[H"
CLEAR_LINE = "\x1b[K"
CLEAR_REST = "\x1b[J"


def run(
    shell: Shell,
    words: list[str],
    *,
    all: bool,
    format: str,
    no_stream: bool,
    no_trunc: bool,
) -> int:
    """Draw the table once, or until it is interrupted."""
    format = format or shell.config.text("statsFormat")
    if no_stream:
        return _once(shell, words, everything=all, format=format, whole=no_trunc)
    return _live(shell, words, everything=all, format=format, whole=no_trunc)


def names_of(shell: Shell, words: list[str], *, everything: bool) -> list[str]:
    """Return the containers to watch: those named, else the running ones."""
    if words:
        return words
    return [found["Id"] for found in shell.client.containers.list(everything=everything)]


def _once(shell: Shell, words: list[str], *, everything: bool, format: str, whole: bool) -> int:
    import threading

    names = names_of(shell, words, everything=everything)
    usages: list[Usage | None] = [None] * len(names)
    problems: list[str] = []

    def ask(at: int) -> None:
        try:
            for sample in _engine(shell).containers.stats(names[at], stream=False):
                usages[at] = Usage(names[at], sample, whole=whole)
                return
        except BoxshipError as error:
            problems.append(str(error))

    threads = [threading.Thread(target=ask, args=(at,)) for at in range(len(names))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        return shell.report("\n".join(problems))
    rows = [usage for usage in usages if usage is not None]
    shell.out.write(render(USAGES, rows, format))
    return 0


def _engine(shell: Shell) -> Engine:
    """Return a connection of its own for another thread."""
    from boxship.cli.connect import engine_of

    return engine_of(shell)


def _live(shell: Shell, words: list[str], *, everything: bool, format: str, whole: bool) -> int:
    import threading

    from boxship.cli.container.watch import Watch

    watch = Watch(lambda: _engine(shell), whole=whole)
    for name in names_of(shell, words, everything=everything):
        watch.add(name)
    if not words:
        threading.Thread(target=watch.follow, args=(everything,), daemon=True).start()
    terminal = shell.out.is_terminal()
    watch.wait_first(2.5)
    while True:
        if words and watch.problems:
            return shell.report("\n".join(watch.problems))
        text = visible_block(render(USAGES, watch.usages(), format))
        if terminal:
            lines = "".join(line + CLEAR_LINE + "\n" for line in text.splitlines())
            shell.out.write(HOME + lines + CLEAR_REST)
        else:
            shell.out.write(text)
        shell.out.flush()
        if words and watch.is_over():
            return 0
        time.sleep(PERIOD)
