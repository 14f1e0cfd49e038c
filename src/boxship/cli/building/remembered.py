"""Where records of builds are: at a builder, or among those that were imported."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from boxship.cli.building.builders import Builder, chosen_builder
from boxship.cli.building.imported import IMPORTED, PREFIX, Imported
from boxship.cli.building.remote import ask
from boxship.errors import InvalidRequest, NotFound
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.client.builds import Builds

Heard = Callable[[pb.StatusResponse], None]


class Records(Protocol):
    """Records of builds, and what belongs to them."""

    builder: Builder

    def every(self, filters: Sequence[str] = ()) -> list[pb.HistoryRecord]:
        """Return the records, newest first."""

    def content(self, digest: str) -> bytes:
        """Return a blob that belongs to one."""

    def status(self, record: pb.HistoryRecord, heard: Heard) -> None:
        """Hear what was told of a build."""

    def remove(self, gone: Sequence[pb.HistoryRecord]) -> None:
        """Forget records."""


class Past:
    """The records of one builder."""

    def __init__(self, shell: Shell, builder: Builder) -> None:
        self._shell = shell
        self.builder = builder

    def _ask(self, question: Callable[[Builds], Any]) -> Any:
        return ask(self._shell, question, self.builder)

    def every(self, filters: Sequence[str] = ()) -> list[pb.HistoryRecord]:
        """Return the records, newest first."""

        async def read(builds: Builds) -> list[pb.HistoryRecord]:
            request = pb.HistoryRequest(early_exit=True, filter=filters)
            return [event.record async for event in builds.history(request)]

        found: list[pb.HistoryRecord] = self._ask(read)
        return sorted(found, key=lambda one: one.created_at.ToNanoseconds(), reverse=True)

    def content(self, digest: str) -> bytes:
        """Return a blob of the builder's."""
        found: bytes = self._ask(lambda builds: builds.content(digest))
        return found

    def status(self, record: pb.HistoryRecord, heard: Heard) -> None:
        """Hear what was told of a build."""
        self._ask(lambda builds: builds.status(record.ref, heard))

    def remove(self, gone: Sequence[pb.HistoryRecord]) -> None:
        self._update(gone, delete=True)

    def finalize(self, records: Sequence[pb.HistoryRecord]) -> None:
        """Have the builder complete what it knows of builds."""
        self._update(records, finalize=True)

    def _update(self, records: Sequence[pb.HistoryRecord], **change: bool) -> None:
        async def update(builds: Builds) -> None:
            for one in records:
                await builds.update_history(pb.HistoryUpdateRequest(ref=one.ref, **change))

        self._ask(update)


def records_of(shell: Shell, builder: str, refs: Sequence[str]) -> tuple[Records, list[str]]:
    """Return where the references lead, and what they are called there."""
    imported = [ref for ref in refs if ref.startswith(PREFIX)]
    if builder == IMPORTED.name or imported:
        if imported and len(imported) != len(refs):
            raise InvalidRequest("imported records and a builder's own are not asked for together")
        return Imported(shell), [ref.removeprefix(PREFIX) for ref in refs]
    return Past(shell, chosen_builder(shell, builder)), list(refs)


def one_of(records: Records, ref: str) -> pb.HistoryRecord:
    """Return the record that a reference, or its beginning, means; `^2` is the third last."""
    found = records.every()
    name = ref.rpartition("/")[2]
    if name.startswith("^") and name[1:].isdecimal():
        found = found[int(name[1:]) :]
        name = ""
    matching = [one for one in found if one.ref.startswith(name)]
    if not matching:
        raise NotFound(f"no record found for ref {ref!r}" if ref else "no records found")
    exact = next((one for one in matching if one.ref == name), None)
    if name and exact is None and len(matching) > 1:
        raise InvalidRequest(f"{ref!r} is the beginning of several references")
    return exact or matching[0]
