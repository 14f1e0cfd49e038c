"""Credentials for registries: where they are found, kept and forgotten.

A registry is named by its host, the hub by the address it had once. Its credentials are with the
helper that the configuration names for it (credHelpers), else with the one for all (credsStore),
else in the configuration itself, where anybody can read them who can read the file.
"""

from __future__ import annotations

from boxship.cli.image.naming import registry_of
from boxship.distribution.credentials.naming import HUB, HUB_KEY, HUB_NAMES
from boxship.errors import BoxshipError, Unavailable
from boxship.lib import quickjson

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell
    from boxship.distribution.credentials.helper import Helper

    Found = dict[str, Any]


def authorization(shell: Shell, image: str) -> str:
    """Return the header that carries the credentials for an image's registry; empty for none."""
    key = key_of(registry_of(image))
    found = lookup(shell, key)
    return encode({**found, "serveraddress": key}) if found else ""


def every_authorization(shell: Shell) -> str:
    """Return the header that carries all credentials, for a build, which may ask any registry."""
    return encode(everything(shell))


def encode(document: Found) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(quickjson.encode(document).encode()).decode()


def key_of(server: str) -> str:
    """Return the name by which a registry's credentials are kept."""
    host = host_of(server)
    return HUB_KEY if not host or host in HUB_NAMES else host


def host_of(server: str) -> str:
    """Return the host of a registry that may have been written as an address."""
    plain = server.strip().removeprefix("https://").removeprefix("http://")
    return plain.partition("/")[0]


def lookup(shell: Shell, key: str) -> Found:
    """Return what is kept for a registry; empty when that is nothing."""
    return _from_environment(shell, key) or _from_helper(shell, key) or _from_file(shell, key)


def everything(shell: Shell) -> dict[str, Found]:
    """Return what is kept for every registry that anything is known of."""
    found: dict[str, Found] = {}
    servers = dict.fromkeys(shell.config.mapping("auths"))
    servers.update(dict.fromkeys(shell.config.mapping("credHelpers")))
    if store := shell.config.text("credsStore"):
        servers.update(dict.fromkeys(_helper(shell, store).list()))
    servers.update(dict.fromkeys(_environment_entries(shell)))
    for server in servers:
        if entry := lookup(shell, key_of(server)):
            found[server] = {**entry, "serveraddress": server}
    return found


def helper_for(shell: Shell, key: str) -> Helper | None:
    """Return the helper that the configuration names for a registry, if it names one."""
    helpers = shell.config.mapping("credHelpers")
    named = [helpers[name] for name in _keys(key) if helpers.get(name)]
    name = named[0] if named else shell.config.text("credsStore")
    return _helper(shell, str(name)) if name else None


def keep(shell: Shell, key: str, found: Found, *, plain: bool) -> None:
    """Keep credentials for a registry.

    Where the configuration names no helper, ours keeps them, encrypted, and the configuration says
    so for this registry alone; others stay where they are. Only `plain` puts them into the file.
    """
    helper = None if plain else helper_for(shell, key)
    named = helper is not None
    if helper is None and not plain:
        from boxship.distribution.credentials.helper import OWN

        helper = _helper(shell, OWN)
    if helper is None:
        _keep_plain(shell, key, found)
        return
    _give(helper, key, found, advise=not named)

    def point(values: dict[str, Any]) -> None:
        if not named:
            values.setdefault("credHelpers", {}).update(dict.fromkeys(_keys(key), helper.name))
        entries = values.setdefault("auths", {})
        for name in _spellings(entries, key):
            del entries[name]
        entries[key] = {}

    shell.config.change(point)
    if not named and not helper.is_installed():
        remedy = f"; with {helper.folder} in $PATH others do, too" if helper.folder else ""
        shell.say(
            f"NOTE: {helper.program} is not in $PATH: only boxship will find these credentials"
            f"{remedy}"
        )


def _give(helper: Helper, key: str, found: Found, *, advise: bool) -> None:
    from boxship.distribution.credentials.helper import TOKEN_USER, Secret

    token = found.get("identitytoken", "")
    secret = Secret(key, TOKEN_USER, token)
    if not token:
        secret = Secret(key, found.get("username", ""), found.get("password", ""))
    try:
        helper.store(secret)
    except BoxshipError as error:
        advice = "; --plain-text keeps them unencrypted" if advise else ""
        raise Unavailable(f"{error}{advice}") from error


