"""Which engine the command line means.

In order: --host, --context, BOXSHIP_HOST, DOCKER_HOST, BOXSHIP_CONTEXT or DOCKER_CONTEXT, the named
configuration's current context, and else the socket of our own engine. Never Docker's own socket.
"""

from __future__ import annotations

import posix

from boxship.client.engine import Engine, parse_version
from boxship.client.errors import BadAddress
from boxship.client.target import DEFAULT_HOST, TLS, Target
from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from boxship.cli.shell import Shell


UNRESOLVED = "Failed to initialize: unable to resolve docker endpoint"


def engine_of(shell: Shell) -> Engine:
    """Return the engine that options, environment and configuration point at."""
    environment = shell.environment
    target, chosen = target_of(shell)
    version = environment.get("DOCKER_API_VERSION", "").removeprefix("v")
    if version:
        parse_version(version)
    revive: Callable[[], None] | None = None
    if not chosen and posix.geteuid() == 0:
        from boxship.cli.engine import start_engine

        revive = start_engine
    return Engine(target, version=version, headers=_headers(shell), revive=revive, ours=not chosen)


def _headers(shell: Shell) -> dict[str, str]:
    headers = {str(k): str(v) for k, v in shell.config.mapping("HttpHeaders").items()}
    headers.pop("User-Agent", None)
    custom = shell.environment.get("DOCKER_CUSTOM_HEADERS", "")
    if custom:
        for pair in custom.split(","):
            name, equals, value = pair.partition("=")
            if not equals or not name.strip():
                raise InvalidRequest(f"invalid DOCKER_CUSTOM_HEADERS: {pair!r}")
            headers[name.strip()] = value.strip()
    for name, value in headers.items():
        if "\r" in name + value or "\n" in name + value:
            raise InvalidRequest(f"invalid HTTP header: {name!r}")
    return headers


def target_of(shell: Shell) -> tuple[Target, bool]:
    """Return the target, and whether somebody chose it."""
    environment, options = shell.environment, shell.options
    hosts: list[str] = options.get("host") or []
    context = options.get("context") or ""
    if len(hosts) > 1:
        raise InvalidRequest(f"{UNRESOLVED}: Specify only one -H")
    if hosts and context:
        raise InvalidRequest("conflicting options: either specify --host or --context, not both")
    host = hosts[0] if hosts else ""
    if not host and not context:
        host = environment.get("BOXSHIP_HOST") or environment.get("DOCKER_HOST") or ""
    if host:
        try:
            return Target(_whole(host), _tls(shell)), True
        except BadAddress as error:
            raise BadAddress(f"{UNRESOLVED}: {error}") from error
    context = context or context_name(shell)
    if context and context != "default":
        return context_target(shell, context), True
    return Target(DEFAULT_HOST), False


def engine_at(shell: Shell, place: str) -> Engine:
    """Return the engine at a place that a command names: an address, a context or a host for ssh.

    A host alone is one for ssh, unless there is a context of that name.
    """
    if "://" not in place and not place.startswith("/"):
        try:
            return Engine(context_target(shell, place), headers=_headers(shell))
        except InvalidRequest as error:
            if "context not found" not in str(error):
                raise
        place = f"ssh://{place}"
    return Engine(Target(_whole(place), _tls(shell)), headers=_headers(shell))


def context_name(shell: Shell) -> str:
    """Return the context that applies when no host was named."""
    environment = shell.environment
    named = environment.get("BOXSHIP_CONTEXT") or environment.get("DOCKER_CONTEXT") or ""
    if not named and shell.config.named:
        named = shell.config.text("currentContext")
    return named


def _whole(host: str) -> str:
    """Complete an address as Docker does: a path is a unix socket, a bare host is TCP."""
    host = host.strip()
    if "://" in host:
        scheme, _, rest = host.partition("://")
        return (
            f"unix://{rest or DEFAULT_HOST.removeprefix('unix://')}" if scheme == "unix" else host
        )
    return f"unix://{host}" if host.startswith("/") else f"tcp://{host}"


def _tls(shell: Shell) -> TLS | None:
    environment, options = shell.environment, shell.options
    verify = options.get("tlsverify")
    if verify is None:
        verify = bool(environment.get("DOCKER_TLS_VERIFY"))
    if not (verify or options.get("tls") or environment.get("DOCKER_TLS")):
        return None
    from boxship.cli.config import config_folder

    folder = environment.get("DOCKER_CERT_PATH") or config_folder(
        options.get("config") or "", environment
    )
    return TLS(
        options.get("tlscacert") or f"{folder}/ca.pem",
        options.get("tlscert") or f"{folder}/cert.pem",
        options.get("tlskey") or f"{folder}/key.pem",
        verify=bool(verify),
    )


def context_target(shell: Shell, name: str) -> Target:
    """Return the engine of one of Docker's context files."""
    import hashlib
    import os

    from boxship.lib import quickjson

    folder = os.path.join(shell.config.folder, "contexts")
    digest = hashlib.sha256(name.encode()).hexdigest()
    path = os.path.join(folder, "meta", digest, "meta.json")
    try:
        with open(path, "rb") as file:
            meta: dict[str, Any] = quickjson.decode(file.read(1 << 20))
        endpoint = meta["Endpoints"]["docker"]
        host: str = endpoint["Host"]
    except FileNotFoundError:
        raise InvalidRequest(f'context "{name}": context not found') from None
    except (ValueError, KeyError, TypeError) as error:
        raise InvalidRequest(f'context "{name}" cannot be read: {error}') from error
    files = os.path.join(folder, "tls", digest, "docker")
    tls = None
    if os.path.isdir(files) or endpoint.get("SkipTLSVerify"):
        ca, certificate, key = (os.path.join(files, n) for n in ("ca.pem", "cert.pem", "key.pem"))
        tls = TLS(ca, certificate, key, verify=not endpoint.get("SkipTLSVerify"))
    return Target(host, tls)
