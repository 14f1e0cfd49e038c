"""Bake files: JSON, HCL or compose, merged in order, become builds.

A file has groups of targets, targets, and variables; a target takes over what those that it
inherits from say. Of HCL there is what `lib.hcl` reads; `matrix` and functions of the file's own
are refused.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from boxship.cli.building.asked import Asked
from boxship.errors import InvalidRequest
from boxship.lib import hcl

DEFAULTS = (
    ("compose.yaml", "compose.yml", "docker-compose.yml", "docker-compose.yaml"),
    ("docker-bake.json",),
    ("docker-bake.hcl",),
    ("docker-bake.override.json",),
    ("docker-bake.override.hcl",),
)
DEFAULT = "default"
LINK = "target:"
MAPS = frozenset({"args", "labels", "contexts"})
APPENDED = frozenset({"annotations", "attest", "entitlements"})
LISTS = frozenset(
    {"tags", "platforms", "output", "cache-from", "cache-to", "secret", "ssh", "no-cache-filter"}
)
PLAIN = frozenset(
    {"context", "dockerfile", "dockerfile-inline", "target", "network", "shm-size", "description"}
)
FLAGS = frozenset({"no-cache", "pull"})
OTHERS = frozenset({"inherits", "extra-hosts", "ulimits", "call"})
KNOWN = MAPS | APPENDED | LISTS | PLAIN | FLAGS | OTHERS
DEPTH = 50

Target = dict[str, Any]


class Plan:
    """What the files say."""

    def __init__(self) -> None:
        self.groups: dict[str, list[str]] = {}
        self.targets: dict[str, Target] = {}
        self.variables: dict[str, Any] = {}

    def add_target(self, name: str, said: Mapping[str, Any]) -> None:
        """Take a target, over what earlier files said of it."""
        for key in said:
            if key not in KNOWN:
                raise InvalidRequest(f"target {name}: {key!r} is not understood")
        self.targets[name] = merged(self.targets.get(name, {}), said)

    def chosen(self, names: Iterable[str]) -> list[str]:
        """Return the targets that names of targets and groups mean, once each."""
        found: dict[str, None] = {}
        for name in names:
            self._choose(name, found, 0)
        return list(found)

    def _choose(self, name: str, found: dict[str, None], depth: int) -> None:
        if depth > DEPTH:
            raise InvalidRequest(f"the groups of {name} go round in circles")
        if name in self.groups:
            for member in self.groups[name]:
                self._choose(member, found, depth + 1)
        elif name in self.targets:
            found[name] = None
        else:
            raise InvalidRequest(f"failed to find target {name}")

    def resolved(self, name: str, depth: int = 0) -> Target:
        """Return a target with what it inherits."""
        if name not in self.targets:
            raise InvalidRequest(f"failed to find target {name}")
        if depth > DEPTH:
            raise InvalidRequest(f"target {name} inherits from itself")
        whole: Target = {}
        said = self.targets[name]
        for parent in said.get("inherits") or ():
            whole = merged(whole, self.resolved(str(parent), depth + 1))
        return merged(whole, {key: value for key, value in said.items() if key != "inherits"})

    def override(self, said: str) -> None:
        """Take a `--set PATTERN.KEY[.SUB]=VALUE`."""
        from boxship.lib import globs

        place, equals, value = said.partition("=")
        pattern, dot, key = place.partition(".")
        if not equals or not dot:
            raise InvalidRequest(f"invalid override {said!r}, expected target.name=value")
        key, _, sub = key.partition(".")
        if key.removesuffix("+") not in KNOWN:
            raise InvalidRequest(f"unknown key {key!r} in override {said!r}")
        names = [name for name in self.targets if globs.match(pattern, name)]
        if not names:
            raise InvalidRequest(f"failed to find target {pattern}")
        for name in names:
            self.targets[name] = _set(self.targets[name], key, sub, value)


def _set(target: Target, key: str, sub: str, value: str) -> Target:
    if key in MAPS:
        return {**target, key: {**(target.get(key) or {}), sub: value}}
    if key.endswith("+"):
        key = key.removesuffix("+")
        return {**target, key: [*(target.get(key) or ()), value]}
    if key in LISTS or key in APPENDED:
        return {**target, key: [value]}
    if key in FLAGS:
        return {**target, key: value in ("true", "1", "")}
    return {**target, key: value}


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> Target:
    """Return two descriptions laid over each other: maps by key, some lists one after another."""
    found = dict(below)
    for key, value in above.items():
        if value is None:
            continue
        if key in MAPS:
            found[key] = {**(found.get(key) or {}), **value}
        elif key in APPENDED:
            found[key] = [*(found.get(key) or ()), *value]
        else:
            found[key] = value
    return found


# Files


def read(files: Iterable[str], environment: Mapping[str, str], given: Mapping[str, str]) -> Plan:
    """Read the files named, or those of the usual names."""
    chosen = list(files) or [
        name for names in DEFAULTS if (name := next(filter(os.path.exists, names), ""))
    ]
    if not chosen:
        raise InvalidRequest("couldn't find a bake definition")
    plan = Plan()
    later: list[tuple[str, Callable[[], None]]] = []
    for path in chosen:  # first what all variables are, then the targets, file by file
        with _of_file(path):
            later.append((path, _begin(plan, path, environment, given)))
    for path, take_targets in later:
        with _of_file(path):
            take_targets()
    return plan


def _begin(
    plan: Plan, path: str, environment: Mapping[str, str], given: Mapping[str, str]
) -> Callable[[], None]:
    """Take a file's variables; return what takes its targets."""
    text = _content(path)
    name = os.path.basename(path)
    if name.endswith((".yml", ".yaml")):
        return lambda: _take_compose(plan, text, environment)
    if name.endswith(".hcl") or not text.lstrip().startswith("{"):
        root = hcl.parse(text)
        _take_variables(plan, root, environment, given)
        return lambda: _take_hcl(plan, root)
    document = json.loads(text)
    for variable, said in (document.get("variable") or {}).items():
        plan.variables[variable] = _value(variable, said.get("default"), environment, given)
    return lambda: _take_json(plan, document)


