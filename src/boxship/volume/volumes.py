"""Volumes: the verbs."""

from __future__ import annotations

import builtins
import contextlib
import os
import re
import secrets
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.kernel import paths
from boxship.model.filters import has_label, has_labels, matches_name, truth
from boxship.store.database import Database
from boxship.volume import copying
from boxship.volume.drivers.driver import Driver
from boxship.volume.errors import (
    InvalidVolume,
    NoSuchVolume,
    NoSuchVolumeDriver,
    PruneRunning,
    VolumeExists,
    VolumeInUse,
)
from boxship.volume.needs import Publisher, Users
from boxship.volume.record import ANONYMOUS_LABEL, Volume
from boxship.volume.tables import Table

NAME: Final = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9_.-]+")
LONGEST_NAME: Final = 255
DEFAULT_DRIVER: Final = "local"

Filters = Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class Usage:
    """What a volume takes, and how many containers refer to it."""

    size: int  # -1 where the driver does not know
    references: int


class Volumes:
    """Volumes, and which running containers have them mounted."""

    def __init__(
        self,
        database: Database,
        drivers: Iterable[Driver],
        *,
        publisher: Publisher,
        users: Users,
        now: Callable[[], str],
    ) -> None:
        """`now` tells the time in RFC 3339."""
        self._drivers = {driver.name: driver for driver in drivers}
        self._publisher = publisher
        self._users = users
        self._now = now
        self._table = Table(database)
        self._turn = threading.RLock()
        self._pruning = threading.Lock()
        self._mounting: dict[str, threading.Lock] = {}
        self._acquired: dict[str, builtins.list[str]] = {}  # container IDs, by volume
        self._volumes = self._table.all()
        self._reconcile()

    # ---- looking

    def get(self, name: str) -> Volume:
        """Return a volume."""
        try:
            return self._volumes[name]
        except KeyError:
            raise NoSuchVolume(name) from None

    def list(self, filters: Filters | None = None) -> builtins.list[Volume]:
        """Return the volumes that pass the filters, by name."""
        filters = filters or {}
        known = sorted(self._volumes.values(), key=lambda one: one.name)
        return [one for one in known if self._passes(one, filters)]

    def users(self, name: str) -> builtins.list[str]:
        """Return the containers that refer to a volume, running or not."""
        acquired = self._acquired.get(name, ())
        return list(dict.fromkeys((*self._users.using_volume(name), *acquired)))

    def usage(self, name: str) -> Usage:
        """Return what a volume takes; reads every folder of it."""
        volume = self.get(name)
        return Usage(self._driver(volume).size(name), len(self.users(name)))

    @property
    def driver_names(self) -> builtins.list[str]:
        """The drivers there are."""
        return sorted(self._drivers)

    # ---- volumes

    def create(
        self,
        name: str | None = None,
        driver: str = "",
        options: Mapping[str, str] | None = None,
        labels: Mapping[str, str] | None = None,
    ) -> Volume:
        """Make a volume, or return the one that has the name already; without one, a new name."""
        anonymous = not name
        name = name or secrets.token_hex(32)
        check_name(name)
        with self._turn:
            known = self._volumes.get(name)
            if known is not None:
                if driver not in ("", known.driver):
                    raise VolumeExists(name)
                return known
            keeper = self._drivers.get(driver or DEFAULT_DRIVER)
            if keeper is None:
                raise NoSuchVolumeDriver(name, driver)
            keeper.check(name, options or {})
            volume = Volume(
                name=name,
                driver=keeper.name,
                mountpoint=keeper.mountpoint(name),
                created_at=self._now(),
                labels={**(labels or {}), ANONYMOUS_LABEL: ""} if anonymous else labels,
                options=options or None,
                scope=keeper.scope,
                anonymous=anonymous,
            )
            self._make(volume, keeper)
            self._volumes[name] = volume
        self._publisher.publish("volume", "create", name, {"driver": volume.driver})
        return volume

    def remove(self, name: str, *, force: bool = False) -> None:
        """Remove a volume that no container refers to; `force`: fine when there is none."""
        with self._turn:
            volume = self._volumes.get(name)
            if volume is None:
                if force:
                    return
                raise NoSuchVolume(name)
            users = self.users(name)
            if users:
                raise VolumeInUse(f"remove {name}: volume is in use - [{', '.join(users)}]")
            # storage first: a record without storage is dropped at the next start, whereas
            # storage without a record is a volume that has come back
            finish = self._driver(volume).remove(name)
            self._table.delete(name)
            del self._volumes[name]
            self._mounting.pop(name, None)
        finish()
        self._publisher.publish("volume", "destroy", name, {"driver": volume.driver})

    def prune(
        self, filters: Filters | None = None, *, named_too: bool = False
    ) -> tuple[builtins.list[str], int]:
        """Remove what no container refers to; return the names and the bytes that were freed."""
        filters = filters or {}
        wanted = truth("all", filters.get("all", ()))
        named_too = named_too if wanted is None else wanted
        if not self._pruning.acquire(blocking=False):
            raise PruneRunning
        try:
            gone: list[str] = []
            freed = 0
            for volume in self.list({"label": filters.get("label", ())}):
                spared = any(
                    has_label(volume.labels or {}, text) for text in filters.get("label!", ())
                )
                if spared or not (named_too or volume.anonymous) or self.users(volume.name):
                    continue
                if volume.options:  # what it mounts is somebody's, and may be elsewhere
                    continue
                size = self._driver(volume).size(volume.name)
                with contextlib.suppress(VolumeInUse, NoSuchVolume):
                    self.remove(volume.name)
                    gone.append(volume.name)
                    freed += max(0, size)
        finally:
            self._pruning.release()
        self._publisher.publish("volume", "prune", "", {"reclaimed": str(freed)})
        return gone, freed

    # ---- in use

    def acquire(
        self,
        name: str,
        container: str,
        *,
        destination: str = "",
        writable: bool = True,
        propagation: str = "",
    ) -> str:
        """Make a volume ready for a container that starts; return where it is."""
        with self._turns_of(name):
            volume = self.get(name)
            if name not in self._acquired:
                self._driver(volume).mount(name, volume.options or {})
            with self._turn:
                self._acquired.setdefault(name, []).append(container)
        told = {
            "driver": volume.driver,
            "container": container,
            "destination": destination,
            "read/write": "true" if writable else "false",
            "propagation": propagation,
        }
        self._publisher.publish("volume", "mount", name, told)
        return volume.mountpoint

    def release(self, name: str, container: str) -> None:
        """A container that had acquired a volume has ended; fine when it had not."""
        with self._turns_of(name):
            with self._turn:
                holders = self._acquired.get(name, [])
                if container not in holders:
                    return
                volume = self._volumes[name]
                holders.remove(container)
                if not holders:
                    del self._acquired[name]
            if not holders and volume.options:
                self._driver(volume).unmount(name)
        told = {"driver": volume.driver, "container": container}
        self._publisher.publish("volume", "unmount", name, told)

    def restore(self, acquired: Mapping[str, Collection[str]]) -> None:
        """After a start of the daemon: these containers run and have these volumes (by name).

        What others had mounted is unmounted.
        """
        with self._turn:
            for name, volume in self._volumes.items():
                holders = list(acquired.get(name, ()))
                if holders:
                    self._acquired[name] = holders
                    self._driver(volume).mount(name, volume.options or {})
                elif volume.options:
                    self._driver(volume).unmount(name)

    def copy_up(self, root: int, path: str, name: str) -> bool:
        """Fill an empty volume with what the image has at `path`; tell whether it was done.

        `root` is the container's root folder; the path is resolved inside it, whatever links
        the image has there. The volume must have been acquired.
        """
        try:
            source = paths.open_in_root(root, path, os.O_RDONLY | os.O_DIRECTORY)
        except (FileNotFoundError, NotADirectoryError):
            return False
        try:
            target = os.open(self.get(name).mountpoint, copying.FOLDER)
            try:
                if not copying.is_empty(target):
                    return False
                copying.copy_tree(source, target)
            finally:
                os.close(target)
        finally:
            os.close(source)
        return True

    def open_subpath(self, name: str, subpath: str) -> int:
        """Open (O_PATH) what is at `subpath` in a volume; links cannot lead out of it."""
        if subpath.startswith("/"):
            raise InvalidVolume(f"invalid subpath {subpath!r}: must be relative to the volume")
        root = os.open(self.get(name).mountpoint, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return paths.openat2(
                root,
                os.fsencode(subpath) or b".",
                os.O_PATH,
                0,
                paths.RESOLVE_BENEATH | paths.RESOLVE_NO_MAGICLINKS,
            )
        except OSError as failure:
            reason = os.strerror(failure.errno or 0).lower()
            raise InvalidVolume(f"cannot access subpath {subpath!r} of {name}: {reason}") from None
        finally:
            os.close(root)

    # ---- steps

    def _make(self, volume: Volume, keeper: Driver) -> None:
        """Record a volume, and then make its storage: a crash in between leaves neither.

        The other way round it would leave storage that is taken for a volume without its
        labels and options.
        """
        with contextlib.ExitStack() as undo:
            undo.callback(self._table.delete, volume.name)
            self._table.put(volume)
            undo.callback(lambda: keeper.remove(volume.name)())
            keeper.create(volume.name, volume.options or {}, durable=not volume.anonymous)
            undo.pop_all()

    @contextlib.contextmanager
    def _turns_of(self, name: str) -> Iterator[None]:
        """Mount and unmount one volume one at a time; a server that hangs holds up no other."""
        with self._turn:
            turn = self._mounting.setdefault(name, threading.Lock())
        with turn:
            yield

    def _driver(self, volume: Volume) -> Driver:
        if volume.driver not in self._drivers:
            raise NoSuchVolumeDriver(volume.name, volume.driver)
        return self._drivers[volume.driver]

    def _reconcile(self) -> None:
        """Settle what a crash has left: records without storage, storage without a record."""
        for driver in self._drivers.values():
            there = set(driver.found())
            known = {one.name for one in self._volumes.values() if one.driver == driver.name}
            for name in known - there:
                self._table.delete(name)
                del self._volumes[name]
            for name in there - self._volumes.keys():
                if not NAME.fullmatch(name):
                    continue
                volume = Volume(
                    name, driver.name, driver.mountpoint(name), self._now(), scope=driver.scope
                )
                self._table.put(volume)
                self._volumes[name] = volume

    def _passes(self, volume: Volume, filters: Filters) -> bool:
        drivers = filters.get("driver", ())
        patterns = filters.get("name", ())
        dangling = truth("dangling", filters.get("dangling", ()))
        return (
            (not drivers or volume.driver in drivers)
            and (not patterns or any(matches_name(text, volume.name) for text in patterns))
            and has_labels(volume.labels or {}, filters.get("label", ()))
            and (dangling is None or dangling != bool(self.users(volume.name)))
        )


def check_name(name: str) -> None:
    """Refuse what is no name for a volume."""
    if len(name) == 1 and name.isalnum():
        raise InvalidVolume(
            f"create {name}: volume name is too short, "
            "names should be at least two alphanumeric characters"
        )
    if not NAME.fullmatch(name):
        raise InvalidVolume(
            f'create {name}: "{name}" includes invalid characters for a local volume name, only '
            '"[a-zA-Z0-9][a-zA-Z0-9_.-]" are allowed. If you intended to pass a host directory, '
            "use absolute path"
        )
    if len(name) > LONGEST_NAME:
        raise InvalidVolume(f"create {name[:32]}...: volume name is too long")
