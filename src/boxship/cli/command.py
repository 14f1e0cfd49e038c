"""A command as data. Parsing, help and completion all read the same lines."""

from __future__ import annotations

from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


class UsageError(InvalidRequest):
    """The command line itself is wrong; `tail` is what is said after the message."""

    def __init__(self, message: str, *, status: int = 125, tail: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.tail = tail


class Flag:
    """One option.

    `kind` is a key of `kinds.KINDS`. One not given has its `default`, or an empty list
    where the kind repeats. `shown` is the default as help tells it, where the kind would not.
    """

    __slots__ = ("check", "default", "hidden", "kind", "name", "short", "shown", "target", "usage")

    def __init__(
        self,
        name: str,
        short: str,
        usage: str,
        kind: str = "bool",
        default: object = None,
        *,
        shown: str = "",
        hidden: bool = False,
        target: str = "",
        check: Callable[[str], object] | None = None,
    ) -> None:
        self.name = name
        self.short = short
        self.usage = usage
        self.kind = kind
        self.default = default
        self.shown = shown
        self.hidden = hidden
        self.target = target or name.replace("-", "_")
        self.check = check

    @property
    def title(self) -> str:
        """Return how messages name it: `-n, --last`."""
        return f"-{self.short}, --{self.name}" if self.short else f"--{self.name}"


class Command:
    """What a command is called, what it takes and what it says of itself.

    `names` are all the ways to call it. With `stops` the first word that is no flag ends the flags:
    what follows belongs to the program in the container.
    """

    __slots__ = (
        "at_least",
        "at_most",
        "details",
        "flags",
        "hidden",
        "names",
        "stops",
        "summary",
        "usage",
        "words",
    )

    def __init__(
        self,
        *,
        usage: str,
        summary: str,
        names: Sequence[str],
        flags: Sequence[Flag] = (),
        at_least: int = 0,
        at_most: int | None = None,
        stops: bool = False,
        details: str = "",
        words: str = "",
        hidden: bool = False,
    ) -> None:
        self.usage = usage
        self.summary = summary
        self.names = names
        self.flags = flags
        self.at_least = at_least
        self.at_most = at_most
        self.stops = stops
        self.details = details
        self.hidden = hidden
        self.words = words  # what the words are, for completion: container, image, volume, ...

    def check_count(self, invoked: str, count: int) -> None:
        """Raise UsageError, in Docker's words, when there are too few or too many words."""
        least, most = self.at_least, self.at_most
        if count >= least and (most is None or count <= most):
            return
        see = "Run"
        if most == 0:
            problem = "accepts no arguments"
        elif most == least:
            problem = f"requires {_arguments(least)}"
        elif most is None:
            problem = f"requires at least {_arguments(least)}"
            see = "See"
        elif least == 0 or count > most:
            problem = f"requires at most {_arguments(most)}"
        else:
            problem = f"requires at least {least} and at most {_arguments(most)}"
        raise UsageError(f"boxship: '{invoked}' {problem}", status=1, tail=see)


def _arguments(number: int) -> str:
    return "1 argument" if number == 1 else f"{number} arguments"
