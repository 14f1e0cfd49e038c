"""What is set about registries: mirrors, trust, proxies, patience."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final
from urllib.parse import urlsplit

from boxship.errors import InvalidRequest
from boxship.spec.reference import HUB

ANY: Final = "*"
KEYS: Final = frozenset({"mirrors", "token-hosts", "insecure", "compression"})
COMPRESSIONS: Final = ("", "gzip", "zstd")
CERTIFICATES: Final = ("/etc/boxship/certs.d", "/etc/docker/certs.d")
LOOPBACK: Final = (ipaddress.ip_network("127.0.0.0/8"), ipaddress.ip_network("::1/128"))


class BadSetting(InvalidRequest):
    """A setting about registries cannot be meant like this."""


@dataclass(frozen=True, slots=True)
class HostSettings:
    """What is set for one registry: where else to ask, in order, and who gives its tokens."""

    mirrors: tuple[str, ...] = ()
    token_hosts: tuple[str, ...] = ()
    insecure: bool = False
    compression: str = ""  # how plain layers are packed before they are sent; empty: not at all


@dataclass(frozen=True, slots=True)
class Proxies:
    """The way out; `no_proxy` names what is reached directly."""

    http: str = ""
    https: str = ""
    no_proxy: str = ""

    def for_url(self, url: str) -> str | None:
        """Return the proxy for a URL, or None; loopback is never asked for through one."""
        parts = urlsplit(url)
        proxy = self.https if parts.scheme == "https" else self.http
        host = parts.hostname or ""
        if not proxy or is_loopback(host) or self._direct(host, parts.port):
            return None
        return proxy if "://" in proxy else f"http://{proxy}"

    def _direct(self, host: str, port: int | None) -> bool:
        address = _address(host)
        for word in filter(None, (part.strip().lower() for part in self.no_proxy.split(","))):
            if word == "*":
                return True
            network = _network(word)
            if network is not None:
                if address is not None and address in network:
                    return True
                continue
            name, colon, wanted = word.rpartition(":")
            if colon and wanted.isdigit():
                if port != int(wanted):
                    continue
                word = name
            bare = word.removeprefix("*").removeprefix(".")
            if host == bare or host.endswith("." + bare):
                return True
        return False


@dataclass(frozen=True, slots=True)
class Settings:
    """How registries are reached."""

    hosts: Mapping[str, HostSettings] = field(default_factory=dict)  # `*` is for any other
    insecure: tuple[str, ...] = ()  # hosts with their ports, or networks
    certificates: tuple[str, ...] = CERTIFICATES
    proxies: Proxies = Proxies()
    attempts: int = 5
    downloads: int = 3
    uploads: int = 5
    upload_piece: int = 0  # bytes of a chunked upload's chunk; 0 sends a blob in one request
    connect_timeout: float = 15.0
    stall_timeout: float = 45.0  # without one byte
    stored_timeout: float = 300.0  # for a registry to put away what it has received
    back_off: float = 0.25  # seconds before the second attempt; doubled for each further one
    longest_wait: float = 60.0  # that a registry may ask for
    user_agent: str = "boxship"

    def of(self, host: str) -> HostSettings:
        """Return what is set for a registry."""
        return self.hosts.get(host) or self.hosts.get(ANY) or HostSettings()

    @property
    def insecure_networks(self) -> Sequence[ipaddress.IPv4Network | ipaddress.IPv6Network]:
        """The networks in which registries need not prove who they are."""
        return [found for word in self.insecure if "/" in word and (found := _network(word))]

    def is_insecure(self, netloc: str, addresses: Sequence[str] = ()) -> bool:
        """Whether a registry need not prove who it is, and may speak plain HTTP.

        That holds on the loopback, for the hosts that are set, and for names with an address
        in the networks that are set.
        """
        host = hostname(netloc)
        if is_loopback(host) or netloc.lower() in self.insecure or host in self.insecure:
            return True
        if self.hosts.get(netloc, HostSettings()).insecure:
            return True
        networks = self.insecure_networks
        found = [_address(text) for text in (host, *addresses)]
        return any(a in network for a in found if a is not None for network in networks)


def read_hosts(document: Mapping[str, object], mirrors: Sequence[str]) -> dict[str, HostSettings]:
    """Read `registries` of daemon.json, and Docker's `registry-mirrors`, which are the hub's.

        "registries": {"quay.io": {"mirrors": ["https://cache:5000/quay"], "insecure": false,
                                   "token-hosts": ["auth.quay.io"], "compression": "gzip"},
                       "*": {"mirrors": ["https://cache:5000"]}}

    A mirror is a URL; its path comes before the repository's name.
    """
    found: dict[str, HostSettings] = {}
    for host, said in document.items():
        if not isinstance(said, dict) or (set(said) - KEYS):
            raise BadSetting(f"registries: {host}: only {', '.join(sorted(KEYS))} can be set")
        insecure = said.get("insecure", False)
        if not isinstance(insecure, bool):
            raise BadSetting(f"registries: {host}: insecure is true or false")
        compression = said.get("compression", "")
        if compression not in COMPRESSIONS:
            raise BadSetting(f"registries: {host}: compression is gzip or zstd")
        found[host.lower()] = HostSettings(
            tuple(check_mirror(url) for url in _texts(host, "mirrors", said)),
            tuple(text.lower() for text in _texts(host, "token-hosts", said)),
            insecure,
            compression,
        )
    if mirrors:
        if HUB in found and found[HUB].mirrors:
            raise BadSetting(f"registry-mirrors and registries: {HUB}: both name mirrors")
        known = found.get(HUB, HostSettings())
        checked = tuple(check_mirror(url) for url in mirrors)
        found[HUB] = replace(known, mirrors=checked)
    return found


def _texts(host: str, key: str, said: Mapping[str, object]) -> list[str]:
    value = said.get(key) or []
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadSetting(f"registries: {host}: {key} is a list of texts")
    return value


def check_mirror(url: str) -> str:
    """Return a mirror's URL without its last slash; credentials in it are refused."""
    try:
        parts = urlsplit(url)
        wrong = parts.scheme not in ("http", "https") or not parts.hostname
        _ = parts.port
    except ValueError:
        raise BadSetting(f"invalid mirror: {url!r} is no URL") from None
    if wrong or parts.query or parts.fragment:
        raise BadSetting(f"invalid mirror: {url!r} must begin with http:// or https://")
    if parts.username or parts.password:
        raise BadSetting("invalid mirror: a mirror's URL holds no credentials")
    return url.rstrip("/")


def hostname(netloc: str) -> str:
    """Return the host of `host[:port]`, in lower case and without brackets."""
    if netloc.startswith("["):
        return netloc[1:].partition("]")[0].lower()
    return netloc.partition(":")[0].lower()


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    if host == "localhost":
        return True
    address = _address(host)
    return address is not None and any(address in network for network in LOOPBACK)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def _network(text: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None
