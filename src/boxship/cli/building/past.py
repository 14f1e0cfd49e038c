"""Builds of the past: listed, shown, exported, forgotten."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building.builders import Builder, chosen_builder
from boxship.cli.building.records import ago, moment
from boxship.cli.building.remote import ask
from boxship.errors import InvalidRequest, NotFound, NotSupported
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.formatter import Listing
    from boxship.cli.shell import Shell
    from boxship.client.builds import Builds

TABLE: Final = "table {{.Ref}}\t{{.Name}}\t{{.Status}}\t{{.CreatedAt}}\t{{.Duration}}"
SHORT: Final = 36
REFUSED: Final = {
    "import": "records of other builders are not taken in",
    "open": "there is no desktop program that shows records",
    "trace": "no traces are kept; `boxship buildx history logs` tells of each step's time",
}
PREDICATE: Final = "in-toto.io/predicate-type"


class Past:
    """The records of one builder."""

    def __init__(self, shell: Shell, builder: Builder) -> None:
        self._shell = shell
        self.builder = builder

    def ask(self, question: Callable[[Builds], Any]) -> Any:
        return ask(self._shell, question, self.builder)

    def every(self, filters: Sequence[str] = ()) -> list[pb.HistoryRecord]:
        """Return the records, newest first."""

        async def read(builds: Builds) -> list[pb.HistoryRecord]:
            request = pb.HistoryRequest(early_exit=True, filter=filters)
            return [event.record async for event in builds.history(request)]

        found: list[pb.HistoryRecord] = self.ask(read)
        return sorted(found, key=lambda one: one.created_at.ToNanoseconds(), reverse=True)

    def one(self, ref: str) -> pb.HistoryRecord:
        """Return the record that a reference, or its beginning, means; `^2` is the third last."""
        found = self.every()
        name = ref.rpartition("/")[2]
        if name.startswith("^") and name[1:].isdecimal():
            found = found[int(name[1:]) :]
            name = ""
        matching = [one for one in found if one.ref.startswith(name)]
        if not matching:
            raise NotFound(f"no record found for ref {ref!r}" if ref else "no records found")
        if name and len(matching) > 1 and matching[0].ref != name:
            raise InvalidRequest(f"{ref!r} is the beginning of several references")
        return matching[0]

    def content(self, digest: str) -> bytes:
        """Return a blob of the builder's."""
        found: bytes = self.ask(lambda builds: builds.content(digest))
        return found


def do(shell: Shell, words: Sequence[str], given: Mapping[str, Any]) -> int:
    """Do what the first word says."""
    verb, refs = (words[0], list(words[1:])) if words else ("ls", [])
    if verb in REFUSED:
        raise NotSupported(f"history {verb} is not supported: {REFUSED[verb]}")
    past = Past(shell, chosen_builder(shell, given["builder"]))
    match verb:
        case "ls":
            return _list(shell, past, given)
        case "inspect" if refs[:1] == ["attachment"]:
            return _attachment(shell, past, refs[1:], given)
        case "inspect":
            return _inspect(shell, past.one(refs[0] if refs else ""), given["format"])
        case "logs":
            return _logs(shell, past, refs[0] if refs else "", given["progress"])
        case "rm":
            return _forget(shell, past, refs, everything=given["all"])
        case "export":
            from boxship.cli.building.bundles import export

            return export(shell, past, refs, given)
    raise InvalidRequest(f"unknown command: boxship buildx history {verb}")


def _list(shell: Shell, past: Past, given: Mapping[str, Any]) -> int:
    from boxship.cli.formatter import render

    filters = [_condition(text) for text in given["filter"]]
    if given["local"]:
        raise NotSupported("--local is not supported: builds do not tell their repository")
    found = past.every(filters)
    listing = _listing(past, no_trunc=given["no_trunc"])
    shell.out.write(render(listing, found, given["format"] or "table"))
    return 0


def _condition(text: str) -> str:
    """Return a condition as builders take it: `status=error` is `status==error`."""
    key, equals, value = text.partition("=")
    if not equals or key.endswith(("!", "~")) or value.startswith("="):
        return text
    return f"{key}=={value}"


def _listing(past: Past, *, no_trunc: bool) -> Listing:
    from boxship.cli.formatter import Listing

    def name(one: pb.HistoryRecord) -> str:
        shown = name_of(one)
        return shown if no_trunc or len(shown) <= SHORT else shown[: SHORT - 1] + "…"

    builder = past.builder
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


def name_of(one: pb.HistoryRecord) -> str:
    """Return what a build was of: its context, Dockerfile and target."""
    attrs = one.frontend_attrs
    file, target = attrs.get("filename", "Dockerfile"), attrs.get("target", "")
    context = attrs.get("context", "")
    return "/".join(part for part in (context, file) if part) + (f" ({target})" if target else "")


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


