"""Credentials for a registry, from the configuration or the helper that it names."""

from __future__ import annotations

from boxship.cli.image.naming import registry_of
from boxship.errors import Unavailable
from boxship.lib import quickjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

HUB_KEY = "https://index.docker.io/v1/"
HUB = "docker.io"
TOKEN_USER = "<token>"
HELPER_SECONDS = 60
NOT_FOUND = "credentials not found in native keychain"


def authorization(shell: Shell, image: str) -> str:
    """Return the header that carries the credentials for an image's registry; empty for none."""
    registry = registry_of(image)
    key = HUB_KEY if registry == HUB else registry
    found = _from_environment(shell, key) or _from_helper(shell, key) or _from_file(shell, key)
    if not found:
        return ""
    return encode({**found, "serveraddress": key})


def encode(document: dict[str, Any]) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(quickjson.encode(document).encode()).decode()


def _from_environment(shell: Shell, key: str) -> dict[str, Any]:
    text = shell.environment.get("DOCKER_AUTH_CONFIG", "")
    if not text:
        return {}
    try:
        entries = quickjson.decode(text).get("auths") or {}
    except (ValueError, AttributeError) as error:
        raise Unavailable(f"DOCKER_AUTH_CONFIG cannot be read: {error}") from error
    return _decoded(entries.get(key) or {})


def _from_file(shell: Shell, key: str) -> dict[str, Any]:
    entries = shell.config.mapping("auths")
    for name in (key, f"https://{key}", f"http://{key}", f"https://{key}/v1/"):
        if name in entries:
            return _decoded(entries[name])
    return {}


def _decoded(entry: dict[str, Any]) -> dict[str, Any]:
    from base64 import b64decode

    if entry.get("identitytoken"):
        return {"identitytoken": entry["identitytoken"]}
    if entry.get("registrytoken"):
        return {"registrytoken": entry["registrytoken"]}
    if not entry.get("auth"):
        return {}
    try:
        user, _, password = b64decode(entry["auth"]).decode().partition(":")
    except ValueError as error:
        raise Unavailable(f"the configuration's credentials cannot be read: {error}") from error
    return {"username": user, "password": password.rstrip("\0")}


def _from_helper(shell: Shell, key: str) -> dict[str, Any]:
    helper = shell.config.mapping("credHelpers").get(key) or shell.config.text("credsStore")
    if not helper:
        return {}
    import subprocess

    name = f"docker-credential-{helper}"
    if "/" in helper:
        raise Unavailable(f"{helper!r} is no name of a credential helper")
    try:
        done = subprocess.run(
            [name, "get"],
            input=key.encode(),
            capture_output=True,
            timeout=HELPER_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unavailable(f"the credential helper {name} does not answer: {error}") from error
    output = done.stdout.decode("utf-8", "replace").strip()
    if done.returncode:
        if NOT_FOUND in output:
            return {}
        raise Unavailable(f"the credential helper {name} failed: {output}")
    found = quickjson.decode(output)
    if found.get("Username") == TOKEN_USER:
        return {"identitytoken": found.get("Secret", "")}
    return {"username": found.get("Username", ""), "password": found.get("Secret", "")}
