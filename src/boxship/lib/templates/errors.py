"""Failures of a template: in its text, or while it meets its data."""

from __future__ import annotations

from boxship.errors import InvalidRequest


class TemplateError(InvalidRequest):
    """A template cannot be used; the message is the one that Go gives."""


class ParseError(TemplateError):
    """The text is no template."""


class ExecutionError(TemplateError):
    """The template asks for something that the data has not got."""
