"""Graphs there and back, and definitions that make no sense."""

from __future__ import annotations

import hashlib

import pytest

from boxship.build import ops
from boxship.build.control import llb, llbwriting
from boxship.build.errors import BadGraph
from boxship.errors import NotSupported
from boxship.spec.buildkit import solver_pb2 as pb
from boxship.spec.platform import Platform

AMD64 = Platform("linux", "amd64")


def everything() -> ops.Ref:
    """A graph with each operation and each of its parts."""
    image = ops.Vertex(
        ops.Source(
            "docker-image://docker.io/library/busybox:latest", (("image.resolvemode", "x"),)
        ),
        platform=AMD64,
        about=ops.About(name="[1/2] FROM busybox", file="Dockerfile", places=(ops.Place(1, 2),)),
    )
    local = ops.Vertex(ops.Source("local://context", (("local.followpaths", '["a"]'),)))
    process = ops.Vertex(
        ops.Exec(
            args=("sh", "-c", "true"),
            env=("A=b",),
            cwd="/src",
            user="1:2",
            mounts=(
                ops.Bind("/", 0, output=0),
                ops.Bind("/in", 1, "sub", readonly=True),
                ops.Bind("/empty", ops.SCRATCH, output=1),
                ops.Cache("/c", "id", ops.Sharing.LOCKED, input=1, selector="from"),
                ops.Tmpfs("/t", 100),
                ops.Secret("/s", "token", 1, 2, 0o440, optional=True),
                ops.Ssh("/a", "default", 3, 4, 0o600),
            ),
            secret_env=(ops.SecretEnv("TOKEN", "token", optional=True),),
            network=ops.Network.NONE,
            network_name="mine",
            security=ops.Security.INSECURE,
            hostname="here",
            hosts=(("db", "10.0.0.1"),),
            ulimits=(ops.Ulimit("nofile", 1, 2),),
            proxies=(("http_proxy", "http://p"),),
            valid_exit_codes=(0, 3),
        ),
        (ops.Ref(image), ops.Ref(local)),
        AMD64,
        ops.About(ignore_cache=True, resources=ops.Resources(memory=5, cgroup_parent="/x")),
    )
    owner = ops.Owner("root", 5, 0)
    files = ops.Vertex(
        ops.Files(
            (
                ops.Action(ops.Copy("/a", "/b", owner, "u+x", wildcard=True, include=("*",)), 0, 1),
                ops.Action(ops.Copy("/a", "/b", mode="644", unpack=True, timestamp=7), 2, 1),
                ops.Action(ops.MakeFile("/f", b"data", 0o600, ops.Owner(1)), 3),
                ops.Action(ops.MakeFolder("/d", parents=True), 4),
                ops.Action(ops.MakeLink("/f", "/l"), 5),
                ops.Action(ops.Delete("/x", allow_missing=True, wildcard=True), 6, output=0),
            )
        ),
        (ops.Ref(process), ops.Ref(process, 1)),
    )
    diff = ops.Vertex(ops.Diff(), (ops.Ref(image), ops.Ref(files)))
    whole = ops.Vertex(ops.Diff(whole=True), (ops.Ref(diff),))
    return ops.Ref(ops.Vertex(ops.Merge(), (ops.Ref(whole), ops.Ref(diff), ops.Ref(image))))


def test_a_graph_is_the_same_there_and_back() -> None:
    root = everything()
    info = pb.SourceInfo(filename="Dockerfile", data=b"FROM busybox\n")
    sent = pb.Definition.FromString(llbwriting.write(root, [info]).SerializeToString())
    read = llb.read(sent)
    assert read.root is not None
    before, after = list(ops.ancestry(root)), list(ops.ancestry(read.root))
    assert [v.op for v in after] == [v.op for v in before]
    assert [v.about for v in after] == [v.about for v in before]
    assert read.root.vertex.digest == root.vertex.digest
    assert read.files["Dockerfile"].data == b"FROM busybox\n"


def test_nothing_is_nothing_there_and_back() -> None:
    assert llb.read(llbwriting.write(None)).root is None


def defined(*operations: pb.Op, last: int = -1) -> pb.Definition:
    datas = [op.SerializeToString() for op in operations]
    end = pb.Op()
    end.inputs.add(digest="sha256:" + hashlib.sha256(datas[last]).hexdigest())
    return pb.Definition(ops=[*datas, end.SerializeToString()])


