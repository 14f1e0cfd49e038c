"""Which way of authentication a configuration asks for."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from boxship.registry.auth.access import Asked, Authority, Open
from boxship.registry.auth.htpasswd import Htpasswd, Passwords, Users
from boxship.registry.auth.limiter import Limiter
from boxship.registry.auth.rules import Rules
from boxship.registry.config import BadConfig, Config, TokenSection, TokenServer

if TYPE_CHECKING:
    from boxship.registry.auth.issuer import Issuer

KEY = ".boxship-registry.key"


@dataclass(frozen=True, slots=True)
class Chosen:
    """Who decides, and who hands out tokens if this server does."""

    authority: Authority
    issuer: Issuer | None = None


def choose(config: Config, folder: str) -> Chosen:
    """Make what the configuration asks for; BadConfig."""
    rules = Rules(config.access)
    if (htpasswd := config.auth.htpasswd) is not None:
        return Chosen(Htpasswd(_plain(htpasswd.realm), _passwords(htpasswd.path), rules))
    if (token := config.auth.token) is not None:
        return _token(token)
    if (own := config.auth.tokenserver) is not None:
        return _own(own, folder, rules)
    if config.access.rules:
        raise BadConfig("configuration: access.rules need a way of authentication (auth)")
    return Chosen(Open())


def _passwords(path: str) -> Passwords:
    return Passwords(Users(path), Limiter(time.monotonic), time.monotonic)


def _token(section: TokenSection) -> Chosen:
    # Only who needs keys imports what knows keys.
    from boxship.registry.auth.keys import Trust
    from boxship.registry.auth.token import TokenAuthority, Tokens

    trust = Trust.read(section.rootcertbundle, section.jwks)
    tokens = Tokens(trust, section.issuer, section.service, section.signingalgorithms)
    path = section.autoredirectpath if section.autoredirect else ""
    realm = _realm(_plain(section.realm) if not path else "", path)
    return Chosen(TokenAuthority(tokens, _plain(section.service), realm))


def _own(section: TokenServer, folder: str, rules: Rules) -> Chosen:
    from boxship.registry.auth.issuer import PATH, Issuer, read_key
    from boxship.registry.auth.token import TokenAuthority

    key = read_key(section.key or f"{folder}/{KEY}", make=not section.key)
    names = (section.issuer, _plain(section.service))
    lifetimes = (section.expiry, section.refreshexpiry)
    passwords = _passwords(section.htpasswd)
    issuer = Issuer(key, names, lifetimes, passwords, rules, time.time)

    def sight(user: str, repository: str) -> bool:
        return "pull" in rules.allowed(user, repository)

    realm = _realm(_plain(section.realm), PATH)
    return Chosen(TokenAuthority(issuer.tokens, names[1], realm, sight), issuer)


def _realm(fixed: str, path: str) -> Callable[[Asked], str]:
    return lambda asked: fixed or asked.base + path


def _plain(text: str) -> str:
    """Return what can stand between quotes in a header."""
    if any(char in '"\\\r\n' for char in text) or not text.isascii():
        raise BadConfig(f"configuration: auth: {text!r} cannot stand in a header")
    return text
