"""Where registries are asked, and who may be told a password."""

from __future__ import annotations

import pytest

from boxship.distribution.endpoints import Endpoint, endpoints, may_have_password
from boxship.distribution.settings import (
    BadSetting,
    HostSettings,
    Proxies,
    Settings,
    read_hosts,
)


def origins(host: str, settings: Settings, mirrors: bool = True) -> list[str]:
    return [one.origin for one in endpoints(host, settings, mirrors=mirrors)]


def test_the_hub_has_another_address_than_name() -> None:
    assert origins("docker.io", Settings()) == ["https://registry-1.docker.io"]


@pytest.mark.parametrize("host", ["localhost:5000", "127.0.0.1:5000", "127.8.8.8", "[::1]:5000"])
def test_the_loopback_may_speak_plain(host: str) -> None:
    assert origins(host, Settings()) == [f"https://{host}", f"http://{host}"]
    assert not endpoints(host, Settings(), mirrors=True)[0].verified


@pytest.mark.parametrize("host", ["example.com", "localhost.example", "10.0.0.1:5000"])
def test_others_must_be_encrypted_and_proven(host: str) -> None:
    (only,) = endpoints(host, Settings(), mirrors=True)
    assert (only.scheme, only.verified) == ("https", True)


@pytest.mark.parametrize(
    ("insecure", "host"),
    [
        ("example.com", "example.com"),
        ("example.com:5000", "example.com:5000"),
        ("10.0.0.0/8", "10.1.2.3:5000"),
        ("fd00::/8", "[fd00::1]:5000"),
    ],
)
def test_what_is_set_insecure_may_speak_plain(insecure: str, host: str) -> None:
    assert origins(host, Settings(insecure=(insecure,)))[-1] == f"http://{host}"


def test_a_name_in_an_insecure_network_may_speak_plain() -> None:
    settings = Settings(insecure=("10.0.0.0/8",))
    found = endpoints("reg.example", settings, mirrors=False, addresses=["10.0.0.9"])
    assert [one.scheme for one in found] == ["https", "http"]
    assert len(endpoints("reg.example", settings, mirrors=False, addresses=["8.8.8.8"])) == 1


def test_mirrors_come_first_in_order_and_never_for_writing() -> None:
    hosts = read_hosts({"quay.io": {"mirrors": ["https://a/x/", "http://b:5000"]}}, [])
    settings = Settings(hosts=hosts)
    assert origins("quay.io", settings) == ["https://a", "http://b:5000", "https://quay.io"]
    assert origins("quay.io", settings, mirrors=False) == ["https://quay.io"]
    first = endpoints("quay.io", settings, mirrors=True)[0]
    assert first.url("p/q/tags/list") == "https://a/v2/x/p/q/tags/list?ns=quay.io"


def test_any_registry_may_have_mirrors() -> None:
    settings = Settings(hosts=read_hosts({"*": {"mirrors": ["https://cache"]}}, []))
    assert origins("ghcr.io", settings) == ["https://cache", "https://ghcr.io"]


def test_docker_s_own_setting_is_the_hub_s() -> None:
    assert read_hosts({}, ["https://m/"]) == {"docker.io": HostSettings(("https://m",))}
    with pytest.raises(BadSetting):
        read_hosts({"docker.io": {"mirrors": ["https://n"]}}, ["https://m"])


@pytest.mark.parametrize(
    "document",
    [
        {"a": {"mirrors": ["ftp://x"]}},
        {"a": {"mirrors": ["https://u:p@x"]}},
        {"a": {"mirrors": "https://x"}},
        {"a": {"mirrors": ["https://x?y"]}},
        {"a": {"mirror": []}},
        {"a": {"insecure": "yes"}},
        {"a": {"compression": "xz"}},
        {"a": []},
        {"a": {"mirrors": ["https://x:port"]}},
    ],
)
def test_wrong_settings_are_refused(document: dict[str, object]) -> None:
    with pytest.raises(BadSetting):
        read_hosts(document, [])


PASSWORDS = [
    ("https://reg.example", "https://reg.example/token", True),
    ("https://reg.example:5000", "https://reg.example:5001/token", True),
    ("https://registry.gitlab.com", "https://gitlab.com/jwt/auth", True),
    ("https://example.com", "https://auth.example.com/token", True),
    ("https://registry-1.docker.io", "https://auth.docker.io/token", True),
    ("https://reg.example", "https://evil.example/token", False),
    ("https://reg.example", "https://evil.example?reg.example", False),
    ("https://reg.example", "http://reg.example/token", False),
    ("https://reg.example", "https://notreg.example/token", False),
    ("https://reg.example", "https://example/token", False),
    ("https://reg.example", "https://reg.example.evil.com/token", False),
    ("http://127.0.0.1:5000", "http://127.0.0.2:5000/token", False),
    ("http://127.0.0.1:5000", "http://1.127.0.0.1/token", False),
    ("http://localhost:5000", "http://localhost:5001/token", True),
    ("http://localhost:5000", "http://x.localhost:5001/token", False),
    ("https://registry-1.docker.io", "https://evil.docker.io/token", False),
]


@pytest.mark.parametrize(("own", "realm", "may"), PASSWORDS)
def test_a_realm_gets_a_password_only_where_it_belongs(own: str, realm: str, may: bool) -> None:
    scheme, _, address = own.partition("://")
    endpoint = Endpoint("any", scheme, address)
    assert may_have_password(realm, endpoint, Settings()) is may


def test_a_realm_that_is_set_gets_the_password() -> None:
    hosts = {"quay.io": HostSettings(token_hosts=("sso.example",))}
    endpoint = Endpoint("quay.io", "https", "quay.io")
    assert may_have_password("https://sso.example/t", endpoint, Settings(hosts=hosts))


@pytest.mark.parametrize(
    ("no_proxy", "url", "proxied"),
    [
        ("", "https://a.example/", True),
        ("a.example", "https://a.example/", False),
        ("example", "https://a.example/", False),
        (".example", "https://a.example/", False),
        ("b.example,*", "https://a.example/", False),
        ("a.example:5000", "https://a.example/", True),
        ("a.example:5000", "https://a.example:5000/", False),
        ("10.0.0.0/8", "https://10.1.1.1/", False),
        ("10.0.0.0/8", "https://11.1.1.1/", True),
        ("ample", "https://a.example/", True),
        ("", "https://localhost:5000/", False),
        ("", "https://127.0.0.1/", False),
    ],
)
def test_proxies_are_left_out_where_they_should_be(no_proxy: str, url: str, proxied: bool) -> None:
    proxies = Proxies("http://p:1", "https://p:2", no_proxy)
    assert (proxies.for_url(url) is not None) is proxied
