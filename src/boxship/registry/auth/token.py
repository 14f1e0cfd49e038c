"""Tokens: signed statements of who may do what for the next minutes, made by a token server.

head:   alg, and kid or x5c            claims: iss aud exp nbf iat sub access[]
access: {type, name, actions[]}
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from boxship.registry.auth.access import CATALOG, Access, Asked, Identity, scopes
from boxship.registry.auth.keys import Trust
from boxship.registry.errors import NotAuthenticated

LONGEST: Final = 64 << 10
LEEWAY: Final = 60  # seconds that clocks may differ
ALGORITHMS: Final = frozenset(  # never none, never HMAC
    {"ES256", "ES384", "ES512", "RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "EdDSA"}
)


class BadToken(Exception):
    """The token is not one, or not for us."""


@dataclass(frozen=True, slots=True)
class Bearer:
    """Who has shown a token. `sight` says for whom the catalog shows what."""

    name: str
    granted: Mapping[tuple[str, str], frozenset[str]]
    sight: Callable[[str, str], bool] | None

    def may(self, access: Access) -> bool:
        actions = self.granted.get((access.type, access.name), frozenset())
        return "*" in actions or access.actions <= actions

    def sees(self, repository: str) -> bool:
        if self.sight is not None:
            return self.sight(self.name, repository)
        return self.may(CATALOG)  # whoever gave that away knows what the catalog shows


class Tokens:
    """Reads tokens of one issuer for one service."""

    def __init__(
        self, trust: Trust, issuer: str, service: str, algorithms: Sequence[str] = ()
    ) -> None:
        self._trust = trust
        self._issuer = issuer
        self._service = service
        self._algorithms = frozenset(algorithms) & ALGORITHMS or ALGORITHMS

    def claims(self, token: str, audience: str = "") -> dict[str, Any]:
        """Return what a token says; BadToken."""
        import jwt

        if len(token) > LONGEST:
            raise BadToken("it is too long")
        try:
            head = jwt.get_unverified_header(token)
            if (algorithm := head.get("alg")) not in self._algorithms:
                raise BadToken("its algorithm is not accepted")
            if (key := self._trust.key_for(head)) is None:
                raise BadToken("it is signed by an unknown key")
            said: dict[str, Any] = jwt.decode(
                token,
                key,
                algorithms=[str(algorithm)],
                audience=audience or self._service,
                issuer=self._issuer,
                leeway=LEEWAY,
                options={
                    "require": ["exp", "iss", "aud"],
                    "verify_sub": False,
                    "verify_jti": False,
                },
            )
        except (jwt.PyJWTError, ValueError, TypeError) as error:
            raise BadToken(str(error)) from error
        return said


class TokenAuthority:
    """Lets in who shows a token for what they want."""

    def __init__(
        self,
        tokens: Tokens,
        service: str,
        realm: Callable[[Asked], str],
        sight: Callable[[str, str], bool] | None = None,
    ) -> None:
        self._tokens = tokens
        self._service = service
        self._realm = realm
        self._sight = sight

    async def admit(self, asked: Asked, wanted: Sequence[Access]) -> Identity:
        kind, _, token = asked.authorization.partition(" ")
        if kind.lower() != "bearer" or not token:
            raise NotAuthenticated(self._challenge(asked, wanted))
        try:
            bearer = self._bearer(self._tokens.claims(token.strip()))
        except BadToken as error:
            challenge = self._challenge(asked, wanted, "invalid_token")
            raise NotAuthenticated(challenge, f"invalid token: {error}") from error
        if not all(map(bearer.may, wanted)):
            challenge = self._challenge(asked, wanted, "insufficient_scope")
            raise NotAuthenticated(challenge, "the token does not allow this")
        return bearer

    def _bearer(self, claims: Mapping[str, Any]) -> Bearer:
        granted: dict[tuple[str, str], frozenset[str]] = {}
        listed = claims.get("access")
        for one in listed if isinstance(listed, list) else ():
            if not isinstance(one, dict) or not isinstance(one.get("actions"), list):
                continue
            key = str(one.get("type", "")), str(one.get("name", ""))
            actions = frozenset(str(action) for action in one["actions"])
            granted[key] = granted.get(key, frozenset()) | actions
        return Bearer(str(claims.get("sub") or ""), granted, self._sight)

    def _challenge(self, asked: Asked, wanted: Sequence[Access], error: str = "") -> str:
        parts = [f'realm="{self._realm(asked)}"', f'service="{self._service}"']
        if wanted:
            parts.append(f'scope="{scopes(wanted)}"')
        if error:
            parts.append(f'error="{error}"')
        return "Bearer " + ",".join(parts)
