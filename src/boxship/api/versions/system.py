"""`info`: members that older clients know and newer ones do not, and the other way round."""

from __future__ import annotations

from boxship.api.versions import Object, below
from boxship.spec.engine.system import SystemInfo, SystemVersion

# When a member of `info` appeared; older clients do not get it.
SINCE = {
    "1.39": ("Warnings", "ProductLicense"),
    "1.41": ("CgroupVersion", "OSVersion", "DefaultAddressPools"),
    "1.44": ("CDISpecDirs",),
    "1.46": ("Containerd",),
    "1.49": ("FirewallBackend",),
    "1.50": ("DiscoveredDevices",),
    "1.53": ("NRI",),
}


@below("1.53", SystemInfo)
def without_resource_interface(info: Object) -> None:
    _drop(info, "1.53")


@below("1.50", SystemInfo)
def without_devices(info: Object) -> None:
    _drop(info, "1.50")
    info["BridgeNfIptables"] = False
    info["BridgeNfIp6tables"] = False


@below("1.49", SystemInfo)
def without_firewall(info: Object) -> None:
    _drop(info, "1.49")


@below("1.46", SystemInfo)
def without_containerd(info: Object) -> None:
    _drop(info, "1.46")


@below("1.44", SystemInfo)
def without_cdi(info: Object) -> None:
    _drop(info, "1.44")


@below("1.41", SystemInfo)
def with_cluster_store(info: Object) -> None:
    _drop(info, "1.41")
    info["ClusterStore"] = ""
    info["ClusterAdvertise"] = ""
    info["KernelMemory"] = False


@below("1.40", SystemInfo)
def with_system_status(info: Object) -> None:
    info["SystemStatus"] = None


@below("1.39", SystemInfo)
def without_warnings(info: Object) -> None:
    _drop(info, "1.39")


@below("1.35", SystemVersion)
def without_components(version: Object) -> None:
    version.pop("Components", None)
    version.pop("Platform", None)


def _drop(info: Object, since: str) -> None:
    for member in SINCE[since]:
        info.pop(member, None)
