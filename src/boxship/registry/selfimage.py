"""An image of this registry, made of what runs it here: the interpreter, its library, our own
packages, and the shared libraries that any of them needs.

    docker-archive: manifest.json, <config>.json, layer.tar

Files keep their times, so the modules compiled here are good there; two archives made on one
machine are the same.
"""

from __future__ import annotations

import gzip
import hashlib
import importlib.metadata
import io
import json
import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, Final

from boxship.errors import NotSupported
from boxship.lib import moments
from boxship.spec.platform import Platform
from boxship.spec.product import VERSION

NAME: Final = "boxship/registry:latest"
PACKAGES: Final = "/usr/lib/boxship"
CONFIG: Final = "/etc/distribution/config.yml"
ROOT: Final = "/var/lib/registry"
NEEDED: Final = ("aiohttp", "bcrypt", "cryptography", "httptools", "msgspec", "PyJWT", "PyYAML")
OPTIONAL: Final = ("boto3",)
NOT_NEEDED: Final = frozenset(
    {"test", "tests", "idlelib", "tkinter", "ensurepip", "lib2to3", "pydoc_data", "turtledemo"}
    | {"dist-packages", "site-packages", "venv", "distutils", "unittest"}
)
OURS: Final = "__init__.py errors.py lib spec wire transport distribution registry"
SERVICES: Final = re.compile(r"botocore/data/(?!s3/|sts/|sso)[^/]+/")  # each has its documents
CERTIFICATES: Final = "/etc/ssl/certs/ca-certificates.crt"
LIBRARY: Final = re.compile(r"(?:=> )?(/[^\s]+) \(0x")
DEFAULT: Final = f"""version: 0.1
log: {{fields: {{service: registry}}}}
storage: {{filesystem: {{rootdirectory: {ROOT}}}}}
http: {{addr: ":5000"}}
"""
PASSWD: Final = "root:x:0:0:root:/root:/sbin/nologin\nnobody:x:65534:65534::/:/sbin/nologin\n"
GROUP: Final = "root:x:0:\nnogroup:x:65534:\n"