@contextlib.contextmanager
def _of_file(path: str) -> Iterator[None]:
    """Say of which file it is that something is wrong."""
    try:
        yield
    except (InvalidRequest, ValueError, AttributeError, KeyError, TypeError) as error:
        raise InvalidRequest(f"{path}: {error}") from error


def _content(path: str) -> str:
    try:
        if path == "-":
            return os.fdopen(os.dup(0), encoding="utf-8").read(16 << 20)
        with open(path, encoding="utf-8") as file:
            return file.read(16 << 20)
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{path}: {error}") from None


def _value(
    name: str, default: Any, environment: Mapping[str, str], given: Mapping[str, str]
) -> Any:
    """Return a variable's value: what was asked, the environment's, else what the file says."""
    said = given.get(name, environment.get(name))
    if said is None:
        return default
    if isinstance(default, bool):
        return said in ("true", "1")
    if isinstance(default, int):
        try:
            return int(said)
        except ValueError:
            raise InvalidRequest(f"the variable {name} must be a number") from None
    return said


def _take_variables(
    plan: Plan, root: hcl.Block, environment: Mapping[str, str], given: Mapping[str, str]
) -> None:
    for block in root.blocks:
        if block.kind == "variable" and len(block.labels) == 1:
            default = block.attributes.get("default")
            value = default(plan.variables) if default else None
            name = block.labels[0]
            plan.variables[name] = _value(name, value, environment, given)
    for name, evaluate in root.attributes.items():
        plan.variables.setdefault(name, evaluate(plan.variables))


def _take_hcl(plan: Plan, root: hcl.Block) -> None:
    for block in root.blocks:
        if block.kind == "variable":
            continue
        said = {key: value(plan.variables) for key, value in block.attributes.items()}
        match block.kind:
            case "group" if len(block.labels) == 1:
                plan.groups[block.labels[0]] = [str(one) for one in said.get("targets") or ()]
            case "target" if len(block.labels) == 1:
                if block.blocks:
                    raise hcl.BadSyntax("blocks in a target are not understood", block.line)
                plan.add_target(block.labels[0], said)
            case kind:
                raise hcl.BadSyntax(f"{kind!r} is not understood", block.line)


def _take_json(plan: Plan, document: Mapping[str, Any]) -> None:
    for name, said in (document.get("group") or {}).items():
        plan.groups[name] = [str(one) for one in said["targets"]]
    for name, said in (document.get("target") or {}).items():
        plan.add_target(name, _filled(said, plan.variables))


def _filled(said: Any, scope: Mapping[str, Any]) -> Any:
    """Put the variables' values into strings, as HCL's JSON form does."""
    if isinstance(said, str) and "${" in said:
        quoted = said.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        return hcl.parse(f'x = "{quoted}"\n').attributes["x"](scope)
    if isinstance(said, dict):
        return {key: _filled(value, scope) for key, value in said.items()}
    if isinstance(said, list):
        return [_filled(value, scope) for value in said]
    return said


