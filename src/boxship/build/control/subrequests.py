"""What can be asked of a Dockerfile instead of a build: what it takes, its stages, its faults.

Answers are documents with text beside them, in the shapes of BuildKit's own Dockerfile frontend.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from boxship.build.control.needs import Builder
from boxship.build.dockerfile.convert import Converted
from boxship.build.dockerfile.errors import AtLines, excerpt
from boxship.build.dockerfile.lint import Finding
from boxship.build.dockerfile.outline import Parameter
from boxship.build.dockerfile.parse import decode, parse
from boxship.build.dockerfile.read import stages
from boxship.build.ops import Place
from boxship.build.progress import Report
from boxship.build.request import BuildRequest, Dockerfile
from boxship.errors import NotSupported
from boxship.lib.table import columns

VERSION: Final = "1.0.0"


@dataclass(frozen=True, slots=True)
class Said:
    """An answer: as JSON, as text, and what goes beside them."""

    document: object
    text: str
    more: Mapping[str, str] = field(default_factory=dict)


Answer = Callable[[Dockerfile, BuildRequest, Builder, Report], Awaitable[Said]]


async def answer(
    asked: str, request: BuildRequest, builder: Builder, report: Report
) -> Mapping[str, bytes]:
    """Return the result of a subrequest, as a frontend gives it back."""
    if asked not in ANSWERS:
        raise NotSupported(f"unsupported request {asked[:100]}")
    assert isinstance(request.frontend, Dockerfile)
    said = await ANSWERS[asked](request.frontend, request, builder, report)
    found = {
        "result.json": json.dumps(said.document, indent=2, ensure_ascii=False),
        "result.txt": said.text,
        "version": VERSION,
        **said.more,
    }
    return {name: text.encode() for name, text in found.items()}


# What can be asked


async def _describe(
    file: Dockerfile, request: BuildRequest, builder: Builder, report: Report
) -> Said:
    known = [
        {
            "name": name,
            "version": VERSION,
            "type": "rpc",
            "description": about,
            "opts": opts,
            "inputs": None,
            "metadata": [{"name": one, "description": ""} for one in gives],
            "refs": None,
        }
        for name, (about, opts, gives) in KNOWN.items()
    ]
    rows = [("NAME", "VERSION", "DESCRIPTION")]
    rows += [
        (name.removeprefix("frontend."), VERSION, about) for name, (about, _, _) in KNOWN.items()
    ]
    return Said(known, _table(rows, 1))


# Targets


async def _targets(
    file: Dockerfile, request: BuildRequest, builder: Builder, report: Report
) -> Said:
    found, _ = stages(parse(decode(file.text)).nodes)
    told: list[dict[str, object]] = []
    rows = [("TARGET", "DESCRIPTION")]
    for number, stage in enumerate(found):
        begins, last = stage.begins, number == len(found) - 1
        one = {
            "name": begins.alias,
            "default": last,
            "description": begins.doc,
            "base": begins.base,
            "platform": begins.platform,
        }
        told.append({k: v for k, v in one.items() if v} | {"location": _at(begins.line.place)})
        shown = f"{begins.alias} (default)".lstrip() if last else begins.alias
        rows.append((shown, begins.doc))
    return Said({"targets": told, "sources": [_encoded(file.text)]}, _table(rows, 1))


# Outline


async def _outline(
    file: Dockerfile, request: BuildRequest, builder: Builder, report: Report
) -> Said:
    conversion = (await _converted(replace(file, outline=True), request, builder, report))[0]
    found = conversion.outline
    assert found is not None
    members: dict[str, object] = {
        "name": found.name,
        "description": found.doc,
        "args": [_argument(one) for one in found.args],
        "secrets": [_optional(one) for one in found.secrets],
        "ssh": [_optional(one) for one in found.agents],
    }
    document = {name: value for name, value in members.items() if value}
    rows = [("TARGET:", found.name)] if found.name else []
    rows += [("DESCRIPTION:", found.doc)] if found.doc else []
    parts = [_table(rows, 1)] if rows else []
    if found.args:
        table = [("BUILD ARG", "VALUE", "DESCRIPTION")]
        table += [(one.name, one.value, one.doc) for one in found.args]
        parts.append(_table(table, 3))
    for title, some in (("SECRET", found.secrets), ("SSH", found.agents)):
        if some:
            rows = [(title, "REQUIRED")]
            rows += [(one.name, "true" if one.required else "") for one in some]
            parts.append(_table(rows, 3))
    document["sources"] = [_encoded(file.text)]
    return Said(document, "".join(f"{part}\n" for part in parts))


def _argument(one: Parameter) -> dict[str, object]:
    said = {"name": one.name, "description": one.doc, "value": one.value}
    return {name: value for name, value in said.items() if value} | {"location": _at(one.place)}


def _optional(one: Parameter) -> dict[str, object]:
    required = {"required": True} if one.required else {}
    return {"name": one.name, **required, "location": _at(one.place)}


async def _converted(
    file: Dockerfile, request: BuildRequest, builder: Builder, report: Report
) -> Sequence[Converted]:
    """Convert, and say what came of it for each platform."""
    conversions: list[Converted] = []
    heard = replace(file, told=conversions.append)
    await builder.plan(replace(request, frontend=heard), report)
    return conversions


# Lint


async def _lint(file: Dockerfile, request: BuildRequest, builder: Builder, report: Report) -> Said:
    """Check what is asked for, or all stages where no target is named."""
    wrong: AtLines | None = None
    found: list[Finding] = []
    asked = replace(file, checked=found.extend, all_stages=not request.target)
    try:
        await builder.plan(replace(request, frontend=asked), report)
    except AtLines as error:
        wrong = error
    findings = list(dict.fromkeys(found))
    document: dict[str, Any] = {
        "warnings": [_warning(finding) for finding in findings],
        "sources": [
            {
                "filename": file.name,
                "language": "Dockerfile",
                "definition": None,
                "data": _encoded(file.text),
            }
        ],
    }
    if wrong is not None:
        document["buildError"] = {"message": str(wrong), "location": _at(*wrong.places)}
    text = _shown(file, findings, wrong)
    status = "1" if findings or wrong is not None else "0"
    return Said(document, text, {"result.statuscode": status})


def _warning(finding: Finding) -> dict[str, Any]:
    return {
        "ruleName": finding.rule.name,
        "description": finding.rule.description,
        "url": finding.rule.url,
        "detail": finding.message,
        "location": _at(*finding.places),
    }


def _shown(file: Dockerfile, findings: Sequence[Finding], wrong: AtLines | None) -> str:
    text = decode(file.text)
    parts = []
    for one in sorted(findings, key=lambda f: f.places[0].first if f.places else 0):
        parts.append(
            f"\nWARNING: {one.rule.name} - {one.rule.url}\n{one.message}\n\n"
            + excerpt(file.name, text, one.places)
        )
    if wrong is not None:
        parts.append(f"\nERROR: {wrong}\n\n{excerpt(file.name, text, wrong.places)}")
    return "".join(parts) or "Check complete, no warnings found.\n"


def _at(*places: Place) -> dict[str, Any]:
    ranges = [{"start": {"line": p.first}, "end": {"line": p.last}} for p in places]
    return {"ranges": ranges}


def _table(rows: Sequence[tuple[str, ...]], padding: int) -> str:
    text = "".join("\t".join(row) + "\n" for row in rows)
    return columns(text, least=0, padding=padding)


def _encoded(data: bytes) -> str:
    return base64.b64encode(data).decode()


OUTLINE: Final = "frontend.outline"
TARGETS: Final = "frontend.targets"
LINT: Final = "frontend.lint"
DESCRIBE: Final = "frontend.subrequests.describe"
ANSWERS: Final[Mapping[str, Answer]] = {
    OUTLINE: _outline,
    TARGETS: _targets,
    LINT: _lint,
    DESCRIBE: _describe,
}
_TARGET: Final = [{"name": "target", "description": "Target build stage"}]
_BOTH: Final = ("result.json", "result.txt")
KNOWN: Final[Mapping[str, tuple[str, list[dict[str, str]] | None, Sequence[str]]]] = {
    OUTLINE: ("List all parameters current build target supports", _TARGET, _BOTH),
    TARGETS: ("List all targets current build supports", [], _BOTH),
    LINT: ("Lint a Dockerfile", [], (*_BOTH, "result.statuscode")),
    DESCRIBE: ("List available subrequest types", None, _BOTH),
}
