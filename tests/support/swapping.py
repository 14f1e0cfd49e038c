"""A process of the host's that exchanges two names of a folder as fast as it can."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

PROGRAM = """
import ctypes, os, sys
libc = ctypes.CDLL(None, use_errno=True)
one, two = (os.fsencode(path) for path in sys.argv[1:])
print("begun", flush=True)
while not libc.renameat2(-100, one, -100, two, 2):  # RENAME_EXCHANGE
    pass
sys.exit(os.strerror(ctypes.get_errno()))
"""


@contextlib.contextmanager
def swapping(one: Path, two: Path) -> Iterator[None]:
    """Exchange two names all the time while the block goes on."""
    words = [sys.executable, "-I", "-S", "-c", PROGRAM, str(one), str(two)]
    process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stderr is not None
    try:
        assert process.stdout.readline() == b"begun\n"
        yield
        assert process.poll() is None, process.stderr.read()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()
        process.stderr.close()
