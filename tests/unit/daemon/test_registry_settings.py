"""What the configuration says of registries, as their client sees it."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxship.daemon import config as configuration
from boxship.daemon.config import load, parse_flags
from boxship.daemon.registries import registry_settings
from boxship.distribution.settings import HostSettings, Proxies
from boxship.errors import BoxshipError


def loaded(tmp_path: Path, text: str, *words: str) -> configuration.Config:
    path = tmp_path / "daemon.json"
    path.write_text(text)
    return load(parse_flags([f"--config-file={path}", *words]), {})


def test_registries_of_daemon_json_are_settings(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """{
        "registry-mirrors": ["https://m/"], "insecure-registries": ["Reg:5000", "10.0.0.0/8"],
        "max-concurrent-downloads": 7, "max-concurrent-uploads": 2, "max-download-attempts": 3,
        "registries": {"quay.io": {"mirrors": ["http://c/q"], "compression": "zstd"}}
        }""",
    )
    settings = registry_settings(config, {})
    assert settings.hosts == {
        "docker.io": HostSettings(("https://m",)),
        "quay.io": HostSettings(("http://c/q",), compression="zstd"),
    }
    assert settings.insecure == ("reg:5000", "10.0.0.0/8")
    assert (settings.downloads, settings.uploads, settings.attempts) == (7, 2, 3)


@pytest.mark.parametrize(
    "text",
    [
        '{"registries": {"a": {"mirrors": ["x"]}}}',
        '{"registries": {"a": {"nope": 1}}}',
        '{"registries": []}',
        '{"registry-mirrors": ["ftp://x"]}',
        '{"registry-mirrors": ["https://x"], "registries": {"docker.io": {"mirrors": ["https://y"]}}}',
    ],
)
def test_wrong_registries_keep_the_daemon_from_starting(tmp_path: Path, text: str) -> None:
    with pytest.raises(BoxshipError, match="unable to configure"):
        loaded(tmp_path, text)


def test_what_is_configured_comes_before_the_environment(tmp_path: Path) -> None:
    config = loaded(tmp_path, '{"proxies": {"http-proxy": "http://own"}}')
    environment = {"HTTP_PROXY": "http://e1", "HTTPS_PROXY": "http://e2", "no_proxy": "x"}
    found = registry_settings(config, environment).proxies
    assert found == Proxies("http://own", "http://e2", "x")


def test_registries_change_with_a_reload(tmp_path: Path) -> None:
    before = loaded(tmp_path, "{}")
    after = loaded(tmp_path, '{"registries": {"*": {"mirrors": ["https://cache"]}}}')
    settings = registry_settings(configuration.reloaded(before, after), {})
    assert settings.of("anything").mirrors == ("https://cache",)
