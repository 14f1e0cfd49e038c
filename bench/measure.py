"""How a figure is taken: rounds in turn, one engine after the other, medians compared."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from bench.engines import Peer

Work = Callable[[Peer], float]


@dataclass
class Row:
    """One workload: what it is called, the unit of its figure, and the work that returns it."""

    name: str
    unit: str
    work: Work
    rounds: int = 7
    more_is_better: bool = False
    figures: dict[str, list[float]] = field(default_factory=dict)

    def take(self, peers: list[Peer]) -> None:
        """Run the rounds, the peers in turn within each, after one that does not count."""
        for number in range(self.rounds + 1):
            for peer in peers:
                figure = self.work(peer)
                if number:
                    self.figures.setdefault(peer.name, []).append(figure)

    def median(self, peer: str) -> float:
        return statistics.median(self.figures[peer])

    def best(self, peer: str) -> float:
        return (max if self.more_is_better else min)(self.figures[peer])


@contextmanager
def stopwatch() -> Iterator[Callable[[], float]]:
    """Yield what tells the seconds since the block began."""
    began = time.perf_counter()
    yield lambda: time.perf_counter() - began


def table(rows: list[Row], ours: str, theirs: str) -> str:
    """Draw the rows as Markdown: medians (best round in brackets), and the ratio theirs/ours."""
    lines = [
        f"| workload | unit | {ours} | {theirs} | {theirs} / {ours} |",
        "|---|---|---:|---:|---:|",
    ]
    for row in rows:
        if ours not in row.figures or theirs not in row.figures:
            continue
        mine, other = row.median(ours), row.median(theirs)
        better, worse = (mine, other) if row.more_is_better else (other, mine)
        ratio = f"{better / worse:.1f}x" if worse else "-"
        lines.append(
            f"| {row.name} | {row.unit} | {mine:.3g} ({row.best(ours):.3g}) "
            f"| {other:.3g} ({row.best(theirs):.3g}) | {ratio} |"
        )
    return "\n".join(lines)
