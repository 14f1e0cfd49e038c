"""What kernel tests share: probes in namespaces of their own, and containers of our runtime."""

from __future__ import annotations

import marshal
import os
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.support.boxes import Boxes, boxes
from tests.support.fulldisk import small_disk

from boxship.kernel import mounts, namespaces
from boxship.runtime.native import NativeRuntime

OWN = (
    namespaces.CLONE_NEWNS
    | namespaces.CLONE_NEWUTS
    | namespaces.CLONE_NEWIPC
    | namespaces.CLONE_NEWNET
)
Probe = Callable[[], Any]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A small file system, to be filled."""
    with small_disk(tmp_path) as point:
        yield point


@pytest.fixture
def isolated() -> Callable[[Probe], Any]:
    """Run a probe in a process with namespaces of its own, and return what it returns.

    The value crosses by `marshal`: numbers, text, bytes and collections of them. A probe that
    raises fails the test with its own words.
    """

    def run(probe: Probe) -> Any:
        reading, writing = os.pipe()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                namespaces.unshare(OWN)
                mounts.set_propagation("/", mounts.MS_PRIVATE)
                answer = (True, probe())
            except BaseException:
                answer = (False, traceback.format_exc())
            try:
                with open(writing, "wb") as file:
                    file.write(marshal.dumps(answer))
                status = 0
            finally:
                os._exit(status)
        os.close(writing)
        with open(reading, "rb") as file:
            said = file.read()
        os.waitpid(pid, 0)
        worked, value = marshal.loads(said)
        if not worked:
            raise AssertionError(value)
        return value

    return run


@pytest.fixture(scope="session")
def native() -> NativeRuntime:
    return NativeRuntime()


@pytest.fixture
def box(native: NativeRuntime) -> Iterator[Boxes]:
    """Containers of the native runtime."""
    with boxes(native) as made:
        yield made
