"""All containers, in memory: who has which ID and name, and what belongs to each beside its record.

Reads never wait. A change is written to the database before anybody can read it here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from boxship.container.errors import AmbiguousPrefix, NameTaken, NoSuchContainer
from boxship.container.needs import Shim
from boxship.container.record import Container
from boxship.container.tables import Table
from boxship.container.turn import PATIENCE, Turn
from boxship.image.needs import User
from boxship.model.ids import ContainerId
from boxship.shim.protocol import Attachment
from boxship.spec.digest import Digest

SHORTEST_PREFIX: Final = 1


@dataclass(frozen=True, slots=True)
class Ending:
    """How a run ended, for those who wait."""

    exit_code: int
    error: str = ""


@dataclass(slots=True)
class Waiting:
    """A client that attached before the start: its socket is given to the keeper with it."""

    attachment: Attachment
    fd: int


@dataclass(slots=True)
class Cell:
    """One container: its record, and what is only true while this daemon runs."""

    record: Container
    turn: Turn = field(default_factory=Turn)
    shim: Shim | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event)  # no process now; ends followers
    for_exit: list[asyncio.Future[Ending]] = field(default_factory=list)
    for_removal: list[asyncio.Future[Ending]] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    restarting: asyncio.Task[None] | None = None
    health: asyncio.Task[None] | None = None
    stopping: bool = False  # a stop is under way: the end that comes is no reason to restart
    wants_removal: bool = False
    shown: dict[str, bytes] = field(default_factory=dict)  # rendered pieces, of this record

    @property
    def id(self) -> ContainerId:
        return self.record.id


class Registry:
    """The cells, by ID and by name."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._cells: dict[str, Cell] = {}
        self._names: dict[str, str] = {}
        self._making: dict[str, asyncio.Event] = {}  # by name; set when it is made, or has failed
        for record in table.all():
            self.admit(record)

    def __iter__(self) -> Iterator[Cell]:
        return iter(list(self._cells.values()))

    def __len__(self) -> int:
        return len(self._cells)

    @property
    def names(self) -> dict[str, str]:
        """IDs by name, names that are only reserved included."""
        return self._names

    def get(self, identifier: str) -> Cell | None:
        """Return the cell of a full ID."""
        return self._cells.get(identifier)

    def find(self, ref: str) -> Cell:
        """Return a container by full ID, by name, or by the start of its ID."""
        cell = self._cells.get(ref)
        if cell is None and (identifier := self._names.get(ref.removeprefix("/"))):
            cell = self._cells.get(identifier)
        if cell is not None:
            return cell
        if len(ref) < SHORTEST_PREFIX:
            raise NoSuchContainer(ref)
        found = [identifier for identifier in self._cells if identifier.startswith(ref)]
        if len(found) > 1:
            raise AmbiguousPrefix(ref)
        if not found:
            raise NoSuchContainer(ref)
        return self._cells[found[0]]

    async def begin(self, name: str, identifier: str) -> None:
        """Reserve a name for what will be admitted, or its name released.

        Whether a name is taken by what is only being made is not known before that is made.
        """
        while other := self._making.get(name):
            try:
                async with asyncio.timeout(PATIENCE):
                    await other.wait()
            except TimeoutError:
                break
        self.reserve(name, identifier)
        self._making[name] = asyncio.Event()

    def _decided(self, name: str) -> None:
        if made := self._making.pop(name, None):
            made.set()

    def reserve(self, name: str, identifier: str) -> None:
        """Give a name to a container that is being made; NameTaken when another has it."""
        owner = self._names.setdefault(name, identifier)
        if owner != identifier:
            raise NameTaken(name, owner)

    def release_name(self, name: str, identifier: str) -> None:
        """Take a reservation back."""
        if self._names.get(name) == identifier:
            del self._names[name]
            self._decided(name)

    def keep(self, record: Container) -> None:
        """Keep a record, in a worker thread; `admit` follows, or `show` of one that is known."""
        self._table.put(record)

    def admit(self, record: Container) -> Cell:
        """Let others find a container that is kept, and whose name was reserved."""
        cell = self._cells[record.id] = Cell(record)
        self._names[record.name] = record.id
        self._decided(record.name)
        if not record.state.has_process:
            cell.ended.set()
        return cell

    async def put(self, cell: Cell, record: Container) -> None:
        """Keep a changed record; whoever calls has the container's turn."""
        await asyncio.to_thread(self._table.put, record)
        self.show(cell, record)

    def put_now(self, cell: Cell, record: Container) -> None:
        """The same from a worker thread, or where waiting is not possible."""
        self._table.put(record)
        self.show(cell, record)

    def show(self, cell: Cell, record: Container) -> None:
        """Let readers see a record."""
        if cell.record.name != record.name:
            self.release_name(cell.record.name, record.id)
            self._names[record.name] = record.id
        cell.record = record
        cell.shown = {}
        if record.state.has_process:
            cell.ended.clear()
        else:
            cell.ended.set()

    def lose(self, identifier: str) -> None:
        """Keep a container no more, in a worker thread; `forget` follows."""
        self._table.drop(identifier)

    def forget(self, cell: Cell) -> None:
        """Have nobody find a container any more that is not kept."""
        self._cells.pop(cell.id, None)
        self.release_name(cell.record.name, cell.id)

    # ---- what other parts ask

    def using(self, image: Digest) -> list[User]:
        """Return the containers made from an image, or with an image mounted."""
        return [
            User(cell.id, cell.record.state.has_process)
            for cell in self
            if cell.record.image == image
            or any(one.type == "image" and one.source == image for one in cell.record.mounts)
        ]

    def using_volume(self, name: str) -> list[str]:
        """Return the containers that have a volume among their mounts."""
        return [
            cell.id
            for cell in self
            if any(point.type == "volume" and point.name == name for point in cell.record.mounts)
        ]
