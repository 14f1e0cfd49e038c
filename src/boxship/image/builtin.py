"""Images that the engine carries in itself, for a machine that reaches no registry.

`hello-world` greets; `boxship/scratch` has a program that waits for a signal and one that does
nothing. Each is made when it is first asked for, and is the same wherever it is made.
"""

from __future__ import annotations

import struct
from typing import Final

from boxship.image.machinecode import MACHINES, Call, Data, program
from boxship.image.making import Recipe
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference
from boxship.wire import tarwriter

CREATED: Final = "2026-01-01T00:00:00Z"
PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
HELLO: Final = """
Hello from Boxship!

If you can read this, the whole way works:
  1. The client asked the engine for a container of the image "hello-world".
  2. The engine made the image, which it carries in itself, and unpacked it.
  3. A shim started the program of that image in namespaces of its own.
  4. What the program wrote came back through the shim to your terminal.

To look around in a real system, make a base image and open a shell in it:
  boxship image bootstrap debian
  boxship run -it debian bash
"""
TERMINATE: Final = 1 << 14  # SIGTERM, in a signal set
INTERRUPT: Final = 1 << 1


def recipe(reference: Reference, platform: Platform) -> Recipe | None:
    """Return how to make the built-in image of that name, if there is one for the platform."""
    if platform.architecture not in MACHINES or reference.tag != "latest":
        return None
    match reference.familiar_repository:
        case "hello-world":
            files, command = {"hello": _hello(platform.architecture)}, "/hello"
        case "boxship/scratch":
            files = {
                "pause": _pause(platform.architecture),
                "true": program(platform.architecture, [Call("exit", (0,))], b""),
            }
            command = "/pause"
        case _:
            return None
    layer = [tarwriter.file(name, content, mode=0o755) for name, content in files.items()]
    return Recipe(
        layer=[*layer, tarwriter.END],
        run=RunConfig(env=[PATH], cmd=[command], working_dir="/"),
        platform=platform,
        created=CREATED,
        created_by=f"boxship: {command}",
    )


def _hello(architecture: str) -> bytes:
    text = HELLO.encode() + b"\n"
    write = Call("write", (1, Data(), len(text)))
    return program(architecture, [write, Call("exit", (0,))], text)


def _pause(architecture: str) -> bytes:
    """Wait for SIGTERM or SIGINT, which the first process of a container must ask for."""
    wanted = struct.pack("<Q", TERMINATE | INTERRUPT)
    calls = [
        Call("rt_sigprocmask", (0, Data(), 0, len(wanted))),
        Call("rt_sigtimedwait", (Data(), 0, 0, len(wanted))),
        Call("exit", (0,)),
    ]
    return program(architecture, calls, wanted)
