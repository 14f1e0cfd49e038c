"""Real Dockerfiles, built through any door of any engine, and what comes of them.

    tests/data/dockerfiles/NAME/      a context
    tests/data/dockerfiles-debian/    contexts that install Debian's packages, for the longest tests
    tests/data/recorded/REFERENCE.json   what a dockerd made of each: files, configuration, history,
                                      and which steps ran again after one file had changed

A reference is `classic-20`, Debian 12's dockerd without BuildKit, or `buildx-26`, that of Debian 13
with containerd's store, driven by docker buildx.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.support.engine import CHECKOUT, PATIENCE, docker_command, link_plugins

DATA = Path(__file__).resolve().parents[1] / "data"
CORPUS = DATA / "dockerfiles"
DEBIAN = DATA / "dockerfiles-debian"
RECORDED = DATA / "recorded"
NAMES = sorted(folder.name for folder in CORPUS.iterdir())

# A file of each context that changes between two builds.
CHANGES: Mapping[str, str] = {
    "c": "src/f.c",
    "copies": "dir/sub/s.txt",
    "modes": "tree/inner/script",
    "node": "src/lib.js",
    "onbuild": "app.conf",
    "permissions": "tree/private/key",
    "python": "app/util.py",
    "users": "file",
    "debian-c": "src/words.h",
    "debian-node": "src/words.js",
    "debian-python": "app/words.py",
}
COMMENTS: Mapping[str, str] = {".h": "/* {} */", ".js": "/* {} */", ".py": "# {}"}
# What a checkout does not keep.
MODES: Mapping[str, int] = {
    "modes/tree": 0o2710,
    "modes/tree/inner": 0o1700,
    "modes/tree/inner/script": 0o751,
    "permissions/tree": 0o711,
    "permissions/tree/private": 0o700,
    "permissions/tree/private/key": 0o600,
    "permissions/tree/setuid": 0o4755,
    "permissions/tree/setgid": 0o2750,
    "permissions/tree/sticky": 0o1777,
    "permissions/tree/unreadable": 0o000,
    "permissions/script": 0o755,
}
LONG_AGO = 1_000_000_000  # times of files in contexts are near to it; what is made now is not
ENGINES_OWN = frozenset(
    {".dockerenv", "dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf",
     "etc/mtab", "dev/console", "dev/pts", "dev/shm"}
)  # fmt: skip
NOT_OF_IMAGES = frozenset(
    {"Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin",
     "StdinOnce", "Image", "ArgsEscaped"}
)  # fmt: skip
XATTR = "SCHILY.xattr."
Entry = tuple[str, int, int, int, int, str, str, dict[str, str]]
Outcome = dict[str, Any]


def prepare(name: str, folder: Path, corpus: Path = CORPUS) -> Path:
    """Put a context into a folder, with the modes and times that it has everywhere."""
    context = folder / name
    shutil.copytree(corpus / name, context, symlinks=True)
    found = sorted(context.rglob("*"), reverse=True)
    for number, path in enumerate([*found, context]):
        if not path.is_symlink():
            usual = 0o755 if path.is_dir() else 0o644
            path.chmod(MODES.get(str(path.relative_to(folder)), usual))
        moment = LONG_AGO + number
        os.utime(path, (moment, moment), follow_symlinks=False)
    return context


def change(name: str, context: Path) -> None:
    """Change one file of a context to what nobody has built before."""
    if path := CHANGES.get(name):
        file = context / path
        if comment := COMMENTS.get(file.suffix if name.startswith("debian-") else ""):
            text = file.read_text() + comment.format(os.urandom(8).hex())
        else:
            text = os.urandom(8).hex()
        file.write_text(f"{text}\n")
        os.utime(file, (LONG_AGO, LONG_AGO))


@dataclass(frozen=True)
class Door:
    """One client of one engine.

    kind: classic, session (docker 20.10, without and with BuildKit), buildx, or boxship.
    """

    kind: str
    host: str
    config: Path

    def command(self, *words: str) -> list[str]:
        """Return how a build is begun by this client."""
        match self.kind:
            case "classic" | "session":
                return [docker_command("docker-20.10"), "-H", self.host, "build", *words]
            case "buildx":
                if not link_plugins(self.config):
                    pytest.skip("docker buildx is neither installed nor could it be fetched")
                return [docker_command(), "-H", self.host, "buildx", "build", *words]
            case _:
                launcher = str(CHECKOUT / "src/boxship/cli/launch.py")
                return [sys.executable, "-I", "-S", launcher, "-H", self.host, "build", *words]

    def build(self, *words: str, cwd: Path | None = None, **more: Any) -> str:
        """Build, and return what is told."""
        done = self.run(*words, cwd=cwd, **more)
        told = done.stdout.decode() + done.stderr.decode()
        assert done.returncode == 0, f"{self.kind} {words}: {told}"
        return told

    def run(
        self, *words: str, cwd: Path | None = None, environment: Mapping[str, str] = {}, **more: Any
    ) -> subprocess.CompletedProcess[bytes]:
        """Build; return how it ended."""
        settings: dict[str, Any] = {"stdin": subprocess.DEVNULL} if "input" not in more else {}
        settings["env"] = {
            **os.environ,
            "DOCKER_CONFIG": str(self.config),
            "DOCKER_BUILDKIT": str(int(self.kind != "classic")),
            "BUILDKIT_PROGRESS": "plain",
            "BUILDX_NO_DEFAULT_ATTESTATIONS": "1",
            **environment,
        }
        settings |= {"timeout": 600 * PATIENCE, "capture_output": True, "check": False, **more}
        done: subprocess.CompletedProcess[bytes] = subprocess.run(
            self.command(*words), cwd=cwd, **settings
        )
        return done

    def outcome(
        self,
        name: str,
        folder: Path,
        base: str = "busybox:latest",
        corpus: Path = CORPUS,
        network: str = "none",
    ) -> Outcome:
        """Build a context of the corpus, change one file, and build again."""
        tag = f"corpus-{self.kind}-{name}"
        context = prepare(name, folder, corpus)
        words = ["--network", network, "-t", tag, str(context)]
        with contextlib.closing(
            docker.DockerClient(self.host, version="auto", timeout=60 * PATIENCE)
        ) as api:
            try:
                self.build(*words)
                found = look(api, tag, base)
                change(name, context)
                found["again"] = reused(self.build(*words))
                found["history"] = [_said(line) for line in found["history"]]
            finally:
                with contextlib.suppress(docker.errors.APIError):
                    api.images.remove(tag, force=True)
        # as it reads back
        read_back: Outcome = json.loads(json.dumps(found))
        return read_back


def look(api: docker.DockerClient, image: str, base: str) -> Outcome:
    """Return what an image has beyond its base, how it is run, and how it was made."""
    below, here = tree(api, base), tree(api, image)
    files: dict[str, Entry | None] = {p: e for p, e in here.items() if below.get(p) != e}
    files |= {path: None for path in below if path not in here}
    said = api.api.inspect_image(image)
    before = len(api.api.history(base))
    history = [entry["CreatedBy"] for entry in reversed(api.api.history(image))]
    config = {k: v for k, v in said["Config"].items() if v and k not in NOT_OF_IMAGES}
    return {"tree": files, "config": config, "history": history[before:]}


def tree(api: docker.DockerClient, image: str) -> dict[str, Entry]:
    """Return each path with its kind, mode, owner, time, target, content and attributes.

    A time is 0 where it is that of the build.
    """
    made = api.api.create_container(image, entrypoint=["x"], command=["x"])["Id"]
    try:
        archive = b"".join(api.api.export(made))
    finally:
        api.api.remove_container(made, v=True, force=True)
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            name = member.name.removeprefix("./").strip("/")
            if name in ENGINES_OWN or name in ("", "."):
                continue
            content = files.extractfile(member) if member.isreg() else None
            moment = int(member.mtime)
            found[name] = (
                member.type.decode(),
                member.mode & 0o7777,
                member.uid,
                member.gid,
                moment if moment < LONG_AGO + 1_000_000 else 0,
                member.linkname,
                hashlib.sha256(content.read()).hexdigest()[:16] if content else "",
                {k: v for k, v in member.pax_headers.items() if k.startswith(XATTR)},
            )
    return found


STEP = re.compile(r"^Step \d+/\d+ : (.+)$")
VERTEX = re.compile(r"^#(\d+) \[.*?\d+/\d+\] (?:ONBUILD )?(.+)$")
CACHED = re.compile(r"^#(\d+) CACHED$")
NEWER = re.compile(r"^(EXPOSE|HEALTHCHECK) ")  # told in other words by newer BuildKits


def _said(line: str) -> str:
    return match[1] if (match := NEWER.match(line)) else line


def reused(told: str) -> dict[str, list[bool]]:
    """Return the steps of a build, and whether each was found in the cache.

    A step that several stages share goes by the name that one of them gave it; its stage and
    number are left out.
    """
    steps: dict[str, tuple[str, bool]] = {}
    for line in told.splitlines():
        if step := STEP.match(line):
            steps[line] = step[1], False
            last = line
        elif line == " ---> Using cache":
            steps[last] = steps[last][0], True
        elif vertex := VERTEX.match(line):
            steps.setdefault(vertex[1], (vertex[2], False))
        elif (cached := CACHED.match(line)) and cached[1] in steps:
            steps[cached[1]] = steps[cached[1]][0], True
    found: dict[str, list[bool]] = {}
    for name, value in steps.values():
        if not name.startswith(("FROM ", "ARG ")):  # these do nothing
            found.setdefault(name, []).append(value)
    return {name: sorted(values) for name, values in found.items()}


def recorded(reference: str) -> dict[str, Outcome]:
    """Return what a dockerd made of the corpus."""
    found: dict[str, Outcome] = json.loads((RECORDED / f"{reference}.json").read_text())
    return found


def record(reference: str, outcomes: Mapping[str, Outcome]) -> None:
    """Keep what a dockerd made of the corpus, a line for each fact."""
    RECORDED.mkdir(exist_ok=True)
    (RECORDED / f"{reference}.json").write_text(_shown(outcomes, 3) + "\n")


def _shown(value: Any, depth: int) -> str:
    if isinstance(value, Mapping) and value and depth:
        inner = [f"{json.dumps(k)}: {_shown(v, depth - 1)}" for k, v in sorted(value.items())]
        return "{\n" + ",\n".join(inner) + "\n}"
    return json.dumps(value, sort_keys=True)


def names_for(kind: str) -> list[str]:
    """Return the members of the corpus that such a client's engine understands."""
    too_new = {"heredocs", "c", "modes"} if kind == "classic" else set()
    return [name for name in NAMES if name not in too_new]
