"""A build's progress on the screen: plain lines, a live picture, JSON, or nothing; and what is
said when it is over: the output of the step that failed, and warnings."""

from __future__ import annotations

from boxship.lib.words import visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Protocol

    from boxship.cli.building.tracking import Steps
    from boxship.cli.output import Output
    from boxship.spec.buildkit import control_pb2 as pb

    class Listener(Protocol):
        """Hears what is told."""

        def take(self, told: pb.StatusResponse) -> None:
            """Show a message."""

        def tick(self) -> None:
            """Show that time goes by."""

        def finish(self) -> None:
            """Nothing more will be told."""

    class Display(Listener, Protocol):
        """Shows what is told."""

        def interrupt(self, at: float) -> None:
            """Show of what is at work that it was given up."""

    class Gathering(Listener, Protocol):
        """A display that knows the steps."""

        steps: Steps


EVERY = 0.1  # seconds between two ticks
MODES = ("auto", "none", "plain", "quiet", "rawjson", "tty")


class Heading:
    """Which builder is at work."""

    def __init__(self, name: str, driver: str) -> None:
        self._name = name
        self._driver = driver

    def text(self) -> str:
        return f'building with "{self._name}" instance using {self._driver} driver'

    def short(self) -> str:
        return f"{self._driver}:{self._name}"


def display(
    mode: str,
    out: Output,
    heading: Heading | None = None,
    *,
    debug: bool = False,
    environment: Mapping[str, str] | None = None,
) -> Display:
    """Return the display of that name."""
    if mode == "rawjson":
        return Raw(out)
    if mode in ("quiet", "none"):
        return Quiet()
    terminal = out.is_terminal()
    colors = terminal and not (environment or {}).get("NO_COLOR")
    if mode == "tty" or (mode == "auto" and terminal):
        from boxship.cli.building.live import Live

        return Ended(Live(out, heading, colors=colors), out, debug=debug, colors=colors)
    from boxship.cli.building.plain import Plain

    return Ended(Plain(out, heading), out, debug=debug, colors=colors)


class Quiet:
    """Shows nothing."""

    def take(self, told: pb.StatusResponse) -> None:
        pass

    def tick(self) -> None:
        pass

    def interrupt(self, at: float) -> None:
        pass

    def finish(self) -> None:
        pass


class Raw:
    """What is told, as JSON; one message a line."""

    def __init__(self, out: Output) -> None:
        self._out = out

    def take(self, told: pb.StatusResponse) -> None:
        from boxship.cli.building.raw import document
        from boxship.lib import quickjson

        if said := document(told):
            self._out.line(quickjson.encode(said))
            self._out.flush()

    def tick(self) -> None:
        pass

    def interrupt(self, at: float) -> None:
        pass

    def finish(self) -> None:
        pass


class Ended:
    """A display, and what is said after it."""

    def __init__(self, inner: Gathering, out: Output, *, debug: bool, colors: bool) -> None:
        self._inner = inner
        self._out = out
        self._debug = debug
        self._colors = colors

    def take(self, told: pb.StatusResponse) -> None:
        self._inner.take(told)

    def tick(self) -> None:
        self._inner.tick()

    def interrupt(self, at: float) -> None:
        self._inner.take(self._inner.steps.interrupted(at))

    def finish(self) -> None:
        self._inner.finish()
        self._failed_output()
        self._warnings()
        self._out.flush()

    def _failed_output(self) -> None:
        """Show once more what the step that failed has said."""
        from boxship.cli.building.plain import KEPT

        for step in self._inner.steps.steps.values():
            if step.error and not step.canceled:
                self._out.line("------")
                self._out.line(f" > {step.name}:")
                for line in step.lines[-KEPT:]:
                    self._out.line(line)
                self._out.line("------")

    def _warnings(self) -> None:
        found = self._inner.steps.warnings
        if not found:
            return
        many = f"{len(found)} warnings found" if len(found) > 1 else "1 warning found"
        hint = "" if self._debug else " (use --debug to expand)"
        title = f"{many}{hint}:"
        self._out.line("")
        self._out.line(f" \x1b[33m{title}\x1b[0m" if self._colors else f" {title}")
        for warning in found:
            self._out.line(f" - {visible_block(warning.short.decode('utf-8', 'replace'))}")
            if self._debug:
                self._expanded(warning)

    def _expanded(self, warning: pb.VertexWarning) -> None:
        for line in warning.detail:
            self._out.line(visible_block(line.decode("utf-8", "replace")))
        if warning.url:
            self._out.line(f"More info: {visible_block(warning.url)}")
        if warning.info.data and warning.ranges:
            from boxship.cli.building.failure import lines_of

            marked = {
                number
                for one in warning.ranges
                for number in range(one.start.line, (one.end.line or one.start.line) + 1)
            }
            text = warning.info.data.decode("utf-8", "replace")
            self._out.write(lines_of(visible_block(warning.info.filename), text, marked))
        self._out.line("")
