"""How a figure is taken: rounds in turn, one engine after the other, medians compared."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.engines import Peer

Work = Callable[[Peer], float]
FAILURES = (RuntimeError, OSError, AssertionError, KeyError, ValueError, subprocess.SubprocessError)


@dataclass(frozen=True)
class Effort:
    """How much is done for a figure; `most_rounds` bounds what the rows ask for."""

    most_rounds: int = 15
    crowd: int = 100
    created: int = 1000
    idle: float = 15.0
    lines: int = 200_000
    mebibytes: int = 512


QUICK = Effort(1, crowd=10, created=30, idle=2.0, lines=20_000, mebibytes=64)


@dataclass
class Row:
    """One workload: what it is called, the unit of its figure, and the work that returns it."""

    name: str
    unit: str
    work: Work = lambda peer: 0.0
    rounds: int = 7
    more_is_better: bool = False
    figures: dict[str, list[float]] = field(default_factory=dict)

    def take(self, peers: Sequence[Peer], most: int = 1000) -> None:
        """Run the rounds, the peers in turn within each, after one that does not count.

        A peer whose work fails is left out of the rounds that follow.
        """
        left = list(peers)
        for number in range(min(self.rounds, most) + 1):
            for peer in list(left):
                try:
                    figure = self.work(peer)
                except FAILURES as error:
                    tell(f"{self.name}: {peer.name}: {error}")
                    left.remove(peer)
                else:
                    if number:
                        self.add(peer, figure)

    def add(self, peer: Peer, figure: float) -> None:
        self.figures.setdefault(peer.name, []).append(figure)

    def median(self, peer: str) -> float:
        return statistics.median(self.figures[peer])

    def best(self, peer: str) -> float:
        return (max if self.more_is_better else min)(self.figures[peer])

    def shown(self, peer: str) -> str:
        """Return a peer's figures: the median, and the best of several."""
        if peer not in self.figures:
            return ""
        several = f" ({self.best(peer):.3g})" if len(self.figures[peer]) > 1 else ""
        return f"{self.median(peer):.3g}{several}"


@dataclass
class Stage:
    """Rows that are measured together: what one needs, another has made."""

    rows: list[Row]
    measure: Callable[[Sequence[Peer], Effort], None]


def alone(row: Row) -> Stage:
    """Return a stage of one row, which needs nothing."""
    return Stage([row], lambda peers, effort: row.take(peers, effort.most_rounds))


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Yield what tells the seconds since the block began."""
    began = time.perf_counter()
    yield lambda: time.perf_counter() - began


def tell(what: str) -> None:
    """Say how it goes, beside the table."""
    print(what, file=sys.stderr, flush=True)


def head(ours: str, theirs: str) -> str:
    """Draw the head of a table as Markdown."""
    return (
        f"| workload | unit | {ours} | {theirs} | {theirs} / {ours} | load |\n"
        "|---|---|---:|---:|---:|---:|"
    )


def line(row: Row, ours: str, theirs: str) -> str:
    """Draw a row: medians (best round in brackets), by how much ours is better, the load now."""
    ratio = "-"
    if ours in row.figures and theirs in row.figures:
        mine, other = row.median(ours), row.median(theirs)
        better, worse = (mine, other) if row.more_is_better else (other, mine)
        ratio = f"{better / worse:.1f}x" if worse else "-"
    shown = f"{row.shown(ours)} | {row.shown(theirs)} | {ratio} | {os.getloadavg()[0]:.1f}"
    return f"| {row.name} | {row.unit} | {shown} |"


def table(rows: Sequence[Row], ours: str, theirs: str) -> str:
    """Draw the rows that both have figures for."""
    both = [row for row in rows if ours in row.figures and theirs in row.figures]
    return "\n".join([head(ours, theirs), *(line(row, ours, theirs) for row in both)])
