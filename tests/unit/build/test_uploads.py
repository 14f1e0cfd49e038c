"""Contexts that came as archives: confined, and gone when they are faulty."""

from __future__ import annotations

import io
import os
import tarfile

import pytest

from boxship.build.uploads import Uploads
from boxship.errors import BoxshipError, InvalidRequest, NotFound


def archive(*entries: tuple[str, bytes | str]) -> list[bytes]:
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
    assert uploads.unpack(archive(("x/D", b"c"))).dockerfile("x/D") == ("x/D", b"c")
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


@pytest.mark.parametrize("id", ["", "..", "../x", "a/b", "0" * 32, "ä"])
def test_an_identifier_that_is_none_finds_nothing(uploads, id):
    with pytest.raises(NotFound):
        uploads.folder_of(f"context://{id}")


def test_a_context_is_found_by_its_identifier_until_it_is_removed(uploads):
    upload = uploads.unpack(archive(("x", b"")))
    assert uploads.folder_of(upload.identifier) == upload.folder
    upload.remove()
    with pytest.raises(NotFound):
        uploads.folder_of(upload.identifier)
