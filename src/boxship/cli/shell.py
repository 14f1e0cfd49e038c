"""What a command is given: the engine, the output, the configuration."""

from __future__ import annotations

import posix

from boxship.lib.words import visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Any

    from boxship.cli.config import Config
    from boxship.cli.output import Output
    from boxship.client.engine import Engine
    from boxship.errors import BoxshipError


class Exit(Exception):
    """Leave now with this exit code; all that was to be said has been."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class Shell:
    """One command line's surroundings. Nothing is read or connected before it is asked for."""

    def __init__(self, out: Output, err: Output, environment: Mapping[str, str]) -> None:
        self.out = out
        self.err = err
        self.environment = environment
        self.options: dict[str, Any] = {}
        self.invoked = ""
        self.usage_tail = ""
        self._client: Engine | None = None
        self._config: Config | None = None

    def configure(self, options: dict[str, Any]) -> None:
        """Take the root options."""
        self.options = options

    @property
    def config(self) -> Config:
        if self._config is None:
            from boxship.cli.config import read_config

            self._config = read_config(self.options.get("config") or "", self.environment)
        return self._config

    @property
    def client(self) -> Engine:
        """Return the engine; it is connected to by the first call."""
        if self._client is None:
            from boxship.cli.connect import engine_of

            self._client = engine_of(self)
        return self._client

    def input_is_terminal(self) -> bool:
        return posix.isatty(0)

    def say(self, text: str) -> None:
        """Put a line on standard error at once, after what has been written to standard output."""
        self.out.flush()
        self.err.line(visible_block(text))
        self.err.flush()

    def fail(self, message: str) -> None:
        """Say why the command failed."""
        self.say(message)

    def report(self, message: str, status: int = 1) -> int:
        """Say why the command failed, and return the exit code for it."""
        self.fail(message)
        return status

    def failure_status(self, error: BoxshipError) -> int:
        """Say an error that nobody below has dealt with, and return the exit code for it."""
        return self.report(str(error))

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; anything but yes is no."""
        self.out.write(f"{question} [y/N] ")
        self.out.flush()
        answer = b""
        while not answer.endswith(b"\n") and len(answer) < 100:
            byte = posix.read(0, 1)
            if not byte:
                break
            answer += byte
        return answer.strip().lower() in (b"y", b"yes")

    def for_each(
        self, names: Iterable[str], action: Callable[[str], object], *, show: bool = True
    ) -> int:
        """Do something to each name, in order; one that fails does not stop the rest.

        Names are printed as they are done, save where the action returns False.
        """
        from boxship.errors import BoxshipError

        problems: list[str] = []
        for name in names:
            try:
                done = action(name)
            except BoxshipError as error:
                problems.append(str(error))
            else:
                if show and done is not False:
                    self.out.line(name)
                    self.out.flush()
        if problems:
            return self.report("\n".join(problems))
        return 0
