"""Build what a file says."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="buildx bake [OPTIONS] [TARGET...]",
    summary="Build from a file",
    names=("buildx bake",),
    flags=(
        Flag("allow", "", "Allow an extra privileged entitlement (network.host)", "array"),
        Flag("builder", "", "Only the engine's own builder, default", "string", "", hidden=True),
        Flag("file", "f", "Build definition file", "array"),
        Flag("list", "", "List targets or variables", "string", ""),
        Flag("load", "", "Load the results into the engine, which is the default"),
        Flag("metadata-file", "", "Write build result metadata to a file", "string", ""),
        Flag("no-cache", "", "Do not use the cache"),
        Flag("print", "", "Print the options without building"),
        Flag("progress", "", "Progress: auto, plain, tty, quiet, rawjson", "string", "auto"),
        Flag("provenance", "", "Shorthand for --set=*.attest=type=provenance", "string", ""),
        Flag("pull", "", "Always look for newer base images"),
        Flag("push", "", "Push the results to their registries"),
        Flag("sbom", "", "Shorthand for --set=*.attest=type=sbom", "string", ""),
        Flag("set", "", "Override a target value (target.key=value)", "array"),
        Flag("var", "", "Set a variable (NAME=VALUE)", "array"),
    ),
    words="",
)


def run(shell: Shell, words: list[str], **given: Any) -> int:
    """Read the files, and build the targets named or the default ones."""
    find_libraries()
    from boxship.cli.building import bake
    from boxship.cli.building.run import build_all, metadata, metadata_text, write_file

    variables = dict(text.partition("=")[::2] for text in given["var"])
    plan = bake.read(given["file"], shell.environment, variables)
    for text in given["set"]:
        plan.override(text)
    if given["list"]:
        return _list(shell, plan, given["list"])
    names = plan.chosen(words or [bake.DEFAULT])
    targets = {name: plan.resolved(name) for name in names}
    if given["print"]:
        group = {bake.DEFAULT: {"targets": names}}
        shell.out.write(_indented({"group": group, "target": targets}))
        return 0
    wanted = {name: _asked(said, given) for name, said in targets.items()}
    linked = {}
    waiting = list(wanted.values())
    while waiting:
        for other in bake.links(waiting.pop()).values():
            if other not in linked:
                linked[other] = _asked(plan.resolved(other), given)
                waiting.append(linked[other])
    mode = given["progress"]
    if mode == "auto":
        mode = shell.environment.get("BUILDKIT_PROGRESS", "") or "auto"
    status, results = build_all(shell, wanted, mode, linked)
    if given["metadata_file"] and not status:
        found = {name: metadata(result) for name, result in results.items()}
        write_file(given["metadata_file"], metadata_text(found))
    return status


def _asked(said: dict[str, Any], given: dict[str, Any]) -> Any:
    from boxship.cli.building.bake import asked_of

    asked = asked_of(said)
    asked.no_cache = asked.no_cache or given["no_cache"]
    asked.pull = asked.pull or given["pull"]
    asked.push, asked.load = given["push"], given["load"]
    asked.allow = [*asked.allow, *given["allow"]]
    for kind in ("provenance", "sbom"):
        if value := given[kind]:
            plain = {"true": "", "1": "", "false": ",disabled=true", "0": ",disabled=true"}
            asked.attests.append(f"type={kind}" + plain.get(value, f",{value}"))
    return asked


def _list(shell: Shell, plan: Any, what: str) -> int:
    if what.startswith("variables"):
        for name, value in sorted(plan.variables.items()):
            shell.out.line(f"{name}\t{'' if value is None else value}")
        return 0
    for name in sorted([*plan.targets, *plan.groups]):
        said = plan.targets.get(name, {}).get("description", "")
        shell.out.line(f"{name}\t{said or ', '.join(plan.groups.get(name, ()))}")
    return 0


def _indented(document: object) -> str:
    import json

    return json.dumps(document, indent=2) + "\n"
