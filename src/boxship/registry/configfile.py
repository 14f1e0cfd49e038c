"""Reading the configuration: a YAML file, with REGISTRY_... variables over it.

    REGISTRY_HTTP_ADDR=:5001                     http.addr
    REGISTRY_STORAGE_S3_BUCKET=b                 storage.s3.bucket, in place of the file's storage
    REGISTRY_NOTIFICATIONS_ENDPOINTS_0_URL=...   notifications.endpoints, its first item

Values are read as YAML. A variable that names no option is another program's.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from typing import Any, Final, Union, get_args, get_origin, get_type_hints

import msgspec
import yaml

from boxship.registry import config
from boxship.registry.config import BadConfig, Config

LIMIT: Final = 1 << 20
PREFIX: Final = "REGISTRY_"
DRIVERS: Final = ("filesystem", "s3", "inmemory")
# Parts of the reference server that are not here; an empty section is as good as none.
NOT_HERE: Final = (
    "storage.azure",
    "storage.gcs",
    "storage.swift",
    "storage.oss",
    "storage.rados",
    "auth.silly",
    "log.hooks",
    "middleware",
    "redis",
    "reporting",
    "http.tls.letsencrypt",
    "proxy.exec",
    "compatibility.schema1",
    "policy.repository",
    "storage.s3.loglevel",
)


def load(path: str | None, environment: Mapping[str, str]) -> Config:
    """Read the file, if one is named, and the environment."""
    document: dict[str, Any] = {"version": "0.1"}
    if path:
        document = _read(path)
    document = override(document, environment)
    return understand(document)


def understand(document: dict[str, Any]) -> Config:
    """Make values of a document, and check what types cannot."""
    for option in NOT_HERE:
        _refuse(document, option)
    made = config.convert(document)
    if str(made.version) != "0.1":
        raise BadConfig(f"configuration: version {made.version} is not known; 0.1 is")
    storage = made.storage
    chosen = [name for name in DRIVERS if getattr(storage, name) is not None]
    if len(chosen) > 1:
        raise BadConfig(f"configuration: storage: only one of {', '.join(chosen)} can be used")
    ways = [made.auth.htpasswd, made.auth.token, made.auth.tokenserver]
    if sum(way is not None for way in ways) > 1:
        raise BadConfig("configuration: auth: only one way of authentication can be used")
    if made.http.net not in ("tcp", "unix"):
        raise BadConfig(f"configuration: http.net: {made.http.net!r} is neither tcp nor unix")
    if made.validation.manifests.indexes.platforms not in ("all", "none", "list"):
        raise BadConfig("configuration: validation.manifests.indexes.platforms: all, none or list")
    return made


def override(document: dict[str, Any], environment: Mapping[str, str]) -> dict[str, Any]:
    """Return the document with what the environment says put over it."""
    made: dict[str, Any] = _copy(document)
    if isinstance(made.get("storage"), str):
        made["storage"] = {made["storage"]: {}}
    for name in sorted(environment):
        if not name.startswith(PREFIX) or name == f"{PREFIX}CONFIGURATION_PATH":
            continue
        parts = name[len(PREFIX) :].lower().split("_")
        try:
            value = yaml.safe_load(environment[name])
        except yaml.YAMLError as error:
            raise BadConfig(f"environment: {name}: {error}") from error
        if parts == ["storage"] and value in DRIVERS:
            _choose(made, value)
        elif _exists(Config, parts):
            if parts[0] == "storage" and parts[1] in DRIVERS:
                _choose(made, parts[1])
            _put(made, parts, value)
    return made


def _read(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            data = file.read(LIMIT + 1)
    except OSError as error:
        raise BadConfig(f"cannot read {path}: {error.strerror}") from error
    if len(data) > LIMIT:
        raise BadConfig(f"{path} is larger than {LIMIT} bytes")
    try:
        document = yaml.safe_load(data)
    except yaml.YAMLError as error:
        raise BadConfig(f"{path}: {error}") from error
    if not isinstance(document, dict):
        raise BadConfig(f"{path}: it is not a configuration")
    return _without_empty(document)


def _without_empty(document: dict[str, Any]) -> dict[str, Any]:
    """Take out sections with nothing in them, but for a storage that is named so."""
    made: dict[str, Any] = {}
    for key, value in document.items():
        if value is None:
            if key in DRIVERS:
                made[key] = {}
        elif isinstance(value, dict):
            made[str(key)] = _without_empty(value)
        else:
            made[str(key)] = value
    return made


def _refuse(document: dict[str, Any], option: str) -> None:
    found: Any = document
    for part in option.split("."):
        if not isinstance(found, dict) or part not in found:
            return
        found = found[part]
    if found:
        raise BadConfig(f"configuration: {option} is not supported by this registry")
    found = document
    *above, last = option.split(".")
    for part in above:
        found = found[part]
    del found[last]


def _choose(document: dict[str, Any], driver: str) -> None:
    storage = document.setdefault("storage", {})
    for other in DRIVERS:
        if other != driver:
            storage.pop(other, None)
    storage.setdefault(driver, {})


def _exists(kind: Any, parts: list[str]) -> bool:
    """Whether there is an option of this path."""
    kinds = [
        one for one in (get_args(kind) if _is_union(kind) else (kind,)) if one is not type(None)
    ]
    for one in kinds:
        if not parts:
            return True
        if isinstance(one, type) and issubclass(one, msgspec.Struct):
            hints = get_type_hints(one)
            if parts[0] in hints and _exists(hints[parts[0]], parts[1:]):
                return True
        elif get_origin(one) is list:
            if parts[0].isdigit() and _exists(get_args(one)[0], parts[1:]):
                return True
        elif get_origin(one) is dict and len(parts) == 1:
            return True
    return False


def _is_union(kind: Any) -> bool:
    return get_origin(kind) in (Union, types.UnionType)


def _put(document: dict[str, Any], parts: list[str], value: Any) -> None:
    found: Any = document
    for part, following in zip(parts, [*parts[1:], ""], strict=True):
        key: Any = part
        if isinstance(found, list):
            key = int(part)
            if key > len(found):
                raise BadConfig(f"environment: item {key} of a list that has {len(found)}")
            if key == len(found):
                found.append(None)
        if not following:
            found[key] = value
            return
        there = found[key] if isinstance(found, list) else found.get(key)
        if not isinstance(there, dict | list):
            there = [] if following.isdigit() else {}
            found[key] = there
        found = there


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    if isinstance(value, list):
        return [_copy(one) for one in value]
    return value
