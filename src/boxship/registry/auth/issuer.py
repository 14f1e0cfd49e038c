"""Our own token server: credentials in, a token out for as much as the rules give.

    GET  /auth/token?service=&scope=&scope=&account=&offline_token=true     Basic, or nobody
    POST /auth/token    grant_type=password|refresh_token service scope access_type=offline
                        username password | refresh_token

A refresh token is signed like the others, for another audience. It ends with the user's password.
"""

from __future__ import annotations

import os
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import parse_qsl

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from boxship.lib import atomicfile, moments
from boxship.registry.auth.access import Access
from boxship.registry.auth.htpasswd import Passwords, basic, is_nobody
from boxship.registry.auth.keys import PublicKey, Trust, libtrust_id
from boxship.registry.auth.rules import Rules
from boxship.registry.auth.token import BadToken, Tokens
from boxship.registry.config import BadConfig
from boxship.registry.errors import NotAuthenticated
from boxship.registry.http.call import Reply, reply_json
from boxship.registry.http.target import Target
from boxship.transport.exchange import Exchange

PATH: Final = "/auth/token"
FORM: Final = 64 << 10
SCOPES: Final = 64
SCOPE: Final = re.compile(r"([a-z]+)(?:\([a-z]*\))?:([^\s]{1,512}):([a-z*,]{1,100})", re.ASCII)
REFRESH: Final = "#refresh"  # after the service's name: the audience of refresh tokens

PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True, slots=True)
class Wanted:
    """What somebody asks a token for."""

    scopes: tuple[Access, ...]
    service: str
    offline: bool


