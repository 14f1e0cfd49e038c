"""Tasks that ran together fail together; whoever asked is told of one failure."""

from __future__ import annotations


def first_of(error: BaseException) -> BaseException:
    """Return the first failure in a group of failures, or what is no group."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
