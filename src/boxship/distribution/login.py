"""Authorization for one origin: what to send at first, and what after it was refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlencode, urlsplit

from boxship.distribution import challenges
from boxship.distribution.answers import failure, read
from boxship.distribution.auth import ANONYMOUS, Credentials
from boxship.distribution.challenges import Challenge
from boxship.distribution.endpoints import Endpoint, may_have_password
from boxship.distribution.errors import LoginNeeded, RegistryError, WrongAnswer
from boxship.distribution.pool import Pool, explain
from boxship.distribution.tokens import Key, Scopes, TokenDocument
from boxship.lib import strictjson

if TYPE_CHECKING:
    from multidict import CIMultiDictProxy

CLIENT: Final = "boxship"
TOKEN_LIMIT: Final = 1 << 20
TOKEN_TIMEOUT: Final = 30.0


class Login:
    """Gives requests to one endpoint their Authorization header."""

    def __init__(self, pool: Pool, endpoint: Endpoint, credentials: Credentials) -> None:
        self._pool = pool
        self._endpoint = endpoint
        # a mirror is another host: it gets nothing that belongs to the registry
        self.credentials = ANONYMOUS if endpoint.mirror else credentials
        self.identity_token = ""  # what the token server gave to be used instead of a password

    def _key(self, scopes: Scopes) -> Key:
        return Key(self._endpoint.origin, self.credentials.fingerprint, scopes)

    async def header(self, scopes: Scopes) -> str | None:
        """Return what to send with the first try; None is nothing."""
        if self.credentials.registry_token:
            return f"Bearer {self.credentials.registry_token}"
        if (token := self._pool.tokens.get(self._key(scopes))) is not None:
            return f"Bearer {token}"
        challenge = self._pool.tokens.challenge(self._endpoint.origin)
        if challenge is None:
            return None
        return await self._answer(challenge, scopes)

    async def after_refusal(
        self, headers: CIMultiDictProxy[str], scopes: Scopes, sent: str | None
    ) -> str | None:
        """Return what to send after a 401; None if that was already sent, or there is nothing."""
        self._pool.tokens.drop(self._key(scopes))
        offered = challenges.parse(headers.getall("WWW-Authenticate", []))
        for scheme in ("bearer", "basic"):
            for challenge in offered:
                if challenge.scheme == scheme:
                    self._pool.tokens.learn(self._endpoint.origin, _lasting(challenge))
                    answer = await self._answer(challenge, scopes)
                    return None if answer == sent else answer
        return None

    async def _answer(self, challenge: Challenge, scopes: Scopes) -> str | None:
        if challenge.scheme == "basic":
            known = self.credentials
            if known.deputy is not None:
                known = await known.deputy.credentials()
            return known.basic if known.username else None
        if self.credentials.registry_token:
            return f"Bearer {self.credentials.registry_token}"
        wanted = scopes | frozenset(filter(None, [challenge.parameters.get("scope", "")]))
        document = await self.fetch(challenge, wanted)
        token = document.token or document.access_token
        if not token:
            raise WrongAnswer("authorization server did not include a token in the response")
        self._pool.tokens.put(self._key(scopes), token, document.expires_in)
        return f"Bearer {token}"

    async def fetch(
        self, challenge: Challenge, scopes: Scopes, *, offline: bool = False
    ) -> TokenDocument:
        """Ask the token server that a challenge names."""
        realm = challenge.parameters.get("realm", "")
        try:
            parts = urlsplit(realm)
            fine = parts.scheme in ("http", "https") and bool(parts.hostname)
            fine = fine and not parts.username
            _ = parts.port
        except ValueError:
            fine = False
        if not fine:
            raise WrongAnswer(f"invalid authorization realm {realm[:200]!r}")
        if self._endpoint.scheme == "https" and parts.scheme != "https":
            raise WrongAnswer(f"authorization realm {realm[:200]!r} is not encrypted")
        known = self.credentials
        if not may_have_password(realm, self._endpoint, self._pool.settings):
            known = replace(ANONYMOUS, server=known.server)
        service = challenge.parameters.get("service", "")
        try:
            if known.deputy is not None:
                token, holds = await known.deputy.token(realm, service, sorted(scopes))
                return TokenDocument(token=token, expires_in=holds)
            if known.identity_token:
                return await self._exchange(realm, service, scopes, known)
            return await self._ask(realm, service, scopes, known, offline)
        except RegistryError as error:
            if error.status in (401, 403) and known.anonymous and not self.credentials.anonymous:
                raise LoginNeeded(
                    f"{self._endpoint.host} sends its users to {parts.netloc} for tokens, which "
                    f"is not given their passwords unless registries.{self._endpoint.host}."
                    f"token-hosts in daemon.json names it",
                    status=error.status,
                ) from error
            raise

    async def _ask(
        self, realm: str, service: str, scopes: Scopes, known: Credentials, offline: bool
    ) -> TokenDocument:
        """The plain way: a GET, with the password where there is one."""
        words = [("service", service)] if service else []
        words += [("scope", scope) for scope in sorted(scopes)]
        headers = {}
        if known.username:
            words.append(("account", known.username))
            headers["Authorization"] = known.basic
        if offline:
            words += [("client_id", CLIENT), ("offline_token", "true")]
        query = urlencode(words, quote_via=quote)
        url = f"{realm}{'&' if '?' in realm else '?'}{query}" if query else realm
        return await self._send("GET", url, headers, None)

    async def _exchange(
        self, realm: str, service: str, scopes: Scopes, known: Credentials
    ) -> TokenDocument:
        """The OAuth way: an identity token becomes an access token."""
        form = {
            "grant_type": "refresh_token",
            "service": service,
            "client_id": CLIENT,
            "refresh_token": known.identity_token,
        }
        if scopes:
            form["scope"] = " ".join(sorted(scopes))
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        return await self._send("POST", realm, headers, urlencode(form).encode())

    async def _send(
        self, method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> TokenDocument:
        import aiohttp

        netloc = urlsplit(url).netloc
        try:
            async with self._pool.request(
                method,
                url,
                {"Accept": "application/json", "Accept-Encoding": "identity", **headers},
                body=body,
                verified=not self._pool.settings.is_insecure(netloc),
                hosts=(netloc,),
                timeout=TOKEN_TIMEOUT,
            ) as response:
                if response.status != 200:
                    raise await failure(response, f"{method} {url.partition('?')[0]}")
                data = await read(response, TOKEN_LIMIT)
        except (aiohttp.ClientError, OSError) as error:
            raise explain(method, url, error) from error
        try:
            return strictjson.decode(data, TokenDocument, "token")
        except strictjson.InvalidDocument as error:
            raise WrongAnswer(f"the answer of the token server: {error}") from error


def _lasting(challenge: Challenge) -> Challenge:
    """Return a challenge without what only the request at hand asked for."""
    words = {k: v for k, v in challenge.parameters.items() if k in ("realm", "service")}
    return Challenge(challenge.scheme, words)
