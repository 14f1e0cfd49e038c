"""The registry's program, which a command becomes: the client has nothing of the server in it."""

from __future__ import annotations

import os
import sys

from boxship.cli.command import Flag

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import NoReturn

    from boxship.cli.shell import Shell

CONFIG_USAGE = "[OPTIONS] [CONFIG]"
ROOT = Flag("root", "", "Where images are kept", "string", "", shown="/var/lib/registry")
DRY_RUN = Flag("dry-run", "", "Only say what would go, and why")


def become(shell: Shell, command: str, words: Sequence[str], **options: object) -> NoReturn:
    """Go on as `boxship-registry COMMAND`; flags and words are handed over."""
    shell.out.flush()
    line = command_line(command, words, **options)
    os.execv(line[0], line)


def command_line(command: str, words: Sequence[str], **options: object) -> list[str]:
    """Return what runs the registry's program."""
    source = __file__.rpartition("/boxship/cli/")[0]
    program = (
        f"import sys; sys.path.insert(0, {source!r}); "
        "from boxship.registry.main import main; sys.exit(main())"
    )
    given = [f"--{name.replace('_', '-')}" for name, value in options.items() if value is True]
    for name, value in options.items():
        if isinstance(value, str) and value:
            given.append(f"--{name.replace('_', '-')}={value}")
    return [sys.executable, "-P", "-s", "-c", program, command, *given, "--", *words]
