"""Looks into results and containers: what is in a file, a folder, and what is known of a path.

Paths are resolved beneath the folder, so that no link leads out of it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from typing import Final

from boxship.build.control.frontend import read_file
from boxship.errors import InvalidRequest, NotFound
from boxship.kernel import paths
from boxship.lib import globs
from boxship.spec.buildkit import gateway_pb2 as pb
from boxship.spec.buildkit import session_pb2 as session
from boxship.wire import fsutil

FILE_LIMIT: Final = 16 << 20


def read(folder: str, asked: pb.ReadFileRequest) -> pb.ReadFileResponse:
    """Return a file, or a part of it."""
    data = read_file(folder, asked.path, FILE_LIMIT)
    if data is None:
        raise NotFound(f"open {asked.path}: no such file or directory")
    if asked.HasField("range"):
        begin = max(0, asked.range.offset)
        length = asked.range.length
        data = data[begin : begin + length] if length > 0 else data[begin:]
    return pb.ReadFileResponse(data=data)


def listed(folder: str, asked: pb.ReadDirRequest) -> pb.ReadDirResponse:
    """Return what is in a folder."""
    return pb.ReadDirResponse(entries=_listing(folder, asked.path, asked.include_pattern))


def _listing(folder: str, path: str, pattern: str) -> Sequence[session.Stat]:
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        flags = os.O_RDONLY | os.O_DIRECTORY
        inner = paths.open_in_root(root, path.lstrip("/") or ".", flags)
        try:
            return [
                _message(name, os.stat(name, dir_fd=inner, follow_symlinks=False), inner)
                for name in sorted(os.listdir(inner))
                if not pattern or globs.match(pattern, name)
            ]
        finally:
            os.close(inner)
    except FileNotFoundError:
        raise NotFound(f"open {path}: no such file or directory") from None
    except NotADirectoryError:
        raise InvalidRequest(f"{path}: not a directory") from None
    finally:
        os.close(root)


def known(folder: str, asked: pb.StatFileRequest) -> pb.StatFileResponse:
    """Return what is known of a path; a link is not followed."""
    path = asked.path
    root = os.open(folder, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        holder, name = paths.parent_and_name(root, path.lstrip("/") or ".")
        try:
            status = os.stat(name, dir_fd=holder, follow_symlinks=False)
            return pb.StatFileResponse(stat=_message(os.fsdecode(name), status, holder))
        finally:
            os.close(holder)
    except (FileNotFoundError, NotADirectoryError):
        raise NotFound(f"lstat {path}: no such file or directory") from None
    finally:
        os.close(root)


def _message(name: str, status: os.stat_result, folder: int) -> session.Stat:
    said = session.Stat(
        path=os.fsencode(name),
        mode=fsutil.to_go(status.st_mode),
        uid=status.st_uid,
        gid=status.st_gid,
        size=status.st_size,
        mod_time=status.st_mtime_ns,
    )
    if stat.S_ISLNK(status.st_mode):
        said.linkname = os.fsencode(os.readlink(name, dir_fd=folder))
    return said
