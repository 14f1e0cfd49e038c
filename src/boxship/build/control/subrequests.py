"""What can be asked of a Dockerfile instead of a build: its stages, and what is wrong with it."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Final

from boxship.build.control.needs import Builder
from boxship.build.dockerfile.convert import Converted
from boxship.build.dockerfile.lint import Finding
from boxship.build.dockerfile.parse import decode, parse
from boxship.build.dockerfile.read import stages
from boxship.build.progress import Report
from boxship.build.request import BuildRequest, Dockerfile
from boxship.errors import NotSupported

VERSION: Final = "1.0.0"
Answer = Callable[[BuildRequest, Builder, Report], Awaitable[tuple[dict[str, Any], str]]]


async def answer(
    asked: str, request: BuildRequest, builder: Builder, report: Report
) -> Mapping[str, bytes]:
    """Return the result of a subrequest, as a frontend gives it back."""
    if asked not in ANSWERS:
        raise NotSupported(f"unsupported request {asked[:100]}")
    document, text = await ANSWERS[asked](request, builder, report)
    found = document if asked != DESCRIBE else document["requests"]
    return {
        "result.json": json.dumps(found, indent=2).encode(),
        "result.txt": text.encode(),
        "version": VERSION.encode(),
    }


async def _describe(
    request: BuildRequest, builder: Builder, report: Report
) -> tuple[dict[str, Any], str]:
    known = [
        {
            "name": name,
            "version": VERSION,
            "type": "rpc",
            "description": about,
            "opts": None,
            "metadata": [{"name": "result.json"}, {"name": "result.txt"}],
        }
        for name, about in DESCRIPTIONS.items()
    ]
    lines = [f"{one['name']:<32}{one['version']:<10}{one['description']}" for one in known]
    return {"requests": known}, "\n".join(lines) + "\n"


async def _targets(
    request: BuildRequest, builder: Builder, report: Report
) -> tuple[dict[str, Any], str]:
    assert isinstance(request.frontend, Dockerfile)
    found, _ = stages(parse(decode(request.frontend.text)).nodes)
    told: list[dict[str, Any]] = []
    lines = ["TARGET       DESCRIPTION"]
    for number, stage in enumerate(found):
        begins, last = stage.begins, number == len(found) - 1
        one: dict[str, Any] = {"base": begins.base, "default": last}
        if begins.alias:
            one["name"] = begins.alias
        if begins.doc:
            one["description"] = begins.doc
        if begins.platform:
            one["platform"] = begins.platform
        told.append(one)
        if begins.alias or last:
            shown = (begins.alias or "") + (" (default)" if last else "")
            lines.append(f"{shown:<13}{begins.doc}".rstrip())
    return {"targets": told, "sources": [_encoded(request.frontend.text)]}, "\n".join(lines) + "\n"


async def _lint(
    request: BuildRequest, builder: Builder, report: Report
) -> tuple[dict[str, Any], str]:
    assert isinstance(request.frontend, Dockerfile)
    conversions: list[Converted] = []
    file = replace(request.frontend, told=conversions.append)
    await builder.plan(replace(request, frontend=file), report)
    findings = list(dict.fromkeys(f for one in conversions for f in one.findings))
    warnings = [_warning(finding) for finding in findings]
    source = {"filename": file.name, "language": "Dockerfile", "data": _encoded(file.text)}
    document = {"sources": [source] if warnings else None, "warnings": warnings}
    return document, _shown(file, findings)


def _warning(finding: Finding) -> dict[str, Any]:
    ranges = [{"start": {"line": p.first}, "end": {"line": p.last}} for p in finding.places]
    return {
        "ruleName": finding.rule.name,
        "description": finding.rule.description,
        "url": finding.rule.url,
        "detail": finding.message,
        "location": {"sourceIndex": 0, "ranges": ranges},
    }


def _shown(file: Dockerfile, findings: list[Finding]) -> str:
    from boxship.build.dockerfile.errors import excerpt

    text = decode(file.text)
    parts = []
    for one in sorted(findings, key=lambda f: f.places[0].first if f.places else 0):
        parts.append(
            f"\nWARNING: {one.rule.name} - {one.rule.url}\n{one.message}\n\n"
            + excerpt(file.name, text, one.places)
        )
    return "".join(parts) or "Check complete, no warnings found.\n"


def _encoded(data: bytes) -> str:
    import base64

    return base64.b64encode(data).decode()


DESCRIBE: Final = "frontend.subrequests.describe"
ANSWERS: Final[Mapping[str, Answer]] = {
    DESCRIBE: _describe,
    "frontend.targets": _targets,
    "frontend.lint": _lint,
}
DESCRIPTIONS: Final = {
    DESCRIBE: "List available subrequest types",
    "frontend.targets": "List all targets current build supports",
    "frontend.lint": "Lint a Dockerfile",
}
