"""The daemon's configuration: flags, the file beneath them, and what must hold.

The file and the flags may not say the same thing twice; each option comes from one place, so that
a reload can change what the file says without undoing what the command line said.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from boxship.api import version
from boxship.daemon.options import BY_FLAG, BY_KEY, BY_SHORT, FEATURES, OPTIONS, Kind
from boxship.daemon.values import BadValue, PoolRange, RuntimePath, Ulimit, from_file, from_flag
from boxship.daemon.values import shown as shown_value
from boxship.distribution.settings import read_hosts
from boxship.errors import BoxshipError, InvalidRequest
from boxship.lib import strictjson

DEFAULT_HOST: Final = "unix:///run/boxship.sock"
LEVELS: Final = ("debug", "info", "warn", "error", "fatal")
STORAGE_DRIVERS: Final = ("", "overlay2", "vfs")


class BadConfiguration(InvalidRequest):
    """The daemon cannot run as it is told to."""


class BadUsage(InvalidRequest):
    """The command line cannot be read."""


@dataclass(frozen=True, slots=True)
class Config:
    """What the daemon is told to be. `values` has every option; the members are the common ones."""

    values: Mapping[str, Any]
    given: frozenset[str] = field(default_factory=frozenset)  # options set on the command line

    def text(self, name: str) -> str:
        return str(self.values[name])

    def flag(self, name: str) -> bool:
        return bool(self.values[name])

    def number(self, name: str) -> int:
        return int(self.values[name])

    def list(self, name: str) -> tuple[str, ...]:
        return tuple(self.values[name])

    def map(self, name: str) -> Mapping[str, str]:
        return dict(self.values[name])

    @property
    def data_root(self) -> str:
        return self.text("data_root")

    @property
    def exec_root(self) -> str:
        return self.text("exec_root")

    @property
    def hosts(self) -> tuple[str, ...]:
        return self.list("hosts") or (DEFAULT_HOST,)

    @property
    def labels(self) -> tuple[str, ...]:
        return self.list("labels")

    @property
    def log_level(self) -> str:
        return "debug" if self.flag("debug") else self.text("log_level")

    @property
    def tls(self) -> bool:
        return self.flag("tls") or self.flag("tlsverify")

    @property
    def runtimes(self) -> Mapping[str, RuntimePath]:
        return dict(self.values["runtimes"])

    @property
    def default_ulimits(self) -> Mapping[str, Ulimit]:
        return dict(self.values["default_ulimits"])

    @property
    def pools(self) -> Sequence[PoolRange]:
        return tuple(self.values["default_address_pools"])

    @property
    def cgroup_driver(self) -> str:
        """Return cgroupfs or systemd."""
        for choice in self.list("exec_opts"):
            key, _, value = choice.partition("=")
            if key == "native.cgroupdriver":
                return value
        return "cgroupfs"

    @property
    def oldest_version(self) -> version.ApiVersion:
        """Return the oldest API version that is served."""
        said = self.text("min_api_version")
        return version.parse(said) if said else version.OLDEST

    def is_default(self, name: str) -> bool:
        return bool(self.values[name] == DEFAULTS[name])


DEFAULTS: Final[Mapping[str, Any]] = {option.name: option.default for option in OPTIONS}


def parse_flags(words: Sequence[str]) -> dict[str, Any]:
    """Read the command line; BadUsage in the words of Docker's clients when it is wrong."""
    given: dict[str, Any] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word.startswith("--") and len(word) > 2:
            name, equals, value = word[2:].partition("=")
            option = BY_FLAG.get(name)
            if option is None:
                raise BadUsage(f"unknown flag: --{name}")
            shown, found = f"--{name}", value if equals else None
        elif word.startswith("-") and len(word) > 1 and word != "--":
            option = BY_SHORT.get(word[1])
            if option is None:
                raise BadUsage(f"unknown shorthand flag: {word[1]!r} in {word}")
            shown = f"-{word[1]}, --{option.flag}"
            found = word[2:].removeprefix("=") or None
            if option.kind is Kind.FLAG and found and word[2] != "=":
                rest.insert(0, f"-{word[2:]}")
                found = None
        else:
            raise BadUsage(f'"boxshipd" accepts no arguments: {word}')
        if found is None:
            if option.kind is Kind.FLAG:
                found = "true"
            elif not rest:
                raise BadUsage(f"flag needs an argument: --{option.flag}")
            else:
                found = rest.pop(0)
        try:
            given[option.name] = from_flag(option, found, given.get(option.name))
        except BadValue as error:
            raise BadUsage(f'invalid argument "{found}" for "{shown}" flag: {error}') from None
    return given


def parse_file(data: bytes) -> dict[str, Any]:
    """Read daemon.json; the keys are checked, and their values' kinds."""
    if not data.strip():
        return {}
    document = strictjson.decode(data, dict[str, object], "invalid configuration")
    document = _flattened(document)
    unknown = sorted(set(document) - set(BY_KEY))
    if unknown:
        raise BadConfiguration(
            "the following directives don't match any configuration option: " + ", ".join(unknown)
        )
    found: dict[str, Any] = {}
    for key, value in document.items():
        option = BY_KEY[key]
        try:
            found[option.name] = from_file(option, value)
        except BadValue as error:
            raise BadConfiguration(str(error)) from None
    return found