class Issuer:
    """Gives tokens to those who know a password."""

    def __init__(
        self,
        key: PrivateKey,
        names: tuple[str, str],
        lifetimes: tuple[float, float],
        passwords: Passwords,
        rules: Rules,
        now: Callable[[], float],
    ) -> None:
        self._key = key
        self._issuer, self._service = names
        self._expiry, self._refresh_expiry = map(int, lifetimes)
        self._passwords = passwords
        self._rules = rules
        self._now = now
        public: PublicKey = key.public_key()
        self._kid = libtrust_id(public)
        self._algorithm = "RS256" if isinstance(key, rsa.RSAPrivateKey) else "ES256"
        self.tokens = Tokens(Trust((), {self._kid: public}), self._issuer, self._service)

    async def answer(self, exchange: Exchange, target: Target) -> Reply:
        """Answer a request for a token."""
        match exchange.head.method:
            case "GET" | "HEAD":
                return await self._basic(exchange, target)
            case "POST":
                return await self._oauth(exchange)
            case _:
                return Reply(HTTPStatus.METHOD_NOT_ALLOWED, [("Allow", "GET, POST")])

    async def _basic(self, exchange: Exchange, target: Target) -> Reply:
        user = ""
        authorization = exchange.head.headers.get("authorization", "")
        if not is_nobody(authorization):
            given = basic(authorization)
            if given is None or not await self._passwords.check(*given, exchange.peer):
                challenge = f'Basic realm="{self._service}"'
                raise NotAuthenticated(challenge, "incorrect username or password")
            user = given[0]
        offline = target.one("offline_token") == "true"
        scopes = tuple(_scopes(target.query.get("scope", ())))
        return self._grant(user, Wanted(scopes, target.one("service"), offline))

    async def _oauth(self, exchange: Exchange) -> Reply:
        body = await exchange.read_all(FORM)
        try:
            form = dict(parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=64))
        except ValueError:
            return _oauth_error("invalid_request", "the form cannot be read")
        offline = form.get("access_type") == "offline"
        wanted = Wanted(tuple(_scopes([form.get("scope", "")])), form.get("service", ""), offline)
        match form.get("grant_type"):
            case "password":
                user = form.get("username", "")
                if not user or not await self._passwords.check(
                    user, form.get("password", ""), exchange.peer
                ):
                    return _oauth_error("invalid_grant", "incorrect username or password")
                return self._grant(user, wanted)
            case "refresh_token":
                given = form.get("refresh_token", "")
                found = self._user_of(given)
                if found is None:
                    return _oauth_error("invalid_grant", "the refresh token is not valid any more")
                return self._grant(found, wanted, given)
            case _:
                return _oauth_error("unsupported_grant_type", "password or refresh_token")

    def _grant(self, user: str, wanted: Wanted, refresh: str = "") -> Reply:
        if wanted.service and wanted.service != self._service:
            return _oauth_error("invalid_request", "this server gives tokens for another service")
        access = [
            {"type": one.type, "name": one.name, "actions": sorted(granted)}
            for one in wanted.scopes
            if (granted := self._rules.granted(user, one))
        ]
        now = int(self._now())
        token = self._sign(self._service, user, now, self._expiry, {"access": access})
        document: dict[str, Any] = {
            "token": token,
            "access_token": token,
            "expires_in": self._expiry,
            "issued_at": moments.show(now * 1_000_000_000),
            "scope": " ".join(f"{a['type']}:{a['name']}:{','.join(a['actions'])}" for a in access),
        }
        if wanted.offline and user:
            document["refresh_token"] = refresh or self._refresh(user, now)
        return reply_json(document, [("Cache-Control", "no-store")])

    def _refresh(self, user: str, now: int) -> str:
        more = {"stamp": self._passwords.stamp(user)}
        return self._sign(self._service + REFRESH, user, now, self._refresh_expiry, more)

    def _user_of(self, refresh: str) -> str | None:
        """Return whose refresh token this is, as long as their password is what it was."""
        try:
            claims = self.tokens.claims(refresh, self._service + REFRESH)
        except BadToken:
            return None
        user, stamp = claims.get("sub"), claims.get("stamp")
        if not isinstance(user, str) or not stamp or self._passwords.stamp(user) != stamp:
            return None
        return user

    def _sign(
        self, audience: str, user: str, now: int, lifetime: int, more: Mapping[str, Any]
    ) -> str:
        import jwt

        claims = {
            "iss": self._issuer,
            "sub": user,
            "aud": audience,
            "iat": now,
            "nbf": now - 10,
            "exp": now + lifetime,
            "jti": secrets.token_urlsafe(12),
            **more,
        }
        return jwt.encode(claims, self._key, algorithm=self._algorithm, headers={"kid": self._kid})


def _scopes(texts: Sequence[str]) -> Iterator[Access]:
    """Read scopes; what is none is passed over, as token servers do."""
    words = [word for text in texts for word in text.split()]
    for word in words[:SCOPES]:
        if found := SCOPE.fullmatch(word):
            yield Access(found[1], found[2], frozenset(filter(None, found[3].split(","))))


def _oauth_error(error: str, description: str) -> Reply:
    made = reply_json({"error": error, "error_description": description})
    status = HTTPStatus.UNAUTHORIZED if error == "invalid_grant" else HTTPStatus.BAD_REQUEST
    return Reply(status, [*made.headers, ("Cache-Control", "no-store")], made.body)


def read_key(path: str, *, make: bool) -> PrivateKey:
    """Read the key that signs tokens; make one where there is none and that is asked for."""
    try:
        with open(path, "rb") as file:
            data = file.read()
    except FileNotFoundError:
        if not make:
            raise BadConfig(f"auth.tokenserver.key: {path} does not exist") from None
        data = _new_key()
        os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
        atomicfile.write(path, data, mode=0o600)
    try:
        key = serialization.load_pem_private_key(data, None)
    except (ValueError, TypeError) as error:
        raise BadConfig(f"auth.tokenserver.key: {path}: {error}") from error
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size >= 2048:
            return key
    elif isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.key_size == 256:
        return key
    raise BadConfig(f"auth.tokenserver.key: {path}: a P-256 or RSA key of 2048 bits is needed")


def _new_key() -> bytes:
    return ec.generate_private_key(ec.SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
