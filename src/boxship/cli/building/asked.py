"""A build as the command line or a bake file asks for it, and what the engine is told of that."""

from __future__ import annotations

import hashlib
import os
import secrets
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from boxship.cli.building import policies
from boxship.cli.building.checks import (
    annotations_of,
    check_caches,
    check_outputs,
    check_platforms,
    check_tags,
)
from boxship.cli.building.fields import (
    LINK,
    REMOTE,
    Output,
    agent_of,
    cache_of,
    fields,
    output_of,
    secret_of,
)
from boxship.cli.building.layouts import SCHEME, Layouts, add_caches
from boxship.client.offers import Offers
from boxship.errors import InvalidRequest
from boxship.spec.buildkit import control_pb2 as pb

if TYPE_CHECKING:
    from boxship.cli.building.builders import Builder
    from boxship.cli.shell import Shell

FRONTEND = "dockerfile.v0"
POLICY = "EXPERIMENTAL_BUILDKIT_SOURCE_POLICY"
PROXIES = {
    "httpProxy": "HTTP_PROXY",
    "httpsProxy": "HTTPS_PROXY",
    "ftpProxy": "FTP_PROXY",
    "noProxy": "NO_PROXY",
    "allProxy": "ALL_PROXY",
}
ENTITLEMENTS = ("network.host", "security.insecure")
UPLOAD = "/context"
DOCKERFILE_LIMIT = 16 << 20


@dataclass(slots=True)
class Asked:
    """One build; the members are the flags of `boxship build`."""

    context: str = "."
    dockerfile: str = ""
    dockerfile_text: bytes | None = None
    tags: list[str] = field(default_factory=list)
    args: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    contexts: Mapping[str, str] = field(default_factory=dict)
    target: str = ""
    platforms: list[str] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)
    cache_from: list[str] = field(default_factory=list)
    cache_to: list[str] = field(default_factory=list)
    secrets: list[str] = field(default_factory=list)
    ssh: list[str] = field(default_factory=list)
    allow: list[str] = field(default_factory=list)
    annotations: list[str] = field(default_factory=list)
    attests: list[str] = field(default_factory=list)
    options: Mapping[str, str] = field(default_factory=dict)  # the front end's own
    no_cache: bool = False
    no_cache_filter: list[str] = field(default_factory=list)
    pull: bool = False
    network: str = ""
    push: bool = False
    load: bool = False
    policies_off: bool = False


@dataclass(slots=True)
class Prepared:
    """What is sent, and what is offered meanwhile."""

    request: pb.SolveRequest
    offers: Offers
    shared_key: str
    layouts: Layouts


def prepare(shell: Shell, asked: Asked, undo: ExitStack, builder: Builder) -> Prepared:
    """Work out the request; what has to be made for it lives as long as `undo`."""
    check_tags(asked.tags)
    check_platforms(asked.platforms)
    if asked.no_cache and asked.no_cache_filter:
        raise InvalidRequest("--no-cache and --no-cache-filter cannot currently be used together")
    asked.args = {**_proxies(shell), **asked.args}
    options = _options(asked)
    folders: dict[str, str] = {}
    uploads: dict[str, Callable[[], bytes]] = {}
    _context(asked, options, folders, uploads, undo)
    layouts = Layouts()
    for name, value in asked.contexts.items():
        if value.startswith(LINK):
            continue  # it is put in when its graph is known
        options[f"context:{name}"] = _named_context(name, value, folders, layouts)
    outputs = [output_of(text) for text in asked.outputs]
    check_outputs(outputs, asked.tags, push=asked.push)
    outputs = _where(asked, outputs, loads=builder.loads)
    targets = {
        number: target
        for number, one in enumerate(outputs)
        if not layouts.result(one) and (target := _open(one, undo))
    }
    environment = dict(shell.environment)
    request = pb.SolveRequest(
        ref=secrets.token_hex(12),
        frontend=FRONTEND,
        frontend_attrs=options,
        entitlements=[_entitlement(text) for text in asked.allow],
        exporters=[pb.Exporter(type=_exporter(one, builder), attrs=one.attrs) for one in outputs],
    )
    for first in request.exporters[:1]:  # as engines of before BuildKit 0.14 read it
        request.exporter_deprecated = first.type
        request.exporter_attrs_deprecated.update(first.attrs)
    if path := environment.get(POLICY, ""):
        request.source_policy.CopyFrom(_policy(path))
    imports = [cache_of(text) for text in asked.cache_from]
    exports = [cache_of(text) for text in asked.cache_to]
    check_caches(imports, "importer")
    check_caches(exports, "exporter")
    for folder, reason in add_caches(request, imports, exports, layouts):
        shell.say(f"WARNING: local cache import at {folder} not found due to err: {reason}")
    if asked.network == "host" and "network.host" not in request.entitlements:
        request.entitlements.append("network.host")
    offers = Offers(
        folders=folders,
        secrets=dict(secret_of(text, environment) for text in asked.secrets),
        agents=dict(agent_of(text, environment) for text in asked.ssh),
        targets=targets,
        uploads=uploads,
        login=lambda host: _login(shell, host),
        stores=layouts.folders,
    )
    return Prepared(request, offers, _shared_key(folders), layouts)


