"""Builds of the past: listed, shown, forgotten, taken in."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building import pastfilters
from boxship.cli.building.localstate import LocalState, LocalStates
from boxship.cli.building.records import ago
from boxship.cli.building.remembered import Records, one_of, records_of
from boxship.errors import InvalidRequest, NotFound
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.formatter import Listing
    from boxship.cli.shell import Shell

TABLE: Final = "table {{.Ref}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}"
SHORT: Final = 36
VERBS: Final = ("ls", "inspect", "logs", "rm", "export", "import", "open", "trace")
MOST_WORDS: Final = {"inspect": 1, "logs": 1, "open": 1, "trace": 1, "rm": -1, "export": -1}
NAME: Final = "build-arg:BUILDKIT_BUILD_NAME"
PREDICATE: Final = "in-toto.io/predicate-type"


def do(shell: Shell, words: Sequence[str], given: Mapping[str, Any]) -> int:
    """Do what the first word says."""
    verb, refs = (words[0], list(words[1:])) if words else ("ls", [])
    attached = verb == "inspect" and refs[:1] == ["attachment"]
    most = MOST_WORDS.get(verb, 0) + attached * 2
    if verb not in VERBS:
        raise InvalidRequest(f"unknown command: boxship buildx history {verb}")
    if most >= 0 and len(refs) > most:
        raise InvalidRequest(
            f'"boxship buildx history {verb}" requires at most {most} argument{"s"[most == 1 :]}'
        )
    if verb == "import":
        return _import(shell, given["file"])
    named = refs[1:] if attached else refs
    # Of an attachment the second word is no reference.
    records, found = records_of(shell, given["builder"], named[:1] if attached else named)
    ref = found[0] if found else ""
    match verb:
        case "ls":
            return _list(shell, records, given)
        case "inspect" if attached:
            return _attachment(shell, records, [*found, *named[1:]], given)
        case "inspect":
            from boxship.cli.building.inspecting import inspect

            return inspect(shell, records, one_of(records, ref), given["format"])
        case "logs":
            return _logs(shell, records, ref, given["progress"])
        case "rm":
            return _forget(shell, records, found, everything=given["all"])
        case "open":
            from boxship.cli.building.inspecting import opened

            return opened(shell, records, one_of(records, ref), given["addr"])
        case "trace":
            from boxship.cli.building.tracing import trace

            return trace(shell, records, ref, given)
        case _:
            from boxship.cli.building.bundles import export

            return export(shell, records, found, given)


def _import(shell: Shell, files: Sequence[str]) -> int:
    """Take in archives, standard input for none; say what their records are called."""
    from boxship.cli.building.imported import Imported

    imported = Imported(shell)
    for name in files or ["-"]:
        if name == "-":
            refs = imported.take(sys.stdin.buffer)
        else:
            try:
                with open(name, "rb") as file:
                    refs = imported.take(file)
            except OSError as error:
                reason = (error.strerror or str(error)).lower()
                raise InvalidRequest(f"failed to open file {name}: {reason}") from None
        for ref in refs:
            shell.out.line(ref)
    return 0


def _list(shell: Shell, records: Records, given: Mapping[str, Any]) -> int:
    from boxship.cli.formatter import render

    asked, admits = pastfilters.read(given["filter"], time.time_ns())
    every = records.every(asked)
    states = LocalStates(shell, records.builder)
    if not asked:
        states.tidy(one.ref for one in every)
    found = [one for one in every if admits(one)]
    if given["local"]:
        root = _repository()
        found = [one for one in found if states.of(one.ref).is_beneath(root)]
    listing = _listing(records, states, no_trunc=given["no_trunc"])
    shell.out.write(render(listing, found, given["format"] or "table"))
    return 0


def _repository() -> str:
    """Return the repository that the current folder is in."""
    folder = os.getcwd()
    while not os.path.exists(os.path.join(folder, ".git")):
        if folder == "/":
            raise InvalidRequest("--local: the current folder is in no git repository")
        folder = os.path.dirname(folder)
    return folder


def _listing(records: Records, states: LocalStates, *, no_trunc: bool) -> Listing:
    from boxship.cli.formatter import Listing

    def name(one: pb.HistoryRecord) -> str:
        shown = name_of(one, states.of(one.ref))
        return shown if no_trunc or len(shown) <= SHORT else shown[: SHORT - 1] + "…"

    builder = records.builder
    return Listing(
        "*history.lsContext",
        TABLE,
        {
            "Ref": ("BUILD ID", lambda one: one.ref),
            "FullRef": ("REF", lambda one: f"{builder.name}/{builder.node}/{one.ref}"),
            "Name": ("NAME", name),
            "Status": ("STATUS", state_of),
            "CreatedAt": ("CREATED AT", lambda one: ago(one.created_at.seconds)),
            "Duration": ("DURATION", took),
            "TotalSteps": ("TOTAL STEPS", lambda one: one.total_steps),
            "CompletedSteps": ("COMPLETED STEPS", lambda one: one.completed_steps),
            "CachedSteps": ("CACHED STEPS", lambda one: one.cached_steps),
        },
    )


def name_of(one: pb.HistoryRecord, local: LocalState) -> str:
    """Return what a build was of: its context, Dockerfile and target."""
    attrs = one.frontend_attrs
    if name := attrs.get(NAME, ""):
        return name
    file, target = attrs.get("filename", "Dockerfile"), attrs.get("target", "")
    context = attrs.get("context", "")
    name = context or local.name() or attrs.get("vcs:source", "") or file
    return name + (f" ({target})" if target else "")


def state_of(one: pb.HistoryRecord) -> str:
    if not one.HasField("completed_at"):
        return "Running"
    if not one.error.code and not one.error.message:
        return "Completed"
    return "Canceled" if one.error.code == 1 else "Error"


def took(one: pb.HistoryRecord) -> str:
    if not one.HasField("completed_at"):
        return ""
    spent = (one.completed_at.ToNanoseconds() - one.created_at.ToNanoseconds()) / 1e9
    return f"{spent:.1f}s" if spent < 60 else f"{int(spent // 60)}m {int(spent % 60)}s"


def attachments_of(one: pb.HistoryRecord) -> list[tuple[str, pb.Descriptor]]:
    """Return what belongs to a record, with its platform where there are several."""
    found = [("", each) for each in one.result.attestations]
    for platform, result in sorted(one.results.items()):
        found += [(platform, each) for each in result.attestations]
    return found


def _attachment(
    shell: Shell, records: Records, refs: Sequence[str], given: Mapping[str, Any]
) -> int:
    """Print what belongs to a record: the digest's, else the first of the type."""
    one = one_of(records, refs[0] if refs else "")
    for platform, each in attachments_of(one):
        kind = each.annotations.get(PREDICATE, each.media_type)
        if len(refs) > 1 and each.digest != refs[1]:
            continue
        if given["platform"] and platform and platform != given["platform"]:
            continue
        if given["type"] and given["type"] not in kind:
            continue
        found = json.loads(records.content(each.digest))
        shell.out.line(json.dumps(found.get("predicate", found), indent=2, ensure_ascii=False))
        return 0
    raise NotFound(f"no matching attachment found for build {one.ref}")


def _logs(shell: Shell, records: Records, ref: str, progress: str) -> int:
    from boxship.cli.building.show import MODES, display

    if progress not in MODES:
        raise InvalidRequest(f"invalid progress mode {progress}")
    record = one_of(records, ref)
    shown = display(progress, shell.out)
    records.status(record, shown.take)
    shown.finish()
    return 0


def _forget(shell: Shell, records: Records, refs: Sequence[str], *, everything: bool) -> int:
    if everything and refs:
        raise InvalidRequest("rm requires either --all or at least one argument")
    if not everything and not refs:
        raise InvalidRequest("rm requires at least one argument")
    chosen = records.every() if everything else [one_of(records, ref) for ref in refs]

    records.remove(chosen)
    LocalStates(shell, records.builder).forget(one.ref for one in chosen)
    for one in chosen:
        shell.out.line(one.ref)
    return 0
