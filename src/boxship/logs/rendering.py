"""Records of a log as the bytes that a client asked for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from urllib.parse import quote_plus

from boxship.logs.formats import Format, Line, Shape, joined
from boxship.logs.query import Query
from boxship.wire import jsonlog


class Renderer:
    """Chooses lines and writes what was asked for before each."""

    def __init__(self, form: Format, query: Query) -> None:
        self._form = form
        self._query = query
        self._since = jsonlog.stamp(query.since) if query.since else ""
        self._until = jsonlog.stamp(query.until) if query.until else ""
        self._shape = None if query.chooses_lines else _shape(query)
        self.is_finished = False  # what comes from here on is too late for the caller

    def render(self, records: bytes) -> bytes:
        """Return whole records as the client gets them."""
        if self._shape:
            return self._form.plain(records, self._shape)
        chosen = self._choose(self._form.lines(records))
        return joined(map(self._written, chosen), frames=self._query.multiplex)

    def _choose(self, lines: Iterable[Line]) -> Iterator[Line]:
        wanted = (False, self._query.stdout, self._query.stderr)
        for line in lines:
            if self._until and line.time > self._until:
                self.is_finished = True
                return
            if wanted[line.stream] and line.time >= self._since:
                yield line

    def _written(self, line: Line) -> Line:
        if self._query.details:
            line = line._replace(text=details(line.attrs) + b" " + line.text)
        if self._query.timestamps:
            line = line._replace(text=line.time.encode() + b" " + line.text)
        return line


def _shape(query: Query) -> Shape:
    return Shape(query.stdout, query.stderr, query.timestamps, query.multiplex)


def details(attrs: Mapping[str, str]) -> bytes:
    """Return what is shown of a record's attributes: sorted, quoted as in a URL."""
    pairs = (f"{quote_plus(key)}={quote_plus(value)}" for key, value in sorted(attrs.items()))
    return ",".join(pairs).encode()
