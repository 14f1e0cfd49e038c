"""The client's configuration: Docker's `config.json`, read and written at Docker's own place.

What is understood: HttpHeaders, detachKeys, proxies, pruneFilters, auths, credsStore, credHelpers
and the `*Format` keys. `currentContext` is Docker's own choice of an engine: it counts for us only
when the folder was named for us, by --config or BOXSHIP_CONFIG, so that what switches docker
switches nothing here. What is not understood stays as it is when the file is written.
"""

from __future__ import annotations

from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any

LARGEST = 8 << 20
FILE = "config.json"


class Config:
    """A configuration folder and what its `config.json` says."""

    __slots__ = ("folder", "named", "values")

    def __init__(self, folder: str, values: dict[str, Any], *, named: bool) -> None:
        self.folder = folder
        self.values = values
        self.named = named

    @property
    def path(self) -> str:
        return f"{self.folder}/{FILE}"

    def text(self, key: str) -> str:
        value = self.values.get(key)
        return value if isinstance(value, str) else ""

    def mapping(self, key: str) -> dict[str, Any]:
        value = self.values.get(key)
        return value if isinstance(value, dict) else {}

    def texts(self, key: str) -> list[str]:
        value = self.values.get(key)
        return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []

    def change(self, change: Callable[[dict[str, Any]], None]) -> None:
        """Read the file again, change it and write it, while no other of our commands does.

        The file appears whole. A link is followed, so that it stays one; mode and owner are kept,
        and a new file is for its owner only.
        """
        import fcntl
        import os

        os.makedirs(self.folder, 0o700, exist_ok=True)
        # The folder itself is the lock: a file for it would lie about among Docker's own.
        lock = os.open(self.folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            values = _values(self.path)
            change(values)
            _write(os.path.realpath(self.path), values)
        finally:
            os.close(lock)
        self.values = values


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
    try:
        values = _values(f"{folder}/{FILE}")
    except PermissionError:
        values = {}
    return Config(folder, values, named=ours)


def _values(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read(LARGEST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    from boxship.lib import quickjson

    try:
        values = quickjson.decode(data) if data.strip() else {}
    except ValueError as error:
        raise InvalidRequest(f"error loading config file: {path}: {error}") from error
    if not isinstance(values, dict):
        raise InvalidRequest(f"error loading config file: {path}: not a JSON object")
    return values


def _write(path: str, values: dict[str, Any]) -> None:
    import os

    from boxship.lib import atomicfile, quickjson

    mode, owner = 0o600, None
    try:
        found = os.stat(path)
        mode, owner = found.st_mode & 0o777, (found.st_uid, found.st_gid)
    except FileNotFoundError:
        pass
    text = quickjson.indent(quickjson.encode(values), "\t")
    atomicfile.write(path, text.encode("utf-8", "surrogateescape"), mode=mode)
    if owner is not None and owner != (os.geteuid(), os.getegid()):
        try:
            os.chown(path, *owner)
        except PermissionError:
            pass  # it was another's, in a folder of ours: it is ours now
