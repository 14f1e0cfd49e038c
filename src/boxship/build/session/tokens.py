"""A client that fetches registries' tokens itself, so that its passwords stay with it.

GetTokenAuthority(host, salt)      a public key that stands for what the client knows of the host
VerifyTokenAuthority(payload)      the payload, signed: the key is the client's own
FetchToken(realm, service, scopes) a token

Tokens are kept for whoever proves that the same key is theirs: another session of the same
client, or of anybody with the same password. The salt is the daemon's, and new with each.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Final, Protocol, Self, TypeVar

from google.protobuf.message import Message

from boxship.build.needs import Credentials as Said
from boxship.distribution.auth import Credentials
from boxship.distribution.errors import LoginNeeded, WrongAnswer
from boxship.spec.buildkit import session_pb2 as pb
from boxship.transport.http2 import ConnectionLost
from boxship.wire.grpc import Failed

AUTH: Final = "/moby.filesync.v1.Auth/"
GET_AUTHORITY: Final = f"{AUTH}GetTokenAuthority"
VERIFY_AUTHORITY: Final = f"{AUTH}VerifyTokenAuthority"
FETCH_TOKEN: Final = f"{AUTH}FetchToken"
CLIENT_ID: Final = "buildkit-client"
SALT: Final = os.urandom(32)
KEY_SIZE: Final = 32
SIGNATURE_SIZE: Final = 64
LONGEST_TOKEN: Final = 1 << 20

A = TypeVar("A", bound=Message)


class Client(Protocol):
    """The client, as far as it is asked here."""

    async def ask(self, method: str, request: Message, kind: type[A], what: str) -> A:
        """Make one call."""

    async def credentials(self, host: str) -> Said:
        """Return what it logs in with itself."""


class ClientTokens:
    """Asks a client for the tokens of one registry; fulfils distribution.auth.Deputy."""

    def __init__(self, client: Client, host: str, key: bytes) -> None:
        self._client = client
        self._host = host
        self._key = key

    @classmethod
    async def of(cls, client: Client, host: str) -> Self | None:
        """Return it for a client that has proved its key; None for one that keeps no authority."""
        asked = pb.GetTokenAuthorityRequest(host=host, salt=SALT)
        what = "a token authority"
        try:
            key = (
                await client.ask(GET_AUTHORITY, asked, pb.GetTokenAuthorityResponse, what)
            ).public_key
        except Failed:  # the client says so where it does not want to
            return None
        payload = os.urandom(KEY_SIZE)
        question = pb.VerifyTokenAuthorityRequest(host=host, salt=SALT, payload=payload)
        answer = await client.ask(VERIFY_AUTHORITY, question, pb.VerifyTokenAuthorityResponse, what)
        if not _is_signed(answer.signed, payload, key):
            raise WrongAnswer(f"the client's token authority for {host} is not its own")
        return cls(client, host, key)

    @property
    def fingerprint(self) -> str:
        return self._key.hex()

    async def token(
        self, realm: str, service: str, scopes: Sequence[str]
    ) -> tuple[str, float | None]:
        """Have a token fetched."""
        asked = pb.FetchTokenRequest(
            client_id=CLIENT_ID, host=self._host, realm=realm, service=service, scopes=scopes
        )
        try:
            found = await self._client.ask(FETCH_TOKEN, asked, pb.FetchTokenResponse, "a token")
        except ConnectionLost:
            raise
        except Failed as failure:
            raise LoginNeeded(str(failure), status=401) from failure
        if not found.token or len(found.token) > LONGEST_TOKEN:
            raise WrongAnswer("the client of the build gives no token")
        return found.token, float(found.expires_in) or None

    async def credentials(self) -> Credentials:
        """Return the password, for a registry that takes nothing else."""
        said = await self._client.credentials(self._host)
        return Credentials(said.user, said.secret, said.token, server=self._host)


def _is_signed(signed: bytes, payload: bytes, key: bytes) -> bool:
    """Whether a message is the payload behind a signature of the key's."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    signature, rest = signed[:SIGNATURE_SIZE], signed[SIGNATURE_SIZE:]
    if rest != payload or len(key) != KEY_SIZE:
        return False
    try:
        Ed25519PublicKey.from_public_bytes(key).verify(signature, payload)
    except (InvalidSignature, ValueError):
        return False
    return True
