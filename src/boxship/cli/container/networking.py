"""Networks of a new container: `--network` in its two forms, flags about the first of them."""

from __future__ import annotations

from boxship.cli.container.mounting import fields_of
from boxship.cli.kinds import parse_ip

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

BUILT_IN = ("default", "bridge", "host", "none")


def is_own(name: str) -> bool:
    """Tell whether a network is one that users make."""
    return name not in BUILT_IN and not name.startswith("container:")


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
    attachments = [dict(given) for given in options["network"]] or [{"name": "default"}]
    _add_flags(attachments[0], options)
    found: dict[str, Any] = {}
    for attachment in attachments:
        name = attachment["name"]
        if name in found:
            raise ValueError(f'network "{name}" is specified multiple times')
        made = _endpoint(attachment)
        if name == "default" or is_own(name) or made != endpoint():
            found[name] = made
    return found, attachments[0]["name"]


def attachment_of(text: str) -> dict[str, Any]:
    """Read one `--network`."""
    if "=" not in text or text == "name=":
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
    if "name" not in found:
        raise ValueError("network name/id is not specified")
    return found


def _add_flags(first: dict[str, Any], options: dict[str, Any]) -> None:
    """Add the flags that are about the first network; none may be said twice."""
    once = {"ip": "ip", "ip6": "ip6", "mac-address": "mac_address"}
    many = {"alias": "network_alias", "link-local-ip": "link_local_ip"}
    words = {
        "alias": "alias",
        "ip": "IPv4 address",
        "ip6": "IPv6 address",
        "link-local-ip": "link-local IP addresses",
        "mac-address": "MAC address",
    }
    for key, option in {**once, **many}.items():
        if options[option]:
            if first.get(key):
                flags = f"--{option.replace('_', '-')} and per-network {words[key]}"
                raise ValueError(f"conflicting options: cannot specify both {flags}")
            first[key] = options[option]
    if options["link"]:
        first["links"] = list(options["link"])


def _endpoint(attachment: dict[str, Any]) -> dict[str, Any]:
    found = endpoint()
    own = is_own(attachment["name"])
    if attachment.get("alias") and not own:
        problem = "network-scoped aliases are only supported for user-defined networks"
        raise ValueError(problem)
    found["Aliases"] = attachment.get("alias") or None
    found["Links"] = (attachment.get("links") or None) if own else None
    found["MacAddress"] = _mac(attachment.get("mac-address") or "")
    found["DriverOpts"] = attachment.get("driver-opt") or None
    found["GwPriority"] = attachment.get("gw-priority", 0)
    addresses: dict[str, Any] = {}
    if attachment.get("ip"):
        addresses["IPv4Address"] = attachment["ip"]
    if attachment.get("ip6"):
        addresses["IPv6Address"] = attachment["ip6"]
    if attachment.get("link-local-ip"):
        addresses["LinkLocalIPs"] = attachment["link-local-ip"]
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


def server_of(text: str) -> str:
    """Check the address of a DNS server."""
    try:
        return parse_ip(text)
    except ValueError:
        raise ValueError(f"IP address is not correctly formatted: {text}") from None
