"""What is attested of a build: SLSA provenance, of version 0.2 or 1. Pure.

It tells from what and how something was built. Values that look like secrets are left out:
whoever can read the image can read this.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from boxship.build.ops import Exec, Files, Source, Vertex
from boxship.build.purl import package
from boxship.build.request import BuildRequest, Dockerfile, Material
from boxship.lib import moments
from boxship.lib.urls import without_login
from boxship.spec.digest import Digest
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference

V02: Final = "https://slsa.dev/provenance/v0.2"
V1: Final = "https://slsa.dev/provenance/v1"
TYPE_V02: Final = "https://mobyproject.org/buildkit@v1"
TYPE_V1: Final = (
    "https://github.com/moby/buildkit/blob/master/docs/attestations/slsa-definitions.md"
)
SECRET: Final = re.compile(
    r"token|secret|passw|pword|credential|api_?key|private|auth|pass(?:$|_)|(?:^|_)key(?:$|_)",
    re.IGNORECASE,
)
HIDDEN: Final = "xxxxx"


@dataclass(frozen=True, slots=True)
class Course:
    """How a build went; times in nanoseconds."""

    identifier: str
    began: int
    ended: int
    materials: Sequence[Material]


def predicate(
    request: BuildRequest,
    course: Course,
    platform: Platform,
    host: Platform,
    vertices: Sequence[Vertex],
) -> tuple[str, dict[str, Any]]:
    """Return the kind of a predicate and the predicate."""
    asked = request.provenance or {}
    full = asked.get("mode", "min") == "max"
    if asked.get("version", "v0.2") in ("v1", "1"):
        return V1, _v1(request, course, platform, host, vertices, full=full)
    return V02, _v02(request, course, platform, vertices, full=full)


def _v02(
    request: BuildRequest,
    course: Course,
    platform: Platform,
    vertices: Sequence[Vertex],
    *,
    full: bool,
) -> dict[str, Any]:
    invocation: dict[str, Any] = {
        "configSource": {"entryPoint": _entry(request)},
        "parameters": _parameters(request, full=full),
        "environment": {"platform": str(platform)},
    }
    found: dict[str, Any] = {
        "builder": {"id": (request.provenance or {}).get("builder-id", "")},
        "buildType": TYPE_V02,
        "materials": [{"uri": one.uri, "digest": dict(one.digest)} for one in course.materials],
        "invocation": invocation,
        "metadata": {
            "buildInvocationID": course.identifier,
            "buildStartedOn": moments.show(course.began),
            "buildFinishedOn": moments.show(course.ended),
            "completeness": {
                "parameters": full,
                "environment": True,
                "materials": False,
            },
            "reproducible": (request.provenance or {}).get("reproducible") == "true",
        },
    }
    if full:
        found["buildConfig"] = _definition(vertices)
    return found


def _v1(
    request: BuildRequest,
    course: Course,
    platform: Platform,
    host: Platform,
    vertices: Sequence[Vertex],
    *,
    full: bool,
) -> dict[str, Any]:
    internal: dict[str, Any] = {"builderPlatform": str(host)}
    if full:
        internal["buildConfig"] = _definition(vertices)
    return {
        "buildDefinition": {
            "buildType": TYPE_V1,
            "externalParameters": {
                "configSource": {"path": _entry(request)},
                "request": {
                    **_parameters(request, full=full),
                    "platform": str(platform),
                },
            },
            "internalParameters": internal,
            "resolvedDependencies": [
                {"uri": one.uri, "digest": dict(one.digest)} for one in course.materials
            ],
        },
        "runDetails": {
            "builder": {"id": (request.provenance or {}).get("builder-id", "")},
            "metadata": {
                "invocationID": course.identifier,
                "startedOn": moments.show(course.began),
                "finishedOn": moments.show(course.ended),
            },
        },
    }


def _entry(request: BuildRequest) -> str:
    return request.frontend.name if isinstance(request.frontend, Dockerfile) else "Dockerfile"


def _parameters(request: BuildRequest, *, full: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"frontend": "dockerfile.v0"}
    args: dict[str, str] = {}
    if request.target:
        args["target"] = request.target
    if full:
        args |= {f"build-arg:{name}": _shown(name, v) for name, v in request.build_args.items()}
        args |= {f"label:{name}": _shown(name, v) for name, v in request.labels.items()}
    if args:
        found["args"] = args
    if (request.context or "local://").startswith("local://"):
        found["locals"] = [{"name": "context"}, {"name": "dockerfile"}]
    return found


def _shown(name: str, value: str) -> str:
    """Return a value, without what is nobody's business."""
    return HIDDEN if SECRET.search(name) else without_login(value)


def _definition(vertices: Sequence[Vertex]) -> dict[str, Any]:
    """Return the graph: what each step did, on which others."""
    numbers = {vertex.digest: f"step{at}" for at, vertex in enumerate(vertices)}
    steps: list[dict[str, Any]] = []
    for vertex in vertices:
        inputs = [f"{numbers[ref.vertex.digest]}:{ref.output}" for ref in vertex.inputs]
        step: dict[str, Any] = {"id": numbers[vertex.digest], "op": _op(vertex)}
        if inputs:
            step["inputs"] = inputs
        steps.append(step)
    digests = {str(vertex.digest): numbers[vertex.digest] for vertex in vertices}
    return {"llbDefinition": steps, "digestMapping": digests}


def _op(vertex: Vertex) -> dict[str, Any]:
    op = vertex.op
    if isinstance(op, Source):
        return {"source": {"identifier": without_login(op.identifier)}}
    if isinstance(op, Exec):
        env = [_line(line) for line in op.env]
        return {"exec": {"meta": {"args": list(op.args), "cwd": op.cwd, "env": env}}}
    if isinstance(op, Files):
        return {"file": {"actions": [type(one.does).__name__.lower() for one in op.actions]}}
    return {type(op).__name__.lower(): {}}


def _line(line: str) -> str:
    name, equals, value = line.partition("=")
    return f"{name}{equals}{_shown(name, value)}"


def subjects(names: Sequence[str], manifest: Digest, platform: Platform) -> list[dict[str, Any]]:
    """Return what a statement is about."""
    called = [package(Reference.parse(name), platform) for name in names]
    return [{"name": name, "digest": {"sha256": manifest.hex}} for name in called or ["_"]]
