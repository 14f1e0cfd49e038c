"""Devices, their limits, and resource limits of processes."""

from __future__ import annotations

from boxship.cli.container.mounting import fields_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

LIMITS = (
    "as", "core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile",
    "nproc", "rss", "rtprio", "rttime", "sigpending", "stack",
)  # fmt: skip


def is_cdi(text: str) -> bool:
    """Tell whether a device is named `vendor.com/class=name`."""
    kind, equals, name = text.partition("=")
    vendor, slash, sort = kind.partition("/")
    return bool(equals and slash and vendor and sort and name) and not text.startswith("/")


def devices_of(given: Iterable[str]) -> tuple[list[dict[str, str]], list[dict[str, Any]]]:
    """Return the devices of the host, and the requests for those that others describe."""
    found: list[dict[str, str]] = []
    described: list[str] = []
    for text in given:
        if is_cdi(text):
            described.append(text)
            continue
        source, target, permissions = text, "", "rwm"
        parts = text.split(":")
        if len(parts) > 3 or not parts[0]:
            raise ValueError(f"bad format for path: {text}")
        source = parts[0]
        if len(parts) == 2 and _is_mode(parts[1]):
            permissions = parts[1]
        elif len(parts) > 1:
            target = parts[1]
        if len(parts) == 3:
            permissions = parts[2]
            if not _is_mode(permissions):
                raise ValueError(f"bad mode specified: {permissions}")
        found.append(
            {
                "PathOnHost": source,
                "PathInContainer": target or source,
                "CgroupPermissions": permissions,
            }
        )
    if not described:
        return found, []
    request: dict[str, Any] = {
        "Driver": "cdi",
        "Count": 0,
        "DeviceIDs": described,
        "Capabilities": None,
        "Options": None,
    }
    return found, [request]


def _is_mode(text: str) -> bool:
    return bool(text) and set(text) <= set("rwm") and len(set(text)) == len(text)


def check_rule(text: str) -> str:
    """Check a rule about devices: `c 1:3 rwm`."""
    words = text.split(" ")
    numbers = words[1].split(":") if len(words) > 1 else []
    fine = (
        len(words) == 3
        and words[0] in ("a", "b", "c")
        and len(numbers) == 2
        and all(number == "*" or number.isdecimal() for number in numbers)
        and _is_mode(words[2])
    )
    if not fine:
        raise ValueError(f"invalid device cgroup format '{text}'")
    return text


def weight_of(text: str) -> dict[str, Any]:
    """Read `/dev/sda:100`."""
    path, colon, weight = text.partition(":")
    _check_path(text, path, colon)
    if not weight.isdecimal() or (int(weight) and not 10 <= int(weight) <= 1000):
        raise ValueError(f"invalid weight for device: {text}")
    return {"Path": path, "Weight": int(weight)}


def _check_path(text: str, path: str, colon: str) -> None:
    if not colon:
        raise ValueError(f"bad format: {text}")
    if not path.startswith("/dev/"):
        raise ValueError(f"bad format for device path: {text}")


def rate_in_bytes(text: str) -> dict[str, Any]:
    """Read `/dev/sda:1mb`."""
    path, colon, rate = text.partition(":")
    _check_path(text, path, colon)
    from boxship.lib.units import parse_ram

    try:
        return {"Path": path, "Rate": parse_ram(rate)}
    except ValueError:
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is "
            "<device-path>:<number>[<unit>]. Number must be a positive integer. "
            "Unit is optional and can be kb, mb, or gb"
        ) from None


def rate_of(text: str) -> dict[str, Any]:
    """Read `/dev/sda:1000`."""
    path, colon, rate = text.partition(":")
    _check_path(text, path, colon)
    if not rate.isdecimal() or not rate.isascii():
        raise ValueError(
            f"invalid rate for device: {text}. The correct format is "
            "<device-path>:<number>. Number must be a positive integer"
        )
    return {"Path": path, "Rate": int(rate)}


def ulimit_of(text: str) -> dict[str, Any]:
    """Read `name=soft[:hard]`."""
    name, equals, values = text.partition("=")
    if not equals:
        raise ValueError(f"invalid ulimit argument: {text}")
    if name not in LIMITS:
        raise ValueError(f"invalid ulimit type: {name}")
    parts = values.split(":")
    if len(parts) > 2:
        raise ValueError(
            f"too many limit value arguments - {values}, can only have up to two, `soft[:hard]`"
        )
    numbers: list[int] = []
    for part in parts:
        try:
            numbers.append(int(part))
        except ValueError:
            raise ValueError(f'strconv.ParseInt: parsing "{part}": invalid syntax') from None
    soft, hard = numbers[0], numbers[-1]
    if hard != -1 and (soft == -1 or soft > hard):
        shown = "soft: -1 (unlimited)"
        compared = f"{shown}, hard: {hard}" if soft == -1 else f"{soft} > {hard}"
        problem = f"ulimit soft limit must be less than or equal to hard limit: {compared}"
        raise ValueError(problem)
    return {"Name": name, "Hard": hard, "Soft": soft}


def gpus_of(text: str) -> dict[str, Any]:
    """Read `--gpus`: `all`, a number, or `device=0,"capabilities=utility"`."""
    request: dict[str, Any] = {
        "Driver": "",
        "Count": 0,
        "DeviceIDs": None,
        "Capabilities": None,
        "Options": {},
    }
    capabilities = ["gpu"]
    counted = False
    for field in fields_of(text):
        key, equals, value = field.partition("=")
        if not equals:
            key, value = "count", field
        match key:
            case "count":
                if value != "all" and not value.lstrip("-").isdecimal():
                    raise ValueError(
                        f'invalid count ({value}): value must be either "all" or an integer: '
                        "invalid syntax"
                    )
                request["Count"] = -1 if value == "all" else int(value)
                counted = True
            case "device":
                request["DeviceIDs"] = value.split(",")
            case "driver":
                request["Driver"] = value
            case "capabilities":
                capabilities = [*value.split(","), "gpu"]
            case "options":
                pairs = (item.partition("=") for item in value.split(","))
                request["Options"] = {name: content for name, _, content in pairs}
            case _:
                raise ValueError(f"unexpected key '{key}' in '{field}'")
    if not counted and request["DeviceIDs"] is None:
        request["Count"] = 1
    request["Capabilities"] = [capabilities]
    return request
