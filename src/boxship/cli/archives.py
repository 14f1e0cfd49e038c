"""Archives to and from files, standard input and standard output."""

from __future__ import annotations

import os

from boxship.cli.output import write_all
from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from boxship.client.http import Response

CHUNK = 256 * 1024


def chunks_of(path: str) -> Iterator[bytes]:
    """Return the bytes of a file, or of standard input where no path is given."""
    if not path:
        return _read(0)
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(f"open {path}: {reason}") from error
    return _read(descriptor)


def _read(descriptor: int) -> Iterator[bytes]:
    try:
        while data := os.read(descriptor, CHUNK):
            yield data
    finally:
        if descriptor:
            os.close(descriptor)


def is_url(text: str) -> bool:
    return text.startswith(("http://", "https://"))


def save(ask: Callable[[], Response], path: str, what: str) -> int:
    """Write what the engine answers to a file, which appears whole, or to standard output."""
    if not path:
        for piece in ask().chunks():
            write_all(1, piece)
        return 0
    check_output(path, what)
    if os.path.exists(path) and not os.path.isfile(path):
        with open(path, "wb", buffering=0) as file:  # a device or a pipe is written to in place
            for piece in ask().chunks():
                write_all(file.fileno(), piece)
        return 0
    response = ask()
    beside = f"{path}.{os.getpid()}.new"
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    try:
        for piece in response.chunks():
            write_all(descriptor, piece)
        os.rename(beside, path)
    except BaseException:
        os.unlink(beside)
        raise
    finally:
        os.close(descriptor)
    return 0


def check_output(path: str, what: str) -> None:
    """Refuse a place that cannot be written to before anything is asked for."""
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        problem = f"invalid output path: stat {folder}: no such file or directory"
        raise InvalidRequest(f"failed to {what}: {problem}")
    if os.path.isdir(path):
        raise InvalidRequest(f'failed to {what}: invalid output path: "{path}" is a directory')
