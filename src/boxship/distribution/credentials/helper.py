"""The credential-helper protocol, from the caller's side.

A helper called NAME is a program `docker-credential-NAME`; its argument is what to do, its input
and output are text. What it cannot do it says on its standard output, with an exit code.

    get     server                          {"ServerURL", "Username", "Secret"}
    store   {"ServerURL", "Username", "Secret"}
    erase   server
    list                                    {server: username}

The username `<token>` says that the secret is an identity token.
"""

from __future__ import annotations

from boxship.distribution.credentials.errors import (
    NO_SERVER,
    NO_USERNAME,
    NOT_FOUND,
    HelperFailed,
    InvalidCredentials,
    NoCredentials,
)
from boxship.lib import quickjson
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

PREFIX = "docker-credential-"
OWN = "boxship"
TOKEN_USER = "<token>"
SECONDS = 60  # somebody may be asked for a passphrase meanwhile
LARGEST = 1 << 20
SHOWN = 500
DOING = {"get": "getting", "list": "getting", "store": "saving", "erase": "erasing"}
PROGRAM = (
    "import sys; sys.path.insert(0, {source!r}); "
    "from boxship.distribution.credentials.program import main; sys.exit(main(sys.argv[1:]))"
)


class Secret:
    """What a helper keeps for one server."""

    __slots__ = ("secret", "server", "username")

    def __init__(self, server: str, username: str, secret: str) -> None:
        self.server = server
        self.username = username
        self.secret = secret

    @property
    def is_token(self) -> bool:
        """Whether the secret is an identity token and not a password."""
        return self.username == TOKEN_USER


class Helper:
    """A credential helper, called by its name."""

    def __init__(
        self, name: str, environment: Mapping[str, str], *, seconds: float = SECONDS
    ) -> None:
        if not name or not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
            raise InvalidCredentials(f"{name[:100]!r} is no name of a credential helper")
        self.name = name
        self._environment = environment
        self._seconds = seconds

    @property
    def program(self) -> str:
        """What the helper is called as a program."""
        return PREFIX + self.name

    def is_installed(self) -> bool:
        """Whether other clients find it, on the search path."""
        import shutil

        return shutil.which(self.program, path=self._environment.get("PATH")) is not None

    @property
    def folder(self) -> str:
        """Where this helper is ready to be called, though not installed; empty when nowhere."""
        import os

        folder = f"{_source().rpartition('/')[0]}/bin"
        return folder if os.access(f"{folder}/{self.program}", os.X_OK) else ""

    def get(self, server: str) -> Secret:
        """Return what is kept for a server; NoCredentials when that is nothing."""
        output = self._call("get", _line(server))
        found = self._document(output)
        username, secret = found.get("Username", ""), found.get("Secret", "")
        if not isinstance(username, str) or not isinstance(secret, str):
            raise HelperFailed(f"the credential helper {self.program} answers nonsense")
        return Secret(server, username, secret)

    def store(self, secret: Secret) -> None:
        """Keep a secret, replacing what was kept for its server."""
        document = {
            "ServerURL": _line(secret.server),
            "Username": secret.username,
            "Secret": secret.secret,
        }
        self._call("store", quickjson.encode(document))

    def erase(self, server: str) -> None:
        """Forget what is kept for a server; NoCredentials when that is nothing."""
        self._call("erase", _line(server))

    def list(self) -> dict[str, str]:
        """Return the servers for which something is kept, with the usernames."""
        found = self._document(self._call("list", ""))
        return {str(server): str(username) for server, username in found.items()}

    def _command(self) -> Sequence[str]:
        if self.name != OWN or self.is_installed():
            return [self.program]
        import sys

        # Ours comes with this package: it can be called without having been installed.
        return [sys.executable, "-P", "-s", "-c", PROGRAM.format(source=_source())]

    def _call(self, action: str, text: str) -> str:
        import subprocess

        what = f"error {DOING[action]} credentials"
        try:
            done = subprocess.run(
                [*self._command(), action],
                input=text.encode("utf-8", "surrogateescape"),
                stdout=subprocess.PIPE,
                timeout=self._seconds,
                env=dict(self._environment),
                check=False,
            )
        except FileNotFoundError as error:
            raise HelperFailed(
                f"{what}: the credential helper {self.program} is not in $PATH"
            ) from error
        except (OSError, subprocess.TimeoutExpired) as error:
            why = getattr(error, "strerror", None) or f"no answer within {self._seconds:g} seconds"
            raise HelperFailed(
                f"{what}: the credential helper {self.program} failed: {why}"
            ) from error
        output = done.stdout[: LARGEST + 1].decode("utf-8", "replace").strip()
        if done.returncode == 0:
            if len(output) > LARGEST:
                raise HelperFailed(f"{what}: the credential helper {self.program} says too much")
            return output
        if NOT_FOUND in output:
            raise NoCredentials
        for known in (NO_SERVER, NO_USERNAME):
            if output == known:
                raise InvalidCredentials(known)
        shown = visible(output[:SHOWN])
        raise HelperFailed(
            f"{what}: the credential helper {self.program} failed "
            f"(exit code {done.returncode}): {shown}"
        )

    def _document(self, output: str) -> dict[str, object]:
        try:
            found = quickjson.decode(output)
        except ValueError as error:
            raise HelperFailed(
                f"the credential helper {self.program} answers nonsense: {error}"
            ) from error
        if not isinstance(found, dict):
            raise HelperFailed(f"the credential helper {self.program} answers nonsense")
        return found


def _source() -> str:
    """Return the folder that this package is imported from."""
    return __file__.rpartition("/boxship/distribution/")[0]


def _line(server: str) -> str:
    """Return a server as it may be sent: a second line would be a second meaning."""
    if not server or not server.isprintable():
        raise InvalidCredentials(f"invalid server URL: {server[:100]!r}")
    return server