SOURCE = pb.Op(source=pb.SourceOp(identifier="local://x"))


def bad(**kind: object) -> pb.Definition:
    op = pb.Op(**kind)  # type: ignore[arg-type]
    op.inputs.add(digest="sha256:" + hashlib.sha256(SOURCE.SerializeToString()).hexdigest())
    return defined(SOURCE, op)


def process(security: int = 0, network: int = 0, **mount: object) -> pb.Definition:
    """A process with values that no client of today sends."""
    mounts = [pb.Mount(dest="/"), pb.Mount(dest="/m", input=-1, output=-1, **mount)]  # type: ignore[arg-type]
    meta = pb.Meta(args=["x"])
    return bad(exec=pb.ExecOp(meta=meta, mounts=mounts, security=security, network=network))  # type: ignore[arg-type]


BAD: dict[str, pb.Definition] = {
    "no result": pb.Definition(ops=[SOURCE.SerializeToString()]),
    "no bytes of an operation": pb.Definition(ops=[b"\xff\xff"]),
    "missing input": defined(pb.Op(merge=pb.MergeOp(), inputs=[pb.Input(digest="sha256:00")])),
    "itself": pb.Definition(ops=[pb.Op(inputs=[pb.Input(digest="x")]).SerializeToString()]),
    "empty": defined(SOURCE, pb.Op(platform=pb.Platform(os="linux"))),
    "no arguments": bad(exec=pb.ExecOp(mounts=[pb.Mount(dest="/")])),
    "no root": bad(exec=pb.ExecOp(meta=pb.Meta(args=["x"]))),
    "input out of range": bad(
        exec=pb.ExecOp(meta=pb.Meta(args=["x"]), mounts=[pb.Mount(dest="/", input=9)])
    ),
    "diff upside down": bad(diff=pb.DiffOp(lower=pb.DiffInput(input=1))),
    "merge out of order": bad(merge=pb.MergeOp(inputs=[pb.MergeInput(input=3)])),
}


@pytest.mark.parametrize("story", sorted(BAD))
def test_what_makes_no_sense_is_refused(story: str) -> None:
    with pytest.raises(BadGraph):
        llb.read(BAD[story])


UNKNOWN: dict[str, pb.Definition] = {
    **{f"security {n}": process(security=n) for n in (2, 7, -1, 1 << 30)},
    **{f"network {n}": process(network=n) for n in (3, 9, -1)},
    **{f"mount {n}": process(kind=n) for n in (5, 99, -1)},
    "sharing": process(kind=pb.MOUNT_CACHE, cache=pb.CacheOptions(id="x", sharing=8)),
}


@pytest.mark.parametrize("story", sorted(UNKNOWN))
def test_sec_62_values_that_nobody_knows_are_refused(story: str) -> None:
    with pytest.raises(NotSupported, match="unknown"):
        llb.read(UNKNOWN[story])


def test_a_feature_that_is_not_there_is_refused_by_name() -> None:
    definition = defined(SOURCE)
    digest = "sha256:" + hashlib.sha256(SOURCE.SerializeToString()).hexdigest()
    definition.metadata[digest].caps["source.from.the.future"] = True
    with pytest.raises(NotSupported, match="future"):
        llb.read(definition)
    with pytest.raises(NotSupported, match="passthrough"):
        llb.read(bad(passthrough=pb.PassthroughOp(id="x")))


@pytest.mark.parametrize(
    "name", ["http.sig.pubkey", "http.header.accept", "git.sig.requiresignedtag", "git.bundle"]
)
def test_what_a_source_is_to_be_verified_by_is_not_passed_over(name: str) -> None:
    source = pb.Op(source=pb.SourceOp(identifier="https://host/file", attrs={name: "x"}))
    with pytest.raises(NotSupported, match=name):
        llb.read(defined(source))


def test_a_deep_graph_needs_no_stack() -> None:
    here = ops.Ref(ops.Vertex(ops.Source("local://x")))
    for number in range(5000):
        action = ops.Action(ops.MakeFolder(f"/{number}"), 0, output=0)
        here = ops.Ref(ops.Vertex(ops.Files((action,)), (here,)))
    read = llb.read(llbwriting.write(here))
    assert read.root is not None
    assert read.root.vertex.digest == here.vertex.digest
