"""Hostile bytes sent to a whole engine: archives by every door, documents, streams, logs."""

from __future__ import annotations

import io
import json
import lzma
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import docker
import pytest
from tests.support.engine import Engine
from tests.support.images import archive, docker_archive
from tests.support.waiting import wait_until
from tests.support.wire import Wire
from tests.system.conftest import IMAGE, Start, inside
from tests.unit.image.test_hostile_archives import CONFINED, TRAVERSALS

pytestmark = pytest.mark.usefixtures("unharmed")
CORPUS = {**TRAVERSALS, **CONFINED}
CASES = [
    pytest.param(name, marks=() if number % 4 == 0 else pytest.mark.slow)
    for number, name in enumerate(CORPUS)
]


@pytest.fixture
def outside(tmp_path: Path) -> Iterator[Path]:
    """A folder of the host's with a canary, which names and links of the corpus lead to."""
    folder = tmp_path / "outside"
    folder.mkdir()
    canary = folder / "canary"
    canary.write_text("alive")
    before = canary.stat()
    yield folder
    assert canary.read_text() == "alive"
    after = canary.stat()
    assert (after.st_mode, after.st_ino, after.st_nlink) == (
        before.st_mode, before.st_ino, before.st_nlink,
    )  # fmt: skip
    assert os.listdir(folder) == ["canary"]


def words_of_refusal(send: Callable[[], object]) -> str | None:
    """Return what a client is told, by a status or (of a load) in the stream; None if it works."""
    try:
        send()
    except docker.errors.APIError as failure:
        known = failure.status_code in (400, 403, 409, 500)
        return str(failure.explanation or "") if known else ""
    except docker.errors.ImageLoadError as failure:
        return str(failure)
    return None


@pytest.mark.parametrize("kind", CASES)
def test_sec_40_41_no_archive_leads_out_by_any_door(
    engine: Engine, api: docker.DockerClient, start: Start, outside: Path, tmp_path: Path, kind: str
) -> None:
    """Load, import, cp, and ADD of a build; what is refused is refused in words."""
    layer = archive(*CORPUS[kind](outside))
    container = start()
    for send in (
        lambda: api.images.load(docker_archive([layer], tags=["hostile:1"])),
        lambda: api.api.import_image_from_data(layer, repository="hostile", tag="2"),
        lambda: container.put_archive("/tmp", layer),
    ):
        words = words_of_refusal(send)
        assert words != ""
        assert "Traceback" not in (words or "")
    context = tmp_path / "context"
    context.mkdir()
    (context / "layer.tar").write_bytes(layer)
    (context / "Dockerfile").write_text(f"FROM {IMAGE}\nADD layer.tar /\n")
    done = engine.boxship("build", "--no-cache", "-t", "hostile:3", str(context), check=False)
    assert "Traceback" not in done.stderr
    for number in (1, 2, 3):
        engine.docker("rmi", "-f", f"hostile:{number}", check=False)


DOCUMENTS = {
    "deep": b'{"Labels":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "deep objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "a million keys": b"{" + b",".join(b'"%d":1' % n for n in range(1_000_000)) + b"}",
    "a million labels": b'{"Image":"busybox","Labels":{'
    + b",".join(b'"%d":""' % n for n in range(1_000_000)) + b"}}",
    "twice the same key": b'{"Image":"busybox","Image":"other"}',
    "a huge number": b'{"Image":"busybox","HostConfig":{"Memory":' + b"9" * 100_000 + b"}}",
    "a huge exponent": b"{%s}" % b",".join(
        b'"%s":1e999999' % name for name in (b"Image", b"Name", b"username", b"Cmd", b"Memory")
    ),
    "not a number": b'{"Image":"busybox","HostConfig":{"Memory":NaN}}',
    "infinity": b'{"Image":"busybox","HostConfig":{"Memory":Infinity}}',
    "half a character": b'{"Image":"\\ud800"}',
    "no UTF-8": b'{"Image":"\xff\xfe"}',
    "a NUL": b'{"Image":"busy\x00box"}',
    "not closed": b'{"Image":"busybox"',
    "more behind": b'{"Image":"busybox"} {"Image":"busybox"}',
}  # fmt: skip


