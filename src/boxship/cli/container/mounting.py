"""Volumes, binds and mounts in the forms of `--volume`, `--tmpfs` and `--mount`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

TYPES = ("bind", "volume", "tmpfs", "npipe", "cluster", "image")


def volumes_of(
    given: Iterable[str], tmpfs: Iterable[str]
) -> tuple[list[str], dict[str, dict[str, str]], dict[str, str]]:
    """Return the binds, the anonymous volumes and the tmpfs mounts."""
    binds: list[str] = []
    volumes: dict[str, dict[str, str]] = {}
    for text in given:
        source, _, rest = text.partition(":")
        if not source or not rest.strip(":"):
            volumes[text] = {}  # a path of the container alone, or what the engine will refuse
            continue
        if source[0] == ".":
            source = absolute(source)
        bind = f"{source}:{rest}"
        if bind not in binds:
            binds.append(bind)
    mounts: dict[str, str] = {}
    for text in tmpfs:
        path, _, options = text.partition(":")
        mounts[path] = options
    return binds, volumes, mounts


def absolute(path: str) -> str:
    import os

    return os.path.abspath(path)


def fields_of(text: str) -> list[str]:
    """Split a line of comma-separated values, in which a quoted one may hold commas."""
    if '"' not in text:
        return text.split(",")
    import csv

    return next(csv.reader([text], strict=True))


def _switch(key: str, value: str, has_value: bool) -> bool:
    if not has_value or value in ("true", "1"):
        return True
    if value in ("false", "0"):
        return False
    raise ValueError(f"invalid value for {key}: {value}")


def mount_of(text: str) -> dict[str, Any]:
    """Read one `--mount`."""
    fields = fields_of(text)
    if not text or not fields:
        raise ValueError("value is empty")
    mount: dict[str, Any] = {"Type": "volume"}
    bind: dict[str, Any] = {}
    volume: dict[str, Any] = {}
    tmpfs: dict[str, Any] = {}
    image: dict[str, Any] = {}
    for field in fields:
        key, equals, value = field.partition("=")
        if key != key.strip():
            raise ValueError(
                f"invalid option '{key.strip()}' in '{field}': option should not have whitespace"
            )
        key = key.lower()
        has_value = bool(equals)
        switches = ("readonly", "ro", "volume-nocopy", "bind-nonrecursive", "bind-create-src")
        if not has_value and key not in switches:
            raise ValueError(f"invalid field '{field}' must be a key=value pair")
        match key:
            case "type":
                mount["Type"] = value.lower()
            case "source" | "src":
                mount["Source"] = _source(value)
            case "target" | "dst" | "destination":
                mount["Target"] = value
            case "readonly" | "ro":
                if _switch(key, value, has_value):
                    mount["ReadOnly"] = True
                else:
                    mount.pop("ReadOnly", None)
            case "consistency":
                mount["Consistency"] = value.lower()
            case "bind-propagation":
                bind["Propagation"] = value.lower()
            case "bind-nonrecursive":
                bind["NonRecursive"] = _switch(key, value, has_value)
            case "bind-create-src":
                bind["CreateMountpoint"] = _switch(key, value, has_value)
            case "bind-recursive":
                bind.update(_recursive(value))
            case "volume-subpath":
                volume["Subpath"] = value
            case "volume-nocopy":
                volume["NoCopy"] = _switch(key, value, has_value)
            case "volume-label":
                name, _, content = value.partition("=")
                volume.setdefault("Labels", {})[name] = content
            case "volume-driver":
                volume.setdefault("DriverConfig", {})["Name"] = value
            case "volume-opt":
                name, _, content = value.partition("=")
                driver = volume.setdefault("DriverConfig", {})
                driver.setdefault("Options", {})[name] = content
            case "image-subpath":
                image["Subpath"] = value
            case "tmpfs-size":
                tmpfs["SizeBytes"] = _size(value)
            case "tmpfs-mode":
                tmpfs["Mode"] = _octal(value)
            case _:
                raise ValueError(f"unexpected key '{key}' in '{field}'")
    return _checked(mount, bind, volume, tmpfs, image)


def _checked(
    mount: dict[str, Any],
    bind: dict[str, Any],
    volume: dict[str, Any],
    tmpfs: dict[str, Any],
    image: dict[str, Any],
) -> dict[str, Any]:
    kind = mount["Type"]
    if not kind:
        raise ValueError("type is required")
    if not mount.get("Target"):
        raise ValueError("target is required")
    groups = {"bind": bind, "volume": volume, "tmpfs": tmpfs, "image": image}
    keys = {
        "bind": "BindOptions",
        "volume": "VolumeOptions",
        "tmpfs": "TmpfsOptions",
        "image": "ImageOptions",
    }
    for name in groups:
        found = groups[name]
        if found and name != kind:
            raise ValueError(f"cannot mix '{name}-*' options with mount type '{kind}'")
        if found:
            mount[keys[name]] = found
    if bind.get("ReadOnlyNonRecursive") is False:
        del bind["ReadOnlyNonRecursive"]
    return mount


def _source(value: str) -> str:
    if value == "." or value.startswith(("./", "../")) or value == "..":
        return absolute(value)
    return value


def _recursive(value: str) -> dict[str, bool]:
    match value:
        case "enabled":
            return {}
        case "disabled":
            return {"NonRecursive": True}
        case "writable":
            return {"ReadOnlyNonRecursive": True}
        case "readonly":
            return {"ReadOnlyForceRecursive": True}
        case _:
            raise ValueError(
                f"invalid value for bind-recursive: {value} "
                '(must be "enabled", "disabled", "writable", or "readonly")'
            )


def _size(value: str) -> int:
    from boxship.lib.units import parse_ram

    try:
        return parse_ram(value)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-size: {value}") from None


def _octal(value: str) -> int:
    try:
        return int(value, 8)
    except ValueError:
        raise ValueError(f"invalid value for tmpfs-mode: {value}") from None
