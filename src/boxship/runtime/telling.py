"""Failures of a start in the words that clients know."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from boxship.errors import BoxshipError
from boxship.runtime.errors import StartFailed, exit_code_of

CREATING: Final = "OCI runtime create failed: runc create failed: unable to start container process"
EXECUTING: Final = "OCI runtime exec failed: exec failed: unable to start container process"


@contextmanager
def told_as(prefix: str) -> Iterator[None]:
    """Tell failures with what was tried before, and `unknown` after."""
    try:
        yield
    except StartFailed as failure:
        hint = f": {failure.hint}" if failure.hint else ""
        message = f"{prefix}: {failure.message}: unknown{hint}"
        raise StartFailed(message, failure.exit_code) from failure
    except BoxshipError as failure:
        raise StartFailed(f"{prefix}: {failure}: unknown") from failure
    except OSError as failure:
        code = exit_code_of(failure.errno or 0)
        raise StartFailed(f"{prefix}: {failure}: unknown", code) from failure
