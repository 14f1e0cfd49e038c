"""Source policies by the real client: what is denied is said, what is replaced is used."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from tests.support.buildkit import BUSYBOX, CONTROL, built, on_engine, session
from tests.support.engine import PATIENCE, Engine, docker_command, link_plugins

from boxship.build import ops
from boxship.build.control import llbwriting
from boxship.spec.buildkit import control_pb2 as pb
from boxship.spec.buildkit import policysession_pb2 as policysession
from boxship.transport.http2 import Http2, Stream
from boxship.wire.grpc import Failed

IMAGE = "docker-image://docker.io/library/"


def build(
    engine: Engine, folder: Path, rules: list[object], *words: str
) -> subprocess.CompletedProcess[str]:
    if not link_plugins(engine.root / "config"):
        pytest.skip("docker buildx is neither installed nor could it be fetched")
    policy = folder.with_suffix(".json")
    policy.write_text(json.dumps({"rules": rules}))
    return subprocess.run(
        [docker_command(), "-H", engine.host, "buildx", "build", *words, str(folder)],
        env={
            **os.environ,
            "DOCKER_CONFIG": f"{engine.root}/config",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY": str(policy),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60 * PATIENCE,
        stdin=subprocess.DEVNULL,
    )


def rule(action: str, identifier: str, to: str = "") -> dict[str, object]:
    found: dict[str, object] = {"action": action, "selector": {"identifier": identifier}}
    if to:
        found["updates"] = {"identifier": to}
    return found


@pytest.mark.parametrize(
    ("text", "denied", "said"),
    [
        ("FROM busybox\n", f"{IMAGE}busybox*", "could not resolve image due to policy"),
        ("FROM scratch\nADD https://nowhere.invalid/f /\n", "https://*", "https://nowhere"),
        ("FROM scratch\nADD https://nowhere.invalid/r.git /r\n", "git://*", "git://nowhere"),
        ("FROM scratch\nCOPY Dockerfile /\n", "local://context", "local://context"),
        ("FROM scratch\nCOPY Dockerfile /\n", "local://dockerfile", "local://dockerfile"),
    ],
)
def test_a_denied_source_ends_the_build(
    engine: Engine, tmp_path: Path, text: str, denied: str, said: str
) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "Dockerfile").write_text(text)
    done = build(engine, folder, [rule("DENY", denied)])
    assert done.returncode == 1
    assert "denied by policy: source denied by policy" in done.stderr
    assert said in done.stderr


def test_a_source_is_replaced_by_another(engine: Engine, tmp_path: Path) -> None:
    folder = tmp_path / "c"
    folder.mkdir()
    (folder / "Dockerfile").write_text("FROM alpine:3\nRUN echo made > /by\n")
    rules = [rule("DENY", "*"), rule("CONVERT", f"{IMAGE}alpine:*", f"{IMAGE}busybox:latest")]
    done = build(engine, folder, [*rules, rule("ALLOW", f"{IMAGE}busybox:*")])
    assert done.returncode == 1  # the folders are denied
    assert "local://dockerfile" in done.stderr
    allowed = [rule("ALLOW", f"{IMAGE}busybox:*"), rule("ALLOW", "local://*")]
    done = build(engine, folder, [*rules, *allowed], "-t", "policy:replaced")
    assert done.returncode == 0, done.stderr
    assert "busybox:latest@sha256" in done.stderr
    assert engine.docker("run", "--rm", "policy:replaced", "cat", "/by").stdout == "made\n"


def test_a_definition_is_judged_when_it_is_solved(engine: Engine) -> None:
    copied = ops.Files((ops.Action(ops.Copy("/etc", "/"), ops.SCRATCH, 0, output=0),))
    root = ops.Ref(ops.Vertex(copied, (BUSYBOX,)))

    async def story(client: Http2) -> None:
        request = pb.SolveRequest(ref="policy", definition=llbwriting.write(root))
        selector = pb.Selector(identifier="busybox", match_type=pb.REGEX)
        constraint = selector.constraints.add(key="image.resolvemode", value="pull")
        request.source_policy.rules.add(action=pb.DENY, selector=selector)
        await client.ask(CONTROL + "Solve", request.SerializeToString())
        constraint.condition = pb.NOTEQUAL
        request.source_policy.rules[0].selector.CopyFrom(selector)
        with pytest.raises(Failed, match=r"error evaluating the source policy: source .* denied"):
            await client.ask(CONTROL + "Solve", request.SerializeToString())

    on_engine(engine, story)


CHECK = "/moby.buildkit.v1.sourcepolicy.policysession.PolicyVerifier/CheckPolicy"


def test_a_client_judges_sources_over_its_session(engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "Dockerfile").write_text("FROM alpine:3\nRUN echo judged\nCOPY Dockerfile /\n")
    asked: list[str] = []
    denied: list[str] = []

    async def serve(stream: Stream) -> None:
        said = policysession.CheckPolicyRequest.FromString(await stream.receive() or b"")
        name = said.source.source.identifier
        asked.append(name)
        answer = policysession.CheckPolicyResponse()
        if name in denied:
            answer.decision.action = pb.DENY
            answer.decision.deny_messages.add(message="not today")
        elif "alpine" in name:
            answer.decision.action = pb.CONVERT
            answer.decision.update.identifier = f"{IMAGE}busybox:latest"
        elif name == f"{IMAGE}busybox:latest" and not said.source.image.digest:
            answer.request.source.CopyFrom(said.source.source)
        else:
            if said.source.HasField("image"):
                assert json.loads(said.source.image.config)["os"] == "linux"
            answer.decision.action = pb.ALLOW
        await stream.send(answer.SerializeToString())

    async def story(client: Http2) -> None:
        judge = {"source_policy_session": "judge"}
        async with session(client, "judge", [CHECK], serve):
            told = await built(client, str(tmp_path), "judged-1", **judge)
            assert any(vertex.name.startswith("[2/3] RUN") for vertex in told.vertexes)
            assert {"local://dockerfile", "local://context", f"{IMAGE}alpine:3"} <= set(asked)
            denied.append("local://context")
            wanted = r'source "local://context" not allowed by policy: action DENY: not today'
            with pytest.raises(Failed, match=wanted):
                await built(client, str(tmp_path), "judged-2", **judge)

    on_engine(engine, story)
