"""The builds of the past: found again after a start, within bounds, whole or not at all."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from boxship.build.control import historyfilters, telling
from boxship.build.control.history import LEAST, LONGEST, MOST, History, size_of, too_old
from boxship.build.control.jobs import Job, NoSuchBuild
from boxship.build.control.kept import Kept
from boxship.build.progress import Output
from boxship.build.request import Built
from boxship.errors import Conflict, InvalidRequest
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.digest import Digest
from boxship.wire.grpc import Code, Failed

DAY = 86_400 * 10**9
VERTEX = Digest.of(b"vertex")


def attested() -> list[tuple[str, str, dict[str, object]]]:
    return [("", "https://slsa.dev/provenance/v0.2", {"buildType": "t"})]


async def ended(history: History, ref: str, **more: object) -> pb.HistoryRecord:
    """Let a build begin and end."""
    job = Job(ref, asyncio.get_running_loop())
    record = history.begin(pb.SolveRequest(ref=ref, frontend="dockerfile.v0"), job)
    job.told.append(Output(VERTEX, 1, f"output of {ref}".encode(), 1))
    history.end(record, job, **more)  # type: ignore[arg-type]
    await history.settled()
    return record


def names(history: History, **asked: object) -> list[str]:
    async def story() -> list[str]:
        request = pb.HistoryRequest(early_exit=True, **asked)  # type: ignore[arg-type]
        return [event.record.ref async for event in history.listen(request)]

    return asyncio.run(story())


def again(root: Path) -> History:
    kept = Kept(str(root))
    return History(kept, kept.load())


def read(kept: Kept, one: pb.Descriptor) -> bytes:
    with open(kept.open(Digest.parse(one.digest)), "rb") as file:
        return file.read()


def test_builds_are_known_again_with_all_that_belongs_to_them(tmp_path: Path) -> None:
    async def story() -> None:
        history = again(tmp_path)
        await ended(history, "good", built=Built(attested=attested))
        await ended(history, "bad", error=Failed(Code.UNKNOWN, "it broke", b"details"))
        job = Job("half", asyncio.get_running_loop())
        history.begin(pb.SolveRequest(ref="half"), job)

    asyncio.run(story())
    history = again(tmp_path)
    assert names(history) == ["bad", "good"]
    good, bad = history._records["good"], history._records["bad"]
    file = history.kept.open(Digest.parse(good.logs.digest))
    (message,) = telling.messages(file)
    os.close(file)
    assert pb.StatusResponse.FromString(message).logs[0].msg == b"output of good"
    (statement,) = good.result.attestations
    assert read(history.kept, statement) == b'{"buildType": "t"}'
    assert statement.annotations["in-toto.io/predicate-type"].endswith("/v0.2")
    assert bad.error.message == "it broke"
    assert read(history.kept, bad.external_error) == b"details"


def test_who_asks_for_a_build_that_has_just_ended_finds_all_that_belongs_to_it(
    tmp_path: Path,
) -> None:
    async def story() -> None:
        history = again(tmp_path)
        for ref, asks in (("a", listened), ("b", history.logs), ("c", pinned)):
            job = Job(ref, asyncio.get_running_loop())
            record = history.begin(pb.SolveRequest(ref=ref), job)
            job.told.append(Output(VERTEX, 1, ref.encode(), 1))
            history.end(record, job, built=Built(attested=attested))
            assert not record.HasField("logs")
            await (asks(ref) if asks == history.logs else asks(history, ref))  # type: ignore
            assert record.HasField("logs")
            assert len(record.result.attestations) == 1

    async def listened(history: History, ref: str) -> None:
        asked = pb.HistoryRequest(ref=ref, early_exit=True)
        (event,) = [event async for event in history.listen(asked)]
        assert event.record.HasField("logs")

    async def pinned(history: History, ref: str) -> None:
        await history.update(pb.HistoryUpdateRequest(ref=ref, pinned=True))

    asyncio.run(story())
    assert names(again(tmp_path)) == ["c", "b", "a"]


def test_a_build_that_ends_before_the_daemon_is_kept(tmp_path: Path) -> None:
    async def story() -> None:
        history = again(tmp_path)
        watching = asyncio.ensure_future(history.watch())
        job = Job("last", asyncio.get_running_loop())
        history.end(history.begin(pb.SolveRequest(ref="last"), job), job, built=Built())
        await asyncio.sleep(0)
        watching.cancel()
        await asyncio.wait([watching])

    asyncio.run(story())
    assert names(again(tmp_path)) == ["last"]


def test_what_is_removed_takes_only_what_is_its_own(tmp_path: Path) -> None:
    async def story() -> None:
        history = again(tmp_path)
        for ref in ("one", "two"):
            await ended(history, ref, built=Built(attested=attested))
        assert len(list(history.kept.all())) == 5  # logs, traces; provenance that both have
        await history.update(pb.HistoryUpdateRequest(ref="one", delete=True))
        assert len(list(history.kept.all())) == 3
        with pytest.raises(NoSuchBuild):
            await history.update(pb.HistoryUpdateRequest(ref="one", pinned=True))
        await history.update(pb.HistoryUpdateRequest(ref="two", pinned=True))
        await history.update(pb.HistoryUpdateRequest(ref="two", finalize=True))
        job = Job("runs", asyncio.get_running_loop())
        history.begin(pb.SolveRequest(ref="runs"), job)
        with pytest.raises(Conflict):
            await history.update(pb.HistoryUpdateRequest(ref="runs", delete=True))

    asyncio.run(story())
    history = again(tmp_path)
    assert names(history) == ["two"]
    assert history._records["two"].pinned


def test_spoilt_files_and_what_nobody_points_to_are_passed_over(tmp_path: Path) -> None:
    async def story() -> None:
        await ended(again(tmp_path), "good", built=Built())

    asyncio.run(story())
    kept = Kept(str(tmp_path))
    kept.put(b"left over", "x")
    for name, data in (("a" * 64, b"\xff\xff"), ("b" * 64, b""), ("x.1.new", b"half")):
        (tmp_path / "records" / name).write_bytes(data)
    assert names(again(tmp_path)) == ["good"]
    assert len(os.listdir(tmp_path / "records")) == 1
    assert len(os.listdir(tmp_path / "blobs")) == 2  # its log, and its trace


def record(number: int, age: int, *, size: int = 0, pinned: bool = False) -> pb.HistoryRecord:
    found = pb.HistoryRecord(ref=str(number), pinned=pinned)
    found.completed_at.FromNanoseconds(100 * DAY - age)
    found.logs.size = size
    return found


def forgotten(records: list[pb.HistoryRecord]) -> list[str]:
    sizes = {one.ref: size_of(one) for one in records}
    return [one.ref for one in too_old(records, sizes, 100 * DAY)]


def test_old_builds_are_forgotten_beyond_the_newest_fifty() -> None:
    old = [record(n, LONGEST + 1) for n in range(60)]
    assert forgotten(old) == [str(n) for n in range(60 - LEAST)]
    assert forgotten([record(n, LONGEST - 1) for n in range(60)]) == []
    assert forgotten([record(n, 1) for n in range(MOST + 3)]) == ["0", "1", "2"]
    assert forgotten([record(n, LONGEST + 1, pinned=True) for n in range(60)]) == []
    assert forgotten([record(n, 1, size=100 << 20) for n in range(4)]) == ["0", "1"]


def test_builds_are_asked_for_by_what_became_of_them(tmp_path: Path) -> None:
    async def story() -> History:
        history = again(tmp_path)
        await ended(history, "good", built=Built())
        await ended(history, "bad", error=Failed(Code.UNKNOWN, "it broke"))
        await ended(history, "gone", error=asyncio.CancelledError())
        history.begin(pb.SolveRequest(ref="runs"), Job("runs", asyncio.get_running_loop()))
        return history

    history = asyncio.run(story())
    assert names(history, active_only=True) == ["runs"]
    assert names(history, filter=["status==error", "status==completed"]) == ["bad", "good"]
    assert names(history, filter=["status!=error,ref~=^g"]) == ["gone", "good"]
    assert names(history, filter=["status==canceled"]) == ["gone"]
    assert names(history, limit=2) == ["runs", "gone"]
    assert names(history, ref="bad") == ["bad"]
    for wrong in ("colour==red", "status<3", "ref~=("):
        with pytest.raises(InvalidRequest):
            historyfilters.read([wrong])


def test_who_listens_hears_of_builds_as_they_come_and_go(tmp_path: Path) -> None:
    async def story() -> None:
        history = again(tmp_path)
        heard: list[tuple[int, str]] = []

        async def listen() -> None:
            async for event in history.listen(pb.HistoryRequest()):
                heard.append((event.type, event.record.ref))
                if event.type == pb.DELETED:
                    return

        listening = asyncio.ensure_future(listen())
        await asyncio.sleep(0)
        await ended(history, "one", built=Built())
        await history.update(pb.HistoryUpdateRequest(ref="one", delete=True))
        async with asyncio.timeout(10):
            await listening
        assert heard == [(pb.STARTED, "one"), (pb.COMPLETE, "one"), (pb.DELETED, "one")]

    asyncio.run(story())


def test_blanks_in_a_filter_are_read_once() -> None:
    blanks = " " * 800_000
    ((found,),) = historyfilters.read([f"{blanks}ref{blanks}=={blanks}a{blanks}b{blanks}"])
    assert (found.field, found.operator, found.value) == ("ref", "==", f"a{blanks}b")
