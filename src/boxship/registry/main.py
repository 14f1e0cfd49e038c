"""`boxship-registry`: the registry as a program of its own.

    serve [CONFIG]        answer clients
    gc [CONFIG]           remove what nothing needs     (`garbage-collect` as well)
    retention [CONFIG]    remove tags by the rules
    check [CONFIG]        look whether all is whole
    purge [CONFIG]        remove uploads that were given up
    evict [CONFIG]        remove what was pulled through and nobody wants
    image [NAME]          write an image of this registry
    user NAME             print or write a line for the users' file

What the options say stands over the file, and the file over nothing.
"""

from __future__ import annotations

import argparse
import getpass
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from boxship.distribution.settings import Proxies
from boxship.errors import BoxshipError
from boxship.lib import atomicfile, duration
from boxship.registry import configfile, control
from boxship.registry.app import open_service, serve
from boxship.registry.config import BadConfig, Config
from boxship.registry.storage import choose
from boxship.registry.upkeep import Chore, Upkeep
from boxship.spec.product import VERSION

CHORES = {"gc": "gc", "garbage-collect": "gc", "retention": "retention"}
CHORES |= {"check": "check", "purge": "purge", "evict": "evict"}
# Which option stands for which place in the configuration.
PLACES = {
    "addr": "http.addr",
    "root": "storage.filesystem.rootdirectory",
    "htpasswd": "auth.htpasswd.path",
    "tls_cert": "http.tls.certificate",
    "tls_key": "http.tls.key",
    "delete": "storage.delete.enabled",
    "read_only": "storage.maintenance.readonly.enabled",
    "proxy": "proxy.remoteurl",
    "metrics": "http.debug.prometheus.enabled",
    "log_level": "log.level",
}


