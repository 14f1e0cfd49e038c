"""The command line's grammar is pflag's, because scripts were written for it."""

from __future__ import annotations

import pytest

from boxship.cli.command import Command, Flag, UsageError
from boxship.cli.parse import HelpAsked, parse

FLAGS = (
    Flag("all", "a", "Everything"),
    Flag("interactive", "i", "Keep open"),
    Flag("tty", "t", "Terminal"),
    Flag("last", "n", "How many", "int", -1),
    Flag("label", "l", "Labels", "list"),
    Flag("init", "", "An init", "maybe"),
    Flag("sig-proxy", "", "Proxy", "bool", True),
)


@pytest.mark.parametrize(
    ("words", "changes", "rest"),
    [
        ([], {}, []),
        (["-a"], {"all": True}, []),
        (["--all=false"], {}, []),
        (["-it", "x"], {"interactive": True, "tty": True}, ["x"]),
        (["-in", "3"], {"interactive": True, "last": 3}, []),
        (["-n3"], {"last": 3}, []),
        (["-n=3"], {"last": 3}, []),
        (["--last", "3"], {"last": 3}, []),
        (["--last=0x10"], {"last": 16}, []),
        (["x", "-a", "y"], {"all": True}, ["x", "y"]),
        (["--", "-a"], {}, ["-a"]),
        (["-l", "a", "--label=b"], {"label": ["a", "b"]}, []),
        (["--init"], {"init": True}, []),
        (["--init=false"], {"init": False}, []),
        (["--sig-proxy=false"], {"sig_proxy": False}, []),
        (["-"], {}, ["-"]),
    ],
)
def test_words_become_values(words: list[str], changes: dict[str, object], rest: list[str]) -> None:
    defaults = {
        "all": False,
        "interactive": False,
        "tty": False,
        "last": -1,
        "label": [],
        "init": None,
        "sig_proxy": True,
    }
    assert parse(FLAGS, words) == ({**defaults, **changes}, rest)


def test_what_follows_the_first_word_is_the_programs_own_where_a_command_stops_there() -> None:
    values, rest = parse(FLAGS, ["-a", "image", "-t", "--nonsense"], stops=True)
    assert rest == ["image", "-t", "--nonsense"]
    assert values["tty"] is False


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["-ix"], "unknown shorthand flag: 'x' in -x"),
        (["--last"], "flag needs an argument: --last"),
        (["-an"], "flag needs an argument: 'n' in -n"),
        (["--=x"], "bad flag syntax: --=x"),
        (
            ["--last=x"],
            'invalid argument "x" for "-n, --last" flag: '
            'strconv.ParseInt: parsing "x": invalid syntax',
        ),
        (
            ["--all=perhaps"],
            'invalid argument "perhaps" for "-a, --all" flag: '
            'strconv.ParseBool: parsing "perhaps": invalid syntax',
        ),
    ],
)
def test_mistakes_are_told_in_pflags_words_and_exit_125(words: list[str], message: str) -> None:
    with pytest.raises(UsageError) as refusal:
        parse(FLAGS, words)
    assert (str(refusal.value), refusal.value.status) == (message, 125)


@pytest.mark.parametrize("words", [["--help"], ["-h"], ["x", "--help"]])
def test_help_is_asked_for_anywhere(words: list[str]) -> None:
    with pytest.raises(HelpAsked):
        parse(FLAGS, words)


@pytest.mark.parametrize(
    ("least", "most", "given", "message"),
    [
        (1, None, 0, "boxship: 'boxship x' requires at least 1 argument"),
        (2, None, 1, "boxship: 'boxship x' requires at least 2 arguments"),
        (1, 1, 2, "boxship: 'boxship x' requires 1 argument"),
        (2, 2, 1, "boxship: 'boxship x' requires 2 arguments"),
        (0, 0, 1, "boxship: 'boxship x' accepts no arguments"),
        (0, 1, 2, "boxship: 'boxship x' requires at most 1 argument"),
    ],
)
def test_the_number_of_words_is_checked(
    least: int, most: int | None, given: int, message: str
) -> None:
    command = Command(usage="x", summary="", names=("x",), at_least=least, at_most=most)
    with pytest.raises(UsageError, match=message):
        command.check_count("boxship x", given)
