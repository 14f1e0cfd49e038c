"""The last steps of every process: finding its program, and becoming it."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator, Sequence
from typing import Final

from boxship.kernel.syscalls import AT_FDCWD
from boxship.runtime.errors import BadBundle
from boxship.runtime.program import ANY, MISSING, VALUE, Program, Strings, tolerating

AT_EACCESS: Final = 0x200
F_OK: Final = 0
X_OK: Final = 1
IS_FOLDER: Final = os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC
UNKNOWN: Final = tolerating(errno.ENOSYS, errno.EPERM)  # no such call here, or it is filtered
NOT_HERE: Final = MISSING | tolerating(errno.EACCES)
EXEC_FAILED: Final = 255

# What execve(2) may answer to a program that is there.
TOLD: Final = (
    errno.ENOENT,
    errno.ENOEXEC,
    errno.EACCES,
    errno.EPERM,
    errno.ENOMEM,
    errno.E2BIG,
    errno.ELOOP,
    errno.ETXTBSY,
    errno.EIO,
    errno.EINVAL,
    errno.ENOTDIR,
    errno.EISDIR,
    errno.EAGAIN,
    errno.ELIBBAD,
)


def candidates(name: str, environment: Sequence[str]) -> tuple[str, ...]:
    """Return the paths at which a program may be: itself, or below each folder in PATH."""
    if "/" in name:
        return (name,)
    return tuple(f"{folder.rstrip('/')}/{name}" for folder in _search(environment))


def _search(environment: Sequence[str]) -> Iterator[str]:
    path = next((line[5:] for line in reversed(environment) if line.startswith("PATH=")), "")
    yield from (folder for folder in path.split(":") if folder.startswith("/"))


def find(program: Program, arguments: Sequence[str], environment: Sequence[str]) -> None:
    """Fail now, with the right words, if there is no program to run."""
    if not arguments:
        raise BadBundle("args must not be empty")
    name = arguments[0]
    said = f'exec: "{name}"'
    if "/" in name:
        path = os.fsencode(name)
        go_on, is_folder = program.place(), program.place()
        program.add("openat", AT_FDCWD, path, IS_FOLDER, 0, tolerated=ANY, on_success=is_folder)
        program.add(
            "faccessat2", AT_FDCWD, path, F_OK, AT_EACCESS,
            about=f"{said}: stat {name}", tolerated=UNKNOWN,
        )  # fmt: skip
        program.add(
            "faccessat2", AT_FDCWD, path, X_OK, AT_EACCESS,
            about=said, tolerated=UNKNOWN, on_success=go_on,
        )  # fmt: skip
        program.jump(go_on)
        program.put(is_folder)
        program.add(VALUE, -errno.EISDIR, about=said)
        program.put(go_on)
        return
    found = program.place()
    for candidate in candidates(name, environment):
        path, following = os.fsencode(candidate), program.place()
        program.add("openat", AT_FDCWD, path, IS_FOLDER, 0, tolerated=ANY, on_success=following)
        program.add("faccessat2", AT_FDCWD, path, X_OK, AT_EACCESS, tolerated=ANY, on_success=found)
        program.put(following)
    program.add(VALUE, -errno.ENOENT, about=f"{said}: executable file not found in $PATH")
    program.put(found)


def become(program: Program, arguments: Sequence[str], environment: Sequence[str]) -> None:
    """Run the program. If the kernel will not, its reason goes where the program would write.

    A program that was found and cannot be run counts as started: it is the container that ends.
    """
    name = arguments[0]
    argv = Strings(tuple(os.fsencode(word) for word in arguments))
    envp = Strings(tuple(os.fsencode(line) for line in environment))
    paths = candidates(name, environment)
    for path in paths[:-1]:
        program.add("execve", os.fsencode(path), argv, envp, tolerated=NOT_HERE, lenient=True)
    tried = program.add("execve", os.fsencode(paths[-1]), argv, envp, tolerated=ANY)
    end = program.place()
    for number in TOLD:
        following = program.place()
        program.add(
            VALUE, tried, tolerated=ANY & ~tolerating(number), on_tolerated=following, lenient=True
        )
        _say(program, f"exec {name}: {os.strerror(number).lower()}\n")
        program.jump(end)
        program.put(following)
    _say(program, f"exec {name}: failed\n")
    program.put(end)
    program.add("exit_group", EXEC_FAILED)


def _say(program: Program, text: str) -> None:
    data = os.fsencode(text)
    program.add("write", 2, data, len(data), tolerated=ANY)