def main(words: Sequence[str] | None = None, environment: Mapping[str, str] = os.environ) -> int:
    """Run one command; return its exit code."""
    asked = parser().parse_args(words)
    try:
        if asked.command == "user":
            return add_user(asked.name, asked.file, asked.password_stdin, remove=asked.remove)
        if asked.command == "image":
            from boxship.registry import selfimage

            selfimage.write(sys.stdout.buffer, asked.name or selfimage.NAME)
            return 0
        config = configuration(asked, environment)
        if asked.command == "serve":
            if asked.validate:
                print("configuration OK", file=sys.stderr)
                return 0
            serve(config, proxies_of(environment))
            return 0
        return do(config, chore_of(asked))
    except BoxshipError as error:
        print(f"boxship registry: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        return 141


def configuration(asked: argparse.Namespace, environment: Mapping[str, str]) -> Config:
    """Return what file, environment and options say together."""
    path = asked.config or environment.get("REGISTRY_CONFIGURATION_PATH")
    over = dict(environment)
    for option, place in PLACES.items():
        value = getattr(asked, option, None)
        if value not in (None, False):
            # As YAML text: what it says is read as any variable is.
            over["REGISTRY_" + place.upper().replace(".", "_")] = yaml.safe_dump(value)
    return configfile.load(path, over)


def proxies_of(environment: Mapping[str, str]) -> Proxies:
    """Return the way out that the environment names, in either case."""

    def named(name: str) -> str:
        return environment.get(name.lower()) or environment.get(name) or ""

    return Proxies(named("HTTP_PROXY"), named("HTTPS_PROXY"), named("NO_PROXY"))


def do(config: Config, chore: Chore) -> int:
    """Do a chore here, or have the server do it that has the folder."""

    def show(line: str) -> None:
        print(line, flush=True)

    folder = choose.folder_of(config.storage)
    if not os.path.isdir(folder):
        raise BadConfig(f"there is no registry in {folder}")
    try:
        held = control.lock(folder)
    except control.Served:
        problems = 0
        last = ""

        def keep(line: str) -> None:
            nonlocal last
            last = line
            show(line)

        status = control.ask(folder, chore, keep)
        if chore.kind == "check" and last != "all is whole":
            problems = 1
        return status or problems
    try:
        upkeep = Upkeep(open_service(config, folder), config)
        for line in upkeep.run(chore):
            show(line)
    finally:
        os.close(held)
    return 1 if upkeep.problems else 0


def chore_of(asked: argparse.Namespace) -> Chore:
    """Return what a command asks for."""
    grace = asked.grace
    return Chore(
        CHORES[asked.command],
        dry=asked.dry_run,
        repair=asked.repair,
        grace=None if grace is None else duration.parse(grace) / duration.SECOND,
        untagged=True if asked.delete_untagged else None,
    )


def add_user(name: str, file: str | None, from_stdin: bool, *, remove: bool) -> int:
    """Set or remove a user's line."""
    from boxship.registry.auth.htpasswd import hash_password

    if not name or ":" in name or not name.isprintable():
        raise BadConfig(f"{name!r} cannot be a user's name")
    line = ""
    if not remove:
        password = sys.stdin.readline().rstrip("\r\n") if from_stdin else getpass.getpass()
        if not password:
            raise BadConfig("the password is empty")
        if len(password.encode()) > 72:
            raise BadConfig("the password is longer than the 72 bytes that bcrypt looks at")
        line = f"{name}:{hash_password(password)}"
    if not file:
        print(line)
        return 0
    lines: list[str] = []
    if os.path.exists(file):
        with open(file, encoding="utf-8") as old:
            lines = [one for one in old.read().splitlines() if one.partition(":")[0] != name]
    lines += [line] if line else []
    atomicfile.write(file, "".join(f"{one}\n" for one in lines).encode(), mode=0o600)
    return 0


def parser() -> argparse.ArgumentParser:
    """Return what reads the command line."""
    made = argparse.ArgumentParser(prog="boxship registry", description="A private registry.")
    made.add_argument("--version", action="version", version=f"boxship registry {VERSION}")
    commands = made.add_subparsers(dest="command", required=True, metavar="COMMAND")
    server = commands.add_parser("serve", help="answer clients")
    _add_config(server)
    server.add_argument("--addr", metavar="HOST:PORT", help="where to listen (:5000)")
    server.add_argument("--htpasswd", metavar="FILE", help="let in only the users of this file")
    server.add_argument("--tls-cert", metavar="FILE", help="certificate, for HTTPS")
    server.add_argument("--tls-key", metavar="FILE", help="key of the certificate")
    server.add_argument("--delete", action="store_true", help="allow clients to delete")
    server.add_argument("--read-only", action="store_true", help="refuse every change")
    server.add_argument("--proxy", metavar="URL", help="pull through this registry")
    server.add_argument("--metrics", action="store_true", help="offer /metrics for Prometheus")
    server.add_argument("--log-level", metavar="LEVEL", help="debug, info, warn or error")
    server.add_argument("--validate", action="store_true", help="read the configuration and leave")
    for name in CHORES:
        chore = commands.add_parser(name)
        _add_config(chore)
        chore.add_argument("--dry-run", "-d", action="store_true", help="only say what would go")
        chore.add_argument("--repair", action="store_true", help="check: remove what is broken")
        chore.add_argument("--grace", metavar="TIME", help="leave what was used since (1h)")
        chore.add_argument("--delete-untagged", "-m", action="store_true", help="gc: manifests too")
        chore.add_argument("--quiet", "-q", action="store_true", help=argparse.SUPPRESS)
    image = commands.add_parser("image", help="write an image of this registry, as an archive")
    image.add_argument("name", nargs="?")
    user = commands.add_parser("user", help="set a user's password")
    user.add_argument("name")
    user.add_argument("--file", metavar="FILE", help="the users' file; without it a line is shown")
    user.add_argument("--password-stdin", action="store_true", help="read it from standard input")
    user.add_argument("--remove", action="store_true", help="remove the user")
    return made


def _add_config(command: Any) -> None:
    command.add_argument("config", nargs="?", metavar="CONFIG", help="YAML file")
    command.add_argument("--root", metavar="FOLDER", help="where images are (/var/lib/registry)")


if __name__ == "__main__":
    sys.exit(main())
