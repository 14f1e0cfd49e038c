"""The modules of short commands, compiled, in one file.

Opening twenty files costs a short command as much as its work. The bundle lies with the compiled
modules that Python keeps itself, and like those it is only a copy: a module whose source has
changed since is imported from its source, as if there were no bundle.

    {module name: (source path, time of change in ns, size, is it a package, code)}, by marshal
"""

from __future__ import annotations

import marshal
import os
import sys

from boxship.cli.launch import CACHE, SOURCE
from boxship.lib import atomicfile

# What `ps`, `run`, `exec`, `start`, `stop`, `rm`, `inspect` and `logs` come to use.
MODULES = (
    "boxship",
    "boxship.errors",
    "boxship.lib",
    "boxship.lib.duration",
    "boxship.lib.quickjson",
    "boxship.lib.table",
    "boxship.lib.units",
    "boxship.lib.words",
    "boxship.client",
    "boxship.client.containers",
    "boxship.client.dial",
    "boxship.client.engine",
    "boxship.client.errors",
    "boxship.client.execs",
    "boxship.client.frames",
    "boxship.client.http",
    "boxship.client.target",
    "boxship.cli",
    "boxship.cli.command",
    "boxship.cli.config",
    "boxship.cli.connect",
    "boxship.cli.formatter",
    "boxship.cli.index",
    "boxship.cli.inspect",
    "boxship.cli.inspection",
    "boxship.cli.kinds",
    "boxship.cli.main",
    "boxship.cli.options",
    "boxship.cli.output",
    "boxship.cli.parse",
    "boxship.cli.session",
    "boxship.cli.shell",
    "boxship.cli.signals",
    "boxship.cli.terminal",
    "boxship.cli.container",
    "boxship.cli.container.create",
    "boxship.cli.container.description",
    "boxship.cli.container.devices",
    "boxship.cli.container.environment",
    "boxship.cli.container.exec",
    "boxship.cli.container.flags",
    "boxship.cli.container.keys",
    "boxship.cli.container.listing",
    "boxship.cli.container.logs",
    "boxship.cli.container.ls",
    "boxship.cli.container.mounting",
    "boxship.cli.container.networking",
    "boxship.cli.container.ports",
    "boxship.cli.container.publishing",
    "boxship.cli.container.rm",
    "boxship.cli.container.run",
    "boxship.cli.container.security",
    "boxship.cli.container.start",
    "boxship.cli.container.stop",
)


def source_of(name: str) -> tuple[str, bool]:
    """Return a module's source file, and whether it is a package."""
    path = os.path.join(SOURCE, *name.split("."))
    if os.path.isdir(path):
        return os.path.join(path, "__init__.py"), True
    return path + ".py", False


def build(cache: str = CACHE) -> None:
    """Write the bundle."""
    modules: dict[str, tuple[str, int, int, bool, bytes]] = {}
    for name in (*MODULES, "__future__"):
        source, is_package = source_of(name)
        if name == "__future__":
            source, is_package = str(sys.modules[name].__file__), False
        with open(source, "rb") as file:
            status = os.fstat(file.fileno())
            code = compile(file.read(), source, "exec", dont_inherit=True)
        entry = (source, status.st_mtime_ns, status.st_size, is_package, marshal.dumps(code))
        modules[name] = entry
    os.makedirs(os.path.dirname(cache), exist_ok=True)
    atomicfile.write(cache, marshal.dumps(modules), mode=0o644, durable=False)


if __name__ == "__main__":
    build()
