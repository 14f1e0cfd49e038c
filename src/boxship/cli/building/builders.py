"""Builders: the engine's own, `default`, and BuildKits elsewhere that a user has named.

They are kept as docker buildx keeps them, so that both clients know the same ones:

<config>/buildx/instances/<name>   JSON: Name, Driver, Nodes with Name, Endpoint and DriverOpts
<config>/buildx/current            JSON: Key (the engine's address), Name, Global
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from boxship.errors import BoxshipError, InvalidRequest, NotFound
from boxship.lib import atomicfile, quickjson

if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.client.builds import Place

DEFAULT: Final = "default"
DOCKER: Final = "docker"
REMOTE: Final = "remote"
NAME: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9_-]*")
TLS_OPTIONS: Final = ("cacert", "cert", "key")
OPTIONS: Final = (*TLS_OPTIONS, "servername", "default-load")
LARGEST: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Builder:
    """One builder; the engine's own has no endpoint."""

    name: str = DEFAULT
    driver: str = DOCKER
    endpoint: str = ""
    options: dict[str, str] = field(default_factory=dict)
    node: str = DEFAULT

    @property
    def is_ours(self) -> bool:
        return self.driver == DOCKER

    @property
    def loads(self) -> bool:
        """Whether results go to the engine without being asked for."""
        return self.is_ours or self.options.get("default-load") in ("true", "1")

    def place(self, shell: Shell) -> Place:
        """Return where it is."""
        from boxship.client.target import TLS, Target

        if self.is_ours:
            return shell.client
        if self.driver != REMOTE:
            raise InvalidRequest(f"builder {self.name} has the driver {self.driver}, which "
                                 "boxship does not have")  # fmt: skip
        files = [self.options.get(name, "") for name in TLS_OPTIONS]
        tls = TLS(*files, verify=True) if any(files) else None
        return Target(self.endpoint, tls)

    def document(self) -> dict[str, Any]:
        """Return it as its file has it."""
        node = {
            "Name": self.node,
            "Endpoint": self.endpoint,
            "Platforms": None,
            "DriverOpts": self.options or None,
            "Flags": None,
            "Files": None,
        }
        return {"Name": self.name, "Driver": self.driver, "Nodes": [node], "Dynamic": False}


class Builders:
    """The builders of one configuration."""

    def __init__(self, shell: Shell) -> None:
        self._shell = shell
        self._folder = os.path.join(shell.config.folder, "buildx")

    def _file(self, name: str) -> str:
        return os.path.join(self._folder, "instances", name)

    def named(self, name: str) -> Builder:
        """Return a builder; NotFound where there is none."""
        if name == DEFAULT:
            return Builder()
        if not NAME.fullmatch(name) or (found := _read(self._file(name))) is None:
            raise NotFound(f'no builder "{name}" found')
        return _builder(name, found)

    def every(self) -> list[Builder]:
        """Return all of them, the engine's own last."""
        try:
            names = sorted(os.listdir(os.path.join(self._folder, "instances")))
        except OSError:
            names = []
        found: list[Builder] = []
        for name in names:
            try:
                found.append(self.named(name))
            except BoxshipError:
                continue  # a file of another's
        return [*found, Builder()]

    def current(self) -> str:
        """Return the name of the one that is used unless another is named."""
        if named := self._shell.environment.get("BUILDX_BUILDER", ""):
            return named
        said = _read(os.path.join(self._folder, "current")) or {}
        name = str(said.get("Name") or "")
        if not name or not (said.get("Global") or said.get("Key") == self._key()):
            return DEFAULT
        return name if os.path.exists(self._file(name)) else DEFAULT

    def use(self, name: str, *, everywhere: bool = False) -> None:
        """Have a builder be the current one, for this engine or for all."""
        self.named(name)
        kept = "" if name == DEFAULT else name
        document = {"Key": self._key(), "Name": kept, "Global": everywhere}
        self._write(os.path.join(self._folder, "current"), document)

    def add(self, builder: Builder) -> None:
        """Keep a builder."""
        self._write(self._file(builder.name), builder.document())

    def remove(self, name: str) -> None:
        """Forget a builder; the engine's own stays."""
        if name == DEFAULT:
            raise InvalidRequest("context builder cannot be removed, run `docker context rm "
                                 "default` to remove this context")  # fmt: skip
        self.named(name)
        os.unlink(self._file(name))

    def _key(self) -> str:
        return self._shell.client.target.url

    def _write(self, path: str, document: dict[str, Any]) -> None:
        os.makedirs(os.path.dirname(path), 0o700, exist_ok=True)
        atomicfile.write(path, quickjson.encode(document).encode(), mode=0o600)


def _read(path: str) -> dict[str, Any] | None:
    try:
        with open(path, "rb") as file:
            found = quickjson.decode(file.read(LARGEST))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError as error:
        raise InvalidRequest(f"{path} cannot be read: {error}") from None
    return found if isinstance(found, dict) else None


def _builder(name: str, said: dict[str, Any]) -> Builder:
    nodes = said.get("Nodes") or [{}]
    node = nodes[0] if isinstance(nodes, list) and isinstance(nodes[0], dict) else {}
    options = {str(k): str(v) for k, v in (node.get("DriverOpts") or {}).items()}
    driver, endpoint = str(said.get("Driver") or ""), str(node.get("Endpoint") or "")
    return Builder(name, driver, endpoint, options, str(node.get("Name") or name))


def chosen_builder(shell: Shell, name: str) -> Builder:
    """Return the builder that a flag names, else the current one."""
    builders = Builders(shell)
    return builders.named(name or builders.current())
