"""A create whose steps fail: no snapshot, folder, volume, name or record is left."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from boxship.container.bundle import Host
from boxship.container.create import NOT_FORWARDED, PUBLISHED_ON_HOST, Asked, Creation
from boxship.container.defaults import Defaults
from boxship.container.registry import Registry
from boxship.container.tables import Table
from boxship.errors import BoxshipError
from boxship.spec.engine.common import Mount
from boxship.spec.engine.container import (
    ContainerConfig,
    HostConfig,
    HostConfigLogConfig,
    PortBinding,
)
from boxship.spec.platform import Platform
from boxship.store.database import Database


class Injected(Exception):
    """The step that was to fail has failed."""


@dataclass
class Ledger:
    fails_at: int
    calls: int = 0
    held: set[str] = field(default_factory=set)

    def call(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise Injected


@dataclass
class Filesystems:
    ledger: Ledger
    root: Path
    driver: str = "overlay2"

    def prepare(self, key: str, parent: object) -> None:
        self.ledger.call()
        self.ledger.held.add(f"snapshot {key}")

    def remove(self, key: str) -> None:
        self.ledger.held.remove(f"snapshot {key}")

    def open(self, key: str) -> int:
        self.ledger.call()
        return os.open(self.root, os.O_PATH)


@dataclass
class Storage:
    """Named volumes stay when a create fails, like Docker's; those without a name go."""

    ledger: Ledger
    made: int = 0

    def create(
        self, name: str | None, driver: str, options: Mapping[str, str], labels: Mapping[str, str]
    ) -> Any:
        self.ledger.call()
        self.made += 1
        if not name:
            name = f"anonymous-{self.made}"
            self.ledger.held.add(name)
        return SimpleNamespace(name=name, driver="local", mountpoint="/v", options={"type": "x"})

    def remove(self, name: str, *, force: bool = False) -> None:
        self.ledger.held.remove(name)

    def acquire(self, name: str, container: str, *, destination: str) -> str:
        self.ledger.call()
        self.ledger.held.add(f"mounted {name}")
        return "/v"

    def release(self, name: str, container: str) -> None:
        self.ledger.held.remove(f"mounted {name}")

    def copy_up(self, root: int, path: str, name: str) -> bool:
        self.ledger.call()
        return True


class Kernel:
    """A host that can limit everything."""

    cpus = "0-3"
    mems = "0"

    def __getattr__(self, _: str) -> bool:
        return True


@dataclass
class Setting:
    ledger: Ledger
    folder: Path
    registry: Registry
    forwards: bool = True

    def creation(self) -> Creation:
        parts: dict[str, Any] = {
            "images": SimpleNamespace(host=Platform("linux", "amd64")),
            "snapshots": Filesystems(self.ledger, self.folder / "root"),
            "volumes": Storage(self.ledger),
            "features": Kernel(),
        }
        return Creation(
            registry=self.registry,
            host=Host(kernel=(6, 1), machine="x86_64", capabilities=frozenset()),
            defaults=Defaults(log_driver="json-file", log_options={"max-size": "1m"}),
            folder=str(self.folder / "containers"),
            cpus=4,
            forwards=lambda: self.forwards,
            **parts,
        )


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Setting]:
    for name in ("root", "containers"):
        (tmp_path / name).mkdir()
    with contextlib.closing(Database(str(tmp_path / "db"))) as database:
        yield Setting(Ledger(0), tmp_path, Registry(Table(database)))


def asked(name: str = "web", **host: Any) -> Asked:
    config = ContainerConfig(cmd=["true"], working_dir="/work", volumes={"/anonymous": {}})
    return Asked(config, HostConfig(**host), {}, name)


MOUNTS = [Mount(type="volume", source="named", target="/n"), Mount(type="volume", target="/a")]


def test_what_was_made_is_taken_back_whichever_step_fails(setting: Setting) -> None:
    async def create() -> None:
        before = set(os.listdir("/proc/self/fd"))
        try:
            await setting.creation().create(asked(mounts=MOUNTS))
        except Injected:
            assert not setting.ledger.held
            assert not os.listdir(setting.folder / "containers")
            assert not list(setting.registry)
            assert "web" not in setting.registry.names
            raise
        assert len(os.listdir("/proc/self/fd")) <= len(before) + 1
        assert "web" in setting.registry.names

    asyncio.run(create())
    steps = setting.ledger.calls
    assert steps == 2 + 3 * 3  # prepare and open; create, acquire and copy for each volume
    with contextlib.closing(Database(str(setting.folder / "other"))) as database:
        setting.registry = Registry(Table(database))
        (one,) = (setting.folder / "containers").iterdir()
        one.rmdir()
        for step in range(1, steps + 1):
            setting.ledger = Ledger(step)
            with pytest.raises(Injected):
                asyncio.run(create())


def create(setting: Setting, wanted: Asked) -> tuple[Any, list[str]]:
    cell, warnings = asyncio.run(setting.creation().create(wanted))
    return cell.record, warnings


def test_a_name_that_is_taken_stays_its_owners(setting: Setting) -> None:
    record, _ = create(setting, asked())
    with pytest.raises(BoxshipError, match=f'already in use by container "{record.id}"'):
        create(setting, asked())
    assert setting.registry.find("web").id == record.id


def test_warnings(setting: Setting) -> None:
    ports = {"80/tcp": [PortBinding(host_port="80")]}
    assert create(setting, asked("one", network_mode="host", port_bindings=ports))[1] == [
        PUBLISHED_ON_HOST
    ]
    setting.forwards = False
    assert create(setting, asked("two"))[1] == [NOT_FORWARDED]
    for mode in ("none", "host"):
        assert create(setting, asked(f"in-{mode}", network_mode=mode))[1] == []


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        (None, ("json-file", {"max-size": "1m"})),
        (HostConfigLogConfig(type="", config={"tag": "t"}),
         ("json-file", {"max-size": "1m", "tag": "t"})),
        (HostConfigLogConfig(type="json-file", config={"max-size": "2m"}),
         ("json-file", {"max-size": "2m"})),
        (HostConfigLogConfig(type="local", config={"max-file": "3"}),
         ("local", {"max-file": "3"})),
        (HostConfigLogConfig(type="none"), ("none", {})),
    ],
)  # fmt: skip
def test_the_daemons_log_options_hold_for_its_driver(
    setting: Setting, said: HostConfigLogConfig | None, kept: tuple[str, dict[str, str]]
) -> None:
    record, _ = create(setting, asked(log_config=said))
    log = record.host_config.log_config
    assert (log.type, log.config) == kept
