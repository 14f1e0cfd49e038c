"""Published ports on one line: neighbouring numbers are drawn together."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from boxship.client.documents import Port


def show_ports(ports: Iterable[Port]) -> str:
    """Return `0.0.0.0:8080->80/tcp, 90-92/tcp`."""
    groups: dict[str, tuple[int, int]] = {}
    names: list[str] = []
    lines: list[str] = []
    hosts: list[str] = []
    for port in sorted(ports, key=_order):
        current, kind, host = port["PrivatePort"], port.get("Type", "tcp"), port.get("IP", "")
        key = kind
        if host:
            public = port.get("PublicPort", 0)
            if public != current:
                hosts.append(f"{_bracket(host)}:{public}->{current}/{kind}")
                continue
            key = f"{host}/{kind}"
        if key not in groups:
            groups[key] = (current, current)
            names.append(key)
        elif groups[key][1] in (current, current - 1):
            groups[key] = (groups[key][0], current)
        else:
            lines.append(_group(key, *groups[key]))
            groups[key] = (current, current)
    lines.extend(_group(key, *groups[key]) for key in names)
    return ", ".join(lines + hosts)


def _order(port: Port) -> tuple[int, str, int, str]:
    return (
        port["PrivatePort"],
        port.get("IP", ""),
        port.get("PublicPort", 0),
        port.get("Type", "tcp"),
    )


def _group(key: str, first: int, last: int) -> str:
    host, _, kind = key.rpartition("/")
    text = str(first) if first == last else f"{first}-{last}"
    if host:
        text = f"{_bracket(host)}:{text}->{text}"
    return f"{text}/{kind}"


def _bracket(host: str) -> str:
    return f"[{host}]" if ":" in host else host
