"""Which names belong to which registry behind this one.

    HOST/docker.io/library/busybox      the path says it, where `docker.io` is configured
    /v2/library/busybox/...?ns=docker.io    the query says it, as containerd's mirrors are asked
    HOST/library/busybox                all names belong to the one registry (proxy.remoteurl)

What is kept has the first form.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from boxship.registry.config import BadConfig, Proxy
from boxship.registry.errors import NameInvalid
from boxship.registry.names import Name
from boxship.spec.reference import HUB, OFFICIAL

HUB_HOSTS: Final = frozenset({"docker.io", "index.docker.io", "registry-1.docker.io"})


@dataclass(frozen=True, slots=True)
class Upstream:
    """A registry that is pulled through."""

    name: str  # the first parts of the names here; "" for all names
    host: str  # as in references
    path: str  # that its repositories lie below there
    insecure: bool
    username: str
    password: str
    revalidate: float
    ttl: float

    def covers(self, name: str) -> bool:
        """Whether a repository here is one of this registry's."""
        return not self.name or name.startswith(self.name + "/")

    def remote(self, name: str) -> str:
        """Return what a repository here is called there."""
        rest = name[len(self.name) + 1 :] if self.name else name
        if self.host == HUB and "/" not in rest:
            rest = OFFICIAL + rest
        return f"{self.path}/{rest}" if self.path else rest


class Upstreams:
    """All of them."""

    def __init__(self, known: Sequence[Upstream]) -> None:
        self._known = sorted(known, key=lambda one: -len(one.name))  # the longest name decides

    def __iter__(self) -> Iterator[Upstream]:
        return iter(self._known)

    def of(self, name: str) -> Upstream | None:
        """Return the registry that a repository here comes from."""
        return next((one for one in self._known if one.covers(name)), None)

    def local(self, name: Name, namespace: str) -> Name:
        """Return what a repository is called here, that a client asks for in a namespace."""
        if not namespace:
            return name
        for one in self._known:
            if one.name and namespace in (one.name, one.host):
                return name if one.covers(name) else Name.parse(f"{one.name}/{name}")
        return name


def read(section: Proxy) -> Upstreams:
    """Read the configuration; BadConfig."""
    found: list[Upstream] = []
    if section.remoteurl:
        found.append(
            _upstream("", section.remoteurl, (section.username, section.password), section)
        )
    for one in section.upstreams:
        try:
            Name.parse(one.name)
        except NameInvalid:
            problem = f"{one.name!r} cannot be the first part of a repository's name"
            raise BadConfig(f"configuration: proxy.upstreams: {problem}") from None
        made = _upstream(one.name, one.remoteurl, (one.username, one.password), section)
        found.append(made)
    names = [one.name for one in found]
    if len(set(names)) != len(names):
        raise BadConfig("configuration: proxy.upstreams: a name twice")
    return Upstreams(found)


def _upstream(name: str, url: str, login: tuple[str, str], section: Proxy) -> Upstream:
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query:
        raise BadConfig(f"configuration: proxy: {url!r} is not the URL of a registry")
    if parts.username or parts.password:
        raise BadConfig("configuration: proxy: credentials are given as username and password")
    host = HUB if parts.hostname in HUB_HOSTS else parts.netloc
    return Upstream(
        name,
        host,
        parts.path.strip("/"),
        parts.scheme == "http",
        *login,
        section.revalidate,
        section.ttl,
    )
