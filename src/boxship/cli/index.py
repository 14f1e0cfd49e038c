"""Which module answers to which words.

Each folder under `cli` is a management command, each module in it a command: `boxship volume rm` is
`volume/rm.py`. A name that Python keeps for itself ends in an underscore, a dash is written as one.
The short forms of Docker's first years stand in SHORT; other names come from the folders alone.
"""

from __future__ import annotations

GROUPS = {
    "builder": "Manage builds",
    "buildx": "Manage builds, in the words of docker buildx",
    "container": "Manage containers",
    "image": "Manage images",
    "manifest": "Manage image manifests and manifest lists",
    "network": "Manage networks",
    "registry": "Run a private registry",
    "system": "Manage the engine",
    "volume": "Manage volumes",
}
# Groups whose commands another has, too.
ALSO = {"builder": ("buildx",)}
LETTERS = {"b": "build", "f": "bake"}  # among the commands of buildx
# Second names within any group.
ALIASES = {"list": "ls", "remove": "rm"}
SHORT = {
    "attach": "container.attach",
    "build": "build",
    "commit": "container.commit",
    "completion": "completion",
    "cp": "container.cp",
    "create": "container.create",
    "diff": "container.diff",
    "events": "system.events",
    "exec": "container.exec",
    "export": "container.export",
    "history": "image.history",
    "images": "image.ls",
    "import": "image.import_",
    "info": "system.info",
    "inspect": "inspect",
    "kill": "container.kill",
    "load": "image.load",
    "login": "login",
    "logout": "logout",
    "logs": "container.logs",
    "pause": "container.pause",
    "port": "container.port",
    "ps": "container.ls",
    "pull": "image.pull",
    "push": "image.push",
    "rename": "container.rename",
    "restart": "container.restart",
    "rm": "container.rm",
    "rmi": "image.rm",
    "run": "container.run",
    "save": "image.save",
    "search": "image.search",
    "start": "container.start",
    "stats": "container.stats",
    "stop": "container.stop",
    "tag": "image.tag",
    "top": "container.top",
    "unpause": "container.unpause",
    "update": "container.update",
    "version": "version",
    "wait": "container.wait",
}
COMMON = ("run", "exec", "ps", "pull", "images", "version", "info")


def module_of(group: str, name: str) -> str | None:
    """Return the module of `group name`, None when there is no such command."""
    name = ALIASES.get(name, name)
    if (group, name) == ("container", "ps"):
        name = "ls"
    if group in ("buildx", "builder"):
        name = LETTERS.get(name, name)
    if not name.replace("-", "").isalpha():
        return None
    file = name.replace("-", "_")
    import os

    for where in (group, *ALSO.get(group, ())):
        folder = os.path.join(os.path.dirname(__file__), where)
        for stem in (file, file + "_"):
            if os.path.exists(os.path.join(folder, stem + ".py")):
                return f"{where}.{stem}"
    return None


def commands_of(group: str) -> list[str]:
    """Return the names of a management command's commands."""
    import os

    found: set[str] = set()
    for where in (group, *ALSO.get(group, ())):
        for file in os.listdir(os.path.join(os.path.dirname(__file__), where)):
            stem, dot, kind = file.partition(".")
            if dot and kind == "py" and stem[0] != "_" and is_command(where, stem):
                found.add(stem.rstrip("_").replace("_", "-"))
    return sorted(found)


def is_command(group: str, stem: str) -> bool:
    """Tell whether a module is a command and not something that commands share."""
    from importlib import import_module

    return hasattr(import_module(f"boxship.cli.{group}.{stem}"), "COMMAND")
