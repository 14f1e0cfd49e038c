"""Every command as data: what holds for each of them."""

from __future__ import annotations

import inspect
from pathlib import Path

import pytest

import boxship.cli
from boxship.cli.command import Command
from boxship.cli.completion import all_commands, bash, fish, zsh
from boxship.cli.help import command_help, default_text, flags_help, wrap
from boxship.cli.index import GROUPS, SHORT, commands_of, module_of
from boxship.cli.kinds import KINDS
from boxship.cli.main import load

COMMANDS = sorted(
    {*SHORT.values(), *(f"{module_of(g, n)}" for g in GROUPS for n in commands_of(g))}
)


@pytest.mark.parametrize("module", COMMANDS)
def test_run_takes_exactly_what_the_flags_say(module: str) -> None:
    found = load(module)
    command: Command = found.COMMAND
    taken = inspect.signature(found.run).parameters
    if any(p.kind is inspect.Parameter.VAR_KEYWORD for p in taken.values()):
        return
    keywords = {name for name, p in taken.items() if p.kind is inspect.Parameter.KEYWORD_ONLY}
    assert keywords == {flag.target for flag in command.flags}


@pytest.mark.parametrize("module", COMMANDS)
def test_flags_are_well_formed(module: str) -> None:
    command: Command = load(module).COMMAND
    names = [flag.name for flag in command.flags]
    shorts = [flag.short for flag in command.flags if flag.short]
    assert len(set(names)) == len(names)
    assert len(set(shorts)) == len(shorts)
    for flag in command.flags:
        assert flag.kind in KINDS
        assert flag.hidden or flag.usage
        assert default_text(flag) is not None


@pytest.mark.parametrize("name", sorted(SHORT))
def test_every_short_form_names_itself(name: str) -> None:
    assert name in load(SHORT[name]).COMMAND.names


def test_every_group_has_a_folder_and_every_folder_of_commands_a_group() -> None:
    root = Path(boxship.cli.__file__).parent
    folders = {f.name for f in root.iterdir() if (f / "__init__.py").exists()}
    assert {name for name in folders if commands_of(name)} == set(GROUPS)


def test_help_is_laid_out_in_columns_with_defaults_at_the_end() -> None:
    from boxship.cli.container.ls import COMMAND

    text = command_help(COMMAND, "boxship ps [OPTIONS]")
    assert text.startswith("Usage:  boxship ps [OPTIONS]\n\nList containers\n\nAliases:\n  boxship")
    assert "\n  -n, --last int        Show the n containers created last" in text
    assert "(default -1)" in text
    assert all(len(line) <= 85 for line in text.splitlines())


def test_wrapping_keeps_line_ends_and_words() -> None:
    assert wrap("one two three", 24) == ["one two three"]
    assert wrap("a\nb", 24) == ["a", "b"]
    long = wrap("word " * 20, 30)
    assert all(len(line) <= 35 for line in long)
    assert " ".join(long).split() == ["word"] * 20


def test_flags_without_a_short_form_line_up_with_those_that_have_one() -> None:
    from boxship.cli.container.rm import COMMAND

    columns = {line.index("--") for line in flags_help(COMMAND.flags, 80).splitlines()}
    assert columns == {6}


def test_completion_knows_every_command() -> None:
    texts = (bash(), zsh(), fish())
    for name, command in all_commands():
        if command.flags and not command.flags[0].hidden:
            assert f"--{command.flags[0].name}" in texts[0], name
    assert all("boxship" in text for text in texts)
