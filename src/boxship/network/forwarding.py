"""Forwarding: turned on when a bridge needs it, without making the host a router.

Where forwarding was off, nobody wanted this host to route between its links. When we turn it on,
a file says so (on the same tmpfs life as the setting itself), and our table then drops what would
be forwarded between links that are no bridges.
"""

from __future__ import annotations

import os
from typing import Final

from boxship.network.namespaces import read_setting, write_setting

SETTINGS: Final = {4: "ipv4/ip_forward", 6: "ipv6/conf/all/forwarding"}


class Forwarding:
    """The host's forwarding, and whether it was us who turned it on."""

    def __init__(self, marker: str) -> None:
        self._marker = marker

    @property
    def is_ours(self) -> bool:
        """Whether forwarding is on only because of us."""
        return os.path.exists(self._marker)

    def allow(self, version: int) -> None:
        """Turn forwarding on for a family."""
        setting = SETTINGS[version]
        if read_setting(setting) != "0":
            return
        # first the file: once forwarding is on, the drop must be too, whatever happens
        os.close(os.open(self._marker, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
        write_setting(setting, "1")
