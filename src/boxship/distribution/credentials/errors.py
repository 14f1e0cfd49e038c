"""What can go wrong with credentials; helpers' messages are those that clients match on."""

from __future__ import annotations

from boxship.errors import InvalidRequest, NotFound, NotSupported, Unauthorized, Unavailable

NOT_FOUND = "credentials not found in native keychain"
NO_SERVER = "no credentials server URL"
NO_USERNAME = "no credentials username"


class NoCredentials(NotFound):
    """Nothing is kept for this server."""

    def __init__(self) -> None:
        super().__init__(NOT_FOUND)


class InvalidCredentials(InvalidRequest):
    """What was to be kept, or asked for, cannot be."""


class HelperFailed(Unavailable):
    """A credential helper is missing, hangs, fails or answers nonsense."""


class DamagedVault(Unavailable):
    """The file with the secrets is not what was written."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(
            f"{path} is damaged ({why}): move it away and log in again; nothing was changed"
        )


class VaultBusy(Unavailable):
    """Another process holds the vault's lock."""


class NoKey(NotSupported):
    """There is no place here for the key that secrets are encrypted with."""


class WrongPassphrase(Unauthorized):
    """The passphrase does not open the vault."""

    def __init__(self) -> None:
        super().__init__("the passphrase is wrong")
