"""The engine's facts as lines."""

from __future__ import annotations

from boxship.lib.units import binary_size
from boxship.lib.words import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

    Info = dict[str, Any]


def server_lines(info: Info) -> Iterator[str]:
    """Yield the lines about an engine; what it does not tell is left out."""
    for line in _lines(info):
        yield visible(line)


def _lines(info: Info) -> Iterator[str]:
    yield f" Containers: {info.get('Containers', 0)}"
    yield f"  Running: {info.get('ContainersRunning', 0)}"
    yield f"  Paused: {info.get('ContainersPaused', 0)}"
    yield f"  Stopped: {info.get('ContainersStopped', 0)}"
    yield f" Images: {info.get('Images', 0)}"
    yield from _given(info, "Server Version", "ServerVersion")
    yield from _given(info, "Storage Driver", "Driver")
    yield from _pairs(info.get("DriverStatus"), "  ")
    yield from _given(info, "Logging Driver", "LoggingDriver")
    yield from _given(info, "Cgroup Driver", "CgroupDriver")
    yield from _given(info, "Cgroup Version", "CgroupVersion")
    yield " Plugins:"
    plugins = info.get("Plugins") or {}
    for kind in ("Volume", "Network", "Authorization", "Log"):
        if plugins.get(kind) or kind in ("Volume", "Network", "Log"):
            yield f"  {kind}: {' '.join(plugins.get(kind) or [])}"
    devices = info.get("DiscoveredDevices") or []
    if devices:
        yield " Discovered Devices:"
        for device in devices:
            yield f"  {device.get('Source', '')}: {device.get('ID', '')}"
    yield f" Swarm: {(info.get('Swarm') or {}).get('LocalNodeState', 'inactive')}"
    yield f" Runtimes: {' '.join(info.get('Runtimes') or {})}"
    yield from _given(info, "Default Runtime", "DefaultRuntime")
    yield f" Init Binary: {info.get('InitBinary', '')}"
    for title, key in (("containerd", "Containerd"), ("runc", "Runc"), ("init", "Init")):
        yield f" {title} version: {(info.get(key + 'Commit') or {}).get('ID', '')}"
    yield from _security(info.get("SecurityOptions") or [])
    yield from _given(info, "Kernel Version", "KernelVersion")
    yield from _given(info, "Operating System", "OperatingSystem")
    yield from _given(info, "OSType", "OSType")
    yield from _given(info, "Architecture", "Architecture")
    yield f" CPUs: {info.get('NCPU', 0)}"
    yield f" Total Memory: {binary_size(info.get('MemTotal', 0))}"
    yield from _given(info, "Name", "Name")
    yield from _given(info, "ID", "ID")
    yield f" Docker Root Dir: {info.get('DockerRootDir', '')}"
    yield f" Debug Mode: {str(bool(info.get('Debug'))).lower()}"
    if info.get("Debug"):
        yield f"  File Descriptors: {info.get('NFd', 0)}"
        yield f"  Goroutines: {info.get('NGoroutines', 0)}"
        yield f"  System Time: {info.get('SystemTime', '')}"
        yield f"  EventsListeners: {info.get('NEventsListener', 0)}"
    yield from _given(info, "HTTP Proxy", "HttpProxy")
    yield from _given(info, "HTTPS Proxy", "HttpsProxy")
    yield from _given(info, "No Proxy", "NoProxy")
    if info.get("Labels"):
        yield " Labels:"
        yield from (f"  {label}" for label in info["Labels"])
    yield f" Experimental: {str(bool(info.get('ExperimentalBuild'))).lower()}"
    yield from _registries(info.get("RegistryConfig") or {})
    yield f" Live Restore Enabled: {str(bool(info.get('LiveRestoreEnabled'))).lower()}"
    yield from _given(info, "Product License", "ProductLicense")
    pools = info.get("DefaultAddressPools") or []
    if pools:
        yield " Default Address Pools:"
        yield from (f"   Base: {pool['Base']}, Size: {pool['Size']}" for pool in pools)
    firewall = info.get("FirewallBackend") or {}
    if firewall.get("Driver"):
        yield f" Firewall Backend: {firewall['Driver']}"
        yield from _pairs(firewall.get("Info"), "  ")


def _given(info: Info, title: str, key: str) -> Iterator[str]:
    if info.get(key):
        yield f" {title}: {info[key]}"


def _pairs(pairs: list[list[str]] | None, margin: str) -> Iterator[str]:
    for key, value in pairs or []:
        yield f"{margin}{key}: {value}"


def _security(options: list[str]) -> Iterator[str]:
    if not options:
        return
    yield " Security Options:"
    for option in options:
        fields = dict(part.partition("=")[::2] for part in option.split(","))
        yield f"  {fields.pop('name', option)}"
        for key, value in fields.items():
            yield f"   {key.capitalize()}: {value}"


def _registries(config: Info) -> Iterator[str]:
    insecure = [
        name
        for name, index in (config.get("IndexConfigs") or {}).items()
        if not index.get("Secure")
    ]
    insecure += config.get("InsecureRegistryCIDRs") or []
    if insecure:
        yield " Insecure Registries:"
        yield from (f"  {name}" for name in insecure)
    if config.get("Mirrors"):
        yield " Registry Mirrors:"
        yield from (f"  {mirror}" for mirror in config["Mirrors"])
