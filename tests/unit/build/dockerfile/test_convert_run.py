"""RUN to processes: their words, mounts, networks and variables."""

from __future__ import annotations

import pytest
from tests.support.dockerfiles import (
    build,
    op,
    ops_of,
    vertices,
)

from boxship.build import ops
from boxship.build.ops import MakeFile, MakeFolder, Owner


def run_of(text: str, **options) -> ops.Exec:
    made = build(f"FROM base\n{text}", **options)
    found = ops_of(made, ops.Exec)
    return found[-1]


@pytest.mark.parametrize(
    ("line", "args"),
    [
        ("RUN a b", ("/bin/sh", "-c", "a b")),
        ('RUN ["a", "$b"]', ("a", "$b")),
        ('SHELL ["/bin/bash", "-ec"]\nRUN a', ("/bin/bash", "-ec", "a")),
        ("RUN <<EOF\na\nb\nEOF", ("/bin/sh", "-c", "a\nb\n")),
        ("RUN <<-EOF\n\ta\n\tEOF", ("/bin/sh", "-c", "a\n")),
        ("RUN cat <<A - <<B\n1\nA\n2\nB", ("/bin/sh", "-c", "cat <<A - <<B\n1\nA\n2\nB")),
        ("RUN <<EOF\n#!/usr/bin/env x\ny\nEOF", ("/bin/sh", "-c", "/dev/pipes/EOF")),
    ],
)
def test_what_a_run_runs(line, args):
    assert run_of(line).args == args


def test_a_script_with_an_interpreter_is_mounted_as_a_file():
    made = build("FROM base\nRUN <<EOF\n#!/bin/x\ny\nEOF\n")
    (mount,) = op(made, "RUN <<EOF (#!/bin/x...)").mounts[1:]
    assert (mount.target, mount.readonly) == ("/dev/pipes/", True)
    (action,) = op(made, "preparing inline document").actions
    assert action.does == MakeFile("/EOF", b"#!/bin/x\ny\n", 0o755)


def test_where_and_as_whom_a_process_runs():
    made = run_of("WORKDIR /a\nWORKDIR b\nUSER 1:2\nRUN x")
    assert (made.cwd, made.user) == ("/a/b", "1:2")


def test_mounts_of_a_run():
    made = build(
        "FROM base AS tools\nFROM base\nARG D=data\nWORKDIR /w\n"
        "RUN --mount=from=tools,source=/t,target=/tools,rw"
        " --mount=source=$D,target=in"
        " --mount=type=cache,target=/c,sharing=locked"
        " --mount=type=cache,target=/o,id=own,uid=5,mode=0700"
        " --mount=type=tmpfs,target=/tmp,size=1k"
        " --mount=type=secret,id=a --mount=type=secret,id=b,env=B,required"
        " --mount=type=secret,target=/s/c,mode=0444"
        " --mount=type=ssh make\n",
        cache_namespace="ns",
    )
    found = op(made, "make")
    root, *mounts = found.mounts
    assert root == ops.Bind("/", root.input, output=0)
    assert mounts == [
        ops.Bind("/tools", mounts[0].input, "/t", readonly=False),
        ops.Bind("/w/in", mounts[1].input, "/data", readonly=True),
        ops.Cache("/c", "ns//c", ops.Sharing.LOCKED),
        ops.Cache("/o", "ns/own", input=mounts[3].input, selector="/cache"),
        ops.Tmpfs("/tmp", 1024),
        ops.Secret("/run/secrets/a", "a", optional=True),
        ops.Secret("/s/c", "c", mode=0o444, optional=True),
        ops.Ssh("/run/buildkit/ssh_agent.0", "default", optional=True),
    ]
    assert found.secret_env == (ops.SecretEnv("B", "b"),)
    assert "SSH_AUTH_SOCK=/run/buildkit/ssh_agent.0" in found.env
    (action,) = op(made, "settings cache mount permissions").actions
    assert action.does == MakeFolder("/cache", 0o700, owner=Owner(5, 0))


def test_a_secret_is_not_shown_in_the_name_of_a_vertex():
    made = build("FROM base\nENV T=x\nRUN --mount=type=secret,id=t,env=T echo $T\n")
    assert list(vertices(made))[-1].endswith("echo ****")


def test_arguments_of_buildkits_own():
    given = {"BUILDKIT_CACHE_MOUNT_NS": "ns", "BUILDKIT_SANDBOX_HOSTNAME": "box"}
    made = build("FROM base\nRUN --mount=type=cache,target=/c x\n", build_args=given)
    found = op(made, "/c x")
    assert (found.mounts[1].id, found.hostname) == ("ns//c", "box")
    assert made.unused == ()


def test_network_and_security_of_a_run():
    assert run_of("RUN x").network is ops.Network.SANDBOX
    assert run_of("RUN x", network=ops.Network.NONE).network is ops.Network.NONE
    assert run_of("RUN --network=host x").network is ops.Network.HOST
    assert run_of("RUN --network=none x").network is ops.Network.NONE
    assert run_of("RUN --security=insecure x").security is ops.Security.INSECURE
    assert run_of("RUN x", network_name="mine").network_name == "mine"
