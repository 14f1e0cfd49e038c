"""Name a BuildKit elsewhere as a builder."""

from __future__ import annotations

from boxship.cli.command import Command, Flag
from boxship.cli.libraries import find_libraries

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.cli.building.builders import Builder
    from boxship.cli.shell import Shell

COMMAND = Command(
    usage="create [OPTIONS] [CONTEXT|ENDPOINT]",
    summary="Create a new builder instance",
    names=("buildx create", "builder create"),
    flags=(
        Flag("append", "", "Refused: a builder has one node", hidden=True),
        Flag("bootstrap", "", "Ask the builder whether it is there"),
        Flag("buildkitd-config", "", "Refused: no daemon is started", "string", "", hidden=True),
        Flag("buildkitd-flags", "", "Refused: no daemon is started", "string", "", hidden=True),
        Flag("config", "", "Refused: no daemon is started", "string", "", hidden=True),
        Flag("debug", "D", "Accepted and without effect", hidden=True),
        Flag("driver", "", "Driver to use: remote", "string", ""),
        Flag("driver-opt", "", "Options for the driver: cacert, cert, key", "array"),
        Flag("leave", "", "Refused: a builder has one node", hidden=True),
        Flag("name", "", "Builder instance name", "string", ""),
        Flag("node", "", "Name of its node", "string", ""),
        Flag("platform", "", "Refused: a builder tells its platforms itself", "array", hidden=True),
        Flag("timeout", "", "How long a builder may take to answer", "duration", 20 * 10**9),
        Flag("use", "", "Set the current builder instance"),
    ),
    at_most=1,
)
REFUSED = {
    "append": "a builder has one node",
    "leave": "a builder has one node",
    "buildkitd_config": "no daemon is started",
    "buildkitd_flags": "no daemon is started",
    "config": "no daemon is started",
    "platform": "a builder tells its platforms itself",
}


def run(shell: Shell, words: list[str], **given: object) -> int:
    """Keep it, and print its name."""
    find_libraries()
    from boxship.cli.building.builders import Builders
    from boxship.cli.building.nodes import node_of
    from boxship.errors import BoxshipError, Unavailable

    builders = Builders(shell)
    try:
        one = _builder(builders, words, given)
        builders.add(one)
        if given["use"]:
            builders.use(one.name)
        if given["bootstrap"]:
            timeout = given["timeout"]
            assert isinstance(timeout, int)
            if problem := node_of(shell, one, timeout / 1e9).problem:
                raise Unavailable(problem)
    except BoxshipError as error:
        return shell.report(f"ERROR: {error}")
    shell.out.line(one.name)
    return 0


def _builder(builders: object, words: list[str], given: dict[str, object]) -> Builder:
    import secrets

    from boxship.cli.building.builders import (
        DEFAULT,
        NAME,
        OPTIONS,
        REMOTE,
        TLS_OPTIONS,
        Builder,
        Builders,
    )
    from boxship.cli.building.fields import fields
    from boxship.client.target import Target
    from boxship.errors import InvalidRequest, NotFound, NotSupported

    assert isinstance(builders, Builders)
    for flag, reason in REFUSED.items():
        if given[flag]:
            raise NotSupported(f"--{flag.replace('_', '-')} is not supported: {reason}")
    driver = str(given["driver"] or "")
    endpoint = words[0] if words else ""
    if driver in ("docker-container", "kubernetes", "docker") or (not driver and not words):
        reason = "boxship builds in its engine; name a BuildKit elsewhere with --driver remote"
        raise NotSupported(
            f'the driver "{driver or "docker-container"}" is not supported: {reason}'
        )
    if driver not in ("", REMOTE):
        raise InvalidRequest(f'failed to find driver "{driver}"')
    if not endpoint:
        raise InvalidRequest("no remote endpoint provided")
    scheme = endpoint.partition("://")[0]
    if scheme not in ("tcp", "unix"):
        raise NotSupported(f"{endpoint!r}: a remote builder is at tcp://HOST:PORT or unix://PATH")
    Target(endpoint)
    name = str(given["name"] or "") or f"boxship_{secrets.token_hex(4)}"
    if name == DEFAULT:
        raise InvalidRequest(
            "default is a reserved name and cannot be used to identify builder instance"
        )
    if not NAME.fullmatch(name):
        raise InvalidRequest(f"invalid builder name: {name}")
    try:
        builders.named(name)
    except NotFound:
        pass
    else:
        raise InvalidRequest(f'existing instance for "{name}" but no append mode, specify the '
                             "node name to make changes for existing instances")  # fmt: skip
    options: dict[str, str] = {}
    said = given["driver_opt"]
    assert isinstance(said, list)
    for text in said:
        options.update(fields(text))
    for key in options:
        if key not in OPTIONS:
            raise InvalidRequest(f"invalid driver option {key} for remote driver")
    files = {key: options[key] for key in TLS_OPTIONS if key in options}
    if files and (len(files) != len(TLS_OPTIONS) or scheme != "tcp"):
        raise InvalidRequest("tls enabled but missing keys: cacert, cert and key are needed")
    if "servername" in options:
        raise NotSupported("the driver option servername is not supported")
    return Builder(name, REMOTE, endpoint, options, str(given["node"] or f"{name}0"))