def _options(asked: Asked) -> dict[str, str]:
    options = dict(asked.options)
    if asked.target:
        options["target"] = asked.target
    if asked.platforms:
        options["platform"] = ",".join(asked.platforms)
    if asked.no_cache or asked.no_cache_filter:
        options["no-cache"] = "" if asked.no_cache else ",".join(asked.no_cache_filter)
    options["image-resolve-mode"] = "pull" if asked.pull else "default"
    if asked.network not in ("", "default"):
        options["force-network-mode"] = asked.network
    options.update({f"build-arg:{key}": value for key, value in asked.args.items()})
    options.update({f"label:{key}": value for key, value in asked.labels.items()})
    for text in asked.attests:
        found = fields(text)
        kind = found.pop("type", "")
        if not kind:
            raise InvalidRequest("attestation type not specified")
        if kind not in ("provenance", "sbom"):
            raise InvalidRequest(f'unknown attestation type "{kind}"')
        if found.get("disabled") not in ("true", "1"):
            options[f"attest:{kind}"] = ",".join(f"{key}={value}" for key, value in found.items())
    return options


def _proxies(shell: Shell) -> dict[str, str]:
    """Return the proxies of the client's configuration as build arguments, in both cases."""
    known = shell.config.mapping("proxies")
    if not known:
        return {}
    said = known.get(shell.client.target.url, known.get("default"))
    found: dict[str, str] = {}
    for key, name in PROXIES.items():
        if isinstance(said, dict) and (value := said.get(key)):
            found[name] = found[name.lower()] = str(value)
    return found


def _policy(path: str) -> pb.Policy:
    """Read a file of rules for the sources of a build."""
    from google.protobuf.json_format import Parse, ParseError

    try:
        with open(path, "rb") as file:
            return Parse(file.read(1 << 20), pb.Policy())
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise InvalidRequest(f"failed to read source policy file: open {path}: {reason}") from None
    except ParseError as error:
        raise InvalidRequest(f"failed to parse source policy: {error}") from None


def _entitlement(text: str) -> str:
    if text.partition("=")[0] not in {*ENTITLEMENTS, "device"}:
        raise InvalidRequest(f"unknown entitlement {text}")
    return text


def links(asked: Asked) -> dict[str, str]:
    """Return the other targets that a build uses as contexts, by the contexts' names."""
    return {
        name: value.removeprefix(LINK)
        for name, value in asked.contexts.items()
        if value.startswith(LINK)
    }


# The context


def _context(
    asked: Asked,
    options: dict[str, str],
    folders: dict[str, str],
    uploads: dict[str, Callable[[], bytes]],
    undo: ExitStack,
) -> None:
    name = asked.dockerfile
    from_input = name == "-"
    text = asked.dockerfile_text
    if asked.context == "-":
        if from_input:
            raise InvalidRequest(
                "invalid argument: can't use stdin for both build context and dockerfile"
            )
        first = _read_input(1024)
        if not _is_archive(first):
            text = first + _rest_of_input(len(first))
            folders["context"] = _empty(undo)
        else:
            uploads[UPLOAD] = _input_after(first)
            options["context"] = f"http://buildkit-session{UPLOAD}"
            if name:
                options["filename"] = name
            return
    elif asked.context.startswith(REMOTE):
        options["context"] = asked.context
    else:
        if not os.path.isdir(asked.context):
            raise InvalidRequest(f'unable to prepare context: path "{asked.context}" not found')
        folders["context"] = os.path.abspath(asked.context)
    if from_input:
        text = _read_input(0) + _rest_of_input(0)
    if text is not None:
        folder = _empty(undo)
        with open(os.path.join(folder, "Dockerfile"), "wb") as file:
            file.write(text)
        folders["dockerfile"], options["filename"] = folder, "Dockerfile"
    elif "context" in folders:
        path = os.path.join(folders["context"], "Dockerfile") if not name else os.path.abspath(name)
        if not asked.policies_off:
            policies.check(path)
        folders["dockerfile"] = os.path.dirname(path)
        options["filename"] = os.path.basename(path)
        return
    elif name:
        options["filename"] = name
    if text is not None and "context" in options:
        options["dockerfilekey"] = "dockerfile"


