"""The exec routes."""

from __future__ import annotations

import os
from dataclasses import replace
from http import HTTPStatus

from boxship.api.render import containers as render
from boxship.api.routes.containers import MULTIPLEXED_SINCE, size_of
from boxship.api.routing import MULTIPLEXED_STREAM, RAW_STREAM, Call, Hijacked, Reply, route
from boxship.container.attach import DEFAULT_KEYS
from boxship.container.execs import ExecConfig, Execs, keys_for_exec
from boxship.errors import BoxshipError, InvalidRequest
from boxship.shim.protocol import Attachment
from boxship.spec.engine import container_bodies as bodies
from boxship.wire import multiplex
from boxship.wire.multiplex import Stream as Channel


@route("POST", "/containers/{id}/exec")
async def create(call: Call, execs: Execs) -> Reply:
    made = execs.create(call.path["id"], requested(call.body(bodies.ExecConfig)))
    return Reply(HTTPStatus.CREATED, {"Id": made.id})


def requested(asked: bodies.ExecConfig) -> ExecConfig:
    """Return what an exec's body asks for."""
    words = [asked.cmd] if isinstance(asked.cmd, str) else asked.cmd or []
    size = asked.console_size
    if size is not None and len(size) != 2:
        raise InvalidRequest("ConsoleSize must be a height and a width")
    return ExecConfig(
        command=tuple(words),
        user=asked.user or "",
        env=tuple(asked.env or ()),
        working_dir=asked.working_dir or "",
        tty=bool(asked.tty),
        privileged=bool(asked.privileged),
        stdin=bool(asked.attach_stdin),
        stdout=bool(asked.attach_stdout),
        stderr=bool(asked.attach_stderr),
        detach_keys=keys_for_exec(asked.detach_keys) if asked.detach_keys else DEFAULT_KEYS,
        shown_keys=asked.detach_keys or "",
        console_size=(size[0], size[1]) if size and any(size) else None,
    )


@route("POST", "/exec/{id}/start")
async def start(call: Call, execs: Execs) -> Reply | Hijacked:
    asked = call.body(bodies.ExecStartConfig)
    run = execs.check_start(call.path["id"])
    if asked.console_size and len(asked.console_size) == 2 and any(asked.console_size):
        run.config = with_size(run.config, (asked.console_size[0], asked.console_size[1]))
    if asked.detach:
        await execs.start(run)
        return Reply(HTTPStatus.OK)
    run.has_begun = True
    framed = not asked.tty  # as it is read, whether the program has a terminal or not
    says_so = framed and call.version >= MULTIPLEXED_SINCE
    hijacked = await call.hijack(MULTIPLEXED_STREAM if says_so else RAW_STREAM)
    fd, pending = hijacked.detach()
    config = run.config
    attachment = Attachment(
        stdin=config.stdin,
        stdout=config.stdout,
        stderr=config.stderr,
        multiplex=framed,
        detach_keys=config.detach_keys,
        pending=pending,
    )
    try:
        await execs.start(run, attachment, fd)
    except BoxshipError as failure:
        said = f"{failure}\r\n".encode()
        os.write(fd, multiplex.header(Channel.STDOUT, len(said)) + said if framed else said)
    finally:
        os.close(fd)
    return hijacked


def with_size(config: ExecConfig, size: tuple[int, int]) -> ExecConfig:
    """Return a config with the terminal's size."""
    return replace(config, console_size=size)


@route("POST", "/exec/{id}/resize")
async def resize(call: Call, execs: Execs) -> Reply:
    height, width = size_of(call.query)
    await execs.resize(call.path["id"], height, width)
    return Reply(HTTPStatus.OK)


@route("GET", "/exec/{id}/json")
def inspect(call: Call, execs: Execs) -> Reply:
    return Reply(document=render.exec_document(execs.get(call.path["id"])))
