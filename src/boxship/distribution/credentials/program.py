"""`docker-credential-boxship`: the credential-helper protocol over the vault.

Any client that knows the protocol can use it: Docker's, podman, skopeo, and `boxship`. Two actions
are its own: `status` says what there is and where the key is kept, `rekey PLACE` moves the key.

    BOXSHIP_CREDENTIALS            the file; else $XDG_DATA_HOME/boxship/credentials.json
    BOXSHIP_CREDENTIALS_KEY        kernel, desktop or passphrase: where a new key is kept
    BOXSHIP_CREDENTIALS_REMEMBER   for how many seconds an opened passphrase is remembered
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Final

from boxship.distribution.credentials import asking
from boxship.distribution.credentials.errors import (
    NO_SERVER,
    NO_USERNAME,
    InvalidCredentials,
    NoCredentials,
)
from boxship.distribution.credentials.keys import KINDS, REMEMBERED, Desktop, Keys, places
from boxship.distribution.credentials.naming import one_name
from boxship.distribution.credentials.vault import Entry, Vault
from boxship.errors import BoxshipError
from boxship.kernel import keys as kernel_keys
from boxship.lib import quickjson
from boxship.spec.product import VERSION

NAME: Final = "docker-credential-boxship"
USAGE: Final = f"Usage: {NAME} <store|get|erase|list|version|status|rekey {places()}>"
LARGEST: Final = 1 << 20
LONGEST_SERVER: Final = 4096
PASSWORDS: Final = 64 << 10


def main(arguments: Sequence[str] | None = None) -> int:
    """Perform one action; what goes wrong is said on standard output, as the protocol has it."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    with suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # secrets pass through this memory
    try:
        output = perform(words, dict(os.environ))
    except BoxshipError as error:
        print(str(error))
        return 1
    except OSError as error:
        where = f": {error.filename}" if error.filename else ""
        print(f"{error.strerror or error}{where}")
        return 1
    except KeyboardInterrupt:
        return 130
    if output:
        print(output)
    return 0


def perform(words: list[str], environment: Mapping[str, str]) -> str:
    """Return what one action prints."""
    match words:
        case ["store"]:
            server, entry = read_stored(_input())
            vault(environment).put(one_name(server), entry)
            return ""
        case ["get"]:
            server = read_server(_input())
            found = vault(environment).get(one_name(server))
            return quickjson.encode(
                {"ServerURL": server, "Username": found.username, "Secret": found.secret}
            )
        case ["erase"]:
            vault(environment).erase(one_name(read_server(_input())))
            return ""
        case ["list"]:
            entries = vault(environment).entries()
            return quickjson.encode({name: entries[name].username for name in sorted(entries)})
        case ["version" | "--version" | "-v"]:
            return f"{NAME} (boxship) v{VERSION}"
        case ["status"]:
            return status(vault(environment))
        case ["rekey", kind] if kind in KINDS:
            vault(environment).rekey(kind)
            return ""
        case _:
            raise InvalidCredentials(USAGE)


def status(vault: Vault) -> str:
    """Say what there is, without a secret in it."""
    kind = vault.kind()
    if not kind:
        return f"{vault.path}: nothing is kept yet"
    count = len(vault.entries())
    return f"{vault.path}: {count} kept; the key is kept by: {kind}"


def vault(environment: Mapping[str, str]) -> Vault:
    """Return the secrets of the user whose environment this is."""
    text = environment.get("BOXSHIP_CREDENTIALS_REMEMBER", "")
    remembered = int(text) if text.isdecimal() else REMEMBERED
    keys = Keys(
        kernel=kernel_keys,
        desktop=desktop(),
        ask=partial(asking.ask, environment),
        wanted=environment.get("BOXSHIP_CREDENTIALS_KEY", ""),
        remembered=remembered,
    )
    return Vault(path_of(environment), keys)


def path_of(environment: Mapping[str, str]) -> str:
    """Return where the secrets lie."""
    if named := environment.get("BOXSHIP_CREDENTIALS"):
        return os.path.abspath(named)
    home = environment.get("HOME") or os.path.expanduser("~")
    data = environment.get("XDG_DATA_HOME") or os.path.join(home, ".local", "share")
    return os.path.join(data, "boxship", "credentials.json")


def desktop() -> Desktop | None:
    """Return the desktop's keyring, where the library is installed and finds a real one."""
    if not (os.environ.get("DBUS_SESSION_BUS_ADDRESS") or os.environ.get("PYTHON_KEYRING_BACKEND")):
        return None
    try:
        import keyring
    except ImportError:
        return None
    if keyring.get_keyring().priority < 1:  # what is below is null, failing or plain text
        return None
    return keyring  # type: ignore[no-any-return]


def read_stored(text: str) -> tuple[str, Entry]:
    """Read what is to be kept."""
    try:
        said = quickjson.decode(text)
        server, username, secret = (said.get(k) for k in ("ServerURL", "Username", "Secret"))
    except (ValueError, AttributeError) as error:
        raise InvalidCredentials(f"what is to be stored is no JSON: {error}") from error
    if not server:
        raise InvalidCredentials(NO_SERVER)
    if not username:
        raise InvalidCredentials(NO_USERNAME)
    if not all(isinstance(part, str) for part in (server, username, secret)):
        raise InvalidCredentials("what is to be stored is not text")
    if len(username) + len(secret) > PASSWORDS:
        raise InvalidCredentials("what is to be stored is too long")
    return read_server(server), Entry(username, secret)


def read_server(text: str) -> str:
    """Read a server's name, as the client writes it."""
    server = text.strip()
    if not server:
        raise InvalidCredentials(NO_SERVER)
    if len(server) > LONGEST_SERVER or not server.isprintable():
        raise InvalidCredentials("invalid server URL")
    return server


def _input() -> str:
    data = sys.stdin.buffer.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise InvalidCredentials("the input is too long")
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise InvalidCredentials("the input is not UTF-8") from error


__all__ = ["NoCredentials", "main", "perform", "vault"]

if __name__ == "__main__":
    sys.exit(main())
