"""What targets that were only asked about have answered."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from boxship.cli.building.calls import Call, call_named

if TYPE_CHECKING:
    from boxship.cli.baking.plan import Plan
    from boxship.cli.shell import Shell


def show_calls(
    shell: Shell, plan: Plan, asked: Call, results: Mapping[str, Mapping[str, str]]
) -> int:
    """Print each answer under its target's name, or all as one document."""
    status = 0
    answers: dict[str, dict[str, Any]] = {}
    for name in sorted(results):
        said = plan.targets[name].get("call")
        if not said or call_named(said).is_build:
            continue
        call = Call(call_named(said).name, asked.form, asked.lenient)
        status = call.status(results[name]) or status
        if asked.form == "json":
            answers[name] = {call.name: json.loads(results[name]["result.json"])}
            continue
        shell.out.write("\n" if answers else "")
        answers[name] = {}
        shell.out.line(name)
        if about := plan.targets[name].get("description"):
            shell.out.line(about)
        shell.out.line("")
        shell.out.write(call.shown(results[name]))
    if asked.form == "json":
        document = plan.document()
        document["target"] = {
            name: {"build": said, **answers.get(name, {})}
            for name, said in document["target"].items()
        }
        shell.out.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")
    return status
