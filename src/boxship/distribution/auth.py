"""Who asks: what a client sends for one registry, and to which registry it belongs.

Clients send a JSON document, base64-encoded, in X-Registry-Auth (one registry) or in
X-Registry-Config (a document for each registry's address).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from msgspec import Struct

from boxship.errors import InvalidRequest
from boxship.lib import strictjson
from boxship.spec.reference import HUB, HUB_OLD

HUB_NAMES: Final = frozenset({HUB, HUB_OLD, "registry-1.docker.io"})
HEADER_LIMIT: Final = 64 << 10
SALT: Final = os.urandom(32)


class InvalidCredentials(InvalidRequest):
    """The header cannot be read."""


class Deputy(Protocol):
    """Who logs in where we would, so that we see tokens and no password."""

    @property
    def fingerprint(self) -> str:
        """What tells its users apart, and says nothing about them."""

    async def token(
        self, realm: str, service: str, scopes: Sequence[str]
    ) -> tuple[str, float | None]:
        """Return a token for some scopes, and for how many seconds it holds."""

    async def credentials(self) -> Credentials:
        """Return a password after all, for a registry that knows no tokens."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What proves who asks; empty is anonymous. `server` is the host they belong to."""

    username: str = ""
    password: str = field(default="", repr=False)
    identity_token: str = field(default="", repr=False)
    registry_token: str = field(default="", repr=False)
    server: str = ""
    deputy: Deputy | None = field(default=None, repr=False, compare=False)

    @property
    def anonymous(self) -> bool:
        """Whether there is nothing in them."""
        return not (self.username or self.identity_token or self.registry_token)

    @property
    def basic(self) -> str:
        """The value of a Basic Authorization header."""
        both = f"{self.username}:{self.password}".encode()
        return "Basic " + base64.b64encode(both).decode()

    @property
    def fingerprint(self) -> str:
        """What tells users apart in this process, and says nothing about them."""
        words = [self.username, self.password, self.identity_token, self.registry_token]
        if self.deputy is not None:
            words.append(self.deputy.fingerprint)
        said = "\0".join(words).encode("utf-8", "surrogatepass")
        return hashlib.blake2b(said, key=SALT, digest_size=16).hexdigest()

    def belonging_to(self, host: str) -> Credentials:
        """Return them if they are for `host`, and none otherwise."""
        return self if self.server in ("", host_of(host)) else ANONYMOUS


ANONYMOUS: Final = Credentials()


class AuthDocument(Struct):
    """What a client keeps and sends for a registry."""

    username: str | None = None
    password: str | None = None
    auth: str | None = None
    email: str | None = None
    serveraddress: str | None = None
    identitytoken: str | None = None
    registrytoken: str | None = None

    def value(self, server: str = "") -> Credentials:
        """Return it as credentials, for `server` where it does not say for whom."""
        username, password = self.username or "", self.password or ""
        if not username and self.auth:
            username, _, password = _decoded(self.auth).decode("utf-8", "replace").partition(":")
            password = password.rstrip("\0")
        return Credentials(
            username,
            password,
            self.identitytoken or "",
            self.registrytoken or "",
            host_of(self.serveraddress or server),
        )


def host_of(server: str) -> str:
    """Return the host of a registry's address: a URL, an old index URL or a host."""
    rest = server.partition("://")[2] if "://" in server else server
    host = rest.partition("/")[0].lower()
    return HUB if host in HUB_NAMES else host


def from_header(text: str) -> Credentials:
    """Read X-Registry-Auth; an empty one, and one that holds nothing, is anonymous."""
    if text.strip() in ("", "null"):
        return ANONYMOUS
    data = _decoded(text)
    if data.strip() in (b"", b"null"):
        return ANONYMOUS
    return strictjson.decode(data, AuthDocument, "invalid X-Registry-Auth header").value()


def from_config_header(text: str) -> Mapping[str, Credentials]:
    """Read X-Registry-Config: credentials by the host they are for."""
    if text.strip() in ("", "null"):
        return {}
    what = "invalid X-Registry-Config header"
    found = strictjson.decode(_decoded(text), dict[str, AuthDocument], what)
    return {host_of(server): document.value(server) for server, document in found.items()}


def _decoded(text: str) -> bytes:
    """Decode base64 of either alphabet, padded or not."""
    if len(text) > HEADER_LIMIT:
        raise InvalidCredentials("the registry credentials are too long")
    plain = text.strip().replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidCredentials(
            f"invalid X-Registry-Auth header: not base64-encoded: {error}"
        ) from error
