"""Where a registry is asked: its mirrors in order, then itself; encrypted first.

docker.io           https://registry-1.docker.io
localhost:5000      https://localhost:5000 unverified, then http://localhost:5000
mirror with a path  https://cache:5000/v2/<path>/<repository>/...
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

from boxship.distribution.settings import Settings, hostname
from boxship.spec.reference import HUB

HUB_ADDRESS: Final = "registry-1.docker.io"
HUB_INDEX: Final = "index.docker.io"
HUB_TOKENS: Final = "auth.docker.io"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One place to ask for what references call `host`."""

    host: str
    scheme: str
    address: str  # host[:port]
    prefix: str = ""  # comes before each repository's name
    mirror: bool = False
    verified: bool = True  # whether its certificate must be good

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        return f"{self.scheme}://{self.address}"

    def url(self, path: str, **query: str) -> str:
        """Return the URL of `path` below /v2/; a mirror is told for whom it stands."""
        base = f"{self.origin}/v2/{self.prefix}{path}"
        if self.mirror:
            query = {**query, "ns": self.host}
        words = "&".join(f"{key}={quote(value, safe='')}" for key, value in query.items())
        return f"{base}?{words}" if words else base

    def repository(self, repository: str) -> str:
        """Return what the repository is called in scopes."""
        return f"{self.prefix}{repository}"


def endpoints(
    host: str, settings: Settings, *, mirrors: bool, addresses: Sequence[str] = ()
) -> list[Endpoint]:
    """Return where to ask for `host`, in order; `addresses` are those its name leads to."""
    found: list[Endpoint] = []
    for url in settings.of(host).mirrors if mirrors else ():
        parts = urlsplit(url)
        path = parts.path.strip("/")
        address = parts.netloc
        verified = not settings.is_insecure(address)
        found.append(
            Endpoint(host, parts.scheme, address, f"{path}/" if path else "", True, verified)
        )
    address = HUB_ADDRESS if host == HUB else host
    insecure = settings.is_insecure(host, addresses)
    found.append(Endpoint(host, "https", address, verified=not insecure))
    if insecure:
        found.append(Endpoint(host, "http", address, verified=False))
    return found


def may_have_password(realm: str, endpoint: Endpoint, settings: Settings) -> bool:
    """Whether a token server may be sent the credentials of the registry that names it.

    It may when it is the registry's own host, a domain that the registry lies in, a name below
    the registry's, the hub's token server for the hub, or one that is set for the registry; and
    never in clear where the registry itself is encrypted.
    """
    parts = urlsplit(realm)
    server = (parts.hostname or "").lower()
    if parts.scheme != "https" and (parts.scheme != "http" or endpoint.scheme == "https"):
        return False
    own = hostname(endpoint.address)
    if server == own or parts.netloc.lower() in settings.of(endpoint.host).token_hosts:
        return True
    if server in settings.of(endpoint.host).token_hosts:
        return True
    if endpoint.address in (HUB_ADDRESS, HUB_INDEX):
        return server == HUB_TOKENS
    if own.replace(".", "").isdigit() or ":" in own or "." not in server or "." not in own:
        return False
    return own.endswith("." + server) or server.endswith("." + own)
