"""Registries' tokens, fetched here for a build, so that no password leaves this client.

The engine is shown a public key for each registry, made of a seed of this process where there is
a password: whoever has the same key may use the tokens that were fetched before.
"""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from boxship.errors import Unauthorized
from boxship.spec.buildkit import session_pb2 as pb

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SEED_SIZE: Final = 32
HOLDS: Final = 60  # seconds, where the token server does not say

Known = Callable[[str], Awaitable[tuple[str, str]]]
"""Return a registry's user and password; without a user it is an identity token."""


class Authority:
    """Fetches tokens for whoever builds."""

    def __init__(self, known: Known) -> None:
        self._known = known
        self._seed = os.urandom(SEED_SIZE)

    async def key(self, asked: pb.GetTokenAuthorityRequest) -> pb.GetTokenAuthorityResponse:
        """Return the public key for a registry."""
        private = await self._private(asked.host, asked.salt)
        return pb.GetTokenAuthorityResponse(public_key=private.public_key().public_bytes_raw())

    async def prove(self, asked: pb.VerifyTokenAuthorityRequest) -> pb.VerifyTokenAuthorityResponse:
        """Return the payload behind a signature of the key's."""
        private = await self._private(asked.host, asked.salt)
        signed = private.sign(asked.payload) + asked.payload
        return pb.VerifyTokenAuthorityResponse(signed=signed)

    async def _private(self, host: str, salt: bytes) -> Ed25519PrivateKey:
        from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

        user, secret = await self._known(host)
        said = [user.encode(), hashlib.sha256(secret.encode()).digest(), self._seed]
        data = b"\0".join([host.encode(), *said]) if secret else b""
        seed = hmac.new(salt, data, hashlib.sha256).digest()
        return Ed25519PrivateKey.from_private_bytes(seed)

    async def fetch(self, asked: pb.FetchTokenRequest) -> pb.FetchTokenResponse:
        """Ask a token server; the password goes there only if it belongs to the registry."""
        from boxship.distribution.auth import Credentials
        from boxship.distribution.challenges import Challenge
        from boxship.distribution.endpoints import endpoints
        from boxship.distribution.login import Login
        from boxship.distribution.pool import Pool
        from boxship.distribution.tokens import joined

        user, secret = await self._known(asked.host)
        credentials = Credentials(user, secret) if user else Credentials(identity_token=secret)
        challenge = Challenge("bearer", {"realm": asked.realm, "service": asked.service})
        pool = Pool()
        try:
            scheme = urlsplit(asked.realm).scheme
            places = endpoints(asked.host, pool.settings, mirrors=False)
            place = next((one for one in places if one.scheme == scheme), places[0])
            found = await Login(pool, place, credentials).fetch(challenge, joined(asked.scopes))
        finally:
            await pool.close()
        token = found.token or found.access_token
        if not token:
            raise Unauthorized(f"the token server of {asked.host} gave no token")
        return pb.FetchTokenResponse(token=token, expires_in=int(found.expires_in or HOLDS))