def _flattened(document: dict[str, object]) -> dict[str, object]:
    """Bring spellings that mean the same to one: nested proxies, the single gateway address."""
    flat = dict(document)
    proxies = flat.pop("proxies", None)
    if isinstance(proxies, dict):
        for key, value in proxies.items():
            if key not in ("http-proxy", "https-proxy", "no-proxy"):
                raise BadConfiguration(
                    f"the following directives don't match any configuration option: proxies.{key}"
                )
            flat[key] = value
    elif proxies is not None:
        raise BadConfiguration("proxies: the value is not an object")
    if "host-gateway-ip" in flat:
        flat.setdefault("host-gateway-ips", [flat.pop("host-gateway-ip")])
    return flat


def merge(flags: Mapping[str, Any], from_file: Mapping[str, Any]) -> Config:
    """Put flags over the file over the defaults; what both set is a conflict."""
    both = sorted(set(flags) & set(from_file))
    if both:
        names = {option.name: option.key for option in OPTIONS}
        told = ", ".join(
            f"{names[name]}: (from flag: {shown_value(flags[name])}, "
            f"from file: {shown_value(from_file[name])})"
            for name in both
        )
        raise BadConfiguration(
            "the following directives are specified both as a flag and in the configuration "
            f"file: {told}"
        )
    config = Config({**DEFAULTS, **from_file, **flags}, frozenset(flags))
    check(config)
    return config


def load(flags: Mapping[str, Any], environment: Mapping[str, str]) -> Config:
    """Make the configuration from the command line and the file that it names."""
    given = dict(flags)
    if environment.get("DOCKER_TLS_VERIFY"):
        given.setdefault("tlsverify", True)
    if minimum := environment.get("DOCKER_MIN_API_VERSION"):
        given.setdefault("min_api_version", minimum)
    path = str(given.get("config_file") or DEFAULTS["config_file"])
    try:
        with open(path, "rb") as file:
            data = file.read(strictjson.SIZE + 1)
    except FileNotFoundError as error:
        if "config_file" in given:
            raise BadConfiguration(
                _about(path, f"open {path}: no such file or directory")
            ) from error
        data = b""
    except OSError as error:
        raise BadConfiguration(_about(path, f"open {path}: {error.strerror}")) from error
    try:
        return merge(given, parse_file(data))
    except BoxshipError as error:
        raise BadConfiguration(_about(path, str(error)) if data else str(error)) from error


def _about(path: str, why: str) -> str:
    return f"unable to configure the Docker daemon with file {path}: {why}"


def reloaded(running: Config, fresh: Config) -> Config:
    """Return the running configuration with what can change while it runs taken from `fresh`."""
    changed = {option.name: fresh.values[option.name] for option in OPTIONS if option.reloadable}
    changed["log_level"] = fresh.values["log_level"]
    return replace(running, values={**running.values, **changed})


# What must hold


def check(config: Config) -> None:
    """Refuse what is wrong in itself, and what asks for features that there are not."""
    for option in OPTIONS:
        if option.missing and not config.is_default(option.name):
            shown = option.key or option.flag
            raise BadConfiguration(f"{shown}: {option.missing} is not supported by this engine yet")
    _check_choices(config)
    _check_labels(config.labels)
    for address in config.list("dns"):
        _check_address(address)
    for name in ("max_concurrent_downloads", "max_concurrent_uploads", "mtu"):
        if config.number(name) < 0:
            what = "default MTU" if name == "mtu" else name.replace("_", " ").replace("max", "max")
            raise BadConfiguration(f"invalid {what}: {config.number(name)}")
    if config.number("max_download_attempts") < 1:
        raise BadConfiguration(
            f"invalid max download attempts: {config.number('max_download_attempts')}"
        )
    for name in config.runtimes:
        if name == "native":
            raise BadConfiguration(f"runtime name '{name}' is reserved")
    unknown = sorted(set(config.map("features")) - FEATURES)
    if unknown:
        raise BadConfiguration(f"unknown feature: {', '.join(unknown)}")
    version.require_served(config.oldest_version)
    read_hosts(config.values["registries"], config.list("registry_mirrors"))


def _check_choices(config: Config) -> None:
    for name, choices in (
        ("log_format", ("text", "json")),
        ("log_level", LEVELS),
        ("default_cgroupns_mode", ("private", "host")),
        ("default_ipc_mode", ("private", "shareable")),
        ("storage_driver", STORAGE_DRIVERS),
        ("firewall_backend", ("nftables",)),
    ):
        if config.text(name) not in choices:
            what = {"log_level": "logging level", "log_format": "log format"}.get(
                name, name.replace("_", "-")
            )
            raise BadConfiguration(f"invalid {what}: {config.text(name)}")
    if config.cgroup_driver not in ("cgroupfs", "systemd"):
        raise BadConfiguration(f"Bad cgroup driver: {config.cgroup_driver}")
    for choice in config.list("exec_opts"):
        if choice.partition("=")[0] != "native.cgroupdriver":
            raise BadConfiguration(f"invalid exec-opt: {choice}")
    chosen = config.text("default_runtime")
    if chosen not in ("native", "runc", *config.runtimes):
        raise BadConfiguration(f"specified default runtime '{chosen}' does not exist")


def _check_labels(labels: Sequence[str]) -> None:
    seen: dict[str, str] = {}
    for label in labels:
        key, equals, value = label.partition("=")
        if not equals or not key:
            raise BadConfiguration(f"bad attribute format: {label}")
        if seen.setdefault(key, value) != value:
            raise BadConfiguration(f"conflict labels for {key}={value} and {key}={seen[key]}")


def _check_address(text: str) -> None:
    try:
        ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        raise BadConfiguration(f"{text} is not an ip address") from None
