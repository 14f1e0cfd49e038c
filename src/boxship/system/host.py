"""What the machine is: read once at start, never guessed."""

from __future__ import annotations

import os
import platform
import socket


def operating_system() -> tuple[str, str]:
    """Return the distribution's pretty name and its version."""
    values: dict[str, str] = {}
    for path in ("/etc/os-release", "/usr/lib/os-release"):
        try:
            with open(path, encoding="utf-8", errors="replace") as file:
                for line in file:
                    key, _, value = line.strip().partition("=")
                    values[key] = value.strip("\"'")
            break
        except OSError:
            continue
    name = values.get("PRETTY_NAME") or "Linux"
    if os.path.exists("/.dockerenv") or os.path.exists("/run/.containerenv"):
        name += " (containerized)"
    return name, values.get("VERSION_ID", "")


def memory() -> int:
    """Return the machine's memory in bytes."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")


def architecture() -> str:
    """Return the machine's own name for its kind."""
    return platform.machine()


def name() -> str:
    return socket.gethostname()


def thermal_counters(folder: str = "/sys/devices/system/cpu") -> list[str]:
    """Return the processors' counters of heat, by which neighbours' work can be told."""
    try:
        names = sorted(name for name in os.listdir(folder) if name[3:].isdigit())
    except OSError:
        return []
    found = (f"{folder}/{name}/thermal_throttle" for name in names)
    return [path for path in found if os.path.exists(path)]


def reads_true(path: str) -> bool:
    """Tell whether a kernel setting is on."""
    try:
        with open(path, encoding="ascii") as file:
            return file.read().strip() == "1"
    except OSError:
        return False


def open_descriptors() -> int:
    """Return how many descriptors this process has open."""
    return len(os.listdir("/proc/self/fd"))


def filesystem(path: str) -> str:
    """Return the kind of filesystem that a path lies on."""
    device = os.stat(path).st_dev
    mark = f"{os.major(device)}:{os.minor(device)}"
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as file:
        for line in file:
            fields, _, rest = line.partition(" - ")
            if fields.split(" ", 3)[2] == mark:
                return rest.split(" ", 1)[0]
    return "unknown"
