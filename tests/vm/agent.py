"""The guest's end of the command channel: runs what it is told and says what came out.

Started by systemd in the guest, with the system's Python alone. One request at a time, as lines:

    host   {"argv": [...], "cwd": "/", "env": {...}}
    guest  {"out": "text as latin-1"} ... {"rc": 0}
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import time

PORT = "/dev/virtio-ports/boxship"


def main() -> None:
    port = os.open(PORT, os.O_RDWR)
    say(port, {"hello": os.uname().release})
    pending = b""
    while True:
        data = os.read(port, 65536)
        if not data:  # nobody is connected at the moment
            time.sleep(0.05)
            continue
        *lines, pending = (pending + data).split(b"\n")
        for line in filter(None, lines):
            answer(port, json.loads(line))


def answer(port: int, request: dict[str, object]) -> None:
    """Run one command; output is passed on as it comes."""
    try:
        process = subprocess.Popen(
            request["argv"],  # type: ignore[call-overload]
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=request.get("cwd", "/"),
            env={**os.environ, **request.get("env", {})},  # type: ignore[dict-item]
        )
    except OSError as error:
        say(port, {"out": f"{error}\n"})
        say(port, {"rc": 127})
        return
    assert process.stdout is not None
    output = process.stdout.fileno()
    while True:
        has_ended = process.poll() is not None  # first: what it wrote is there to be read by then
        if select.select([output], [], [], 0.2)[0]:
            data = os.read(output, 8192)
            if not data:
                break
            say(port, {"out": data.decode("latin-1")})
        elif has_ended:  # what it left running may hold the other end for ever
            break
    process.stdout.close()
    say(port, {"rc": process.wait()})


def say(port: int, message: dict[str, object]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(port, data) :]


if __name__ == "__main__":
    main()
