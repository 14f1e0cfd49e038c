"""What is run in builds that are debugged, and where: parsed from flags, failures and keys."""

from __future__ import annotations

import json

import pytest

from boxship.build import ops
from boxship.build.control import debugging as told
from boxship.build.errors import BuildFailed, ProcessFailed
from boxship.cli.debugging import invoke, places
from boxship.cli.debugging.console import Escapes, Key
from boxship.cli.debugging.invoke import Invoke
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import control_pb2 as control
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.spec.buildkit import solver_pb2 as solver


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("", Invoke()),
        ("default", Invoke()),
        ("debug-shell", Invoke(idle=True)),
        ("sh", Invoke(("sh",))),
        ("sh -c 'echo a,b'", Invoke(("sh", "-c", "echo a,b"))),
        ("A=b sh", Invoke(("A=b", "sh"))),
        ('entrypoint=sh,args=-c,"args=echo a,b"', Invoke(("sh", "-c", "echo a,b"))),
        ("user=,cwd=/x,env=A=b,env=C=d,tty=false", Invoke((), ("A=b", "C=d"), "", "/x", False)),
    ],
)
def test_a_flag_says_what_is_run(text: str, meant: Invoke) -> None:
    assert invoke.read(text) == meant


@pytest.mark.parametrize("text", ["env=A=b,nope=1", "env=A=b,nope", "tty=x", "sh 'open"])
def test_what_makes_no_sense_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequest):
        invoke.read(text)


@pytest.mark.parametrize("cut", range(8))
def test_keys_are_found_however_they_come(cut: int) -> None:
    escapes = Escapes()
    data = b"a\x01cb\x01\x01\x01?"
    found = [*escapes.feed(data[:cut]), *escapes.feed(data[cut:])]
    plain = b"".join(one for one in found if isinstance(one, bytes))
    assert plain == b"ab\x01\x01?"
    assert [one for one in found if not isinstance(one, bytes)] == [Key.SWITCH]


def failure(document: object) -> bytes:
    status = control.Status(code=2)
    kind = "github.com/moby/buildkit/errdefs.Solve+json"
    status.details.add(type_url=kind, value=json.dumps(document).encode())
    return status.SerializeToString()


def test_what_the_engine_tells_of_a_failed_step_is_understood() -> None:
    """The names of results are the engine's; mounts and surroundings are the step's."""
    base = ops.Ref(ops.Vertex(ops.Source("local://x")))
    left = ops.Ref(ops.Vertex(ops.Source("local://left")))
    process = ops.Exec(
        ("make",), env=("A=b",), cwd="/work", user="7", hostname="here",
        mounts=(
            ops.Bind("/", 0, output=0), ops.Bind("/ro", 0, selector="/sub", readonly=True),
            ops.Tmpfs("/t", size=5), ops.Secret("/s", id="it", mode=0o400),
        ),
    )  # fmt: skip
    vertex = ops.Vertex(process, (base,))
    error, cause = BuildFailed("bad", vertex), ProcessFailed(("make",), 2)
    error.__cause__, cause.left = cause, {0: left}
    (said,) = told.details(error, lambda ref: "left" if ref == left else "base").values()
    place = places.of_failure(failure(said))
    assert place is not None
    assert [one.result_id for one in place.mounts] == ["left", "base", "", ""]
    assert [one.result_id for one in place.initial] == ["base", "base", "", ""]
    assert place.mounts[1].selector == "/sub"
    assert place.mounts[1].readonly
    assert place.mounts[2].tmpfs.size == 5
    assert (place.mounts[3].secret.id, place.mounts[3].secret.mode) == ("it", 0o400)
    meta = place.process(Invoke(("ls",), ("C=d",), cwd="/"))
    assert list(meta.env) == ["A=b", "C=d"]
    assert (list(meta.args), meta.cwd, meta.user) == (["ls"], "/", "7")
    assert list(place.process(Invoke()).args) == ["/bin/sh"]
    assert place.container(initial=True).hostname == "here"


@pytest.mark.parametrize("wrong", [[], {"op": 3}, {"op": {"exec": {}}}, {"op": {"exec": {
    "meta": {}, "mounts": [{"dest": "/", "input": "x"}]}}}])  # fmt: skip
def test_nonsense_about_a_failed_step_is_told_of(wrong: object) -> None:
    with pytest.raises(InvalidRequest, match="cannot be read"):
        places.of_failure(failure(wrong))


def test_a_failure_of_no_process_has_no_place() -> None:
    assert places.of_failure(b"") is None
    assert places.of_failure(failure({"op": {"file": {}}})) is None


def test_a_result_is_run_as_its_image_says() -> None:
    config = {"config": {"Entrypoint": ["a"], "Cmd": ["b"], "User": "u", "Env": ["E=f"]}}
    result = pb.Result(ref=pb.Ref(id="name"))
    result.metadata["containerimage.config"] = json.dumps(config).encode()
    place = places.of_result(result)
    assert place is not None
    assert place.mounts == [solver.Mount(dest="/", result_id="name")]
    meta = place.process(Invoke())
    assert (list(meta.args), list(meta.env), meta.user, meta.cwd) == (["a", "b"], ["E=f"], "u", "/")
    assert places.of_result(pb.Result()) is None