def _keep_plain(shell: Shell, key: str, found: Found) -> None:
    from base64 import b64encode

    pair = f"{found.get('username', '')}:{found.get('password', '')}"
    entry = {"auth": b64encode(pair.encode()).decode()} if pair != ":" else {}
    if found.get("identitytoken"):
        entry["identitytoken"] = found["identitytoken"]

    def point(values: dict[str, Any]) -> None:
        entries = values.setdefault("auths", {})
        for name in _spellings(entries, key):
            del entries[name]
        entries[key] = entry
        helpers = values.get("credHelpers") or {}
        for name in _keys(key):
            helpers.pop(name, None)

    shell.config.change(point)
    shell.say(
        f"\nWARNING! Your credentials are stored unencrypted in '{shell.config.path}'.\n"
        "Configure a credential helper to remove this warning. See\n"
        "https://docs.docker.com/go/credential-store/\n"
    )


def forget(shell: Shell, key: str) -> None:
    """Forget what is kept for a registry, wherever it is."""
    from boxship.distribution.credentials.errors import NoCredentials
    from boxship.distribution.credentials.helper import OWN

    helper = helper_for(shell, key)
    if helper is not None:
        for name in (key, f"http://{key}", f"https://{key}") if key != HUB_KEY else (key,):
            try:
                helper.erase(name)
            except NoCredentials:
                pass
    entries, helpers = shell.config.mapping("auths"), shell.config.mapping("credHelpers")
    if not _spellings(entries, key) and OWN not in [helpers.get(name) for name in _keys(key)]:
        return

    def unpoint(values: dict[str, Any]) -> None:
        known = values.get("auths") or {}
        for name in _spellings(known, key):
            del known[name]
        named = values.get("credHelpers") or {}
        for name in _keys(key):
            if named.get(name) == OWN:
                del named[name]
        if not named:
            values.pop("credHelpers", None)

    shell.config.change(unpoint)


def _keys(key: str) -> tuple[str, ...]:
    """Return under which names clients look for the helper of a registry."""
    return (key, HUB) if key == HUB_KEY else (key,)


def _spellings(entries: dict[str, Any], key: str) -> list[str]:
    """Return the names under which entries for a registry stand."""
    return [name for name in entries if name == key or key_of(name) == key]


def _helper(shell: Shell, name: str) -> Helper:
    from boxship.distribution.credentials.helper import Helper

    return Helper(name, shell.environment)


def _environment_entries(shell: Shell) -> dict[str, Any]:
    text = shell.environment.get("DOCKER_AUTH_CONFIG", "")
    if not text:
        return {}
    try:
        entries: dict[str, Any] = quickjson.decode(text).get("auths") or {}
    except (ValueError, AttributeError) as error:
        raise Unavailable(f"DOCKER_AUTH_CONFIG cannot be read: {error}") from error
    return entries


def _from_environment(shell: Shell, key: str) -> Found:
    return _decoded(_environment_entries(shell).get(key) or {})


def _from_file(shell: Shell, key: str) -> Found:
    entries = shell.config.mapping("auths")
    if key in entries:
        return _decoded(entries[key])
    for name in _spellings(entries, key):
        return _decoded(entries[name])
    return {}


def _decoded(entry: object) -> Found:
    """Return what one entry of a configuration says."""
    from base64 import b64decode

    if not isinstance(entry, dict):
        return {}
    if entry.get("identitytoken"):
        return {"identitytoken": entry["identitytoken"]}
    if entry.get("registrytoken"):
        return {"registrytoken": entry["registrytoken"]}
    if entry.get("username") and entry.get("password"):
        return {"username": entry["username"], "password": entry["password"]}
    if not entry.get("auth"):
        return {}
    try:
        user, colon, password = b64decode(entry["auth"]).decode().partition(":")
    except (ValueError, TypeError) as error:
        raise Unavailable(f"the configuration's credentials cannot be read: {error}") from error
    if not colon:
        raise Unavailable("the configuration's credentials cannot be read: invalid auth")
    return {"username": user, "password": password.rstrip("\0")}


def _from_helper(shell: Shell, key: str) -> Found:
    helper = helper_for(shell, key)
    if helper is None:
        return {}
    from boxship.distribution.credentials.errors import NoCredentials

    try:
        found = helper.get(key)
    except NoCredentials:
        return {}
    if found.is_token:
        return {"identitytoken": found.secret}
    return {"username": found.username, "password": found.secret}
