"""How git gets at a remote: through which addresses, and with what of the client's it logs in.

git looks no name up again and follows no redirect: both are done here, where each address can be
refused, and git is told the outcome.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from typing import Final

from boxship.build.running.agent import Agent
from boxship.build.sources import reach, web
from boxship.build.sources.git.remote import (
    Wanted,
    basic,
    host_of,
    is_web,
    site_of,
    without_login,
)
from boxship.build.sources.source import Asker
from boxship.errors import BoxshipError

REFS: Final = "/info/refs?service=git-upload-pack"
SSH: Final = "ssh -F /dev/null -o BatchMode=yes"
SECRETS: Final = ("git.authheadersecret", "git.authtokensecret")
Setting = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Access:
    """Where a remote really is, and what git is told about getting there."""

    remote: str
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[Setting, ...] = ()


async def access(wanted: Wanted, asker: Asker, known_hosts: str, undo: AsyncExitStack) -> Access:
    """Find the way to a remote; Outside where it leads to an address that is refused."""
    if is_web(wanted.remote):
        return await _by_web(wanted, asker)
    await reach.addresses(*host_of(wanted.remote))
    if wanted.remote.startswith("git://"):
        return Access(wanted.remote)
    return Access(wanted.remote, await _by_ssh(wanted, asker, known_hosts, undo))


async def followed(remote: str, login: str = "") -> tuple[str, tuple[Setting, ...]]:
    """Return where a remote of the web has moved to, and the setting that keeps git there."""
    async with web.opened(remote + REFS, {}, login) as found:
        moved = found.url
    if not moved.endswith(REFS):
        raise web.Wrong(f"{web.shown(remote)} leads to no repository")
    at, _ = without_login(moved.removesuffix(REFS))
    host, port = host_of(at)
    try:
        ip_address(host)
    except ValueError:
        found_at = [address for _, address in await reach.addresses(host, port)]
        listed = ",".join(f"[{one}]" if ":" in one else one for one in found_at)
        return at, (("http.curloptResolve", f"{host}:{port}:{listed}"),)
    return at, ()


async def _by_web(wanted: Wanted, asker: Asker) -> Access:
    header = await _header(wanted, asker) or wanted.login
    remote, settings = await followed(wanted.remote, header)
    environment: dict[str, str] = {}
    if header:
        environment = {
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": f"http.{site_of(wanted.remote)}.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: {header}",
        }
    return Access(remote, environment, settings)


async def _header(wanted: Wanted, asker: Asker) -> str:
    """Return what the client's secrets say for an Authorization header."""
    host, _ = host_of(wanted.remote)
    for attr in SECRETS:
        name = wanted.attrs.get(attr, "")
        for one in (f"{name}.{host}", name) if name else ():
            for session in asker.sessions:
                try:
                    data = await session.secret(one)
                except BoxshipError:
                    continue
                said = data.decode("utf-8", "replace").strip()
                return said if attr == SECRETS[0] else basic("x-access-token", said)
    return ""


async def _by_ssh(
    wanted: Wanted, asker: Asker, known_hosts: str, undo: AsyncExitStack
) -> dict[str, str]:
    """Return the environment for ssh: the client's agent, and the hosts that are known.

    Where the source does not say which keys its host has, the first that is seen is kept, and
    another one refused later.
    """
    agent = Agent(asker.sessions, wanted.attrs.get("git.mountsshsock", "") or "default")
    path = await agent.listen(0, 0, 0o600)
    undo.push_async_callback(agent.close)
    known = wanted.attrs.get("git.knownsshhosts", "")
    checking, file = "accept-new", known_hosts
    if known:
        checking, file = "yes", os.path.join(os.path.dirname(path), "known_hosts")
        Path(file).write_text(known, encoding="utf-8")
    command = f"{SSH} -o StrictHostKeyChecking={checking} -o UserKnownHostsFile={file}"
    if not await agent.is_offered():
        return {"GIT_SSH_COMMAND": command}
    return {"GIT_SSH_COMMAND": command, "SSH_AUTH_SOCK": path}