def document(one: pb.HistoryRecord) -> dict[str, Any]:
    """Return what is known of a build."""
    attrs = dict(sorted(one.frontend_attrs.items()))
    arguments = _named(attrs, "build-arg:")
    return {
        "Name": name_of(one),
        "Ref": one.ref,
        "Context": attrs.get("context", ""),
        "Dockerfile": attrs.get("filename", "Dockerfile"),
        "Target": attrs.get("target", ""),
        "Platform": [part for part in attrs.get("platform", "").split(",") if part],
        "Status": state_of(one).lower(),
        "Error": {"Code": one.error.code, "Message": one.error.message},
        "CreatedAt": one.created_at.ToJsonString(),
        "CompletedAt": one.completed_at.ToJsonString() if one.HasField("completed_at") else None,
        "NumCompletedSteps": one.completed_steps,
        "NumTotalSteps": one.total_steps,
        "NumCachedSteps": one.cached_steps,
        "NumWarnings": one.warnings,
        "BuildArgs": arguments,
        "Labels": _named(attrs, "label:"),
        "Image": one.exporter_response.get("containerimage.digest", ""),
        "Attachments": [
            {
                "Digest": each.digest,
                "Platform": platform,
                "Type": each.annotations.get(PREDICATE, each.media_type),
            }
            for platform, each in attachments_of(one)
        ],
    }


def _named(attrs: Mapping[str, str], prefix: str) -> list[dict[str, str]]:
    return [
        {"Name": key.removeprefix(prefix), "Value": value}
        for key, value in attrs.items()
        if key.startswith(prefix)
    ]


def attachments_of(one: pb.HistoryRecord) -> list[tuple[str, pb.Descriptor]]:
    """Return what belongs to a record, with its platform where there are several."""
    found = [("", each) for each in one.result.attestations]
    for platform, result in sorted(one.results.items()):
        found += [(platform, each) for each in result.attestations]
    return found


def _inspect(shell: Shell, one: pb.HistoryRecord, form: str) -> int:
    said = document(one)
    if form == "json":
        shell.out.line(json.dumps(said, indent=2, ensure_ascii=False))
        return 0
    if form not in ("", "pretty"):
        from boxship.cli.formatter import Listing, render

        fields = {key: (key.upper(), lambda row, key=key: row[key]) for key in said}
        shell.out.write(render(Listing("*history.inspectOutput", "", fields), [said], form))
        return 0
    lines = [
        ("Name", said["Name"]),
        ("Context", said["Context"]),
        ("Dockerfile", said["Dockerfile"]),
        ("Target", said["Target"]),
        ("Platforms", ", ".join(said["Platform"])),
        ("Ref", one.ref),
        ("", "-"),
        ("Started", moment(one.created_at)),
        ("Duration", took(one)),
        ("Build Steps", f"{one.completed_steps}/{one.total_steps}"
         + (f" ({100 * one.cached_steps // one.total_steps}% cached)" if one.total_steps else "")),
        ("Status", state_of(one)),
        ("Error", one.error.message),
        ("Warnings", str(one.warnings) if one.warnings else ""),
        ("Image", said["Image"]),
    ]  # fmt: skip
    for key, value in lines:
        if value:
            shell.out.line(f"{key + ':':<14}{value}" if key else "")
    for title, pairs in (("BUILD ARG", said["BuildArgs"]), ("LABEL", said["Labels"])):
        if pairs:
            shell.out.line(f"\n{title:<24}VALUE")
            for pair in pairs:
                shell.out.line(f"{pair['Name']:<24}{pair['Value']}")
    if said["Attachments"]:
        shell.out.line(f"\n{'DIGEST':<74}TYPE")
        for each in said["Attachments"]:
            shell.out.line(f"{each['Digest']:<74}{each['Type']}")
    if one.error.message:
        shell.out.line(f"\nPrint build logs: boxship buildx history logs {one.ref}")
    return 0


def _attachment(shell: Shell, past: Past, refs: Sequence[str], given: Mapping[str, Any]) -> int:
    """Print what belongs to a record: the digest's, else the first of the type."""
    one = past.one(refs[0] if refs else "")
    for platform, each in attachments_of(one):
        kind = each.annotations.get(PREDICATE, each.media_type)
        if len(refs) > 1 and each.digest != refs[1]:
            continue
        if given["platform"] and platform and platform != given["platform"]:
            continue
        if given["type"] and given["type"] not in kind:
            continue
        found = json.loads(past.content(each.digest))
        shell.out.line(json.dumps(found.get("predicate", found), indent=2, ensure_ascii=False))
        return 0
    raise NotFound(f"no matching attachment found for build {one.ref}")


def _logs(shell: Shell, past: Past, ref: str, progress: str) -> int:
    from boxship.cli.building.show import MODES, display

    if progress not in MODES:
        raise InvalidRequest(f"invalid progress mode {progress}")
    record = past.one(ref)
    shown = display(progress, shell.out)
    past.ask(lambda builds: builds.status(record.ref, shown.take))
    shown.finish()
    return 0


def _forget(shell: Shell, past: Past, refs: Sequence[str], *, everything: bool) -> int:
    if everything and refs:
        raise InvalidRequest("rm requires either --all or at least one argument")
    if not everything and not refs:
        raise InvalidRequest("rm requires at least one argument")
    chosen = past.every() if everything else [past.one(ref) for ref in refs]

    async def forget(builds: Builds) -> None:
        for one in chosen:
            await builds.update_history(pb.HistoryUpdateRequest(ref=one.ref, delete=True))

    past.ask(forget)
    for one in chosen:
        shell.out.line(one.ref)
    return 0
