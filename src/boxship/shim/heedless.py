"""A shim takes note of signals and does nothing: nobody but its daemon tells it to end."""

from __future__ import annotations

import signal


def heed_no_signals() -> None:
    """Take note of signals and do nothing; children of this process do not, either.

    Handlers, not SIG_IGN: a signal that is ignored stays so in the programs that are started.
    """
    for number in (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGHUP,
        signal.SIGQUIT,
        signal.SIGPIPE,
        signal.SIGUSR1,
        signal.SIGUSR2,
        signal.SIGALRM,
        signal.SIGXFSZ,
    ):
        signal.signal(number, _nothing)


def _nothing(_number: int, _frame: object) -> None:
    pass
