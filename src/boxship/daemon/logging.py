"""The daemon's own log: one line an event on stderr, as text or JSON.

Messages are about what the engine does; bodies, headers and query strings of requests are never
written, since credentials travel in them.
"""

from __future__ import annotations

import json
import logging
import sys
import time

LIBRARIES = ("asyncio", "hpack")  # whose own notes would hold what clients send
LEVELS = {
    "debug": logging.DEBUG,
    "info": logging.INFO,
    "warn": logging.WARNING,
    "error": logging.ERROR,
    "fatal": logging.CRITICAL,
}
NAMES = {logging.WARNING: "warning", logging.CRITICAL: "fatal"}


def set_up(level: str, form: str) -> None:
    """Log to stderr from now on."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    set_level(level)
    logging.raiseExceptions = False  # a log that cannot be written is no reason to fail


def set_level(level: str) -> None:
    """Log this and what is more serious."""
    logging.getLogger().setLevel(LEVELS[level])
    for library in LIBRARIES:
        logging.getLogger(library).setLevel(logging.WARNING)


def _moment(record: logging.LogRecord) -> str:
    part = int(record.msecs * 1_000_000)
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{part:09d}Z"


class TextLines(logging.Formatter):
    """`time="..." level=info msg="..."`, a line each."""

    def format(self, record: logging.LogRecord) -> str:
        level = NAMES.get(record.levelno, record.levelname.lower())
        line = f'time="{_moment(record)}" level={level} msg={json.dumps(record.getMessage())}'
        if record.exc_info:
            line += f" error={json.dumps(self.formatException(record.exc_info))}"
        return line


class JsonLines(logging.Formatter):
    """One JSON object a line."""

    def format(self, record: logging.LogRecord) -> str:
        document = {
            "level": NAMES.get(record.levelno, record.levelname.lower()),
            "msg": record.getMessage(),
            "time": _moment(record),
        }
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        return json.dumps(document)
