"""Ports in all the forms of `--publish` and `--expose`."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

PROTOCOLS = ("tcp", "udp", "sctp")


def ports_of(
    published: Iterable[str], exposed: Iterable[str]
) -> tuple[dict[str, dict[str, str]], dict[str, list[dict[str, str]]]]:
    """Return the exposed ports and the bindings by container port."""
    ports: dict[str, dict[str, str]] = {}
    bindings: dict[str, list[dict[str, str]]] = {}
    for text in published:
        spec = _from_pairs(text) if "=" in text else text
        for port, host, public in parse_spec(spec):
            ports[port] = {}
            bindings.setdefault(port, []).append({"HostIp": host, "HostPort": public})
    for text in exposed:
        if ":" in text:
            raise ValueError(f"invalid port format for --expose: {text}")
        numbers, kind = split_protocol(text)
        try:
            first, last = port_range(numbers)
        except ValueError as error:
            problem = f"invalid range format for --expose: {text}, error: {error}"
            raise ValueError(problem) from None
        for number in range(first, last + 1):
            ports.setdefault(f"{number}/{kind}", {})
    return ports, bindings


def _from_pairs(text: str) -> str:
    """Turn `target=80,published=8080,protocol=udp` into the short form."""
    found: dict[str, str] = {"protocol": "tcp"}
    for field in text.split(","):
        key, equals, value = field.partition("=")
        key = key.strip().lower()
        if not equals or not value:
            raise ValueError(f"invalid field {field}")
        if key not in ("protocol", "mode", "target", "published"):
            raise ValueError(f"invalid field key {key}")
        found[key] = value
    if "target" not in found:
        raise ValueError('missing mandatory field "target"')
    if found["protocol"] not in PROTOCOLS:
        raise ValueError(f"invalid protocol value '{found['protocol']}'")
    for key in ("target", "published"):
        if key in found:
            port_range(found[key])
    return f":{found.get('published', '')}:{found['target']}/{found['protocol']}".removeprefix(":")


def split_protocol(text: str) -> tuple[str, str]:
    number, slash, kind = text.partition("/")
    if not number:
        return "", ""
    return number, kind.lower() if slash and kind else "tcp"


def port_range(text: str) -> tuple[int, int]:
    """Read `80` or `80-90`."""
    if not text:
        raise ValueError("empty string specified for ports")
    first, dash, last = text.partition("-")
    start = _number(first)
    end = _number(last) if dash else start
    if end < start:
        raise ValueError(f"invalid range specified for port: {text}")
    return start, end


def _number(text: str) -> int:
    if not (text.isdecimal() and text.isascii()):
        raise ValueError(f'strconv.ParseUint: parsing "{text}": invalid syntax')
    if int(text) > 65535:
        raise ValueError(f'strconv.ParseUint: parsing "{text}": value out of range')
    return int(text)


def parse_spec(spec: str) -> list[tuple[str, str, str]]:
    """Read `[[ip:][host port]:]container port[/protocol]` as (port, host address, host port)."""
    host, public, private = _split(spec)
    numbers, kind = split_protocol(private)
    if host[:1] == "[" and host[-1:] == "]":
        host = host[1:-1]
    if host:
        from boxship.cli.kinds import parse_ip

        try:
            parse_ip(host.partition("%")[0])
        except ValueError:
            raise ValueError(f"invalid IP address: {host}") from None
    if not numbers:
        raise ValueError(f"no port specified: {spec}<empty>")
    try:
        first, last = port_range(numbers)
    except ValueError:
        raise ValueError(f"invalid containerPort: {numbers}") from None
    start = end = 0
    if public:
        try:
            start, end = port_range(public)
        except ValueError:
            raise ValueError(f"invalid hostPort: {public}") from None
        # One container port may take any of a range of host ports.
        if last - first != end - start and last != first:
            raise ValueError(
                f"invalid ranges specified for container and host Ports: {numbers} and {public}"
            )
    if kind not in PROTOCOLS:
        raise ValueError(f"invalid proto: {kind}")
    found: list[tuple[str, str, str]] = []
    for offset in range(last - first + 1):
        shown = str(start + offset) if public else ""
        if public and first == last and start != end:
            shown = f"{start}-{end}"
        found.append((f"{first + offset}/{kind}", host, shown))
    return found


def _split(spec: str) -> tuple[str, str, str]:
    parts = spec.split(":")
    match parts:
        case [private]:
            return "", "", private
        case [public, private]:
            return "", public, private
        case [host, public, private]:
            return host, public, private
        case _:
            return ":".join(parts[:-2]), parts[-2], parts[-1]


def sorted_ports(ports: dict[str, Any]) -> list[str]:
    """Return `80/tcp` keys by number and then protocol."""
    return sorted(ports, key=lambda key: (int(key.partition("/")[0]), key.partition("/")[2]))
