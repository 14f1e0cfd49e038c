"""`type=local,dest=out`: options that are lists of fields."""

from __future__ import annotations

from boxship.errors import InvalidRequest

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from boxship.client.sshagents import Agent

TRUE = ("true", "1")
SECRET = frozenset({"id", "src", "source", "env", "type"})
LINK = "target:"  # before the name of another target of a bake file
REMOTE = ("http://", "https://", "git://", "ssh://", "git@", "github.com/")


def fields(text: str) -> dict[str, str]:
    """Read `a=1,b=2` with CSV's quoting; a key alone is true."""
    import csv

    try:
        rows = list(csv.reader([text], strict=True)) if text else []
    except csv.Error as error:
        raise InvalidRequest(f"invalid value {text!r}: {error}") from None
    found: dict[str, str] = {}
    for field in rows[0] if rows else ():
        key, equals, value = field.partition("=")
        found[key.strip().lower()] = value if equals else "true"
    return found


def joined(found: Mapping[str, str]) -> str:
    """Write fields, so that `fields` reads them back."""
    import csv
    import io

    row = io.StringIO()
    csv.writer(row, lineterminator="").writerow([f"{key}={value}" for key, value in found.items()])
    return row.getvalue()


class Output:
    """One thing to make of the result; `target` is a folder, a file, `-` or nothing."""

    def __init__(self, kind: str, attrs: dict[str, str], target: str = "") -> None:
        self.kind = kind
        self.attrs = attrs
        self.target = target


def output_of(text: str) -> Output:
    """Read an `--output`: `-`, a folder, or fields with a type."""
    if text == "-":
        return Output("tar", {}, "-")
    if "=" not in text or ("," not in text and not text.startswith("type=")):
        return Output("local", {}, text)
    found = fields(text)
    kind = found.pop("type", "")
    if not kind:
        raise InvalidRequest("type is required for output")
    target = ""
    if kind in ("local", "tar", "oci", "docker"):
        target = found.pop("dest", "")
        if kind == "local" and not target:
            raise InvalidRequest("dest is required for local exporter")
        if kind in ("tar", "oci") and not target:
            target = "-"
    if kind == "cacheonly" and not found:
        return Output(kind, found)
    if kind == "registry":
        kind = "image"
        found["push"] = "true"
    if kind == "docker" and not target:
        kind = "image"
    return Output(kind, found, target)


def cache_of(text: str) -> tuple[str, dict[str, str]]:
    """Read a `--cache-from` or `--cache-to`: fields with a type, or a reference."""
    if "=" not in text:
        return "registry", {"ref": text}
    found = fields(text)
    kind = found.pop("type", "")
    if not kind:
        raise InvalidRequest(f'type required form> "{text}"')
    return kind, found


def secret_of(text: str, environment: dict[str, str]) -> tuple[str, Callable[[], bytes]]:
    """Read a `--secret`; return its name and what reads it."""
    import os

    for field in text.split(",") if '"' not in text else ():
        key, equals, _ = field.partition("=")
        if not equals:
            raise InvalidRequest(f"invalid field '{field}' must be a key=value pair")
        if key.strip().lower() not in SECRET:
            raise InvalidRequest(f"unexpected key '{key}' in '{field}'")
    found = fields(text)
    if unknown := found.keys() - SECRET:
        raise InvalidRequest(f"unexpected key '{min(unknown)}' in '{text}'")
    if found.get("type", "file") not in ("file", "env"):
        raise InvalidRequest(f'unsupported secret type "{found["type"]}"')
    id = found.get("id", "")
    path = found.get("src", found.get("source", ""))
    variable = found.get("env", "")
    kind = found.get("type", "")
    if not id:
        raise InvalidRequest("secret missing id")
    if kind == "env" and not variable:
        variable = path or id
    if variable or (not path and kind != "file" and id in environment):
        name = variable or id
        return id, lambda: _variable(id, environment.get(name))
    path = path or id
    if not os.path.isfile(path):
        problem = "is a directory" if os.path.isdir(path) else "no such file or directory"
        raise InvalidRequest(f"failed to stat {path}: stat {path}: {problem}")
    path = os.path.abspath(path)

    def read() -> bytes:
        with open(path, "rb") as file:
            data = file.read((500 << 10) + 1)
        if len(data) > 500 << 10:
            raise InvalidRequest(f"secret {id} is larger than 500 KiB")
        return data

    return id, read


def _variable(id: str, value: str | None) -> bytes:
    """Return a variable's value; a step that must have it fails without, others do not."""
    from boxship.errors import NotFound

    if value is None:
        raise NotFound(f"secret {id}: not found")
    return value.encode("utf-8", "surrogateescape")


def agent_of(text: str, environment: Mapping[str, str]) -> tuple[str, Agent]:
    """Read an `--ssh`; return its name, and the agent at its socket or one with its keys."""
    import os
    import stat

    from boxship.client.sshagents import Keys, NoAgent, Running, read_key

    id, _, said = text.partition("=")
    paths = [path for path in said.split(",") if path] or [environment.get("SSH_AUTH_SOCK", "")]
    if paths == [""]:
        raise InvalidRequest("invalid empty ssh agent socket: make sure SSH_AUTH_SOCK is set")
    try:
        sockets = [stat.S_ISSOCK(os.stat(path).st_mode) for path in paths]
    except OSError as error:
        raise InvalidRequest(f"ssh agent {error.filename}: {error.strerror}") from None
    if not any(sockets):
        return id or "default", Keys([read_key(path) for path in paths])
    if len(paths) > 1:
        raise NoAgent("only one ssh agent socket is allowed, and no key beside it")
    return id or "default", Running(paths[0])
