"""Paths of compose files, as paths from the folder in which bake runs."""

from __future__ import annotations

import posixpath
from dataclasses import dataclass
from typing import Any, Final

from boxship.cli.baking.merging import as_build, pairs
from boxship.cli.baking.target import is_remote

SERVICES: Final = ("service:", "target:")
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a file's paths begin."""

    folder: str
    home: str

    def path(self, said: str) -> str:
        """Return where a path leads."""
        if self.home and (said == "~" or said.startswith("~/")):
            said = self.home + said[1:]
        return posixpath.normpath(posixpath.join(self.folder, said))

    def context(self, said: str) -> str:
        """Return a context's place; it may be no path."""
        if is_remote(said) or "://" in said or said.startswith(SERVICES):
            return said
        return self.path(said)

    def document(self, said: Document) -> Document:
        """Return a document with its paths led on."""
        found = dict(said)
        if isinstance(said.get("services"), dict):
            found["services"] = {
                name: self._service(one) if isinstance(one, dict) else one
                for name, one in said["services"].items()
            }
        if isinstance(said.get("secrets"), dict):
            found["secrets"] = {
                name: self._with_path(one, "file") for name, one in said["secrets"].items()
            }
        return found

    def _service(self, service: Document) -> Document:
        found = dict(service)
        if "extends" in service:
            found["extends"] = self._with_path(service["extends"], "file")
        if env_files := service.get("env_file"):
            several = env_files if isinstance(env_files, list) else [env_files]
            found["env_file"] = [
                self.path(one) if isinstance(one, str) else self._with_path(one, "path")
                for one in several
            ]
        if isinstance(build := as_build(service.get("build")), dict):
            found["build"] = self._build(build)
        return found

    def _build(self, build: Document) -> Document:
        found = dict(build)
        if isinstance(context := build.get("context"), str):
            found["context"] = self.context(context)
        if isinstance(contexts := build.get("additional_contexts"), dict | list):
            found["additional_contexts"] = {
                name: self.context(place) if isinstance(place, str) else place
                for name, place in pairs(contexts).items()
            }
        return found

    def _with_path(self, said: Any, key: str) -> Any:
        if not isinstance(said, dict) or not isinstance(said.get(key), str):
            return said
        return {**said, key: self.path(said[key])}
