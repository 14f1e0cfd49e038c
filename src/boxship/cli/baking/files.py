"""The files of a definition: which there are, of what kind each is, and what they say together."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

from boxship.cli.baking.evaluate import BLOCKS, Evaluation
from boxship.cli.baking.plan import looks_up
from boxship.cli.baking.sources import File, Read, read_here, read_input
from boxship.cli.baking.target import Definition
from boxship.errors import InvalidRequest
from boxship.lib import hcl

if TYPE_CHECKING:
    from boxship.lib.hcl import Body

USUAL: Final = (
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
    "docker-bake.json",
    "docker-bake.hcl",
    "docker-bake.override.json",
    "docker-bake.override.hcl",
)
SEPARATOR: Final = "BUILDX_BAKE_PATH_SEPARATOR"
NAMED: Final = "BUILDX_BAKE_FILE"


def local_files(given: Sequence[str], environment: Mapping[str, str]) -> list[File]:
    """Read the files named, by flags or the environment, or those of the usual names."""
    names = list(given)
    if not names and (said := environment.get(NAMED)):
        names = said.split(environment.get(SEPARATOR, "") or os.pathsep)
    if names:
        return [File(name, read_input() if name == "-" else read_here(name)) for name in names]
    return [File(name, read_here(name)) for name in USUAL if os.path.exists(name)]


def read_definition(
    files: Sequence[File],
    environment: Mapping[str, str],
    builtin: Mapping[str, str],
    given: Mapping[str, str],
    read: Read = read_here,
) -> Definition:
    """Put together what the files say: services of compose files first, then the others."""
    from boxship.cli.baking.compose import compose_targets

    if not files:
        raise InvalidRequest("couldn't find a bake definition")
    seen = looks_up(environment)
    definition = Definition()
    services: list[File] = []
    bodies: list[Body] = []
    for file in files:
        kind = kind_of(file)
        if kind == "compose":
            services.append(file)
        else:
            bodies.append(_body(file, kind))
    if services:
        compose_targets(services, {**seen, **given}, definition, read)
    if bodies:
        try:
            Evaluation(bodies, seen, builtin, given).into(definition)
        except RecursionError:
            raise InvalidRequest("an expression is nested too deep") from None
    return definition


def kind_of(file: File) -> str:
    """Return compose, json, hcl, or hcl where only its content could tell and does not."""
    name = file.name.lower()
    if name.endswith((".yml", ".yaml")):
        return "compose"
    if name.endswith(".json"):
        return "json"
    if name.endswith(".hcl"):
        return "hcl"
    from boxship.cli.baking.compose import is_compose

    if is_compose(file):
        return "compose"
    return "json" if file.text.lstrip().startswith("{") else "hcl"


def _body(file: File, kind: str) -> Body:
    if kind == "json":
        return hcl.parse_json(file.text, file.name, BLOCKS)
    return hcl.parse(file.text, file.name)
