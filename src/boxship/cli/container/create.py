"""Create a new container."""

from __future__ import annotations

from boxship.cli.command import Command, UsageError
from boxship.cli.container import description, flags
from boxship.client.errors import EngineError
from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="create [OPTIONS] IMAGE [COMMAND] [ARG...]",
    summary="Create a new container",
    names=("container create", "create"),
    flags=flags.COMMON,
    at_least=1,
    stops=True,
    words="image",
)
PULLS = ("always", "missing", "never")


def run(shell: Shell, words: list[str], **options: Any) -> int:
    """Create the container and print its ID."""
    body = description.build(options, words, shell.environment, shell.usage_tail)
    shell.out.line(create(shell, body, options))
    return 0


def create(shell: Shell, body: dict[str, Any], options: dict[str, Any]) -> str:
    """Create a container, pulling its image where that is asked for; return its ID."""
    if options["pull"] not in PULLS:
        problem = f"invalid pull option: '{options['pull']}': must be one of"
        raise UsageError(
            f'boxship: {problem} "always", "missing" or "never"{shell.usage_tail}', status=125
        )
    path: str = options["cidfile"]
    if path and exists(path):
        raise UsageError(
            "boxship: container ID file found, make sure the other container isn't running "
            f"or delete {path}{shell.usage_tail}",
            status=125,
        )
    _add_proxies(shell, body)
    if options["use_api_socket"]:
        _add_socket(shell, body)
    if options["mac_address"] and not shell.client.at_least("1.44"):
        body["MacAddress"] = options["mac_address"]
    image, platform = body["Image"], platform_of(shell, options)
    if options["pull"] == "always":
        pull(shell, image, platform, quiet=options["quiet"])
    name: str = options["name"]
    try:
        made = shell.client.containers.create(body, name=name, platform=platform)
    except EngineError as error:
        if error.status != 404 or options["pull"] != "missing" or not _is_about(error, image):
            raise
        if not options["quiet"]:
            shell.say(f"Unable to find image '{tagged(image)}' locally")
        pull(shell, image, platform, quiet=options["quiet"])
        made = shell.client.containers.create(body, name=name, platform=platform)
    for warning in made.get("Warnings") or []:
        shell.say(f"WARNING: {warning}")
    identifier = made["Id"]
    if path:
        import os

        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o644)
        with open(descriptor, "w") as file:
            file.write(identifier)
    return identifier


def exists(path: str) -> bool:
    import os

    return os.path.lexists(path)


def _is_about(error: EngineError, image: str) -> bool:
    """Tell whether an engine's 404 means the image and not a network or a volume."""
    message = error.message.lower()
    return "no such image" in message or image.lower() in message


def platform_of(shell: Shell, options: dict[str, Any]) -> str:
    given: str = options["platform"] or shell.environment.get("DOCKER_DEFAULT_PLATFORM", "")
    parts = given.split("/")
    if given and (len(parts) > 3 or not all(part.replace("_", "").isalnum() for part in parts)):
        problem = f'error parsing specified platform: "{given}"'
        raise InvalidRequest(f"{problem}: cannot parse platform specifier: invalid argument")
    return given


def tagged(image: str) -> str:
    """Return an image's name with the tag that it means."""
    last = image.rpartition("/")[2]
    return image if ":" in last or "@" in image else f"{image}:latest"


def pull(shell: Shell, image: str, platform: str, *, quiet: bool) -> None:
    from boxship.cli.image.pull import pull_image

    pull_image(shell, image, platform=platform, quiet=quiet, output=shell.err)


def _add_proxies(shell: Shell, body: dict[str, Any]) -> None:
    """Add the configuration's proxies for this engine, where the command line names none itself."""
    proxies = shell.config.mapping("proxies")
    if not proxies:
        return
    url = shell.client.target.url
    settings = proxies.get(url) or proxies.get("default") or {}
    variables: list[str] = body["Env"] or []
    given = {line.partition("=")[0] for line in variables}
    for key in ("httpProxy", "httpsProxy", "ftpProxy", "noProxy", "allProxy"):
        name = key.removesuffix("Proxy") + "_proxy"
        value = settings.get(key)
        if not value:
            continue
        for form in (name.upper(), name):
            if form not in given:
                variables.append(f"{form}={value}")
    body["Env"] = variables or None


def _add_socket(shell: Shell, body: dict[str, Any]) -> None:
    """Give the container the engine's socket at Docker's place."""
    target = shell.client.target
    if target.scheme != "unix":
        raise UsageError("--use-api-socket needs an engine on a unix socket", status=125)
    mounts = body["HostConfig"].setdefault("Mounts", [])
    mounts.append(
        {"Type": "bind", "Source": target.path, "Target": "/var/run/docker.sock", "BindOptions": {}}
    )