@pytest.mark.parametrize("kind", DOCUMENTS)
def test_sec_112_documents_are_refused_in_words(engine: Engine, start: Start, kind: str) -> None:
    container = start()
    for path in (
        "/containers/create", "/networks/create", "/volumes/create", "/auth",
        f"/containers/{container.id}/exec", f"/containers/{container.id}/update",
    ):  # fmt: skip
        wire = Wire(engine)
        try:
            headers = {"Content-Type": "application/json"}
            try:
                wire.request("POST", path, DOCUMENTS[kind], headers)
            except (BrokenPipeError, ConnectionResetError):
                pass  # it has heard enough; what it says is there to be read
            answer = wire.getresponse()
            said = json.loads(answer.read())
        finally:
            wire.close()
        assert answer.status in (400, 413), (path, said)
        assert said["message"]
        assert len(said["message"]) < 2000
        assert "Traceback" not in said["message"]


def large_window() -> bytes:
    """A zstd frame that wants a window of 2 GiB."""
    return (
        b"\x28\xb5\x2f\xfd\x00"
        + bytes([21 << 3])
        + (1 | 1 << 1 | 4 << 3).to_bytes(3, "little")
        + b"x"
    )


def large_dictionary() -> bytes:
    """An xz stream whose dictionary is said to be of 4 GiB."""
    data = bytearray(lzma.compress(bytes(10240), preset=0))
    at = 12
    size = (data[at] + 1) * 4
    assert data[at + 2 : at + 4] == b"\x21\x01"
    data[at + 4] = 40
    data[at + size - 4 : at + size] = struct.pack("<I", zlib.crc32(data[at : at + size - 4]))
    return bytes(data)


def gzip_in_gzip() -> bytes:
    """What unpacks to something packed: it is unpacked once, and is no archive."""
    data = bytes(1 << 20)
    for _ in range(6):
        packer = zlib.compressobj(9, wbits=31)
        data = packer.compress(data) + packer.flush()
    return data


STREAMS = {"window": large_window, "dictionary": large_dictionary, "nested": gzip_in_gzip}


@pytest.mark.parametrize("kind", STREAMS)
def test_sec_49_streams_that_want_more_memory_than_there_is(
    api: docker.DockerClient, start: Start, kind: str
) -> None:
    """By load, import and cp; the fixture sees what it costs."""
    data = STREAMS[kind]()
    container = start()
    for send in (
        lambda: api.images.load(data),
        lambda: api.api.import_image_from_data(data, repository="hostile"),
        lambda: container.put_archive("/tmp", data),
    ):
        with pytest.raises((docker.errors.APIError, docker.errors.ImageLoadError)):
            send()
    assert inside(container, "ls", "/tmp") == ""


def shims() -> dict[int, int]:
    """Return the memory of all keepers, in KiB."""
    found = {}
    for entry in filter(str.isdigit, os.listdir("/proc")):
        try:
            if Path(f"/proc/{entry}/cmdline").read_bytes().startswith(b"boxship-shim"):
                status = Path(f"/proc/{entry}/status").read_text()
                found[int(entry)] = int(status.split("VmRSS:")[1].split()[0])
        except (OSError, IndexError):
            continue
    return found


@pytest.mark.parametrize("size", [32 << 20, pytest.param(1 << 30, marks=pytest.mark.slow)])
@pytest.mark.parametrize("fill", ["tr '\\0' x", "cat"], ids=["a line", "binary"])
def test_sec_116_a_line_without_end(engine: Engine, start: Start, size: int, fill: str) -> None:
    """The keeper's memory stays as it is, and the engine's while it is read."""
    container = start("sh", "-c", "sleep 3600", log_config={"Type": "local", "Config": {}})
    container.reload()
    keeper = int(Path(f"/proc/{container.attrs['State']['Pid']}/status").read_text()
                 .split("PPid:")[1].split()[0])  # fmt: skip
    before = shims()[keeper]
    talkative = start(
        "sh", "-c", f"head -c {size} /dev/zero | {fill}; exec sleep 3600",
        log_config={"Type": "json-file", "Config": {"max-size": "8m", "max-file": "2"}},
    )  # fmt: skip
    path = engine.root / "data/containers" / str(talkative.id)

    def written() -> bool:
        talkative.reload()
        return "head" not in inside(talkative, "ps")

    wait_until(written, within=280)
    pieces = [len(piece) for piece in talkative.logs(stream=True, follow=False, tail=100)]
    assert pieces
    records = [
        json.loads(line) for file in path.glob("*-json.log*")
        for line in io.BytesIO(file.read_bytes())
    ]  # fmt: skip
    assert records
    assert max(len(one["log"]) for one in records) <= 16 << 10
    assert max(shims().values()) - before < 32 << 10
