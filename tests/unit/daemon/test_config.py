"""Flags and daemon.json: what is read, what is refused, and in which words."""

from __future__ import annotations

from pathlib import Path

import pytest

from boxship.daemon import config as configuration
from boxship.daemon.config import BadConfiguration, BadUsage, load, parse_file, parse_flags
from boxship.daemon.options import OPTIONS, Kind


def loaded(tmp_path: Path, text: str, *words: str) -> configuration.Config:
    path = tmp_path / "daemon.json"
    path.write_text(text)
    return load(parse_flags([f"--config-file={path}", *words]), {})


def test_flags_are_read_in_each_form() -> None:
    words = ["-D", "-H", "unix:///a", "-Hfd://", "--host=tcp://b", "--icc=false"]
    words += ["--log-opt", "max-size=1m", "--default-ulimit=nofile=10:20", "-l=warn"]
    given = parse_flags(words)
    assert given["debug"] is True
    assert given["hosts"] == ("unix:///a", "fd://", "tcp://b")
    assert given["icc"] is False
    assert given["log_opts"] == {"max-size": "1m"}
    assert given["default_ulimits"]["nofile"].hard == 20
    assert given["log_level"] == "warn"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--nope"], "unknown flag: --nope"),
        (["-Z"], "unknown shorthand flag: 'Z' in -Z"),
        (["--bip"], "flag needs an argument: --bip"),
        (["run"], "accepts no arguments: run"),
        (["--mtu=x"], 'invalid argument "x" for "--mtu" flag'),
    ],
)
def test_a_wrong_command_line_is_named(words: list[str], message: str) -> None:
    with pytest.raises(BadUsage) as refusal:
        parse_flags(words)
    assert message in str(refusal.value)


@pytest.mark.parametrize(
    ("text", "words", "message"),
    [
        (
            '{"zzz": 1, "foo": 2}',
            [],
            "the following directives don't match any configuration option: foo, zzz",
        ),
        (
            '{"labels": ["a=b"], "debug": true}',
            ["--label", "c=d"],
            "the following directives are specified both as a flag and in the configuration "
            "file: labels: (from flag: [c=d], from file: [a=b])",
        ),
        ('{"debug": "yes"}', [], "debug: the value is not a bool"),
        ('{"debug": true, "debug": false}', [], "duplicate key"),
        ('{"labels": ["x"]}', [], "bad attribute format: x"),
        ('{"log-level": "loud"}', [], "invalid logging level: loud"),
        ('{"default-runtime": "nope"}', [], "specified default runtime 'nope' does not exist"),
        ('{"userns-remap": "default"}', [], "remapped user namespaces is not supported"),
        ('{"dns": ["nowhere"]}', [], "nowhere is not an ip address"),
        ('{"features": {"warp": true}}', [], "unknown feature: warp"),
        ('{"proxies": {"ftp": "x"}}', [], "proxies.ftp"),
    ],
)
def test_a_wrong_file_is_refused_in_dockers_words(
    tmp_path: Path, text: str, words: list[str], message: str
) -> None:
    with pytest.raises(BadConfiguration) as refusal:
        loaded(tmp_path, text, *words)
    assert message in str(refusal.value)
    assert "unable to configure the Docker daemon with file" in str(refusal.value)


def test_a_file_that_was_named_must_exist(tmp_path: Path) -> None:
    with pytest.raises(BadConfiguration, match="no such file or directory"):
        load(parse_flags([f"--config-file={tmp_path}/none"]), {})


def test_the_file_says_what_flags_say(tmp_path: Path) -> None:
    config = loaded(
        tmp_path,
        """{"default-shm-size": "1g", "runtimes": {"runc": {"path": "/usr/sbin/runc"}},
        "default-address-pools": [{"base": "10.9.0.0/16", "size": 24}], "default-runtime": "runc",
        "default-ulimits": {"nofile": {"Name": "nofile", "Soft": 1, "Hard": 2}},
        "proxies": {"http-proxy": "http://p"}, "host-gateway-ip": "10.0.0.1",
        "exec-opts": ["native.cgroupdriver=systemd"], "min-api-version": "1.40"}""",
    )
    assert config.number("default_shm_size") == 1 << 30
    assert config.runtimes["runc"].path == "/usr/sbin/runc"
    assert config.pools[0].size == 24
    assert config.default_ulimits["nofile"].hard == 2
    assert config.text("http_proxy") == "http://p"
    assert config.list("host_gateway_ips") == ("10.0.0.1",)
    assert config.cgroup_driver == "systemd"
    assert str(config.oldest_version) == "1.40"


def test_a_reload_changes_only_what_can_change(tmp_path: Path) -> None:
    running = loaded(tmp_path, '{"labels": ["a=1"], "mtu": 1400}')
    fresh = loaded(tmp_path, '{"labels": ["a=2"], "mtu": 9000, "debug": true}')
    now = configuration.reloaded(running, fresh)
    assert (now.labels, now.number("mtu"), now.log_level) == (("a=2",), 1400, "debug")


def test_each_option_of_a_plain_kind_survives_the_file() -> None:
    for option in OPTIONS:
        if option.key and option.kind in (Kind.FLAG, Kind.NUMBER):
            text = '{{"{}": {}}}'.format(option.key, "true" if option.kind is Kind.FLAG else "7")
            assert parse_file(text.encode())[option.name] in (True, 7)