def _named_context(name: str, value: str, folders: dict[str, str], layouts: Layouts) -> str:
    if value.startswith(SCHEME):
        return layouts.context(value)
    schemes = ("docker-image://", "input:")
    if value.startswith((*schemes, *REMOTE)):
        return value
    path = value.removeprefix("local:")
    if not os.path.isdir(path):
        problem = "not a directory" if os.path.exists(path) else "no such file or directory"
        raise InvalidRequest(f"failed to get build context {name}: stat {value}: {problem}")
    folders[name] = os.path.abspath(path)
    return f"local:{name}"


def _empty(undo: ExitStack) -> str:
    import tempfile

    return undo.enter_context(tempfile.TemporaryDirectory(prefix="boxship-build-"))


def _read_input(least: int) -> bytes:
    data = b""
    while len(data) < least and (piece := os.read(0, 64 << 10)):
        data += piece
    return data


def _rest_of_input(begun: int) -> bytes:
    data = b""
    while piece := os.read(0, 64 << 10):
        data += piece
        if begun + len(data) > DOCKERFILE_LIMIT:
            raise InvalidRequest("the Dockerfile on standard input is too large")
    return data


def _input_after(first: bytes) -> Callable[[], bytes]:
    left = [first]

    def read() -> bytes:
        return left.pop() if left else os.read(0, 256 << 10)

    return read


def _is_archive(first: bytes) -> bool:
    magics = (b"\x1f\x8b\x08", b"BZh", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd")
    return first.startswith(magics) or first[257:262] == b"ustar"


def _shared_key(folders: Mapping[str, str]) -> str:
    """Return what is the same for every build of one folder by one user on one machine."""
    if "context" not in folders:
        return ""
    try:
        with open("/etc/machine-id", "rb") as file:
            machine = file.read(64)
    except OSError:
        machine = b""
    said = machine + b"\0" + str(os.getuid()).encode() + b"\0" + os.fsencode(folders["context"])
    return hashlib.sha256(said).hexdigest()


# The result


def _where(asked: Asked, outputs: list[Output], *, loads: bool) -> list[Output]:
    """Return what is to be made of the result, with the image's names where it has some."""
    if asked.push and asked.load:
        raise InvalidRequest("push and load may not be set together at the moment")
    if not outputs and (loads or asked.push or asked.load or asked.tags):
        outputs = [Output("image", {})]
    outputs = [one for one in outputs if one.kind != "cacheonly"]
    for one in outputs:
        if one.kind in ("image", "docker", "oci") and asked.tags and "name" not in one.attrs:
            one.attrs["name"] = ",".join(asked.tags)
        if asked.push and one.kind == "image":
            one.attrs["push"] = "true"
        if one.kind in ("image", "oci", "docker"):
            one.attrs.update(annotations_of(asked.annotations))
    return outputs


def _exporter(one: Output, builder: Builder) -> str:
    """Return what makes a result: an engine's own store goes by another name than BuildKit's."""
    return "moby" if one.kind == "image" and builder.loads else one.kind


def _open(one: Output, undo: ExitStack) -> str | int:
    """Open where a result goes."""
    if one.kind == "local":
        return os.path.abspath(one.target)
    if one.kind not in ("tar", "oci", "docker"):
        return ""
    if one.target == "-":
        if sys.stdout.isatty():
            raise InvalidRequest("dest file is required; refusing to write to the terminal")
        return 1
    os.makedirs(os.path.dirname(os.path.abspath(one.target)), exist_ok=True)
    descriptor = os.open(one.target, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    undo.callback(os.close, descriptor)
    return descriptor


def _login(shell: Shell, host: str) -> tuple[str, str]:
    from boxship.cli.credentials import key_of, lookup

    found = lookup(shell, key_of(host))
    if token := found.get("identitytoken"):
        return "", str(token)
    return str(found.get("username", "")), str(found.get("password", ""))
