"""A line for each request, as JSON or as words; and the registry's own log in the same form."""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any, Final

import msgspec

from boxship.lib import moments
from boxship.registry.config import BadConfig, Log
from boxship.registry.http.answer import Record
from boxship.registry.metrics import Metrics

LEVELS: Final = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
QUIET: Final = frozenset({"/healthz", "/readyz", "/metrics"})
Write = Callable[[str], object]


class Lines:
    """Turns what is logged into lines."""

    def __init__(self, formatter: str, fields: Mapping[str, Any]) -> None:
        if formatter not in ("json", "text", "logstash"):
            raise BadConfig(f"configuration: log.formatter: {formatter!r} is not known")
        self._json = formatter != "text"
        self._time = "@timestamp" if formatter == "logstash" else "time"
        self._fields = dict(fields)

    def line(self, level: str, message: str, fields: Mapping[str, Any]) -> str:
        when = moments.show(time.time_ns())
        said = {self._time: when, "level": level, "msg": message, **self._fields, **fields}
        if self._json:
            return msgspec.json.encode(said, enc_hook=str).decode() + "\n"
        return " ".join(f"{name}={_quoted(value)}" for name, value in said.items()) + "\n"


class Journal:
    """Writes the access log and counts."""

    def __init__(self, lines: Lines, write: Write | None, metrics: Metrics) -> None:
        self._lines = lines
        self._write = write
        self._metrics = metrics
        metrics.declare("registry_http_requests_total", "Requests answered.")
        metrics.declare("registry_http_request_duration_seconds", "How long answers took.")
        metrics.declare("registry_http_received_bytes_total", "Bytes of bodies received.")
        metrics.declare("registry_http_sent_bytes_total", "Bytes of bodies sent.")

    def __call__(self, record: Record) -> None:
        metrics, place = self._metrics, record.place
        method = record.method.lower()
        metrics.count(
            "registry_http_requests_total", handler=place, method=method, code=str(record.status)
        )
        metrics.observe("registry_http_request_duration_seconds", record.seconds, handler=place)
        metrics.count("registry_http_sent_bytes_total", record.sent, handler=place)
        metrics.count("registry_http_received_bytes_total", record.received, handler=place)
        if self._write is not None and record.path not in QUIET:
            level = "error" if record.status >= 500 else "info"
            self._write(self._lines.line(level, "request", _fields(record)))


def _fields(record: Record) -> dict[str, Any]:
    found: dict[str, Any] = {
        "id": record.id,
        "method": record.method,
        "path": record.path,
        "status": record.status,
        "peer": record.peer,
        "agent": record.agent,
        "sent": record.sent,
        "received": record.received,
        "seconds": round(record.seconds, 6),
    }
    for name in ("user", "repository", "problem"):
        if value := getattr(record, name):
            found[name] = value
    return found


class _Handler(logging.Handler):
    """The registry's own messages, in the form of the access log."""

    def __init__(self, lines: Lines) -> None:
        super().__init__()
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        fields = {"from": record.name}
        if record.exc_info:
            fields["trace"] = logging.Formatter().formatException(record.exc_info)
        line = self._lines.line(record.levelname.lower(), record.getMessage(), fields)
        sys.stderr.write(line)
        sys.stderr.flush()


def set_up(section: Log, level: str) -> Lines:
    """Have all of this process logged as the configuration says."""
    chosen = level or section.level
    if chosen not in LEVELS:
        raise BadConfig(f"configuration: log.level: {chosen!r} is not known")
    lines = Lines(section.formatter, section.fields)
    root = logging.getLogger()
    root.handlers[:] = [_Handler(lines)]
    root.setLevel(LEVELS[chosen])
    return lines


def _quoted(value: Any) -> str:
    text = str(value)
    plain = text and all(char.isprintable() and char not in ' "=' for char in text)
    return text if plain else msgspec.json.encode(text).decode()
