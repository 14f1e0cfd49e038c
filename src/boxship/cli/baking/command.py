"""`buildx bake`: from words to a plan, and what is done with it."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from boxship.cli.baking.checks import check
from boxship.cli.baking.files import local_files, read_definition
from boxship.cli.baking.plan import Plan, make_plan
from boxship.cli.baking.target import DEFAULT, HERE, Target, is_remote, place
from boxship.cli.building import policies
from boxship.cli.building.checks import attestation
from boxship.cli.building.platforms import local_platform
from boxship.errors import BoxshipError, InvalidRequest
from boxship.lib.hcl import BadDefinition

if TYPE_CHECKING:
    from boxship.cli.baking.remote import Found
    from boxship.cli.building.asked import Asked
    from boxship.cli.shell import Shell

EPOCH = "SOURCE_DATE_EPOCH"


def bake(shell: Shell, words: list[str], given: Mapping[str, Any]) -> int:
    """Do what the words ask for."""
    try:
        with ExitStack() as undo:
            return _bake(shell, words, given, undo)
    except BadDefinition as error:
        if error.span is not None:
            shell.say(error.span.excerpt())
        return shell.report(f"ERROR: {error}")
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")


def _bake(shell: Shell, words: list[str], given: Mapping[str, Any], undo: ExitStack) -> int:
    listing = given["list"] or ("targets" if given["list_targets"] else "")
    listing = listing or ("variables" if given["list_variables"] else "")
    if given["print"] and listing:
        raise InvalidRequest("--print and --list are mutually exclusive")
    policies_off = policies.are_off(given["policy"])
    url, context, names = _places(words)
    source = _source(shell, url, given, undo)
    builtin = {"BAKE_CMD_CONTEXT": context, "BAKE_LOCAL_PLATFORM": local_platform()}
    variables = dict(_variable(text) for text in given["var"])
    definition = read_definition(source.files, shell.environment, builtin, variables, source.read)
    for warning in definition.warnings:
        shell.say(f"WARNING: {warning}")
    if listing:
        from boxship.cli.baking.listing import listed

        shell.out.write(listed(definition, listing))
        return 0
    plan = make_plan(definition, names or [DEFAULT], overrides_of(given), shell.environment)
    for target in plan.targets.values():
        _add_epoch(target, shell.environment)
        check(target, shell.environment)
        place(target, url, "" if given["print"] else source.folder)
    if given["print"]:
        shell.out.write(_indented(plan.document()))
        return 0
    return _build(shell, plan, words, given, Where(url, source.folder, policies_off))


def _places(words: list[str]) -> tuple[str, str, list[str]]:
    """Return where the definition is, where the command says its files are, and names."""
    if not words or not is_remote(words[0]):
        return "", HERE, words
    if len(words) < 2 or not is_remote(words[1]):
        return words[0], HERE, words[1:]
    return words[0], words[1], words[2:]


def _source(shell: Shell, url: str, given: Mapping[str, Any], undo: ExitStack) -> Found:
    from boxship.cli.baking.remote import Found, remote_files

    if not url:
        return Found(local_files(given["file"], shell.environment))
    return remote_files(shell, url, given["file"], undo)


def _variable(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise InvalidRequest(f'invalid variable "{text}", expected NAME=VALUE')
    return name, value


def overrides_of(given: Mapping[str, Any]) -> list[str]:
    """Return `--set`, and the flags that are short for some."""
    found = list(given["set"])
    if given["push"]:
        found.append("*.push=true")
    if given["load"]:
        found.append("*.load=true")
    call = call_of(given)
    if call != "build":
        found.append(f"*.call={call.partition(',')[0]}")
    for name in ("no_cache", "pull"):
        if given[name] is not None:
            found.append(f"*.{name.replace('_', '-')}={'true' if given[name] else 'false'}")
    for kind in ("sbom", "provenance"):
        if given[kind]:
            found.append(f"*.attest={attestation(kind, given[kind])}")
    return found


def call_of(given: Mapping[str, Any]) -> str:
    return "check" if given["check"] else str(given["call"]) or "build"


def _add_epoch(target: Target, environment: Mapping[str, str]) -> None:
    if value := environment.get(EPOCH, ""):
        target["args"] = {EPOCH: value, **(target.get("args") or {})}


def _indented(document: object) -> str:
    import json

    shown = json.dumps(document, indent=2, ensure_ascii=False)
    for char in "&<>":
        shown = shown.replace(char, f"\\u{ord(char):04x}")
    return shown + "\n"


@dataclass(frozen=True, slots=True)
class Where:
    """Where the definition comes from; whether policies beside Dockerfiles are switched off."""

    url: str
    folder: str
    policies_off: bool


def _build(
    shell: Shell, plan: Plan, words: list[str], given: Mapping[str, Any], where: Where
) -> int:
    from boxship.cli.baking.builds import asked_of
    from boxship.cli.baking.consent import ENGINE, demand, granted, lacking, needed
    from boxship.cli.baking.results import show_calls
    from boxship.cli.building.builders import chosen_builder
    from boxship.cli.building.calls import call_named
    from boxship.cli.building.metadata import write_several
    from boxship.cli.building.run import build_all, progress_mode

    builder = chosen_builder(shell, given["builder"])
    mode = progress_mode(shell, given["progress"])
    if where.folder:
        _check_inside(plan, where.folder)
    wanted = needed(plan.targets.values(), shell.environment)
    rights = granted(given["allow"], os.getcwd())
    rights.read |= {where.folder} if where.folder else set()
    demand(shell, lacking(wanted, rights), words)
    call = call_named(call_of(given))
    builds: dict[str, Asked] = {}
    for name, target in plan.targets.items():
        asked = builds[name] = asked_of(target, where.url, policies_off=where.policies_off)
        if where.url and is_remote(target["context"]):
            from boxship.cli.baking.remote import tokens

            asked.secrets = [*asked.secrets, *tokens(shell.environment)]
        asked.allow = [*asked.allow, *(one for one in given["allow"] if one in ENGINE)]
        if said := target.get("call"):
            asked.options = {**asked.options, **call_named(said).options}
    linked = {name: asked for name, asked in builds.items() if name in plan.linked}
    chosen = {name: asked for name, asked in builds.items() if name not in plan.linked}
    status, results = build_all(
        shell, chosen, mode, {**chosen, **linked}, builder=builder, debug=given["debug"]
    )
    if given["metadata_file"] and not status:
        write_several(shell, given["metadata_file"], results, builder)
    if status:
        return status
    return show_calls(shell, plan, call, results)


def _check_inside(plan: Plan, folder: str) -> None:
    """Refuse links in an archive that lead contexts and Dockerfiles out of it."""
    from boxship.cli.baking.builds import local_places
    from boxship.cli.baking.remote import inside

    for target in plan.targets.values():
        for path in local_places(target):
            if os.path.commonpath([folder, os.path.abspath(path)]) == folder:
                inside(folder, path)
