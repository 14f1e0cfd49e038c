"""Users in a file of lines `name:hash`, hashes by bcrypt, as `htpasswd -B` writes them."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import logging
import os
import secrets
from collections import OrderedDict
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from boxship.registry.auth.access import Access, Asked, Identity
from boxship.registry.auth.limiter import Limiter
from boxship.registry.auth.rules import Rules
from boxship.registry.config import BadConfig
from boxship.registry.errors import Denied, NotAuthenticated

log = logging.getLogger(__name__)

REMEMBERED: Final = 1024  # verified passwords, as keyed hashes
FRESH: Final = 300.0  # seconds that a password that was right is not worked out again
AT_ONCE: Final = 4  # bcrypt takes a core each
# Of no password, for a file without users.
NOBODY: Final = b"$2b$10$C6UzMDM.H6dfI/f/IKcEeOQ3Bnq0n9jC7vXKcE2OYqkB3vY3Q6d1K"


class Users:
    """The file, read again when it has changed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stamp: tuple[int, int, int] | None = None
        self._hashes: dict[str, bytes] = {}
        self._read()

    def hash_of(self, user: str) -> bytes | None:
        """Return a user's hash, as the file has it now."""
        self._read()
        return self._hashes.get(user)

    def decoy(self) -> bytes:
        """Return a hash to compare with for a user who is not there, as slow as a real one."""
        return next(iter(self._hashes.values()), NOBODY)

    def _read(self) -> None:
        try:
            found = os.stat(self._path)
            stamp = (found.st_mtime_ns, found.st_size, found.st_ino)
            if stamp == self._stamp:
                return
            with open(self._path, encoding="utf-8") as file:
                self._hashes = dict(_lines(file.read()))
            self._stamp = stamp
        except (OSError, UnicodeDecodeError) as error:
            if self._stamp is None:
                raise BadConfig(f"cannot read {self._path}: {error}") from error
            log.error("cannot read %s again: %s; the users known so far stay", self._path, error)


class Passwords:
    """Checks users' passwords, slowly for those who are wrong."""

    def __init__(self, users: Users, limiter: Limiter, clock: Callable[[], float]) -> None:
        self._users = users
        self._limiter = limiter
        self._clock = clock
        self._key = secrets.token_bytes(32)
        self._verified: OrderedDict[bytes, tuple[bytes, float]] = OrderedDict()
        self._turns = asyncio.Semaphore(AT_ONCE)

    async def check(self, user: str, password: str, peer: str) -> bool:
        """Whether the password is the user's; TooManyRequests for who was wrong too often."""
        known = self._users.hash_of(user)
        secret = hmac.digest(self._key, f"{user}\0{password}".encode(), "sha256")
        if known is not None and self._is_verified(secret, known):
            return True
        self._limiter.check(peer, user)
        async with self._turns:
            right = await asyncio.to_thread(_compare, password, known or self._users.decoy())
        if not right or known is None:
            self._limiter.failed(peer, user)
            return False
        self._limiter.succeeded(peer, user)
        self._verified[secret] = known, self._clock()
        while len(self._verified) > REMEMBERED:
            self._verified.popitem(last=False)
        return True

    def stamp(self, user: str) -> str | None:
        """Return what changes with a user's password; None for nobody."""
        known = self._users.hash_of(user)
        return hashlib.sha256(known).hexdigest()[:32] if known else None

    def _is_verified(self, secret: bytes, known: bytes) -> bool:
        found = self._verified.get(secret)
        return (
            found is not None
            and hmac.compare_digest(found[0], known)
            and self._clock() - found[1] < FRESH
        )


@dataclass(frozen=True, slots=True)
class User:
    """Somebody the rules say something of."""

    name: str
    rules: Rules

    def may(self, access: Access) -> bool:
        return self.rules.may(self.name, access)

    def sees(self, repository: str) -> bool:
        return "pull" in self.rules.allowed(self.name, repository)


class Htpasswd:
    """Lets in who knows a password, and who needs none by the rules."""

    def __init__(self, realm: str, passwords: Passwords, rules: Rules) -> None:
        self._challenge = f'Basic realm="{realm}"'
        self._passwords = passwords
        self._rules = rules

    async def admit(self, asked: Asked, wanted: Sequence[Access]) -> Identity:
        if is_nobody(asked.authorization):
            nobody = User("", self._rules)
            if wanted and all(map(nobody.may, wanted)):
                return nobody
            raise NotAuthenticated(self._challenge)
        given = basic(asked.authorization)
        if given is None or not await self._passwords.check(*given, asked.peer):
            raise NotAuthenticated(self._challenge, "authentication failed")
        user = User(given[0], self._rules)
        if not all(map(user.may, wanted)):
            raise Denied
        return user


def is_nobody(authorization: str) -> bool:
    """Whether a client gives no name; some send an empty one instead of no header."""
    return authorization.strip() in ("", "Basic Og==")


def basic(authorization: str) -> tuple[str, str] | None:
    """Read name and password of a Basic header."""
    kind, _, encoded = authorization.partition(" ")
    if kind.lower() != "basic":
        return None
    try:
        user, colon, password = (
            base64.b64decode(encoded.strip(), validate=True).decode().partition(":")
        )
    except (binascii.Error, ValueError):
        return None
    return (user, password) if colon and user else None


def _compare(password: str, known: bytes) -> bool:
    import bcrypt

    try:
        # Only so much of a password counts, and a library may refuse more.
        return bcrypt.checkpw(password.encode()[:72], known)
    except ValueError:
        return False


def hash_password(password: str) -> str:
    """Return the hash for a line of the file."""
    import bcrypt

    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(10)).decode()


def _lines(text: str) -> list[tuple[str, bytes]]:
    found: list[tuple[str, bytes]] = []
    for number, line in enumerate(text.splitlines(), 1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, colon, known = line.partition(":")
        if not colon or not name or not known.startswith(("$2a$", "$2b$", "$2y$")):
            log.warning("line %d of the users' file is not name and bcrypt hash; ignored", number)
            continue
        found.append((name, known.encode()))
    return found
