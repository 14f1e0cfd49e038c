"""Numbers that others collect, and the text in which Prometheus reads them."""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Final

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
SECONDS: Final = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
Labels = Mapping[str, str]
Sample = tuple[Labels, float]


class Metric:
    """A name with what stands for it now; `read` yields a number for each set of labels."""

    def __init__(
        self, name: str, kind: str, help: str, read: Callable[[], Iterable[Sample]]
    ) -> None:
        self.name = name
        self.kind = kind
        self.help = help
        self._read = read

    def lines(self) -> Iterator[str]:
        """Yield the text, line by line."""
        yield f"# HELP {self.name} {_escaped(self.help)}"
        yield f"# TYPE {self.name} {self.kind}"
        yield from self.samples()

    def samples(self) -> Iterator[str]:
        for labels, value in self._read():
            yield f"{self.name}{_shown(labels)} {_number(value)}"


class Histogram(Metric):
    """How often something took how long, by the value of one label."""

    def __init__(self, name: str, help: str, label: str, values: Sequence[str]) -> None:
        """`values` are those of the label that are told of before anything has happened."""
        super().__init__(name, "histogram", help, tuple)
        self._label = label
        self._counts = {value: [0] * (len(SECONDS) + 1) for value in values}
        self._sums = dict.fromkeys(values, 0.0)
        self._turn = threading.Lock()

    def note(self, value: str, seconds: float) -> None:
        """Something took so many seconds; any thread may say so."""
        with self._turn:
            counts = self._counts.setdefault(value, [0] * (len(SECONDS) + 1))
            counts[bisect_left(SECONDS, seconds)] += 1
            self._sums[value] = self._sums.get(value, 0.0) + seconds

    def samples(self) -> Iterator[str]:
        for value, counts in self._counts.items():
            so_far = 0
            for bound, count in zip((*SECONDS, float("inf")), counts, strict=True):
                so_far += count
                labels = {self._label: value, "le": _number(bound)}
                yield f"{self.name}_bucket{_shown(labels)} {so_far}"
            own = _shown({self._label: value})
            yield f"{self.name}_sum{own} {_number(self._sums[value])}"
            yield f"{self.name}_count{own} {so_far}"


def page(metrics: Iterable[Metric]) -> bytes:
    """Return the text of some metrics, in the order of their names."""
    ordered = sorted(metrics, key=lambda metric: metric.name)
    return "".join(f"{line}\n" for metric in ordered for line in metric.lines()).encode()


def gauge(name: str, help: str, read: Callable[[], float]) -> Metric:
    """Return a metric without labels that goes up and down."""
    return Metric(name, "gauge", help, lambda: [({}, read())])


def counter(name: str, help: str, read: Callable[[], float]) -> Metric:
    """Return a metric without labels that only goes up."""
    return Metric(name, "counter", help, lambda: [({}, read())])


def _shown(labels: Labels) -> str:
    if not labels:
        return ""
    pairs = ",".join(
        f'{name}="{_escaped(value).replace(chr(34), chr(92) + chr(34))}"'
        for name, value in labels.items()
    )
    return f"{{{pairs}}}"


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace("\n", "\\n")


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
