"""Questions on the terminal."""

from __future__ import annotations

import posix

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.shell import Shell

LONGEST = 64 * 1024


def ask(shell: Shell, question: str) -> str:
    """Return what is typed on one line, without the space around it."""
    shell.out.write(question)
    shell.out.flush()
    return _line().strip()


def ask_hidden(shell: Shell, question: str) -> str:
    """Return what is typed on one line, which the terminal does not show."""
    import termios

    kept = termios.tcgetattr(0)
    quiet = termios.tcgetattr(0)
    quiet[3] &= ~termios.ECHO
    termios.tcsetattr(0, termios.TCSANOW, quiet)  # before anybody is asked, and begins to type
    try:
        shell.out.write(question)
        shell.out.flush()
        return _line().strip()
    finally:
        termios.tcsetattr(0, termios.TCSANOW, kept)
        shell.out.write("\n")
        shell.out.flush()


def _line() -> str:
    answer = b""
    while not answer.endswith(b"\n") and len(answer) < LONGEST:
        piece = posix.read(0, LONGEST)
        if not piece:
            break
        answer += piece
    return answer.decode("utf-8", "replace")
