"""What is in an image: its files as `docker export` gives them, and how it is run."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Callable
from typing import Any

# what an engine puts into each container, and what the older documents said besides
ENGINES_OWN = frozenset(
    {".dockerenv", "dev", "proc", "sys", "etc/hosts", "etc/hostname", "etc/resolv.conf",
     "etc/mtab", "dev/console", "dev/pts", "dev/shm"}
)  # fmt: skip
NOT_OF_IMAGES = frozenset(
    {"Hostname", "Domainname", "AttachStdin", "AttachStdout", "AttachStderr", "Tty", "OpenStdin",
     "StdinOnce", "Image", "ArgsEscaped"}
)  # fmt: skip

Docker = Callable[..., bytes]
Entry = tuple[str, int, int, int, str, str]


def tree(docker: Docker, image: str) -> dict[str, Entry]:
    """Return each path with its kind, mode, owner, target and content."""
    container = docker("create", "--entrypoint", "x", image, "x").decode().strip()
    try:
        archive = docker("export", container)
    finally:
        docker("rm", "-f", "-v", container)
    found: dict[str, Entry] = {}
    with tarfile.open(fileobj=io.BytesIO(archive)) as files:
        for member in files:
            name = member.name.removeprefix("./").strip("/")
            if name in ENGINES_OWN or name in ("", "."):
                continue
            content = files.extractfile(member) if member.isreg() else None
            found[name] = (
                member.type.decode(),
                member.mode & 0o7777,
                member.uid,
                member.gid,
                member.linkname,
                hashlib.sha256(content.read()).hexdigest() if content else "",
            )
    return found


def config(docker: Docker, image: str) -> dict[str, Any]:
    """Return how an image is run, without what is empty."""
    said = json.loads(docker("image", "inspect", image))[0]["Config"]
    return {key: value for key, value in said.items() if value and key not in NOT_OF_IMAGES}


def history(docker: Docker, image: str) -> list[str]:
    """Return what each step was, newest first."""
    told = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    return told.decode().splitlines()
