"""The platform of this machine."""

from __future__ import annotations

import os
import sys


def local_platform() -> str:
    """Return the platform of this machine, as images name it."""
    machine = os.uname().machine
    names = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm/v7", "i686": "386"}
    return f"{sys.platform}/{names.get(machine, machine)}"
