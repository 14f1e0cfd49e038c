"""Asking for a passphrase: from the environment, through a program, or on the terminal."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Final

from boxship.distribution.credentials.errors import InvalidCredentials, NoKey

VARIABLE: Final = "BOXSHIP_PASSPHRASE"
PROGRAMS: Final = ("BOXSHIP_ASKPASS", "SSH_ASKPASS")
SECONDS: Final = 120
QUESTION: Final = "Passphrase for registry credentials: "
NEW: Final = "New passphrase for registry credentials: "
AGAIN: Final = "The same again: "


def ask(environment: Mapping[str, str], new: bool) -> str:
    """Return the passphrase; NoKey where nobody can be asked."""
    if given := environment.get(VARIABLE):
        return given
    question = NEW if new else QUESTION
    for variable in PROGRAMS:
        if program := environment.get(variable):
            return _checked(_by_program(program, question, environment))
    given = _checked(_on_terminal(question))
    if new and _on_terminal(AGAIN) != given:
        raise InvalidCredentials("the passphrases are not the same")
    return given


def _checked(text: str) -> str:
    if not text:
        raise InvalidCredentials("the passphrase is empty")
    return text


def _by_program(program: str, question: str, environment: Mapping[str, str]) -> str:
    try:
        done = subprocess.run(
            [program, question],
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            timeout=SECONDS,
            env=dict(environment),
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise NoKey(f"{program} could not ask for a passphrase: {error}") from error
    if done.returncode:
        raise NoKey(f"{program} returned no passphrase")
    return done.stdout.decode("utf-8", "replace").rstrip("\r\n")


def _on_terminal(question: str) -> str:
    import termios

    try:
        terminal = os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY | os.O_CLOEXEC)
    except OSError as error:
        raise NoKey(
            f"nobody can be asked for a passphrase: no terminal, {VARIABLE} or {PROGRAMS[0]}"
        ) from error
    try:
        kept = termios.tcgetattr(terminal)
        quiet = termios.tcgetattr(terminal)
        quiet[3] &= ~termios.ECHO
        termios.tcsetattr(terminal, termios.TCSAFLUSH, quiet)
        try:
            os.write(terminal, question.encode())
            answer = b""
            while not answer.endswith(b"\n") and (piece := os.read(terminal, 1024)):
                answer += piece
        finally:
            termios.tcsetattr(terminal, termios.TCSAFLUSH, kept)
            os.write(terminal, b"\n")
    finally:
        os.close(terminal)
    return answer.decode("utf-8", "replace").rstrip("\r\n")
