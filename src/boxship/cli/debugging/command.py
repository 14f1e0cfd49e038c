"""The words of `buildx debug`: whose build is to be looked into."""

from __future__ import annotations

from boxship.cli import build
from boxship.cli.buildx.debug import FLAGS
from boxship.cli.command import UsageError
from boxship.cli.libraries import find_libraries
from boxship.cli.parse import HelpAsked, parse
from boxship.errors import BoxshipError, InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

NAME = "boxship buildx debug build"


def run(shell: Shell, words: list[str], given: dict[str, Any]) -> int:
    """Build and look; flags may stand before `build` and after it."""
    verb, *rest = words
    if verb != "build":
        raise UsageError(f"boxship: unknown command: boxship buildx debug {verb}", status=1)
    own = {flag.name for flag in build.COMMAND.flags}
    flags = (*build.COMMAND.flags, *(flag for flag in FLAGS if flag.name not in own))
    try:
        options, places = parse(flags, rest)
    except HelpAsked:
        from boxship.cli.help import command_help

        shell.out.write(command_help(build.COMMAND, f"{NAME} [OPTIONS] PATH"))
        return 0
    build.COMMAND.check_count(NAME, len(places))
    for name, default in (("invoke", ""), ("on", "error"), ("builder", ""), ("debug", False)):
        if options[name] == default:
            options[name] = given[name]
    find_libraries()
    try:
        return _run(shell, places[0], options)
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")


def _run(shell: Shell, context: str, options: dict[str, Any]) -> int:
    from boxship.cli.building.calls import call_named
    from boxship.cli.debugging import invoke
    from boxship.cli.debugging.run import MOMENTS, Debugging

    if options["on"] not in MOMENTS:
        raise InvalidRequest(f"invalid value for --on: {options['on']!r}, it is always or error")
    if options["check"] or not call_named(options["print"] or options["call"]).is_build:
        raise InvalidRequest("a question has no results to be looked into")
    asked = invoke.read(options["invoke"])
    return build.build(shell, context, options, Debugging(options["on"], asked).build)
