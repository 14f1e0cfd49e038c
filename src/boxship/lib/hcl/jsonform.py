"""HCL's JSON form: an object whose members are blocks or attributes; strings are templates."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from boxship.lib.hcl.body import Block, Body
from boxship.lib.hcl.nodes import Literal, Node, Object, Tuple
from boxship.lib.hcl.source import BadDefinition, Source, Span
from boxship.lib.hcl.templates import template
from boxship.lib.hcl.values import from_json

COMMENT = "//"


class Members(list[tuple[str, Any]]):
    """An object as its members in order: one name may stand there several times."""


def parse_json(text: str, name: str, blocks: Mapping[str, Sequence[str]]) -> Body:
    """Read a file; `blocks` names the members that are blocks with a label, and their own ones."""
    source = Source(text, name)
    try:
        document = json.loads(text, object_pairs_hook=Members)
    except json.JSONDecodeError as error:
        span = Span(source, error.pos, error.pos + 1)
        raise BadDefinition("Invalid JSON", error.msg, span) from None
    except RecursionError:
        detail = "It is nested too deep."
        raise BadDefinition("Invalid JSON", detail, Span(source, 0, 1)) from None
    whole = Span(source, 0, len(text))
    if not isinstance(document, Members):
        raise BadDefinition("Invalid JSON", "The root value must be an object.", whole)
    body = Body(whole)
    for key, said in document:
        if key == COMMENT:
            continue
        if key not in blocks:
            body.attributes[key] = _node(said, whole)
            continue
        for one in said if isinstance(said, list) and not isinstance(said, Members) else [said]:
            for label, inner in _members(one, key, whole):
                for each in _listed(inner):
                    made = _body(each, blocks[key], label, whole)
                    body.blocks.append(Block(whole, key, (label,), made))
    return body


def _listed(said: Any) -> list[Any]:
    return said if isinstance(said, list) and not isinstance(said, Members) else [said]


def _members(said: Any, what: str, span: Span) -> Members:
    if not isinstance(said, Members):
        detail = f'"{what}" must be an object.'
        raise BadDefinition("Incorrect JSON value type", detail, span)
    return said


def _body(said: Any, inner: Sequence[str], label: str, span: Span) -> Body:
    body = Body(span)
    for key, value in _members(said, label, span):
        if key == COMMENT:
            continue
        if key in inner:
            for each in _listed(value):
                body.blocks.append(Block(span, key, (), _body(each, (), key, span)))
        else:
            body.attributes[key] = _node(value, span)
    return body


def _node(said: Any, span: Span) -> Node:
    if isinstance(said, str):
        return template(said, span.source.name)
    if isinstance(said, Members):
        pairs = [
            (template(key, span.source.name), _node(value, span))
            for key, value in said
            if key != COMMENT
        ]
        return Object(span, pairs)
    if isinstance(said, list):
        return Tuple(span, [_node(one, span) for one in said])
    return Literal(span, from_json(said))