def _take_compose(plan: Plan, text: str, environment: Mapping[str, str]) -> None:
    import yaml

    try:
        services = (yaml.safe_load(text) or {}).get("services") or {}
    except yaml.YAMLError as error:
        raise InvalidRequest(str(error)) from None
    for name, service in services.items():
        build = service.get("build")
        if build is None:
            continue
        build = {"context": build} if isinstance(build, str) else dict(build)
        plan.add_target(str(name), dict(_of_service(service, build, environment)))
        plan.groups.setdefault(DEFAULT, []).append(str(name))


def _of_service(
    service: Mapping[str, Any], build: Mapping[str, Any], environment: Mapping[str, str]
) -> Iterator[tuple[str, Any]]:
    yield "context", build.get("context", ".")
    for key, name in (
        ("dockerfile", "dockerfile"), ("dockerfile_inline", "dockerfile-inline"),
        ("target", "target"), ("network", "network"), ("platforms", "platforms"),
        ("cache_from", "cache-from"), ("cache_to", "cache-to"), ("pull", "pull"),
        ("no_cache", "no-cache"), ("shm_size", "shm-size"), ("ssh", "ssh"),
        ("additional_contexts", "contexts"),
    ):  # fmt: skip
        if key in build:
            yield name, _pairs(build[key], {}) if name == "contexts" else build[key]
    for key in ("args", "labels"):
        if key in build:
            yield key, _pairs(build[key], environment)
    tags = [*([service["image"]] if "image" in service else ()), *(build.get("tags") or ())]
    if tags:
        yield "tags", tags


def _pairs(said: Any, environment: Mapping[str, str]) -> dict[str, str]:
    if isinstance(said, dict):
        return {str(k): hcl.text(v) if v is not None else environment.get(str(k), "")
                for k, v in said.items()}  # fmt: skip
    found: dict[str, str] = {}
    for one in said:
        key, equals, value = str(one).partition("=")
        found[key] = value if equals else environment.get(key, "")
    return found


# Builds


def asked_of(said: Target) -> Asked:
    """Return a target as a build; links to other targets stay in its contexts."""
    context = str(said.get("context") or ".")
    dockerfile = str(said.get("dockerfile") or "")
    local = os.path.isdir(context)
    if dockerfile and local and not os.path.isabs(dockerfile):
        dockerfile = os.path.join(context, dockerfile)
    inline = said.get("dockerfile-inline")
    options: dict[str, str] = {}
    if said.get("shm-size"):
        options["shm-size"] = str(said["shm-size"])
    if said.get("ulimits"):
        options["ulimit"] = ",".join(map(str, said["ulimits"]))
    if said.get("extra-hosts"):
        options["add-hosts"] = ",".join(f"{k}={v}" for k, v in said["extra-hosts"].items())
    return Asked(
        context=context,
        dockerfile=dockerfile if inline is None else "",
        dockerfile_text=None if inline is None else str(inline).encode(),
        tags=_texts(said, "tags"),
        args={key: hcl.text(v) for key, v in (said.get("args") or {}).items() if v is not None},
        labels={key: hcl.text(v) for key, v in (said.get("labels") or {}).items()},
        contexts={key: str(v) for key, v in (said.get("contexts") or {}).items()},
        target=str(said.get("target") or ""),
        platforms=_texts(said, "platforms"),
        outputs=_texts(said, "output"),
        cache_from=_texts(said, "cache-from"),
        cache_to=_texts(said, "cache-to"),
        secrets=_texts(said, "secret"),
        ssh=_texts(said, "ssh"),
        allow=_texts(said, "entitlements"),
        annotations=_texts(said, "annotations"),
        attests=_texts(said, "attest"),
        options=options,
        no_cache=bool(said.get("no-cache")),
        no_cache_filter=_texts(said, "no-cache-filter"),
        pull=bool(said.get("pull")),
        network=str(said.get("network") or ""),
    )


def _texts(said: Target, key: str) -> list[str]:
    """Return a list of texts; an object is written as fields."""
    value = said.get(key) or ()
    if isinstance(value, str):
        return [value]
    return [
        ",".join(f"{k}={hcl.text(v)}" for k, v in one.items())
        if isinstance(one, dict)
        else str(one)
        for one in value
    ]


def links(asked: Asked) -> dict[str, str]:
    """Return the other targets that a build uses as contexts, by the contexts' names."""
    return {
        name: value.removeprefix(LINK)
        for name, value in asked.contexts.items()
        if value.startswith(LINK)
    }
