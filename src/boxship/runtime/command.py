"""`boxship-runtime`: the native runtime as an OCI command, for other engines."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

import msgspec

import boxship
from boxship.errors import BoxshipError, InvalidRequest
from boxship.kernel import memfd
from boxship.runtime import flags, standing
from boxship.runtime.telling import CREATING, EXECUTING
from boxship.runtime.verbs.call import Call
from boxship.runtime.verbs.create import create, run
from boxship.runtime.verbs.delete import delete
from boxship.runtime.verbs.events import events
from boxship.runtime.verbs.execute import execute
from boxship.runtime.verbs.kill import kill
from boxship.runtime.verbs.show import features, list_all, ps, state
from boxship.runtime.verbs.spec import spec
from boxship.runtime.verbs.start import start
from boxship.runtime.verbs.update import pause, resume, update
from boxship.spec.oci import runtime as oci

VERSION: Final = "0.1.0"
ROOT: Final = "/run/boxship-runtime"
MAKING: Final = frozenset(("create", "run", "start", "exec"))  # those that make processes
VERBS: Final[Mapping[str, Callable[[Call], int]]] = {
    "create": create,
    "start": start,
    "run": run,
    "state": state,
    "list": list_all,
    "ps": ps,
    "events": events,
    "features": features,
    "exec": execute,
    "kill": kill,
    "delete": delete,
    "pause": pause,
    "resume": resume,
    "update": update,
    "spec": spec,
}

# What an isolated interpreter without site packages is told to do.
_PROGRAM: Final = "import sys; sys.path[:0] = {path!r}; from {name} import main; main()"


def run_from_copy() -> None:
    """Run again from a copy of the interpreter that nobody can write to, unless we do already.

    Programs in a container may see the interpreter as theirs for a moment, and could otherwise
    reach the host's own through /proc/<pid>/exe.
    """
    if os.readlink("/proc/self/exe").startswith("/memfd:"):
        return
    interpreter = os.path.realpath(sys.executable)
    path = [os.path.dirname(os.path.dirname(str(found.__file__))) for found in (boxship, msgspec)]
    program = _PROGRAM.format(path=path, name="boxship.runtime.command")
    copy = memfd.sealed_copy(interpreter, "boxship-runtime")
    os.execve(copy, [interpreter, "-I", "-S", "-B", "-c", program, *sys.argv[1:]], os.environ)


def main() -> None:
    """Run the command; what went wrong goes to stderr, and to the log that engines read."""
    log = ""
    try:
        before, words = flags.read(sys.argv[1:], flags.GLOBAL, stops=True)
        log = flags.text(before, "log")
        if flags.given(before, "version"):
            print(f"boxship-runtime version {VERSION}\nspec: {oci.VERSION}")
            return
        if not words or words[0] not in VERBS:
            raise InvalidRequest(f"commands are: {', '.join(VERBS)}")
        if words[0] in MAKING:
            run_from_copy()
        given, others = flags.read(
            words[1:], flags.COMMANDS[words[0]], stops=words[0] in ("exec", "run", "create")
        )
        code = VERBS[words[0]](Call(flags.text(before, "root", ROOT), given, others))
    except (BoxshipError, OSError) as failure:
        message = plain(str(failure))
        print(f"boxship-runtime: {message}", file=sys.stderr)
        with suppress(OSError):
            write_log(log, message)
        code = 1
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # nothing is tidied up: see verbs.call


def plain(message: str) -> str:
    """Return a message without what engines put around it themselves."""
    for doing in (CREATING, EXECUTING):
        said = doing.partition(": ")[2]
        if message.startswith(doing):
            return message.removeprefix(doing.removesuffix(said)).removesuffix(": unknown")
    return message


def write_log(path: str, message: str) -> None:
    """Add an error to a log of JSON lines."""
    if path:
        line = {"level": "error", "msg": message, "time": standing.now()}
        with open(path, "ab") as file:
            file.write(msgspec.json.encode(line) + b"\n")


if __name__ == "__main__":
    main()
