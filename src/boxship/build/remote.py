"""`remote`: a context that the engine fetches itself: a repository, an archive, a Dockerfile."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import AbstractAsyncContextManager, ExitStack
from dataclasses import replace
from threading import Event
from typing import BinaryIO, Final, Protocol

from boxship.build.dockerfile import gitref
from boxship.build.dockerfile.convert import EPOCH
from boxship.build.dockerfile.mounts import TRUE
from boxship.build.dockerfile.parse import SIZE_LIMIT
from boxship.build.ops import About, Ref, Source, Vertex
from boxship.build.progress import Report
from boxship.build.request import BuildRequest, Graph
from boxship.build.uploads import USUAL_NAMES, Upload, Uploads, made
from boxship.errors import InvalidRequest
from boxship.lib import compression
from boxship.wire import tar

SCHEMES: Final = ("http://", "https://")
FILE: Final = "context"
LOADING: Final = "[internal] load remote build context"
KEEP_GIT: Final = "BUILDKIT_CONTEXT_KEEP_GIT_DIR"
CHUNK: Final = 1 << 18
SECOND: Final = 1_000_000_000


class Opens(Protocol):
    """Shows what a source gives as a folder."""

    def opened(
        self, ref: Ref | None, request: BuildRequest, report: Report
    ) -> AbstractAsyncContextManager[str]:
        """Solve a result, and show it for as long as the block goes on."""


class Dates(Opens, Protocol):
    """Tells of what time sources are, too."""

    async def date_of(self, source: Source, request: BuildRequest, report: Report) -> int | None:
        """Return it in seconds; None where a source does not say."""


def repository_of(context: str, build_args: Mapping[str, str]) -> Source | None:
    """Return the source of a context that is a repository; None for any other."""
    repository = gitref.parse(context)
    if repository is None:
        return None
    kept = build_args.get(KEEP_GIT, "")
    keeps = kept in TRUE if kept else bool(repository.keep_git_dir)
    if build_args.get(EPOCH) and not repository.mtime:
        repository = replace(repository, mtime="commit")  # what is copied is the same each time
    return repository.source(keep_git_dir=keeps, checksum=repository.checksum)


def source_of(context: str, build_args: Mapping[str, str]) -> Source | None:
    """Return the source of a context of the web; None for any other."""
    if is_file(context):
        return Source(context, (("http.filename", FILE),))
    return repository_of(context, build_args)


async def date_of(
    context: str, build_args: Mapping[str, str], builder: Dates, request: BuildRequest, tell: Report
) -> int | None:
    """Return of what time a context is, in seconds; None for a folder, which has none.

    A commit's, or what a file's server says, or that of the newest file in an archive.
    """
    source = source_of(context, build_args)
    date = None if source is None else await builder.date_of(source, request, tell)
    if date is None and source is not None and is_file(context):
        async with builder.opened(Ref(Vertex(source)), request, tell) as folder:
            return await asyncio.to_thread(_newest, folder)
    return date


def is_file(context: str) -> bool:
    """Whether a context is one file of the web: an archive or a Dockerfile."""
    return context.startswith(SCHEMES) and gitref.parse(context) is None


async def fetch(context: str, uploads: Uploads, builder: Opens) -> Upload:
    """Fetch a context into a folder of its own, for nobody in particular."""
    request = BuildRequest(frontend=Graph(()))
    source = repository_of(context, {})
    if source is None:
        return await fetch_file(context, uploads, builder, request, lambda told: None)
    async with builder.opened(Ref(Vertex(source)), request, lambda told: None) as folder:
        return await made(lambda stop: _folder(folder, uploads), Upload.remove)


async def fetch_file(
    context: str, uploads: Uploads, builder: Opens, request: BuildRequest, report: Report
) -> Upload:
    """Fetch a context that is one file."""
    if not is_file(context):
        raise InvalidRequest(f"remote context cannot be used: {context[:200]}")
    source = Source(context, (("http.filename", FILE),))
    ref = Ref(Vertex(source, about=About(name=LOADING)))
    async with builder.opened(ref, request, report) as folder:
        return await made(lambda stop: _file(folder, uploads, stop), Upload.remove)


def _folder(folder: str, uploads: Uploads) -> Upload:
    with ExitStack() as undo:
        upload = uploads.make()
        undo.callback(upload.remove)
        shutil.copytree(folder, upload.folder, symlinks=True, dirs_exist_ok=True)
        undo.pop_all()
    return upload


def _file(folder: str, uploads: Uploads, stop: Event) -> Upload:
    """Take a file as an archive or, where it is none, as the Dockerfile and no context."""
    with _opened(folder) as file:
        if _is_archive(file):
            return uploads.unpack(_pieces(file), stop)
        text = file.read(SIZE_LIMIT + 1)
    if len(text) > SIZE_LIMIT:
        raise InvalidRequest(f"the Dockerfile is larger than {SIZE_LIMIT} bytes")
    upload = uploads.make()
    upload.write(USUAL_NAMES[0], text)
    upload.is_alone = True
    return upload


def _newest(folder: str) -> int | None:
    """Return the time of the newest file in an archive; None where there is none."""
    with _opened(folder) as file:
        if not _is_archive(file):
            return None
        entries = tar.Reader(compression.decompress(_pieces(file)))
        return max((entry.mtime // SECOND for entry in entries), default=None)


def _opened(folder: str) -> BinaryIO:
    fd = os.open(f"{folder}/{FILE}", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
    return os.fdopen(fd, "rb")


def _is_archive(file: BinaryIO) -> bool:
    first = file.read(tar.BLOCK)
    file.seek(0)
    return compression.detect(first) is not compression.Compression.NONE or _is_tar(first)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(CHUNK):
        yield piece


def _is_tar(first: bytes) -> bool:
    return len(first) >= tar.BLOCK and (first[257:262] == b"ustar" or b"\0" in first[:100])
