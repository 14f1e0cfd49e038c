"""Counters in Prometheus' text form. Names follow the reference server's where it has them."""

from __future__ import annotations

import bisect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

Labels = tuple[tuple[str, str], ...]
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


@dataclass(slots=True)
class Histogram:
    """How often what took how long."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(SECONDS) + 1))
    total: float = 0.0

    def add(self, value: float) -> None:
        self.counts[bisect.bisect_left(SECONDS, value)] += 1
        self.total += value


class Metrics:
    """What is counted; gauges are asked when somebody looks."""

    def __init__(self) -> None:
        self._counters: dict[str, dict[Labels, float]] = {}
        self._histograms: dict[str, dict[Labels, Histogram]] = {}
        self._gauges: dict[str, Callable[[], Mapping[Labels, float]]] = {}
        self._help: dict[str, str] = {}

    def declare(self, name: str, text: str) -> None:
        """Say what a metric means."""
        self._help[name] = text

    def count(self, name: str, value: float = 1, **labels: str) -> None:
        """Add to a counter."""
        found = self._counters.setdefault(name, {})
        key = tuple(labels.items())
        found[key] = found.get(key, 0) + value

    def observe(self, name: str, value: float, **labels: str) -> None:
        """Add a length of time to a histogram."""
        found = self._histograms.setdefault(name, {})
        found.setdefault(tuple(labels.items()), Histogram()).add(value)

    def gauge(self, name: str, text: str, ask: Callable[[], Mapping[Labels, float]]) -> None:
        """Have a value asked for whenever somebody looks."""
        self._gauges[name] = ask
        self._help[name] = text

    def render(self) -> bytes:
        """Return all of it."""
        lines: list[str] = []
        for name, values in sorted(self._counters.items()):
            lines += self._head(name, "counter")
            lines += [f"{name}{_labels(key)} {value:g}" for key, value in sorted(values.items())]
        for name, histograms in sorted(self._histograms.items()):
            lines += self._head(name, "histogram")
            for key, histogram in sorted(histograms.items()):
                lines += _buckets(name, key, histogram)
        for name, ask in sorted(self._gauges.items()):
            lines += self._head(name, "gauge")
            lines += [f"{name}{_labels(key)} {value:g}" for key, value in sorted(ask().items())]
        return ("\n".join(lines) + "\n").encode()

    def _head(self, name: str, kind: str) -> Iterator[str]:
        if name in self._help:
            yield f"# HELP {name} {self._help[name]}"
        yield f"# TYPE {name} {kind}"


def _buckets(name: str, key: Labels, histogram: Histogram) -> Iterator[str]:
    seen = 0
    bounds: Sequence[str] = [*(f"{bound:g}" for bound in SECONDS), "+Inf"]
    for bound, count in zip(bounds, histogram.counts, strict=True):
        seen += count
        yield f"{name}_bucket{_labels((*key, ('le', bound)))} {seen}"
    yield f"{name}_sum{_labels(key)} {histogram.total:g}"
    yield f"{name}_count{_labels(key)} {seen}"


def _labels(labels: Labels) -> str:
    if not labels:
        return ""
    inside = ",".join(f'{name}="{_escaped(value)}"' for name, value in labels)
    return "{" + inside + "}"


def _escaped(value: str) -> str:
    return value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
