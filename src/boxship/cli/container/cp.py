"""Copy files between a container and this machine."""

from __future__ import annotations

import os

from boxship.cli.archives import chunks_of
from boxship.cli.command import Command, Flag
from boxship.cli.output import write_all
from boxship.errors import InvalidRequest
from boxship.lib.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Any

    from boxship.cli.copying.pack import Counter
    from boxship.cli.copying.places import Place
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage=(
        "cp [OPTIONS] CONTAINER:SRC_PATH DEST_PATH|-\n"
        "\tboxship cp [OPTIONS] SRC_PATH|- CONTAINER:DEST_PATH"
    ),
    summary="Copy files/folders between a container and the local filesystem",
    names=("container cp", "cp"),
    details=(
        "Copy files/folders between a container and the local filesystem\n\n"
        "With '-' as the source a tar archive is read from standard input and unpacked\n"
        "in a folder of the container. With '-' as the destination what is copied goes\n"
        "to standard output as a tar archive."
    ),
    flags=(
        Flag("archive", "a", "Keep the IDs of users and groups"),
        Flag("follow-link", "L", "Copy what a symbolic link SRC_PATH leads to"),
        Flag("quiet", "q", "Do not say what was copied; nothing is said without a terminal"),
    ),
    at_least=2,
    at_most=2,
    words="container",
)
GO_FOLDER = 1 << 31
GO_SYMLINK = 1 << 27


def run(shell: Shell, words: list[str], *, archive: bool, follow_link: bool, quiet: bool) -> int:
    """Copy in whichever direction the container's name says."""
    from boxship.cli.copying.pack import Counter
    from boxship.cli.copying.places import split_argument

    source, target = words
    if not source:
        return shell.report("source can not be empty")
    if not target:
        return shell.report("destination can not be empty")
    from_container, source_path = split_argument(source)
    to_container, target_path = split_argument(target)
    if from_container and to_container:
        return shell.report("copying between containers is not supported")
    if not (from_container or to_container):
        return shell.report("must specify at least one container source")
    counter = Counter()
    if from_container:
        if target_path == "-":
            for piece in shell.client.containers.get_archive(from_container, source_path).chunks():
                write_all(1, piece)
            return 0
        copy_out(shell, from_container, source_path, target_path, counter, archive, follow_link)
    else:
        copy_in(shell, to_container, source_path, target_path, counter, archive, follow_link)
        if source_path == "-":
            return 0
    if not quiet and shell.err.is_terminal():
        shell.say(f"Successfully copied {human_size(counter.size, 3)} to {target}")
    return 0


def counted(pieces: Iterable[bytes], counter: Counter) -> Iterator[bytes]:
    for piece in pieces:
        counter.size += len(piece)
        yield piece


def copy_out(
    shell: Shell,
    container: str,
    source: str,
    target: str,
    counter: Counter,
    archive: bool,
    follow: bool,
) -> None:
    """Copy from a container."""
    from boxship.cli.copying import places
    from boxship.cli.copying.unpack import Unpacker

    target = places.absolute(target)
    containers = shell.client.containers
    rename = ""
    if follow:
        found = containers.stat_path(container, source)
        if found is not None and found["mode"] & GO_SYMLINK:
            link = found.get("linkTarget", "")
            resolved = os.path.normpath(os.path.join(os.path.dirname(source), link))
            rename = os.path.basename(source.rstrip("/"))
            source = places.keep_ending(resolved, source)
            if places.means_content(source) or rename == os.path.basename(source):
                rename = ""
    response = containers.get_archive(container, source)
    found = _header_stat(response.headers.get("x-docker-container-path-stat", ""))
    is_folder = bool(found["mode"] & GO_FOLDER)
    begin = places.Place(source, exists=True, is_folder=is_folder, rename=rename)
    plan = places.plan(begin, places.local_target(target))
    unpacker = Unpacker(plan, keep_owner=archive and os.geteuid() == 0)
    unpacker.run(counted(response.chunks(), counter))
    for name in unpacker.left_out:
        shell.say(f"not copied, as it is no file, folder or link: {name}")


def _header_stat(text: str) -> dict[str, Any]:
    import binascii

    from boxship.lib import quickjson

    found: dict[str, Any] = quickjson.decode(binascii.a2b_base64(text))
    return found


def copy_in(
    shell: Shell,
    container: str,
    source: str,
    target: str,
    counter: Counter,
    archive: bool,
    follow: bool,
) -> None:
    """Copy to a container."""
    from boxship.cli.copying import places
    from boxship.cli.copying.pack import pack

    containers = shell.client.containers
    if source != "-":
        source = places.absolute(source)
        begin = places.local_source(source, follow=follow)
    end = container_target(shell, container, target)
    if source == "-":
        if not end.is_folder:
            raise InvalidRequest(f'destination "{container}:{target}" must be a directory')
        containers.put_archive(container, end.path, chunks_of(""), copy_ids=archive)
        return
    plan = places.plan(begin, end)
    pieces = pack(begin.path, plan, counter)
    containers.put_archive(container, plan.folder, pieces, copy_ids=archive)


def container_target(shell: Shell, container: str, path: str) -> Place:
    """Look at where a copy to a container ends, following a link there."""
    from boxship.cli.copying import places

    stat_path = shell.client.containers.stat_path
    found = stat_path(container, path)
    if found is not None and found["mode"] & GO_SYMLINK:
        link = found.get("linkTarget", "")
        path = os.path.normpath(os.path.join(os.path.dirname(path.rstrip("/")), link))
        found = stat_path(container, path)
    if found is None:
        return places.Place(path, exists=False, is_folder=False)
    return places.Place(path, exists=True, is_folder=bool(found["mode"] & GO_FOLDER))
