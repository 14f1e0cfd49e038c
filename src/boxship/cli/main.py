"""Root options, then the command that the words name; its exit code is ours."""

from __future__ import annotations

import posix
import sys

from boxship.cli.command import Command, Flag, UsageError
from boxship.cli.index import GROUPS, SHORT, module_of
from boxship.cli.output import Output
from boxship.cli.parse import HelpAsked, parse
from boxship.cli.shell import Exit, Shell
from boxship.errors import BoxshipError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from types import ModuleType

USAGE = "boxship [OPTIONS] COMMAND [ARG...]"
VERSION = "0.1.0"
BROKEN_PIPE = 141

ROOT_FLAGS = (
    Flag("config", "", "Folder of the client's configuration", "string", shown='"{config}"'),
    Flag("context", "c", "Context that says where the engine is", "string"),
    Flag("debug", "D", "Say more when something fails"),
    Flag("host", "H", "Address of the engine", "list"),
    Flag(
        "log-level",
        "l",
        'Least level of messages ("debug", "info", "warn", "error", "fatal")',
        "string",
        "info",
    ),
    Flag("tls", "", "Use TLS; implied by --tlsverify"),
    Flag(
        "tlscacert", "", "Trust only certificates of this CA", "string", shown='"{config}/ca.pem"'
    ),
    Flag("tlscert", "", "Own TLS certificate", "string", shown='"{config}/cert.pem"'),
    Flag("tlskey", "", "Own TLS key", "string", shown='"{config}/key.pem"'),
    Flag("tlsverify", "", "Use TLS and verify the engine", "maybe"),
    Flag("version", "v", "Print the version and leave"),
)
BUILDERS = ("builder", "buildx")
BUILDER_FLAGS = (
    Flag("builder", "", "Override the configured builder instance", "string", ""),
    Flag("debug", "D", "Say more when something fails"),
)
ROOT = Command(usage=USAGE, summary="Run and manage containers", names=("",), flags=ROOT_FLAGS)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; return its exit code."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    shell = Shell(Output(1), Output(2), environment())
    try:
        status = dispatch(shell, words)
        shell.out.flush()
    except Exit as done:
        status = done.status
    except UsageError as error:
        status = error.status
        shell.fail(str(error))
    except BoxshipError as error:
        status = shell.failure_status(error)
    except KeyboardInterrupt:
        status = 130
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        if error.errno == 32:
            return BROKEN_PIPE
        status = shell.report(
            f"{error.strerror or error}: {error.filename}" if error.filename else str(error)
        )
    try:
        shell.out.flush()
        shell.err.flush()
    except OSError:
        status = status or BROKEN_PIPE
    return status


def environment() -> dict[str, str]:
    """Return the environment; `posix` has it as bytes, and `os` would cost a millisecond."""
    return {
        name.decode("utf-8", "surrogateescape"): value.decode("utf-8", "surrogateescape")
        for name, value in posix.environ.items()
    }


def dispatch(shell: Shell, words: list[str]) -> int:
    """Find the command that the words name and run it."""
    try:
        options, rest = parse(ROOT_FLAGS, words, stops=True)
    except HelpAsked:
        return _root_help(shell)
    except UsageError as error:
        error.args = (f"{error}\n\nUsage:  {USAGE}\n\nRun 'boxship --help' for more information",)
        raise
    shell.configure(options)
    if options["version"]:
        shell.out.line(f"Boxship version {VERSION}")
        return 0
    if not rest:
        return _root_help(shell)
    name, *rest = rest
    if name == "help":
        return _help(shell, rest)
    if name in SHORT:
        return run_command(shell, SHORT[name], name, rest)
    if name in GROUPS:
        return _group(shell, name, rest)
    if any(word in ("--help", "-h") for word in rest):
        return _root_help(shell)
    raise UsageError(
        f"boxship: unknown command: boxship {name}\n\nRun 'boxship --help' for more information",
        status=1,
    )


def load(module: str) -> ModuleType:
    """Import a command's module."""
    name = "boxship.cli." + module
    __import__(name)
    return sys.modules[name]


def run_command(shell: Shell, module: str, invoked: str, arguments: list[str]) -> int:
    """Parse a command's own words and run it."""
    found = load(module)
    command: Command = found.COMMAND
    name = "boxship " + invoked
    usage = f"{name}{_after_name(command.usage)}"
    try:
        options, words = parse(command.flags, arguments, stops=command.stops)
        command.check_count(name, len(words))
    except HelpAsked:
        from boxship.cli.help import command_help

        shell.out.write(command_help(command, usage))
        return 0
    except UsageError as error:
        see = error.tail or "Run"
        error.args = (f"{error}\n\nUsage:  {usage}\n\n{see} '{name} --help' for more information",)
        raise
    shell.invoked = invoked
    shell.usage_tail = f"\n\nRun '{name} --help' for more information"
    status: int = found.run(shell, words, **options)
    return status


def _after_name(usage: str) -> str:
    name, space, rest = usage.partition(" ")
    return space + rest if name else ""


def _group(shell: Shell, group: str, words: list[str]) -> int:
    from boxship.cli.help import group_help

    if group in BUILDERS and words and words[0][:2] in ("--", "-D") and words[0] != "--help":
        values, words = parse(BUILDER_FLAGS, words, stops=True)
        if values["builder"]:
            shell.environment = {**shell.environment, "BUILDX_BUILDER": str(values["builder"])}
        if values["debug"]:
            shell.options["debug"] = True
    if not words or words[0] in ("--help", "-h", "help"):
        output = shell.out if words else shell.err
        output.write(group_help(group, GROUPS[group]))
        return 0
    name, *rest = words
    if name[0] == "-":
        flag = name.partition("=")[0]
        problem = (
            f"unknown flag: {flag}"
            if name[:2] == "--"
            else (f"unknown shorthand flag: {name[1]!r} in {name}")
        )
        raise UsageError(_group_problem(problem, group))
    module = module_of(group, name)
    if module is None:
        problem = f"boxship: unknown command: boxship {group} {name}"
        raise UsageError(_group_problem(problem, group), status=1)
    return run_command(shell, module, f"{group} {name}", rest)


def _group_problem(problem: str, group: str) -> str:
    usage = f"boxship {group}"
    see = f"Run 'boxship {group} --help' for more information"
    return f"{problem}\n\nUsage:  {usage}\n\n{see}"


def _root_help(shell: Shell) -> int:
    from boxship.cli.help import root_help

    shell.out.write(root_help(ROOT, shell.environment))
    return 0


def _help(shell: Shell, words: list[str]) -> int:
    if not words:
        return _root_help(shell)
    known: Mapping[str, object] = {**SHORT, **GROUPS}
    if words[0] not in known:
        raise UsageError(f"unknown help topic: {' '.join(words)}", status=1)
    return dispatch(shell, [*words, "--help"])
