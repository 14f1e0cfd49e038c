"""What is known of one build of the past, with docker buildx's names."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from operator import itemgetter
from typing import TYPE_CHECKING, Any, Final

from boxship.cli.building.localstate import LocalState, LocalStates
from boxship.cli.building.past import attachments_of, name_of, state_of, took
from boxship.cli.building.records import moment
from boxship.cli.building.remembered import Records
from boxship.errors import BoxshipError
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.shell import Shell

PREDICATE: Final = "in-toto.io/predicate-type"
SLSA: Final = "https://slsa.dev/provenance/"
KEEPS_GIT: Final = "build-arg:BUILDKIT_CONTEXT_KEEP_GIT_DIR"
YES: Final = ("1", "t", "true")
STATES: Final = {"Error": "failed"}
# Options of the front end: what they are called here; those of `build-arg:` are not listed there.
CONFIG: Final = {
    "force-network-mode": "Network",
    "hostname": "Hostname",
    "cgroup-parent": "CgroupParent",
    "image-resolve-mode": "ImageResolveMode",
    "shm-size": "ShmSize",
    "ulimit": "Ulimit",
    "memory": "Memory",
    "memswap": "MemorySwap",
    "cpushares": "CPUShares",
    "cpuperiod": "CPUPeriod",
    "cpuquota": "CPUQuota",
    "cpusetcpus": "CPUSetCPUs",
    "cpusetmems": "CPUSetMems",
    "build-arg:BUILDKIT_CACHE_MOUNT_NS": "CacheMountNS",
    "build-arg:BUILDKIT_DOCKERFILE_CHECK": "DockerfileCheckConfig",
    "build-arg:SOURCE_DATE_EPOCH": "SourceDateEpoch",
    "build-arg:SANDBOX_HOSTNAME": "SandboxHostname",
}
KNOWN: Final = ("vcs:", "build-arg:", "label:", "context:", "attest:", "frontend.caps")
Document = dict[str, Any]


def inspect(shell: Shell, records: Records, one: pb.HistoryRecord, form: str) -> int:
    """Print it: for people, as JSON, or by a template."""
    local = LocalStates(shell, records.builder).of(one.ref)
    said = document(one, _materials(records, one), local)
    if form == "json":
        always = ("Ref", "NumCompletedSteps", "NumTotalSteps", "NumCachedSteps", "Config")
        kept = {key: value for key, value in said.items() if value or key in always}
        shell.out.line(json.dumps(kept, indent=2, ensure_ascii=False))
        return 0
    if form not in ("", "pretty"):
        from boxship.cli.formatter import Listing, render

        fields = {key: (key.upper(), itemgetter(key)) for key in said}
        shell.out.write(render(Listing("*history.inspectOutput", "", fields), [said], form))
        return 0
    for line in _lines(one, said):
        shell.out.line(line)
    return 0


def opened(shell: Shell, records: Records, one: pb.HistoryRecord, address: str) -> int:
    """Serve what is known of a build as pages."""
    from boxship.cli.building import pages
    from boxship.cli.building.comparing import steps_of
    from boxship.cli.building.serving import LOOPBACK, serve
    from boxship.cli.building.tracing import spans_of

    local = LocalStates(shell, records.builder).of(one.ref)
    said = document(one, _materials(records, one), local)
    shown = {
        f"attachment-{number}": pages.attachment(records.content(each.digest))
        for number, (_, each) in enumerate(attachments_of(one))
    }
    facts = [(name, value) for name, value in _facts(one, said) if name]
    traced, steps = one.HasField("trace"), steps_of(records, one)
    shown[""] = pages.record(said["Name"] or one.ref, facts, steps, said, traced=traced)
    if traced:
        shown["trace"] = pages.trace(one.ref, spans_of(records, one))
    return serve(shell, "Record", address or f"{LOOPBACK}:0", pages.with_style(shown))


def document(one: pb.HistoryRecord, materials: Sequence[Document], local: LocalState) -> Document:
    """Return what is known of a build."""
    attrs = dict(sorted(one.frontend_attrs.items()))
    done = one.HasField("completed_at")
    ended = one.completed_at.ToNanoseconds() - one.created_at.ToNanoseconds() if done else 0
    error = {"Code": one.error.code, "Message": one.error.message}
    here = "context" not in attrs
    return {
        "Name": name_of(one, local),
        "Ref": one.ref,
        "Context": attrs.get("context") or _near(local.context, os.getcwd()),
        "Dockerfile": _near(local.dockerfile, local.context) or attrs.get("filename", "Dockerfile"),
        "VCSRepository": attrs.get("vcs:source", "") if here else "",
        "VCSRevision": attrs.get("vcs:revision", "") if here else "",
        "Target": attrs.get("target", ""),
        "Platform": [part for part in attrs.get("platform", "").split(",") if part],
        "KeepGitDir": attrs.get(KEEPS_GIT, "").lower() in YES,
        "NamedContexts": _named(attrs, "context:"),
        "StartedAt": one.created_at.ToJsonString(),
        "CompletedAt": one.completed_at.ToJsonString() if done else None,
        "Duration": ended,
        "Status": STATES.get(state_of(one), state_of(one).lower()),
        "Error": error if one.HasField("error") else None,
        "NumCompletedSteps": one.completed_steps,
        "NumTotalSteps": one.total_steps,
        "NumCachedSteps": one.cached_steps,
        "NumWarnings": one.warnings,
        "BuildArgs": _named(attrs, "build-arg:", CONFIG),
        "Labels": _named(attrs, "label:"),
        "Config": _config(attrs),
        "Materials": list(materials),
        "Image": one.exporter_response.get("containerimage.digest", ""),
        "Attachments": [
            {
                "Digest": each.digest,
                **({"Platform": platform} if platform else {}),
                "Type": each.annotations.get(PREDICATE, each.media_type),
            }
            for platform, each in attachments_of(one)
        ],
    }


def _near(path: str, folder: str) -> str:
    """Return a path from a folder, if it is beneath it."""
    if not (os.path.isabs(path) and os.path.isabs(folder)):
        return path
    return os.path.relpath(path, folder) if f"{path}/".startswith(f"{folder}/") else path


def _named(
    attrs: Mapping[str, str], prefix: str, but: Mapping[str, str] = {}
) -> list[dict[str, str]]:
    return [
        {"Name": key.removeprefix(prefix), "Value": value}
        for key, value in attrs.items()
        if key.startswith(prefix) and key not in but
    ]


def _config(attrs: Mapping[str, str]) -> Document:
    found: Document = {name: attrs[key] for key, name in CONFIG.items() if attrs.get(key)}
    if hosts := attrs.get("add-hosts"):
        found["ExtraHosts"] = hosts.split(",")
    if attrs.get("multi-platform", "").lower() in YES:
        found["MultiPlatform"] = True
    if "no-cache" in attrs:
        stages = [one for one in attrs["no-cache"].split(",") if one]
        found.update({"NoCacheFilter": stages} if stages else {"NoCache": True})
    told = (*CONFIG, "add-hosts", "multi-platform", "no-cache", "context", "filename", "target",
            "platform")  # fmt: skip
    rest = [
        {"Name": key, "Value": value}
        for key, value in attrs.items()
        if key not in told and not key.startswith(KNOWN)
    ]
    if rest:
        found["RestRaw"] = rest
    return found


def _materials(records: Records, one: pb.HistoryRecord) -> list[Document]:
    """Return what a build was made of, by its provenance; nothing where there is none."""
    for _, each in attachments_of(one):
        if not each.annotations.get(PREDICATE, each.media_type).startswith(SLSA):
            continue
        try:
            said = json.loads(records.content(each.digest))
            said = said.get("predicate", said)
            listed = said.get("materials")
            if listed is None:
                listed = said["buildDefinition"]["resolvedDependencies"]
            return [
                {
                    "URI": material.get("uri", ""),
                    "Digests": [f"{kind}:{hex}" for kind, hex in material["digest"].items()],
                }
                for material in listed or ()
            ]
        except (BoxshipError, ValueError, KeyError, TypeError, AttributeError):
            continue
    return []


# For people


def _facts(one: pb.HistoryRecord, said: Document) -> Iterator[tuple[str, str]]:
    """Yield what is said of every build; a name of nothing parts two groups."""
    steps = f"{one.completed_steps}/{one.total_steps}"
    if one.total_steps:
        steps += f" ({100 * one.cached_steps // one.total_steps}% cached)"
    for key, value in (
        ("Name", said["Name"]),
        ("Ref", one.ref),
        ("Context", said["Context"]),
        ("Dockerfile", said["Dockerfile"]),
        ("VCS Repository", said["VCSRepository"]),
        ("VCS Revision", said["VCSRevision"]),
        ("Target", said["Target"]),
        ("Platforms", ", ".join(said["Platform"])),
        ("", "-"),
        ("Started", moment(one.created_at)),
        ("Duration", took(one) or "(running)"),
        ("Build Steps", steps),
        ("Status", state_of(one)),
        ("Error", one.error.message),
        ("Warnings", str(one.warnings) if one.warnings else ""),
        ("Image", said["Image"]),
    ):
        if value:
            yield key, value


def _lines(one: pb.HistoryRecord, said: Document) -> Iterator[str]:
    for key, value in _facts(one, said):
        yield f"{key + ':':<16}{value}" if key else ""
    for name, value in said["Config"].items():
        if name != "RestRaw":
            shown = ", ".join(value) if isinstance(value, list) else str(value)
            yield f"{name + ':':<16}{shown}"
    for title, pairs in (
        ("NAMED CONTEXT", said["NamedContexts"]),
        ("BUILD ARG", said["BuildArgs"]),
        ("LABEL", said["Labels"]),
    ):
        yield from _table(title, "VALUE", [(one["Name"], one["Value"]) for one in pairs])
    materials = [(one["URI"], ", ".join(one["Digests"])) for one in said["Materials"]]
    yield from _table("MATERIAL", "DIGESTS", materials)
    attached = [(one["Digest"], one["Type"]) for one in said["Attachments"]]
    yield from _table("DIGEST", "TYPE", attached)
    if one.error.message:
        yield f"\nPrint build logs: boxship buildx history logs {one.ref}"


def _table(first: str, second: str, rows: Sequence[tuple[str, str]]) -> Iterator[str]:
    if rows:
        width = max(20, *(len(key) for key, _ in rows)) + 2
        yield f"\n{first:<{width}}{second}"
        yield from (f"{key:<{width}}{value}" for key, value in rows)
