"""Contexts that came as archives: confined, and gone when they are faulty."""

from __future__ import annotations

import asyncio
import io
import os
import tarfile
import threading
from collections.abc import Callable, Iterable

import pytest
from tests.support.deep import deepen

from boxship.build.filesystems import Files
from boxship.build.ops import Source
from boxship.build.sources.contexts import Contexts
from boxship.build.sources.source import Asker
from boxship.build.uploads import Upload, Uploads, made
from boxship.errors import BoxshipError, InvalidRequest, NotFound
from boxship.lib.pipe import Abandoned


def archive(*entries: tuple[str, bytes | str], more: Iterable[tarfile.TarInfo] = ()) -> list[bytes]:
    """Return a tar: content makes a file, text a link that says it."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for name, held in entries:
            entry = tarfile.TarInfo(name)
            if isinstance(held, str):
                entry.type, entry.linkname = tarfile.SYMTYPE, held
                tar.addfile(entry)
            else:
                entry.size = len(held)
                tar.addfile(entry, io.BytesIO(held))
        for entry in more:
            tar.addfile(entry)
    return [out.getvalue()]


@pytest.fixture
def uploads(tmp_path):
    found = Uploads(str(tmp_path / "contexts"))
    found.start()
    return found


def kept(uploads: Uploads) -> list[str]:
    return os.listdir(uploads._folder)


pytestmark = pytest.mark.root  # archives name owners, and only root can give files away


def test_the_dockerfile_is_found_under_either_name(uploads):
    assert uploads.unpack(archive(("Dockerfile", b"A"))).dockerfile("") == ("Dockerfile", b"A")
    assert uploads.unpack(archive(("dockerfile", b"b"))).dockerfile("") == ("dockerfile", b"b")
    for name in ("x/D", "./x//D", "y/../x/D"):
        assert uploads.unpack(archive(("x/D", b"c"))).dockerfile(name) == ("x/D", b"c")
    with pytest.raises(InvalidRequest, match="Cannot locate specified Dockerfile: gone"):
        uploads.unpack(archive(("Dockerfile", b""))).dockerfile("gone")


@pytest.mark.parametrize("target", ["/etc/passwd", "../../../../../../etc/passwd"])
def test_a_link_out_of_the_context_leads_nowhere(uploads, target):
    upload = uploads.unpack(archive(("Dockerfile", target)))
    assert upload.read("Dockerfile", 1 << 20) is None


def test_a_link_within_the_context_is_followed(uploads):
    upload = uploads.unpack(archive(("a/real", b"x"), ("Dockerfile", "/a/real")))
    assert upload.dockerfile("")[1] == b"x"


def test_a_folder_or_a_device_is_no_dockerfile(uploads):
    upload = uploads.unpack(archive(("Dockerfile/x", b"")))
    with pytest.raises(InvalidRequest):
        upload.dockerfile("")
    other = uploads.unpack(archive(("x", b"")))
    os.mkfifo(f"{other.folder}/Dockerfile")
    with pytest.raises(InvalidRequest):
        other.dockerfile("")


def test_files_that_hide_themselves_are_taken_away(uploads):
    upload = uploads.unpack(
        archive((".dockerignore", b"*\n!kept\n"), ("Dockerfile", b"x"), ("kept", b""))
    )
    assert upload.dockerfile("") == ("Dockerfile", b"x")
    assert sorted(os.listdir(upload.folder)) == ["kept"]


def test_a_file_of_the_dockerfiles_own_says_what_is_left_out(uploads):
    upload = uploads.unpack(archive((".dockerignore", b"a\n"), ("D.dockerignore", b"b\n")))
    assert upload.left_out("D").ignores("b")
    assert not upload.left_out("D").ignores("a")
    assert upload.left_out("Other").ignores("a")


@pytest.mark.parametrize("pieces", [[b"no archive at all" * 100], [b"\x1f\x8b\x08broken"]])
def test_nothing_is_left_of_a_faulty_archive(uploads, pieces):
    with pytest.raises(BoxshipError):
        uploads.unpack(pieces)
    assert kept(uploads) == []


def test_a_start_removes_what_a_crash_has_left(uploads):
    uploads.unpack(archive(("x", b"")))
    uploads.start()
    assert kept(uploads) == []


def fetched(contexts: Contexts, identifier: str, own: str = "") -> Files:
    asker = Asker(sessions=(), held=None, context=own)
    found = asyncio.run(contexts.fetch(Source(identifier), None, asker, lambda told: None))
    assert isinstance(found.value, Files)
    return found.value


@pytest.mark.parametrize("id", ["", "..", "../x", "a/b", "0" * 32, "ä"])
def test_an_identifier_that_is_none_finds_nothing(tmp_path, id):
    with pytest.raises(NotFound):
        fetched(Contexts(str(tmp_path / "contexts")), f"context://{id}")


@pytest.mark.parametrize("own", ["", "local://context", "https://there/x", "context://../x"])
def test_a_build_whose_context_is_elsewhere_has_none_here(tmp_path, own):
    with pytest.raises(NotFound):
        fetched(Contexts(str(tmp_path / "contexts")), "context://", own)


def test_a_context_is_found_by_its_identifier_until_it_is_removed(tmp_path):
    contexts = Contexts(str(tmp_path / "contexts"))
    uploads = Uploads(str(tmp_path / "contexts"), contexts)
    hard_link = tarfile.TarInfo("y")
    hard_link.type, hard_link.linkname = tarfile.LNKTYPE, "x"
    for more in ((), (hard_link,)):
        upload = uploads.unpack(archive(("x", b""), more=more))
        assert fetched(contexts, upload.identifier).path == upload.folder
        assert fetched(contexts, "context://", upload.identifier).path == upload.folder
        upload.remove()
        with pytest.raises(NotFound):
            fetched(contexts, upload.identifier)
        with pytest.raises(NotFound):
            fetched(contexts, "context://", upload.identifier)


def test_a_context_is_unpacked_when_it_is_looked_at(uploads):
    upload = uploads.unpack(archive(("d/x", b"1"), ("link", "d/x")))
    assert kept(uploads) == []
    assert upload.read("link", 10) == b"1"
    assert os.listdir(upload.folder) != []
    assert os.path.basename(upload.folder) == upload.id
    upload.remove()
    assert kept(uploads) == []


def test_a_removed_context_is_not_unpacked(uploads):
    upload = uploads.unpack(archive(("x", b"")))
    upload.remove()
    with pytest.raises(NotFound):
        _ = upload.folder


@pytest.mark.parametrize(
    "entries",
    [
        (("x", b"1"), ("x", b"2")),
        (("x", b"1"), ("x/y", b"2")),
        (("x", "/etc"), ("x/passwd", b"2")),
        (("x/y", b"1"), ("x", b"2")),
    ],
)
def test_names_that_meet_are_left_to_the_kernel(uploads, entries):
    """The index knows no rules for them; what becomes of them is what unpacking makes of them."""
    try:
        upload = uploads.unpack(archive(*entries))
    except BoxshipError:
        assert kept(uploads) == []
    else:
        assert kept(uploads) == [upload.id]


def test_a_name_out_of_the_context_is_refused(uploads):
    with pytest.raises(BoxshipError):
        uploads.unpack(archive(("../x", b"1")))
    assert kept(uploads) == []


def test_a_context_of_any_depth_is_removed_by_its_build_or_the_next_daemon(uploads, tmp_path):
    one = uploads.make()
    deepen(tmp_path / "contexts" / one.id, 1500)
    one.remove()
    assert os.listdir(tmp_path / "contexts") == []
    deepen(tmp_path / "contexts", 1500)
    uploads.start()
    assert os.listdir(tmp_path / "contexts") == []


def must_be_unpacked() -> list[bytes]:
    """An archive of which no index is made: a name comes twice."""
    return archive(("Dockerfile", b"A"), ("x", b"1"), ("x", b"2"))


def test_what_nobody_waits_for_any_more_is_not_unpacked(uploads: Uploads) -> None:
    """A small archive of many folders kept the engine busy long after its client had left."""
    arrived = uploads.arrived(must_be_unpacked())
    stop = threading.Event()
    stop.set()
    with pytest.raises(Abandoned):
        uploads.made_of(arrived, stop)
    assert kept(uploads) == []


def test_a_context_that_is_made_too_late_is_removed(uploads: Uploads) -> None:
    begun, goes_on, removed = threading.Event(), threading.Event(), threading.Event()

    def work(stop: threading.Event) -> Upload:
        begun.set()
        goes_on.wait(30)
        assert stop.is_set()
        upload = uploads.unpack(must_be_unpacked())
        remove, upload.remove = upload.remove, lambda: (remove(), removed.set())  # type: ignore[method-assign]
        return upload

    async def story() -> None:
        making = asyncio.ensure_future(made(work, lambda upload: upload.remove()))
        await asyncio.to_thread(begun.wait, 30)
        making.cancel()
        with pytest.raises(asyncio.CancelledError):
            await making
        goes_on.set()
        async with asyncio.timeout(30):
            while not removed.is_set():  # noqa: ASYNC110
                await asyncio.sleep(0.01)

    asyncio.run(story())
    assert kept(uploads) == []


def test_a_context_with_a_folder_is_removed_where_it_holds_up_nobody(uploads: Uploads) -> None:
    """An archive of many folders kept the engine from answering anybody while they were removed."""
    removed_by: list[threading.Thread] = []
    for content in (must_be_unpacked(), archive(("Dockerfile", b"A"))):
        upload = uploads.unpack(content)
        remove = upload.remove

        def noted(remove: Callable[[], None] = remove) -> None:
            removed_by.append(threading.current_thread())
            remove()

        upload.remove = noted  # type: ignore[method-assign]
        asyncio.run(upload.give_back())
    assert [one is threading.main_thread() for one in removed_by] == [False, True]
    assert kept(uploads) == []
