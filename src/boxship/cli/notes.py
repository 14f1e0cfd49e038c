"""Notes to the user, beside what was asked for: set off on a terminal, plain elsewhere."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.output import Output

MARK = "\x1b[1m\x1b[106m\x1b[30mi\x1b[0m\x1b[0m \x1b[96mInfo → \x1b[0m\x1b[0m"
PLAIN_MARK = " Info -> "
MARGIN = " " * len(PLAIN_MARK)


def note(output: Output, text: str) -> None:
    """Say something that the user may want to know. What others have said is escaped already."""
    on_terminal = output.is_terminal()
    lines = [f"\x1b[3m{line}\x1b[0m" if on_terminal else line for line in text.split("\n")]
    output.write((MARK if on_terminal else PLAIN_MARK) + lines[0] + "\n")
    for line in lines[1:]:
        output.write(f"{MARGIN}{line}\n")
    output.flush()
