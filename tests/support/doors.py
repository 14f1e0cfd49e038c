"""The clients that builds come from, each as a real program.

classic   the docker command with BuildKit switched off: POST /build
session   the docker command of Debian 12: /session and /build?version=2
buildx    docker buildx: /grpc, driven through the bridge
boxship   our own command: /session and /grpc, without the bridge
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Final

import pytest

from tests.support.engine import BOXSHIP, PATIENCE, Engine, docker_command, link_plugins

DOORS: Final = ("classic", "session", "buildx", "boxship")
MODERN: Final = ("buildx", "boxship")
Finished = subprocess.CompletedProcess[str]


def command(engine: Engine, door: str) -> list[str]:
    """Return the words that begin a build; skip where the program is not to be had."""
    match door:
        case "classic" | "session":
            return [docker_command("docker-20.10"), "-H", engine.host, "build"]
        case "buildx":
            if not link_plugins(engine.root / "config"):
                pytest.skip("docker buildx is neither installed nor could it be fetched")
            return [docker_command(), "-H", engine.host, "buildx", "build"]
    return [*BOXSHIP, "-H", engine.host, "build"]


def environment(engine: Engine, door: str, more: Mapping[str, str] = {}) -> dict[str, str]:
    """Return the environment that a client is given."""
    return {
        **os.environ,
        "DOCKER_CONFIG": f"{engine.root}/config",
        "DOCKER_BUILDKIT": "0" if door == "classic" else "1",
        "BUILDKIT_PROGRESS": "plain",
        "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
        **more,
    }


def build(
    engine: Engine,
    door: str,
    *words: str,
    text: str | None = None,
    env: Mapping[str, str] = {},
    check: bool = True,
) -> Finished:
    """Build and wait; `text` is a Dockerfile without a context."""
    given = {"stdin": subprocess.DEVNULL} if text is None else {"input": text}
    done: Finished = subprocess.run(  # type: ignore[call-overload]
        [*command(engine, door), *words, *(("-",) if text is not None else ())],
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
        timeout=120 * PATIENCE,
        env=environment(engine, door, env),
        **given,
    )
    if check and done.returncode:
        raise AssertionError(f"{door} {words}: {done.stdout}{done.stderr}\n{engine.tail()}")
    return done


def begin(engine: Engine, door: str, *words: str) -> subprocess.Popen[bytes]:
    """Begin a build and do not wait; what it says comes by its standard output."""
    return subprocess.Popen(
        [*command(engine, door), *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env=environment(engine, door),
    )
