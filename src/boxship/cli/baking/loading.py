"""Compose files as one document: variables, `extends` and `include` are followed.

Each file is read by itself, with what it extends and includes, and laid over those before it. Paths
become relative to the folder in which bake runs: those in an included file begin at its project's
folder, those in a file that is extended at that file's.
"""

from __future__ import annotations

import posixpath
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from boxship.cli.baking import dotenv
from boxship.cli.baking.documents import Instead, documents
from boxship.cli.baking.interpolate import filled
from boxship.cli.baking.merging import laid_over
from boxship.cli.baking.placing import Document, Place
from boxship.cli.baking.sources import File, Missing, Read
from boxship.cli.baking.target import is_remote
from boxship.errors import InvalidRequest

PROJECT: Final = "COMPOSE_PROJECT_NAME"
SHARED: Final = ("services", "volumes", "networks", "secrets", "configs", "models")
DEEPEST: Final = 32  # includes in includes


def load(files: Sequence[File], environment: Mapping[str, str], read: Read) -> Document:
    """Return what the files say together."""
    return _Loader(environment, read).document(files)


@dataclass(frozen=True, slots=True)
class _Loader:
    """One project: the main one, or one that is included."""

    environment: Mapping[str, str]
    read: Read
    folder: str = ""  # where its paths begin
    including: tuple[str, ...] = ()

    def document(self, files: Sequence[File]) -> Document:
        whole: Document = {"services": {}}
        for file in files:
            for said in documents(file):
                whole = laid_over(whole, self._complete(file, said))
        return whole

    def _complete(self, file: File, said: Document) -> Document:
        environment = self._named(said)
        found = self._place(self.folder).document(filled(said, environment))
        included = found.pop("include", None)
        services = _services(found)
        extended = _Extended(self.read, environment)
        found["services"] = {name: extended.service(file.name, services, name) for name in services}
        for one in _included(included):
            _imported(found, self._include(one))
        return found

    def _place(self, folder: str) -> Place:
        return Place(folder, self.environment.get("HOME", ""))

    def _named(self, said: Document) -> Mapping[str, str]:
        """Return the environment with the project's name, which a file may say."""
        if self.environment.get(PROJECT):
            return self.environment
        name = filled(said.get("name"), self.environment, "name")
        return {**self.environment, PROJECT: str(name or "bake")}

    def _include(self, one: _Include) -> Document:
        here = self._place(self.folder)
        paths = [here.path(path) for path in one.paths]
        chain = (*self.including, paths[0])
        if paths[0] in self.including or len(chain) > DEEPEST:
            raise InvalidRequest(f"include cycle detected: {' includes '.join(chain)}")
        folder = here.path(one.folder) if one.folder else posixpath.dirname(paths[0])
        said: dict[str, str] = {}
        for name in one.env_files or [posixpath.join(folder, ".env")]:
            place = here.path(name) if one.env_files else name
            try:
                text = self.read(place)
            except Missing:
                if one.env_files:
                    raise
                continue
            said |= dotenv.variables(text, place, {**said, **self.environment})
        inner = _Loader({**said, **self.environment}, self.read, folder, chain)
        return inner.document([File(path, self.read(path)) for path in paths])


# Including


@dataclass(frozen=True, slots=True)
class _Include:
    paths: list[str]
    folder: str
    env_files: list[str]


def _included(said: Any) -> Iterator[_Include]:
    if isinstance(said, Instead):
        said = said.value
    if said is None:
        return
    if not isinstance(said, list):
        raise InvalidRequest("include must be a list")
    for one in said:
        entry = {"path": one} if isinstance(one, str) else one
        if not isinstance(entry, dict) or not entry.get("path"):
            raise InvalidRequest("include: each entry is a path, or a mapping with one")
        if more := sorted(entry.keys() - {"path", "project_directory", "env_file"}):
            raise InvalidRequest(f"include: Additional property {more[0]} is not allowed")
        paths = _several(entry["path"], "include.path")
        for path in paths:
            if is_remote(path) or "://" in path:
                raise InvalidRequest(f"include: {path}: files elsewhere are not included")
        folder = _text(entry.get("project_directory") or "", "include.project_directory")
        yield _Include(paths, folder, _several(entry.get("env_file"), "include.env_file"))


def _imported(whole: Document, other: Document) -> None:
    """Take what an included project has; what both have must be the same."""
    for kind in SHARED:
        known = whole.setdefault(kind, {}) if other.get(kind) else {}
        for name, said in (other.get(kind) or {}).items():
            if name in known and known[name] != said:
                raise InvalidRequest(f"{kind}.{name} conflicts with imported resource")
            known[name] = said


# Extending


@dataclass(frozen=True, slots=True)
class _Extended:
    """Services with what they extend."""

    read: Read
    environment: Mapping[str, str]
    known: dict[str, Document] = field(default_factory=dict)  # services of other files, by path

    def service(
        self,
        file: str,
        services: Document,
        name: str,
        path: tuple[tuple[str, str], ...] = (),
    ) -> Document:
        """Return a service over the one that it extends."""
        service = dict(services[name])
        path = (*path, (file, name))
        if (said := service.pop("extends", None)) is None:
            return service
        other, origin = _reference(said, name)
        there, below = file, services
        if origin:
            there, below = origin, self._other(origin)
        if other not in below:
            where = f" in {there}" if origin else ""
            raise InvalidRequest(
                f'cannot extend service "{name}" in {file}: service "{other}" not found{where}'
            )
        if (there, other) in path:
            told = " extends ".join(f"{one} in {place}" for place, one in (*path, (there, other)))
            raise InvalidRequest(f"circular reference: {told}")
        base = self.service(there, below, other, path)
        merged = laid_over({"services": {name: base}}, {"services": {name: service}})
        found: Document = merged["services"][name]
        return found

    def _other(self, path: str) -> Document:
        if path not in self.known:
            whole: Document = {}
            place = Place(posixpath.dirname(path), self.environment.get("HOME", ""))
            for said in documents(File(path, self.read(path))):
                whole = laid_over(whole, place.document(filled(said, self.environment)))
            self.known[path] = _services(whole)
        return self.known[path]


def _reference(said: Any, name: str) -> tuple[str, str]:
    if isinstance(said, str):
        return said, ""
    if not isinstance(said, dict) or not said.get("service"):
        raise InvalidRequest(f"services.{name}.extends.service is required")
    return _text(said["service"], "extends.service"), _text(said.get("file") or "", "extends.file")


def _services(said: Document) -> Document:
    services = said.get("services") or {}
    if not isinstance(services, dict):
        raise InvalidRequest("services must be a mapping")
    for name, service in services.items():
        if service is not None and not isinstance(service, dict):
            raise InvalidRequest(f"services.{name} must be a mapping")
    return {name: service or {} for name, service in services.items()}


def _several(said: Any, what: str) -> list[str]:
    several = said if isinstance(said, list) else [] if said is None else [said]
    return [_text(one, what) for one in several]


def _text(said: Any, what: str) -> str:
    if not isinstance(said, str):
        raise InvalidRequest(f"{what} must be a string")
    return said
