"""Networks of a new container: `--network` in its two forms and the flags about the first of them."""

from __future__ import annotations

from boxship.cli.container.mounting import fields_of
from boxship.cli.kinds import parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

ADVANCED = (
    "name",
    "alias",
    "driver-opt",
    "ip",
    "ip6",
    "link-local-ip",
    "mac-address",
    "gw-priority",
)
BUILT_IN = ("default", "bridge", "host", "none")


def endpoint() -> dict[str, Any]:
    """Return an endpoint that asks for nothing."""
    return {
        "IPAMConfig": None,
        "Links": None,
        "Aliases": None,
        "MacAddress": "",
        "DriverOpts": None,
        "GwPriority": 0,
        "NetworkID": "",
        "EndpointID": "",
        "Gateway": "",
        "IPAddress": "",
        "IPPrefixLen": 0,
        "IPv6Gateway": "",
        "GlobalIPv6Address": "",
        "GlobalIPv6PrefixLen": 0,
        "DNSNames": None,
    }


def endpoints_of(options: dict[str, Any]) -> tuple[dict[str, Any], str]:
    """Return an endpoint for each network, and the network mode: the first one's name."""
    attachments = [_attachment(text) for text in options["network"]] or [{"name": "default"}]
    _add_flags(attachments[0], options)
    found: dict[str, Any] = {}
    for attachment in attachments:
        name = attachment["name"]
        if name in found:
            raise ValueError(
                f"conflicting options: cannot attach a container to the same network {name!r} multiple times"
            )
        found[name] = _endpoint(attachment, alone=len(attachments) == 1)
    return found, attachments[0]["name"]


def _attachment(text: str) -> dict[str, Any]:
    if "=" not in text:
        return {"name": text}
    found: dict[str, Any] = {}
    for field in fields_of(text):
        key, _, value = field.partition("=")
        key, value = key.strip().lower(), value.strip()
        match key:
            case "name" | "ip" | "ip6" | "mac-address":
                found[key] = value
            case "alias" | "link-local-ip":
                found.setdefault(key, []).append(value)
            case "driver-opt":
                name, equals, content = value.partition("=")
                if not equals:
                    raise ValueError(f"invalid key value pair format in driver options: {field}")
                found.setdefault(key, {})[name.strip().lower()] = content.strip()
            case "gw-priority":
                if not value.lstrip("-").isdecimal():
                    raise ValueError(f"invalid gw-priority ({value})")
                found[key] = int(value)
            case _:
                raise ValueError(f"invalid field key {key}")
    if not found.get("name"):
        raise ValueError("network name/id is not specified")
    return found


def _add_flags(first: dict[str, Any], options: dict[str, Any]) -> None:
    """Add the flags that are about the first network; none may be said twice."""
    once = {"ip": "ip", "ip6": "ip6", "mac-address": "mac_address"}
    many = {"alias": "network_alias", "link-local-ip": "link_local_ip"}
    names = {"alias": "network-alias"}
    for key, option in {**once, **many}.items():
        if options[option]:
            if first.get(key):
                flag = names.get(key, key)
                problem = f"conflicting options: cannot specify both --{flag} and per-network {key}"
                raise ValueError(problem)
            first[key] = options[option]
    if options["link"]:
        first["links"] = list(options["link"])


def _endpoint(attachment: dict[str, Any], *, alone: bool) -> dict[str, Any]:
    found = endpoint()
    if attachment.get("alias") and attachment["name"] in ("default", "host", "none"):
        raise ValueError(
            "network-scoped alias is supported only for containers in user defined networks"
        )
    found["Aliases"] = attachment.get("alias") or None
    found["Links"] = attachment.get("links") or None
    found["MacAddress"] = _mac(attachment.get("mac-address") or "")
    found["DriverOpts"] = attachment.get("driver-opt") or None
    found["GwPriority"] = attachment.get("gw-priority", 0)
    addresses: dict[str, Any] = {}
    if attachment.get("ip"):
        addresses["IPv4Address"] = parse_ip(attachment["ip"])
    if attachment.get("ip6"):
        addresses["IPv6Address"] = parse_ip(attachment["ip6"])
    if attachment.get("link-local-ip"):
        addresses["LinkLocalIPs"] = [parse_ip(text) for text in attachment["link-local-ip"]]
    found["IPAMConfig"] = addresses or None
    return found


def _mac(text: str) -> str:
    if not text:
        return ""
    parts = text.replace("-", ":").split(":")
    try:
        if len(parts) not in (6, 8, 20) or any(len(part) != 2 for part in parts):
            raise ValueError
        [int(part, 16) for part in parts]
    except ValueError:
        raise ValueError(f"{text} is not a valid mac address") from None
    return text


def servers_of(given: Iterable[str]) -> list[str]:
    """Return DNS servers, each an address."""
    found: list[str] = []
    for text in given:
        try:
            found.append(parse_ip(text))
        except ValueError:
            raise ValueError(f"{text} is not an ip address") from None
    return found
