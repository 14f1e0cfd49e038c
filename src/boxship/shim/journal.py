"""What a container's output becomes in its log."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from time import time_ns
from typing import Final

from boxship.errors import InvalidRequest
from boxship.shim.lines import Cut, Kind, Lines
from boxship.shim.logfile import Framing, JsonFraming, LocalFraming, LogFile
from boxship.shim.protocol import LogChoice
from boxship.wire import jsonlog, locallog

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.shim.ring import Ring

Record = Callable[[Cut, int], bytes]  # a cut and the moment it came, encoded


class JsonRecords:
    """One stream as objects of a json-file. All pieces of a line carry the time of the first."""

    def __init__(self, stream: str, attrs: dict[str, str]) -> None:
        self._encoder = jsonlog.Encoder(stream, attrs)
        self._began: int | None = None

    def __call__(self, cut: Cut, now: int) -> bytes:
        match cut.kind:
            case Kind.LINES:
                return self._encoder.lines(cut.text, jsonlog.stamp(now))
            case Kind.PIECE:
                self._began = now if self._began is None else self._began
                return self._encoder.piece(cut.text, jsonlog.stamp(self._began))
            case Kind.END:
                began, self._began = self._began, None
                return self._encoder.lines(cut.text, jsonlog.stamp(began or now))


class LocalRecords:
    """One stream as records of the local driver; the pieces of a line share an ID."""

    def __init__(self, stream: str) -> None:
        self._encoder = locallog.Encoder(stream)
        self._began = 0
        self._name = ""
        self._ordinal = 0

    def __call__(self, cut: Cut, now: int) -> bytes:
        if cut.kind is Kind.LINES:
            return self._encoder.lines(cut.text, now)
        if not self._name:
            self._began, self._name, self._ordinal = now, os.urandom(16).hex(), 0
        self._ordinal += 1
        last = cut.kind is Kind.END
        place = locallog.Partial(last, self._name, self._ordinal)
        if last:
            self._name = ""
        return self._encoder.entry(cut.text.removesuffix(b"\n"), self._began, place)


STREAMS: Final = {1: "stdout", 2: "stderr"}


class Journal:
    """Keeps the output of both streams of one container."""

    def __init__(self, file: LogFile | Ring, records: dict[int, Record]) -> None:
        self._file = file
        self._records = records
        self._lines = {number: Lines() for number in records}
        self.is_finished = False

    def write(self, stream: int, data: bytes) -> None:
        """Take the next output of a stream; it came now."""
        self._keep(stream, self._lines[stream].feed(data), time_ns())

    def finish(self) -> None:
        """Write what has no end yet; the program has ended."""
        self.is_finished = True
        for number, lines in self._lines.items():
            self._keep(number, lines.finish(), time_ns())
        self._file.close()

    def _keep(self, stream: int, cuts: Iterator[Cut], now: int) -> None:
        record = self._records[stream]
        if made := b"".join([record(cut, now) for cut in cuts]):
            self._file.write(made)

    @property
    def is_untidy(self) -> bool:
        """Whether there is something to compress."""
        return not self.is_finished and self._file.has_more

    def tidy(self) -> bool:
        """Compress a little of what was rotated; False when there is nothing left to do."""
        return self._file.step()

    @property
    def lost(self) -> int:
        """How many bytes of records a full disk did not take."""
        return self._file.lost


def open_journal(choice: LogChoice) -> Journal | None:
    """Open the log that was chosen; None when none is kept here."""
    match choice.driver:
        case "none":
            return None
        case "json-file":
            return Journal(
                _file(choice, JsonFraming()),
                {key: JsonRecords(name, choice.attrs) for key, name in STREAMS.items()},
            )
        case "local":
            return Journal(
                _file(choice, LocalFraming()),
                {key: LocalRecords(name) for key, name in STREAMS.items()},
            )
        case other:
            raise InvalidRequest(f"the shim keeps no logs of the driver {other!r}")


def _file(choice: LogChoice, framing: Framing) -> LogFile | Ring:
    if not os.path.isdir(folder := os.path.dirname(choice.path)):
        os.makedirs(folder, mode=0o700, exist_ok=True)
    file = LogFile(
        choice.path,
        framing,
        max_size=choice.max_size,
        max_file=choice.max_file,
        compress=choice.compress,
    )
    if not choice.buffer:
        return file
    from boxship.shim.ring import Ring  # with its threads, which most keepers do without

    return Ring(file, choice.buffer)
