"""The configuration: file, environment, and what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from boxship.registry import configfile
from boxship.registry.config import BadConfig, Config

DEBIAN = """
version: 0.1
log:
  fields:
    service: registry
storage:
  cache:
    blobdescriptor: inmemory
  filesystem:
    rootdirectory: /var/lib/docker-registry
  delete:
    enabled: true
http:
  addr: :5000
  headers:
    X-Content-Type-Options: [nosniff]
health:
  storagedriver:
    enabled: true
    interval: 10s
    threshold: 3
"""


def read(tmp_path: Path, text: str, **environment: str) -> Config:
    path = tmp_path / "config.yml"
    path.write_text(text)
    return configfile.load(str(path), environment)


def test_the_reference_servers_file_is_read(tmp_path: Path) -> None:
    made = read(tmp_path, DEBIAN)
    assert made.storage.filesystem is not None
    assert made.storage.filesystem.rootdirectory == "/var/lib/docker-registry"
    assert made.storage.delete.enabled
    assert made.log.fields == {"service": "registry"}
    assert made.health.storagedriver.interval == 10


def test_without_a_file_there_are_defaults() -> None:
    made = configfile.load(None, {})
    assert made.http.addr == ":5000"
    assert made.storage.maintenance.uploadpurging.age == 168 * 3600


def test_the_environment_stands_over_the_file(tmp_path: Path) -> None:
    made = read(
        tmp_path,
        DEBIAN,
        REGISTRY_HTTP_ADDR="127.0.0.1:6000",
        REGISTRY_STORAGE_DELETE_ENABLED="false",
        REGISTRY_LOG_FIELDS_SERVICE="mine",
        REGISTRY_HTTP_TLS_CLIENTCAS="[a, b]",
        REGISTRY_NOTIFICATIONS_ENDPOINTS_0_NAME="n",
        REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL="http://x",
        REGISTRY_NOTIFICATIONS_ENDPOINTS_0_TIMEOUT="2s",
    )
    assert made.http.addr == "127.0.0.1:6000"
    assert not made.storage.delete.enabled
    assert made.log.fields == {"service": "mine"}
    assert made.http.tls.clientcas == ["a", "b"]
    assert made.notifications.endpoints[0].timeout == 2


def test_a_storage_of_the_environment_takes_the_files_place(tmp_path: Path) -> None:
    made = read(tmp_path, DEBIAN, REGISTRY_STORAGE_S3_BUCKET="b")
    assert made.storage.filesystem is None
    assert made.storage.s3 is not None
    assert made.storage.s3.bucket == "b"
    assert made.storage.delete.enabled
    memory = read(tmp_path, DEBIAN, REGISTRY_STORAGE="inmemory")
    assert memory.storage.inmemory is not None
    assert memory.storage.filesystem is None


def test_variables_of_others_are_left_alone(tmp_path: Path) -> None:
    """An orchestrator names its services like this."""
    made = read(tmp_path, DEBIAN, REGISTRY_PORT="tcp://10.0.0.1:5000", REGISTRY_SERVICE_HOST="x")
    assert made.http.addr == ":5000"


def test_a_storage_without_options_is_one(tmp_path: Path) -> None:
    assert read(tmp_path, "version: 0.1\nstorage:\n  inmemory:\n").storage.inmemory is not None
    assert read(tmp_path, "version: 0.1\nstorage: inmemory\n").storage.inmemory is not None


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"http": {"adr": "x"}}, "unknown option http.adr"),
    ({"nonsense": 1}, "unknown option nonsense"),
    (
        {"notifications": {"endpoints": [{"name": "x"}]}},
        "notifications.endpoints[0].url is missing",
    ),
    ({"http": {"tls": {"certificate": [1]}}}, "http.tls.certificate: expected `str`, got `array`"),
    ({"redis": {"addr": "x"}}, "redis is not supported"),
    ({"storage": {"azure": {"container": "x"}}}, "storage.azure is not supported"),
    ({"http": {"tls": {"letsencrypt": {"email": "x"}}}}, "http.tls.letsencrypt is not supported"),
    ({"storage": {"filesystem": {}, "inmemory": {}}}, "only one of filesystem, inmemory"),
    ({"http": {"draintimeout": "soon"}}, "http.draintimeout: time: invalid duration"),
    ({"proxy": {"maxsize": "much"}}, "proxy.maxsize: invalid size"),
    ({"version": 0.2}, "version 0.2 is not known"),
    ({"http": {"net": "udp"}}, "http.net"),
    ({"auth": {"htpasswd": {"path": "x"}, "tokenserver": {"htpasswd": "x"}}}, "only one way"),
]


@pytest.mark.parametrize(("more", "said"), WRONG)
def test_what_is_wrong_is_said_with_its_path(more: dict[str, Any], said: str) -> None:
    with pytest.raises(BadConfig) as refusal:
        configfile.understand({"version": 0.1, **more})
    assert said in str(refusal.value)


def test_an_empty_section_of_what_is_not_here_is_nothing() -> None:
    made = configfile.understand({"version": 0.1, "redis": {}, "middleware": []})
    assert made.http.addr == ":5000"


@pytest.mark.parametrize("text", ["[1, 2]", "a: [", "- x", "!!python/object:os.system {}"])
def test_what_is_no_configuration(tmp_path: Path, text: str) -> None:
    with pytest.raises(BadConfig):
        read(tmp_path, text)


def test_lengths_of_time_and_sizes() -> None:
    made = configfile.understand(
        {
            "version": 0.1,
            "proxy": {"maxsize": "10GB", "ttl": "7d", "revalidate": 1_500_000_000},
            "storage": {"collection": {"interval": "1h30m"}},
        }
    )
    assert made.proxy.maxsize == 10 << 30
    assert made.proxy.ttl == 7 * 86400
    assert made.proxy.revalidate == 1.5
    assert made.storage.collection.interval == 5400
