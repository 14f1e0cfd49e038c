"""The fields of a network in lists."""

from __future__ import annotations

from boxship.cli.formatter import Listing
from boxship.lib import moments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.client.documents import Network

    # A row is the network and whether long values stay whole.
    Row = tuple[Network, bool]


def created_at(row: Row) -> str:
    """Return the time as Go prints one, in the zone it was written in."""
    text = row[0].get("Created", "")
    try:
        nanoseconds = moments.parse(text)
    except ValueError:
        return text
    whole = moments.show(nanoseconds)
    return f"{whole[:10]} {whole[11:-1]} +0000 UTC"


def labels(row: Row) -> str:
    found = row[0].get("Labels") or {}
    return ",".join(f"{key}={found[key]}" for key in sorted(found))


def _bool(value: object) -> str:
    return "true" if value else "false"


NETWORKS = Listing(
    "*network.networkContext",
    "table {{.ID}}\t{{.Name}}\t{{.Driver}}\t{{.Scope}}",
    {
        "CreatedAt": ("CREATED AT", created_at),
        "Driver": ("DRIVER", lambda row: row[0]["Driver"]),
        "ID": ("NETWORK ID", lambda row: row[0]["Id"] if row[1] else row[0]["Id"][:12]),
        "IPv4": ("IPV4", lambda row: _bool(row[0].get("EnableIPv4"))),
        "IPv6": ("IPV6", lambda row: _bool(row[0].get("EnableIPv6"))),
        "Internal": ("INTERNAL", lambda row: _bool(row[0].get("Internal"))),
        "Labels": ("LABELS", labels),
        "Name": ("NAME", lambda row: row[0]["Name"]),
        "Scope": ("SCOPE", lambda row: row[0].get("Scope", "")),
    },
    methods={"Label": lambda row, key: (row[0].get("Labels") or {}).get(key, "")},
    raw="network_id: {{.ID}}\nname: {{.Name}}\ndriver: {{.Driver}}\nscope: {{.Scope}}\n",
)
