"""Words to values, by the rules of Docker's command line (pflag's).

`--name value`, `--name=value`, `-n value`, `-nvalue`, `-n=value`, several switches as `-it`; a
switch takes a value only as `--name=false`. Flags may stand after words, unless the command stops
at the first; `--` ends them.
"""

from __future__ import annotations

from boxship.cli.command import Flag, UsageError
from boxship.cli.kinds import KINDS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence


class HelpAsked(Exception):
    """`--help` was among the words."""


def parse(
    flags: Sequence[Flag], arguments: Sequence[str], *, stops: bool = False
) -> tuple[dict[str, object], list[str]]:
    """Return each flag's value by its target's name, and the words that are no flags."""
    values: dict[str, object] = {}
    by_name: dict[str, Flag] = {}
    by_short: dict[str, Flag] = {}
    for flag in flags:
        by_name[flag.name] = flag
        if flag.short:
            by_short[flag.short] = flag
        if flag.target not in values:
            repeats = KINDS[flag.kind].repeats
            off = flag.kind == "bool" and flag.default is None
            values[flag.target] = [] if repeats else False if off else flag.default
    words: list[str] = []
    rest = list(arguments)
    rest.reverse()
    while rest:
        word = rest.pop()
        if len(word) < 2 or word[0] != "-":
            words.append(word)
            if stops:
                break
            continue
        if word == "--":
            break
        if word.startswith("--"):
            _long(word, rest, by_name, values)
        else:
            _short(word, rest, by_short, values)
    rest.reverse()
    return values, words + rest


def _long(word: str, rest: list[str], known: dict[str, Flag], values: dict[str, object]) -> None:
    name, equals, text = word[2:].partition("=")
    if not name or name[0] == "-":
        raise UsageError(f"bad flag syntax: {word}")
    flag = known.get(name)
    if name == "help":
        raise HelpAsked
    if flag is None:
        raise UsageError(f"unknown flag: --{name}")
    if equals:
        store(flag, text, values)
    elif not KINDS[flag.kind].title:
        store(flag, "true", values)
    elif rest:
        store(flag, rest.pop(), values)
    else:
        raise UsageError(f"flag needs an argument: --{name}")


def _short(word: str, rest: list[str], known: dict[str, Flag], values: dict[str, object]) -> None:
    letters = word[1:]
    while letters:
        letter, letters = letters[0], letters[1:]
        flag = known.get(letter)
        if flag is None:
            if letter == "h":
                raise HelpAsked
            raise UsageError(f"unknown shorthand flag: {letter!r} in -{letter}{letters}")
        if letters[:1] == "=" and len(letters) > 1:
            store(flag, letters[1:], values)
            return
        if not KINDS[flag.kind].title:
            store(flag, "true", values)
        elif letters:
            store(flag, letters, values)
            return
        elif rest:
            store(flag, rest.pop(), values)
        else:
            raise UsageError(f"flag needs an argument: {letter!r} in -{letter}")


def store(flag: Flag, text: str, values: dict[str, object]) -> None:
    """Put the value of `text` where the flag's values are kept."""
    kind = KINDS[flag.kind]
    try:
        value = (flag.check or kind.parse)(text)
    except ValueError as error:
        shown = text.replace("\\", "\\\\").replace('"', '\\"')
        raise UsageError(f'invalid argument "{shown}" for "{flag.title}" flag: {error}') from None
    if kind.repeats:
        kept = values[flag.target]
        assert isinstance(kept, list)
        kept.append(value)
    else:
        values[flag.target] = value
