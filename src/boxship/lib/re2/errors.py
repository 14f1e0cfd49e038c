"""What is wrong with an expression."""

from __future__ import annotations

from boxship.errors import InvalidRequest


class InvalidExpression(InvalidRequest):
    """An expression is none, in the words of Go's."""

    def __init__(self, what: str, where: str) -> None:
        super().__init__(f"error parsing regexp: {what}: `{where}`")
