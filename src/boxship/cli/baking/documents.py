"""YAML as compose files are written: one or more documents of plain values.

Scalars are read as YAML 1.2 reads them, so that `on` is a text and `010` is eight. `!reset` and
`!override` stay visible as marks until files have been laid over each other.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from boxship.errors import InvalidRequest

if TYPE_CHECKING:
    import yaml

    from boxship.cli.baking.sources import File

MOST: Final = 1_000_000  # values in one document, with all that its aliases repeat
WHOLE: Final = re.compile(r"[-+]?(?:0b[01_]+|0o?[0-7_]+|0x[0-9a-fA-F_]+|[1-9][0-9_]*|0)")
REAL: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
TRUE: Final = frozenset({"true", "True", "TRUE"})
FALSE: Final = frozenset({"false", "False", "FALSE"})
MERGE: Final = "tag:yaml.org,2002:merge"
PLAIN: Final = "plain"
NULL: Final = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(frozen=True, slots=True)
class Instead:
    """`!override`: a value that is not merged with what is below it."""

    value: Any


class Nothing:
    """`!reset`: what is below is taken away."""


NOTHING: Final = Nothing()


def documents(file: File) -> Iterator[dict[str, Any]]:
    """Read a file's documents; each is a mapping, and keys are texts."""
    import yaml

    try:
        found = [_Plain().of(one) for one in yaml.load_all(file.text, _loader())]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = "it is nested too deep" if isinstance(error, RecursionError) else error
        raise InvalidRequest(f"failed to parse {file.name}: parsing yaml: {reason}") from None
    for one in found:
        if one is None:
            continue
        if not isinstance(one, dict):
            raise InvalidRequest(f"failed to parse {file.name}: Top-level object must be a mapping")
        yield one


class _Plain:
    """Copies values without sharing, within bounds: aliases may repeat each other's repetitions."""

    def __init__(self) -> None:
        self._left = MOST

    def of(self, said: Any) -> Any:
        self._left -= 1
        if self._left < 0:
            raise ValueError("aliases make it too large")
        if isinstance(said, dict):
            return {str(key): self.of(value) for key, value in said.items()}
        if isinstance(said, list):
            return [self.of(one) for one in said]
        return Instead(self.of(said.value)) if isinstance(said, Instead) else said


@functools.cache
def _loader() -> type[yaml.SafeLoader]:
    """Return the reader; PyYAML is loaded with it."""
    import yaml

    class Loader(yaml.SafeLoader):
        """The safe reader with YAML 1.2's scalars, and without doubles in mappings."""

        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            if kind is yaml.ScalarNode and implicit[0]:
                return MERGE if value == "<<" else PLAIN
            return super().resolve(kind, value, implicit)  # type: ignore[no-untyped-call]

        def compose_mapping_node(self, anchor: Any) -> Any:
            node = super().compose_mapping_node(anchor)
            seen: set[str] = set()
            for key, _ in node.value:
                name = key.value if isinstance(key, yaml.ScalarNode) else ""
                if name in seen and key.tag != MERGE:
                    why = f'mapping key "{name}" already defined'
                    raise yaml.constructor.ConstructorError(None, None, why, key.start_mark)
                seen.add(name)
            return node

    def override(loader: Any, node: Any) -> Instead:
        if isinstance(node, yaml.MappingNode):
            return Instead(loader.construct_mapping(node, deep=True))
        if isinstance(node, yaml.SequenceNode):
            return Instead(loader.construct_sequence(node, deep=True))
        return Instead(node.value if node.style else _scalar(node.value))

    Loader.add_constructor(PLAIN, lambda _, node: _scalar(node.value))
    Loader.add_constructor("!reset", lambda _, __: NOTHING)
    Loader.add_constructor("!override", override)
    return Loader


def _scalar(text: str) -> Any:
    if text in NULL:
        return None
    if text in TRUE or text in FALSE:
        return text in TRUE
    if WHOLE.fullmatch(text):
        return _whole(text)
    if REAL.fullmatch(text):
        return float(text)
    return text


def _whole(text: str) -> int:
    digits = text.lstrip("+-").replace("_", "")
    sign = -1 if text.startswith("-") else 1
    if digits[:2] in ("0b", "0o", "0x"):
        return sign * int(digits, 0)
    return sign * int(digits, 8 if len(digits) > 1 and digits.startswith("0") else 10)
