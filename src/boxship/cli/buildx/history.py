"""The builds of the past, as far as the running engine knows them."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell
    from boxship.client.builds import Builds
    from boxship.spec.buildkit import control_pb2 as pb

COMMAND = Command(
    usage="buildx history [OPTIONS] ls | inspect [REF] | logs [REF] | rm REF...",
    summary="List, show and forget the builds of the past",
    names=("buildx history",),
    flags=(
        Flag("all", "", "Forget all of them"),
        Flag("no-trunc", "", "Do not shorten"),
        Flag("progress", "", "How logs are shown: plain, rawjson", "string", "plain"),
    ),
)


def run(shell: Shell, words: list[str], *, all: bool, no_trunc: bool, progress: str) -> int:
    """Do what the first word says; without one, list."""
    find_libraries()
    from boxship.cli.building.remote import ask

    verb, refs = (words[0], words[1:]) if words else ("ls", [])
    found = ask(shell, _records)
    if verb == "ls":
        _list(shell, found, no_trunc=no_trunc)
        return 0
    if verb == "rm":
        chosen = found if all else [_one(found, ref) for ref in refs]
        return _forget(shell, chosen)
    if verb not in ("inspect", "logs"):
        return shell.report(f"unknown command: boxship buildx history {verb}")
    record = _one(found, refs[0] if refs else "")
    if verb == "inspect":
        _inspect(shell, record)
    else:
        _logs(shell, record.ref, progress)
    return 0


async def _records(builds: Builds) -> list[pb.HistoryRecord]:
    from boxship.spec.buildkit import control_pb2 as pb

    request = pb.HistoryRequest(early_exit=True)
    return [event.record async for event in builds.history(request)]


def _one(found: list[pb.HistoryRecord], ref: str) -> pb.HistoryRecord:
    """Return the record that a reference, or the beginning of one, means; the last for none."""
    from boxship.errors import NotFound

    name = ref.rpartition("/")[2]
    matching = [one for one in found if one.ref.startswith(name)]
    if not matching:
        raise NotFound(f"no build record found for {ref or 'the last build'}")
    return matching[0]


def _list(shell: Shell, found: list[pb.HistoryRecord], *, no_trunc: bool) -> None:
    from boxship.cli.building.records import ago

    shell.out.line(f"{'BUILD ID':<26}{'NAME':<32}{'STATUS':<12}{'CREATED AT':<20}DURATION")
    for one in found:
        name = _name(one) if no_trunc else _name(one)[:30]
        when = ago(one.created_at.seconds)
        shell.out.line(f"{one.ref:<26}{name:<32}{_state(one):<12}{when:<20}{_took(one)}")


def _name(one: pb.HistoryRecord) -> str:
    attrs = one.frontend_attrs
    file, target = attrs.get("filename", "Dockerfile"), attrs.get("target", "")
    context = attrs.get("context", "")
    return "/".join(part for part in (context, file) if part) + (f" ({target})" if target else "")


def _state(one: pb.HistoryRecord) -> str:
    if not one.HasField("completed_at"):
        return "Running"
    return "Completed" if not one.error.code else "Canceled" if one.error.code == 1 else "Error"


def _took(one: pb.HistoryRecord) -> str:
    if not one.HasField("completed_at"):
        return ""
    spent = (one.completed_at.ToNanoseconds() - one.created_at.ToNanoseconds()) / 1e9
    return f"{spent:.1f}s"


def _inspect(shell: Shell, one: pb.HistoryRecord) -> None:
    lines = [
        ("Name", _name(one)),
        ("Ref", one.ref),
        ("Status", _state(one)),
        ("Error", one.error.message),
        ("Created", one.created_at.ToJsonString()),
        ("Duration", _took(one)),
        ("Build Steps", f"{one.completed_steps}/{one.total_steps} ({one.cached_steps} cached)"),
        ("Image", one.exporter_response.get("containerimage.digest", "")),
    ]
    for key, value in lines:
        if value:
            shell.out.line(f"{key + ':':<16}{value}")


def _logs(shell: Shell, ref: str, progress: str) -> None:
    from boxship.cli.building.remote import ask
    from boxship.cli.building.show import display

    shown = display(progress, shell.out)
    ask(shell, lambda builds: builds.status(ref, shown.take))
    shown.finish()


def _forget(shell: Shell, chosen: list[pb.HistoryRecord]) -> int:
    from boxship.cli.building.remote import ask
    from boxship.spec.buildkit import control_pb2 as pb

    async def forget(builds: Builds) -> None:
        for one in chosen:
            await builds.update_history(pb.HistoryUpdateRequest(ref=one.ref, delete=True))

    ask(shell, forget)
    for one in chosen:
        shell.out.line(one.ref)
    return 0
