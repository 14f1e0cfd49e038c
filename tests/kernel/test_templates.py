"""A plan taken over from another container is the one that would have been worked out."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import msgspec
import pytest
from tests.support.boxes import Boxes, bind, boxes

from boxship.kernel.syscalls import MACHINE
from boxship.runtime.ahead import Ahead
from boxship.runtime.api import CreateRequest, ExecRequest, Init, Stdio
from boxship.runtime.native import NativeRuntime
from boxship.runtime.prepared import Prepared
from boxship.runtime.stub import STUBS
from boxship.runtime.templates import Templates
from boxship.spec.oci import runtime as oci

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(MACHINE not in STUBS, reason="planning ahead needs a stub"),
]
AT = 0x10000000
ONE, OTHER, THIRD = (hashlib.sha256(word).hexdigest() for word in (b"one", b"other", b"third"))


def request(box: Boxes, name: str, env: str = "A=b", **differences: object) -> CreateRequest:
    """A container as an engine asks for it: with its ID in paths and as its host name."""
    folder = box.folder / name
    folder.mkdir(exist_ok=True)
    (folder / "hosts").touch()
    spec = box.spec(
        "sleep", "1", hostname=name[:12], mounts=[bind(folder / "hosts", "/etc/hosts")],
        process={"env": ["PATH=/bin", f"HOSTNAME={name[:12]}", env]},
        linux={"cgroups_path": f"/boxship-tests-{os.getpid()}/{name}"},
    )  # fmt: skip
    return CreateRequest(name, spec, str(folder), -1, **differences)  # type: ignore[arg-type]


def made(
    ahead: Ahead, box: Boxes, asked: CreateRequest, low: int = 100
) -> tuple[Prepared, bytes, bytes]:
    """Return what a process that performs this would be given."""
    said = msgspec.json.encode(asked.spec)
    with box.root() as root:
        first = CreateRequest(asked.id, asked.spec, asked.bundle, root, asked.netns, asked.stdio)
        with ahead.first(first, ("root", "stdout", "stderr"), low, said) as (what, fds):
            found = (
                what,
                os.pread(fds[0], what.size, 0),
                os.pread(fds[0], 1 << 20, what.size),
            )
    ahead._plans.tree.open(what.cgroup).remove()
    return found


@pytest.fixture
def box(tmp_path: Path):  # type: ignore[no-untyped-def]
    with boxes(NativeRuntime()) as made:
        yield made


def fresh(box: Boxes) -> Ahead:
    assert isinstance(box.runtime, NativeRuntime)
    return Ahead(box.runtime.plans, AT)


def test_it_is_the_same_to_the_byte(box: Boxes) -> None:
    ahead = fresh(box)
    made(ahead, box, request(box, ONE))
    taken = made(ahead, box, request(box, OTHER))
    assert len(ahead._templates._kept) == 1
    assert taken == made(fresh(box), box, request(box, OTHER))
    assert OTHER.encode() in taken[1]
    assert ONE[:12].encode() not in taken[1] + taken[2]


@pytest.mark.parametrize("env", [f"X={ONE}", f"X={OTHER}", f"X={ONE[:12]}", f"X={OTHER[:12]}"])
def test_an_id_that_is_mere_text_stays_text(box: Boxes, env: str) -> None:
    ahead = fresh(box)
    for name in (ONE, OTHER, THIRD):
        asked = request(box, name, env)
        assert made(ahead, box, asked) == made(fresh(box), box, asked)


def test_what_differs_in_more_is_worked_out(box: Boxes) -> None:
    ahead = fresh(box)
    made(ahead, box, request(box, ONE))
    changed = request(box, OTHER, "A=c")
    assert made(ahead, box, changed) == made(fresh(box), box, changed)
    numbered = request(box, OTHER)
    assert made(ahead, box, numbered, 200) == made(fresh(box), box, numbered, 200)
    (box.image / "etc/hosts").write_text("")
    (box.image / "dev").mkdir(0o700)
    rooted = request(box, OTHER)
    assert made(ahead, box, rooted) == made(fresh(box), box, rooted)


def test_an_exec_too(box: Boxes) -> None:
    ahead = fresh(box)
    for name in (ONE, OTHER):
        asked = request(box, name)
        group = ahead._plans.make_group(asked)
        try:
            process = oci.Process(args=["true"], cwd="/", env=["PATH=/bin"])
            more = ExecRequest(name, Init(1, -1), asked.spec, process, Stdio())
            said = msgspec.json.encode(asked.spec) + msgspec.json.encode(process)
            images = []
            for one in (ahead, fresh(box)):
                with one.further(more, ("init",), 100, said) as (what, fds):
                    images.append((what, os.pread(fds[0], 1 << 20, 0)))
            assert images[0] == images[1]
        finally:
            group.remove()
    assert len(ahead._templates._kept) == 1


def test_names_of_another_form_have_no_template() -> None:
    templates = Templates()
    for name in ("c1", "g" * 64, "A" * 64, "é" * 32):
        assert templates.marked(b"x", name) == b""