def write(output: IO[bytes], name: str = NAME) -> None:
    """Write the image as an archive that every engine loads."""
    with tempfile.TemporaryFile() as layer:
        diff_id = _write_layer(layer)
        config = _config(diff_id)
        digits = hashlib.sha256(config).hexdigest()
        saved = [{"Config": f"{digits}.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
        size = layer.seek(0, os.SEEK_END)
        layer.seek(0)
        with tarfile.open(fileobj=output, mode="w|", format=tarfile.PAX_FORMAT) as archive:
            _add(archive, "manifest.json", json.dumps(saved).encode())
            _add(archive, f"{digits}.json", config)
            entry = tarfile.TarInfo("layer.tar")
            entry.size = size
            archive.addfile(entry, layer)


def _write_layer(file: IO[bytes]) -> str:
    """Write the only layer, packed; return its diff ID."""
    hasher = hashlib.sha256()

    class Both:
        def write(self, data: bytes) -> int:
            hasher.update(data)
            packed.write(data)
            return len(data)

    with (
        gzip.GzipFile(fileobj=file, mode="wb", compresslevel=1, mtime=0) as packed,
        tarfile.open(fileobj=Both(), mode="w|", format=tarfile.PAX_FORMAT) as layer,  # type: ignore[call-overload]
    ):
        for folder in ("tmp", "root", ROOT[1:], PACKAGES[1:]):
            _add_folder(layer, folder, 0o1777 if folder == "tmp" else 0o755)
        _add(layer, CONFIG[1:], DEFAULT.encode())
        _add(layer, "etc/passwd", PASSWD.encode())
        _add(layer, "etc/group", GROUP.encode())
        for target, source in sorted(files().items()):
            _add_file(layer, target, source)
    return f"sha256:{hasher.hexdigest()}"


def files() -> dict[str, str]:
    """Return what goes into the image: path there (without its first slash), path here."""
    interpreter = os.path.realpath(sys.executable)
    found = {interpreter: interpreter}
    standard = sysconfig.get_paths()["stdlib"]
    found |= {path: path for path in _tree(standard)}
    for name in (*NEEDED, *OPTIONAL):
        for relative, path in _distribution(name, required=name in NEEDED):
            found[f"{PACKAGES}/{relative}"] = path
    ours = str(Path(__file__).parents[1])
    for part in OURS.split():
        found |= {
            f"{PACKAGES}/boxship/{os.path.relpath(p, ours)}": p for p in _tree(f"{ours}/{part}")
        }
    binaries = [path for path in found.values() if ".so" in os.path.basename(path)]
    found |= {path: path for path in _libraries([interpreter, *binaries])}
    if os.path.exists(CERTIFICATES):
        found[CERTIFICATES] = CERTIFICATES
    return {target.lstrip("/"): source for target, source in found.items()}


def _tree(root: str) -> Iterator[str]:
    tag = sys.implementation.cache_tag
    if os.path.isfile(root):
        yield root
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in NOT_NEEDED)
        for name in names:
            compiled = name.endswith(".pyc")
            if not compiled or name.endswith(f".{tag}.pyc"):
                yield f"{folder}/{name}"


def _distribution(name: str, *, required: bool) -> Iterator[tuple[str, str]]:
    """Yield the files of an installed package and of those it needs: path within, path here."""
    todo, seen = [name], set()
    while todo:
        wanted = todo.pop()
        if wanted.lower() in seen:
            continue
        seen.add(wanted.lower())
        try:
            distribution = importlib.metadata.distribution(wanted)
        except importlib.metadata.PackageNotFoundError as error:
            if wanted == name and required:
                raise NotSupported(f"the package {wanted} is not installed here") from error
            continue  # needed only on other systems
        for requirement in distribution.requires or ():
            if "extra ==" not in requirement:
                todo.append(re.split(r"[\s;<>=!~\[(]", requirement, maxsplit=1)[0])
        for file in distribution.files or ():
            path = str(distribution.locate_file(file))
            if SERVICES.match(str(file)) or ".." in file.parts:
                continue
            if os.path.isfile(path):
                yield str(file), path


def _libraries(binaries: Iterable[str]) -> set[str]:
    """Return the shared libraries that programs need, as the dynamic loader finds them."""
    found: set[str] = set()
    done = subprocess.run(["ldd", *binaries], capture_output=True, text=True, check=False)
    for line in done.stdout.splitlines():
        if line[:1].isspace() and (library := LIBRARY.search(line)):
            found.add(library[1])
    for folder in {os.path.dirname(path) for path in found}:
        unwinder = f"{folder}/libgcc_s.so.1"  # loaded by name when a thread ends
        if os.path.exists(unwinder):
            found.add(unwinder)
    if not found:
        raise NotSupported("ldd does not tell which libraries the interpreter needs")
    return found


def _config(diff_id: str) -> bytes:
    platform = Platform.of_machine(os.uname().machine)
    created = moments.show(int(os.stat(__file__).st_mtime) * 1_000_000_000)
    interpreter = os.path.realpath(sys.executable)
    document = {
        "architecture": platform.architecture,
        "os": platform.os,
        "created": created,
        "config": {
            "Entrypoint": [interpreter, "-P", "-m", "boxship.registry"],
            "Cmd": ["serve", CONFIG],
            "Env": [
                "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
                f"PYTHONPATH={PACKAGES}",
                "PYTHONDONTWRITEBYTECODE=1",
            ],
            "ExposedPorts": {"5000/tcp": {}},
            "Volumes": {ROOT: {}},
            "WorkingDir": "/",
            "Labels": {"org.opencontainers.image.version": VERSION},
        },
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
        "history": [{"created": created, "created_by": "boxship registry image"}],
    }
    return json.dumps(document).encode()


def _add(archive: tarfile.TarFile, name: str, data: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(data), 0o644
    archive.addfile(entry, io.BytesIO(data))


def _add_folder(archive: tarfile.TarFile, name: str, mode: int) -> None:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode = tarfile.DIRTYPE, mode
    archive.addfile(entry)


def _add_file(archive: tarfile.TarFile, name: str, path: str) -> None:
    with open(path, "rb") as file:
        status = os.fstat(file.fileno())
        entry = tarfile.TarInfo(name)
        entry.size, entry.mtime = status.st_size, int(status.st_mtime)
        entry.mode = 0o755 if status.st_mode & 0o111 else 0o644
        archive.addfile(entry, file)
