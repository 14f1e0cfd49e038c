"""Words between a program and those who follow it.

The single bytes are what a new process says on its wire; silence and the end of the wire mean
that all is well.
"""

from __future__ import annotations

from typing import Final

FAILED: Final = b"f"
MAPPED: Final = b"m"  # waits for its user and group ids
HOSTED: Final = b"h"  # has its namespaces, the host still in reach: the time of most hooks
TERMINAL: Final = b"t"
READY: Final = b"r"
PROGRAM: Final = b"p"  # all done but the program itself: the time of hooks inside

# In place of a call's name: no call; the first argument is the result, an error if it is one.
VALUE: Final = "="
SECOND: Final = "second"  # the scratch memory with the number of the process that counts
