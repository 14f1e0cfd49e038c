"""The client's configuration: Docker's `config.json`, read where Docker's client keeps it.

What is understood: HttpHeaders, detachKeys, proxies, pruneFilters, auths and the `*Format` keys.
`currentContext` is Docker's own choice of an engine: it counts for us only when the folder was
named for us, by --config or BOXSHIP_CONFIG, so that what switches docker switches nothing here.
"""

from __future__ import annotations

from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

LARGEST = 8 << 20


class Config:
    """A configuration folder and what its `config.json` says."""

    __slots__ = ("folder", "named", "values")

    def __init__(self, folder: str, values: dict[str, Any], *, named: bool) -> None:
        self.folder = folder
        self.values = values
        self.named = named

    def text(self, key: str) -> str:
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.values.get(key)
        return value if isinstance(value, dict) else {}

    def texts(self, key: str) -> list[str]:
        value = self.values.get(key)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def config_folder(named: str, environment: Mapping[str, str]) -> str:
    """Return the folder of the configuration."""
    folder = named or environment.get("BOXSHIP_CONFIG") or environment.get("DOCKER_CONFIG")
    return folder or f"{home(environment)}/.docker"


def home(environment: Mapping[str, str]) -> str:
    found = environment.get("HOME", "")
    if not found:
        import os

        found = os.path.expanduser("~")
    return found


def read_config(named: str, environment: Mapping[str, str]) -> Config:
    """Read the configuration; a folder or file that is not there says nothing."""
    folder = config_folder(named, environment)
    ours = bool(named or environment.get("BOXSHIP_CONFIG"))
    path = f"{folder}/config.json"
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST)
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return Config(folder, {}, named=ours)
    from boxship.lib import quickjson

    try:
        values = quickjson.decode(data) if data.strip() else {}
    except ValueError as error:
        raise InvalidRequest(f"error loading config file: {path}: {error}") from error
    if not isinstance(values, dict):
        raise InvalidRequest(f"error loading config file: {path}: not a JSON object")
    return Config(folder, values, named=ours)
