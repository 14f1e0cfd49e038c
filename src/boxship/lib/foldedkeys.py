"""Names of fields that are written in another case: Docker takes them, so clients send them.

Go's encoding/json prefers the exact name and takes any case otherwise. Names within maps (labels,
ports) are the client's own, and stay.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import msgspec
from msgspec import inspect


def folded(document: Any, kind: type) -> Any:
    """Return a document (of dicts and lists) with the names that `kind` has; itself where it has.

    Of a field that comes in several cases the exact one stays, else the first.
    """
    return _folded(document, _type(kind))


def _folded(value: Any, kind: inspect.Type) -> Any:
    if isinstance(value, dict):
        if isinstance(struct := _part(kind, inspect.StructType), inspect.StructType):
            return _object(value, struct)
        if isinstance(mapping := _part(kind, inspect.DictType), inspect.DictType):
            inner = mapping.value_type
            return _same(value, {key: _folded(one, inner) for key, one in value.items()})
    elif isinstance(value, list) and isinstance(
        sequence := _part(kind, inspect.ListType), inspect.ListType
    ):
        made = [_folded(one, sequence.item_type) for one in value]
        return made if any(a is not b for a, b in zip(made, value, strict=True)) else value
    return value


def _object(value: dict[str, Any], kind: inspect.StructType) -> dict[str, Any]:
    fields = _fields(kind.cls)
    made: dict[str, Any] = {}
    for key, one in value.items():
        found = fields.get(key) or fields.get(key.casefold())
        if found is None or (found[0] != key and found[0] in value):
            made[key] = one
        elif found[0] not in made:
            made[found[0]] = _folded(one, found[1])
    return _same(value, made)


def _same(value: dict[str, Any], made: dict[str, Any]) -> dict[str, Any]:
    if len(value) == len(made) and all(
        a == b and value[a] is made[b] for a, b in zip(value, made, strict=True)
    ):
        return value
    return made


def _part(kind: inspect.Type, wanted: type[inspect.Type]) -> inspect.Type | None:
    if isinstance(kind, inspect.UnionType):
        return next((one for one in kind.types if isinstance(one, wanted)), None)
    return kind if isinstance(kind, wanted) else None


@cache
def _type(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


@cache
def _fields(kind: type[msgspec.Struct]) -> Mapping[str, tuple[str, inspect.Type]]:
    """Return a struct's fields by exact name, and by name without case."""
    found = _type(kind)
    assert isinstance(found, inspect.StructType)
    exact = {field.encode_name: (field.encode_name, field.type) for field in found.fields}
    return {**{name.casefold(): one for name, one in exact.items()}, **exact}
