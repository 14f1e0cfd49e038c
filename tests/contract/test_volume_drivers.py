"""What every volume driver does, whatever it keeps volumes in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
from tests.support.deep import deepen

from boxship.volume.drivers.driver import Driver, Options
from boxship.volume.drivers.local import LocalDriver


class InMemory:
    """A driver that keeps names only."""

    name = "memory"
    scope = "local"

    def __init__(self) -> None:
        self.kept: set[str] = set()
        self.mounted: set[str] = set()

    def check(self, volume: str, options: Options) -> None:
        pass

    def create(self, volume: str, options: Options, *, durable: bool) -> str:
        self.kept.add(volume)
        return self.mountpoint(volume)

    def mount(self, volume: str, options: Options) -> None:
        self.mounted.add(volume)

    def unmount(self, volume: str) -> None:
        self.mounted.discard(volume)

    def remove(self, volume: str) -> Callable[[], None]:
        self.kept.discard(volume)
        return lambda: None

    def size(self, volume: str) -> int:
        return -1

    def found(self) -> Iterable[str]:
        return sorted(self.kept)

    def mountpoint(self, volume: str) -> str:
        return f"/memory/{volume}"


@pytest.fixture(params=["local", "memory"])
def driver(request, tmp_path) -> Driver:
    return LocalDriver(str(tmp_path / "volumes")) if request.param == "local" else InMemory()


def test_a_volume_is_found_from_creation_to_removal(driver):
    for _ in range(2):  # what is there already stays
        assert driver.create("data", {}, durable=True) == driver.mountpoint("data")
    driver.create("other", {}, durable=False)
    assert sorted(driver.found()) == ["data", "other"]
    finish = driver.remove("data")
    assert sorted(driver.found()) == ["other"]  # the name is free at once
    finish()
    driver.remove("data")()
    assert sorted(driver.found()) == ["other"]


def test_mounting_and_unmounting_may_be_repeated(driver):
    driver.create("data", {}, durable=False)
    driver.unmount("data")
    for _ in range(2):
        driver.mount("data", {})
    for _ in range(2):
        driver.unmount("data")
    assert driver.size("data") in (0, -1)


def test_a_removal_that_was_cut_short_is_finished_by_the_next_look(driver):
    driver.create("data", {}, durable=False)
    driver.remove("data")  # and killed before the rest was done
    assert list(driver.found()) == []
    driver.create("data", {}, durable=False)
    assert list(driver.found()) == ["data"]


def test_what_containers_have_put_into_a_volume_is_measured_and_removed_however_deep(tmp_path):
    driver = LocalDriver(str(tmp_path / "volumes"))
    deepen(Path(driver.create("data", {}, durable=False)), 2000, with_files=True)
    Path(driver.mountpoint("data"), "everything").symlink_to("/")
    assert driver.size("data") == 2000 * len("content") + len("/")
    driver.remove("data")()
    assert os.listdir(tmp_path / "volumes") == []
