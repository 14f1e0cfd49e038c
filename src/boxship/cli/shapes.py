"""How the engine's documents are to be read by a template.

Docker's client decodes a document into structs first: there a field that was left out has its zero
value, and a wrong name is an error. Only some fields are maps, of which any key may be asked for.
"""

from __future__ import annotations

from boxship.lib.templates.values import Shape

MAPS = (
    "Annotations", "Attributes", "ConfigOnly", "Containers", "Data", "DriverOpts", "ExposedPorts",
    "Labels", "LogOpts", "Networks", "Options", "PortBindings", "Ports", "StorageOpt", "Sysctls",
    "Tmpfs", "Volumes",
)  # fmt: skip
ZEROS: dict[str, object] = {
    **{name: {} for name in MAPS},
    "Aliases": [],
    "Args": [],
    "Binds": [],
    "BlkioWeightDevice": [],
    "CapAdd": [],
    "CapDrop": [],
    "Cmd": [],
    "DNSNames": [],
    "DeviceCgroupRules": [],
    "DeviceRequests": [],
    "Devices": [],
    "Dns": [],
    "DnsOptions": [],
    "DnsSearch": [],
    "Entrypoint": [],
    "Env": [],
    "ExecIDs": [],
    "ExtraHosts": [],
    "GroupAdd": [],
    "Health": None,
    "Healthcheck": None,
    "Init": None,
    "Links": [],
    "MaskedPaths": [],
    "Mounts": [],
    "OnBuild": [],
    "OomKillDisable": None,
    "PidsLimit": None,
    "ReadonlyPaths": [],
    "RepoDigests": [],
    "RepoTags": [],
    "Runtime": "",
    "SecurityOpt": [],
    "Shell": [],
    "SizeRootFs": None,
    "SizeRw": None,
    "Status": {},
    "StopSignal": "",
    "StopTimeout": None,
    "UsageData": None,
    "Ulimits": [],
    "VolumesFrom": [],
}
SHAPE = Shape(MAPS, ZEROS)
