"""Records of builds in archives: what buildx writes is read, and hostile ones are refused."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from boxship.build.control import spans
from boxship.build.progress import PartState, Told, VertexState
from boxship.cli.building import pastfilters, recordtext
from boxship.cli.building.imported import RECORD, Imported, unpacked
from boxship.cli.building.localstate import LocalState, LocalStates
from boxship.cli.building.tracing import drawn, jaeger, read
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.digest import Digest

SECOND = 10**9
DIGEST = "sha256:" + "a" * 64
# As Go's encoder writes BuildKit's record, names and all.
OF_BUILDX: dict[str, Any] = {
    "Ref": "q2o5h3yw1",
    "Frontend": "dockerfile.v0",
    "FrontendAttrs": {"filename": "Dockerfile", "build-arg:A": "b"},
    "Exporters": [{"Type": "image", "Attrs": {"name": "x"}}],
    "error": {"code": 2, "message": "failed"},
    "CreatedAt": {"seconds": 1700000000, "nanos": 5},
    "CompletedAt": {"seconds": 1700000009},
    "logs": {"media_type": "application/vnd.buildkit.status.v0", "digest": DIGEST, "size": 3},
    "ExporterResponse": {"containerimage.digest": DIGEST},
    "Result": {
        "Attestations": [{"media_type": "t", "digest": DIGEST, "size": 4}],
        "Results": {"0": {"media_type": "m", "digest": DIGEST, "size": 1}},
    },
    "Generation": 3,
    "numCachedSteps": 1,
    "numTotalSteps": 4,
    "numCompletedSteps": 4,
    "DefaultPlatform": "linux/amd64",
    "localState": {"LocalPath": "/home/me"},
}


def test_a_record_of_buildx_is_read_and_written_back() -> None:
    record = recordtext.read(json.dumps(OF_BUILDX).encode())
    assert (record.ref, record.total_steps, record.error.message) == ("q2o5h3yw1", 4, "failed")
    assert record.created_at.ToNanoseconds() == 1700000000 * SECOND + 5
    assert record.result.results[0].size == 1
    again = json.loads(recordtext.written(record, "linux/amd64"))
    assert again.pop("CompletedAt") == {"seconds": 1700000009, "nanos": 0}
    expected = {
        key: value for key, value in OF_BUILDX.items() if key not in ("localState", "CompletedAt")
    }
    assert again == expected


def test_older_records_have_their_times_as_text() -> None:
    said = {"Ref": "r", "CreatedAt": "2024-01-01T00:00:00.5Z"}
    record = recordtext.read(json.dumps(said).encode())
    assert record.created_at.ToNanoseconds() == 1704067200 * SECOND + SECOND // 2


def test_where_caches_are_is_written_without_credentials() -> None:
    record = pb.HistoryRecord(ref="r")
    told = [{"Type": "s3", "Attrs": {"ref": "x", "secret_access_key": "hidden"}}]
    record.frontend_attrs["cache-imports"] = json.dumps(told)
    assert b"hidden" not in recordtext.written(record, "linux/amd64")


def packed(files: Mapping[str, bytes]) -> io.BytesIO:
    made = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=made, mode="wb", mtime=0) as squeezed,
        tarfile.open(fileobj=squeezed, mode="w") as archive,
    ):
        for name, data in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
    made.seek(0)
    return made


def bundle(record: Mapping[str, Any], **more: bytes) -> io.BytesIO:
    """Return an archive with one record."""
    files: dict[str, bytes] = {}

    def add(data: bytes, kind: str) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        files[f"blobs/sha256/{digest}"] = data
        return {"mediaType": kind, "digest": f"sha256:{digest}", "size": len(data)}

    config = add(json.dumps(record).encode(), RECORD)
    manifest = add(json.dumps({"config": config, "layers": []}).encode(), "manifest")
    files["index.json"] = json.dumps({"manifests": [manifest]}).encode()
    return packed({**files, **more})


@pytest.mark.parametrize("ref", ["../up", ".", "..", "a/b", "", "-" * 200])
def test_a_record_stays_in_its_folder(ref: str, tmp_path: Path) -> None:
    imported = Imported.__new__(Imported)
    imported._folder = str(tmp_path / "imported")
    with pytest.raises(InvalidRequest, match="invalid reference"):
        imported.take(bundle({"Ref": ref}))
    assert not list(tmp_path.rglob("record"))


@pytest.mark.parametrize(
    ("archive", "why"),
    [
        (io.BytesIO(b"no archive"), "no archive of build records"),
        (packed({"x": b""}), "no build records"),
        (packed({"index.json": b"[]"}), "no archive of build records"),
        (packed({"index.json": b'{"manifests": []}'}), "no build records"),
        (packed({"index.json": b'{"manifests": [{"digest": "sha256:0"}]}'}), "lacks"),
        (bundle({}, **{f"blobs/sha256/{'0' * 64}": b"x"}), "other bytes than its name says"),
    ],
)
def test_what_is_no_archive_of_records_is_refused(archive: io.BytesIO, why: str) -> None:
    with pytest.raises(InvalidRequest, match=why):
        list(unpacked(archive))


def test_a_trace_is_what_was_told() -> None:
    step, other = Digest.of(b"step"), Digest.of(b"other")
    told: list[Told] = [
        VertexState(step, "[1/2] RUN x", started=2 * SECOND, completed=5 * SECOND, error="bad"),
        VertexState(other, "waits"),
        PartState(step, "part", "the part", 1, 2, started=3 * SECOND, completed=4 * SECOND),
    ]
    whole = spans.Whole("r", 1 * SECOND, 6 * SECOND, 2, "bad")
    found = list(read(spans.written(whole, told)))
    assert [(one.name, one.started // SECOND, one.ended // SECOND) for one in found] == [
        ("moby.buildkit.v1.Control/Solve", 1, 6), ("[1/2] RUN x", 2, 5), ("the part", 3, 4),
    ]  # fmt: skip
    assert [one.parent for one in found[1:]] == [found[0].id, found[1].id]
    (trace,) = jaeger(found)["data"]
    assert trace["spans"][1]["duration"] == 3_000_000
    assert {"key": "error", "type": "bool", "value": True} in trace["spans"][1]["tags"]
    lines = list(drawn(found))
    assert lines[1].split()[:2] == ["0.000s", "5.000s"]
    assert lines[3].endswith("    the part")


def test_conditions_of_a_list_all_hold() -> None:
    asked, admits = pastfilters.read(
        ["ref=a.b", "status=error", "duration>=2s", "completedAt<1h"], 10_000 * SECOND
    )
    assert asked == [r"ref~=a\.b,status==error"]
    record = pb.HistoryRecord()
    record.created_at.FromNanoseconds(0)
    record.completed_at.FromNanoseconds(2 * SECOND)
    assert admits(record)
    record.completed_at.FromNanoseconds(9_000 * SECOND)
    assert not admits(record)
    for wrong in ("ref>x", "duration=1s", "size=3", "startedAt<soon", "nothing"):
        with pytest.raises(InvalidRequest):
            pastfilters.read([wrong], 0)


@pytest.mark.parametrize(
    ("context", "dockerfile", "name"),
    [
        ("/a/proj", "/a/proj/Dockerfile", "proj"),
        ("/a/proj", "/a/proj/docker/x.Dockerfile", "proj/docker/x.Dockerfile"),
        ("/a/proj", "/a/proj/sub/Dockerfile", "proj/sub"),
        ("/a/proj", "/b/files/x.Dockerfile", "files/x.Dockerfile"),
        ("/a/proj", "/b/files/Dockerfile", "files"),
        ("/a/proj", "-", "proj"),
        ("-", "-", ""),
        ("https://example.org/x.git", "", ""),
    ],
)
def test_a_build_is_called_by_where_it_was_done(context: str, dockerfile: str, name: str) -> None:
    assert LocalState(context, dockerfile).name() == name


@pytest.mark.parametrize("ref", ["../kept", "a/../../kept", ".", ""])
def test_what_a_builder_calls_its_builds_is_no_path(ref: str, tmp_path: Path) -> None:
    states = LocalStates.__new__(LocalStates)
    states._folder = str(tmp_path / "refs")
    (tmp_path / "refs/a").mkdir(parents=True)
    (tmp_path / "kept").write_text('{"LocalPath": "/x"}')
    assert states.of(ref).context == ""
    states.forget([ref])
    assert (tmp_path / "kept").exists()
