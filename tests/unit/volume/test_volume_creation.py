"""A creation that breaks off: there is a volume with all that was asked for, or none."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from boxship.store.database import Database
from boxship.volume.drivers.driver import Options
from boxship.volume.drivers.local import LocalDriver
from boxship.volume.volumes import Volumes

LABELS = {"of": "the test"}
OPTIONS = {"type": "tmpfs", "device": "tmpfs"}


class Nobody:
    def using_volume(self, name: str) -> list[str]:
        return []

    def publish(self, type: str, action: str, id: str, attributes: object) -> None:
        pass


class Breaking(LocalDriver):
    """A driver whose disk is full when half is done."""

    def create(self, volume: str, options: Options, *, durable: bool) -> str:
        os.mkdir(os.path.join(self._root, volume))
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class Killed(LocalDriver):
    """A driver that a restart comes before."""

    restart: Callable[[], Volumes]

    def create(self, volume: str, options: Options, *, durable: bool) -> str:
        self.found_again = self.restart().list()
        return super().create(volume, options, durable=durable)


def volumes(database: Database, driver: LocalDriver) -> Volumes:
    nobody = Nobody()
    return Volumes(database, [driver], publisher=nobody, users=nobody, now=lambda: "now")


def test_a_full_disk_leaves_neither_folder_nor_record(tmp_path: Path) -> None:
    folder = tmp_path / "volumes"
    with closing(Database(str(tmp_path / "db"))) as database:
        full = volumes(database, Breaking(str(folder)))
        with pytest.raises(OSError, match="No space left on device"):
            full.create("data", "", OPTIONS, LABELS)
        assert not full.list()
        assert not os.listdir(folder)
        again = volumes(database, LocalDriver(str(folder)))
        assert not again.list()
        assert again.create("data", "", OPTIONS, LABELS).labels == LABELS


def test_a_crash_half_way_leaves_no_volume_that_lacks_its_labels(tmp_path: Path) -> None:
    """A power cut once left a plain folder where a mount with options had been asked for."""
    folder = str(tmp_path / "volumes")
    with closing(Database(str(tmp_path / "db"))) as database:
        killed = Killed(folder)
        killed.restart = lambda: volumes(database, LocalDriver(folder))
        volumes(database, killed).create("data", "", OPTIONS, LABELS)
        assert not killed.found_again
