"""Base images from the distribution's own packages, for a machine that reaches no registry.

`busybox` is the distribution's static busybox with a link for each of its applets; `debian` is
what mmdebstrap makes of the packages that are essential. The same packages and the same epoch give
the same image, to the digest. Nothing is installed on the host.
"""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from glob import glob
from shutil import which
from typing import Final

from boxship.errors import InvalidRequest
from boxship.image.errors import CannotBootstrap
from boxship.image.images import Images
from boxship.image.making import Recipe
from boxship.image.record import Image
from boxship.lib import moments
from boxship.spec.engine.image import ImageConfig as RunConfig
from boxship.spec.reference import Reference
from boxship.wire import tar, tarwriter

PATH: Final = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
SUITE: Final = re.compile(r"[a-z][a-z0-9-]{1,40}", re.ASCII)
FOLDERS: Final = (
    ("bin", 0o755), ("dev", 0o755), ("etc", 0o755), ("home", 0o755), ("lib", 0o755),
    ("proc", 0o755), ("root", 0o700), ("sbin", 0o755), ("sys", 0o755), ("tmp", 0o1777),
    ("usr", 0o755), ("usr/bin", 0o755), ("usr/sbin", 0o755), ("var", 0o755),
    ("var/log", 0o755), ("var/spool", 0o755), ("var/spool/mail", 0o755), ("var/tmp", 0o1777),
    ("var/www", 0o755),
)  # fmt: skip
PASSWD: Final = """\
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
bin:x:2:2:bin:/bin:/bin/false
sys:x:3:3:sys:/dev:/bin/false
sync:x:4:100:sync:/bin:/bin/sync
mail:x:8:8:mail:/var/spool/mail:/bin/false
www-data:x:33:33:www-data:/var/www:/bin/false
operator:x:37:37:Operator:/var:/bin/false
nobody:x:65534:65534:nobody:/home:/bin/false
"""
GROUP: Final = """\
root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
wheel:x:10:root
mail:x:8:
kmem:x:15:
dialout:x:18:
audio:x:29:
video:x:28:
www-data:x:33:
operator:x:37:
users:x:100:
nobody:x:65534:
"""
SHADOW: Final = "".join(line.partition(":")[0] + ":*:::::::\n" for line in PASSWD.splitlines())
# What the host's own system left in the tree goes; what a container's system needs comes:
# packages start no services, are not kept once installed, and are not flushed file by file.
DEBIAN_HOOK: Final = r"""
cd "$1"
rm -rf etc/hostname etc/resolv.conf var/log/apt/* var/log/*.log var/cache/debconf/*-old
rm -rf var/lib/dpkg/*-old var/cache/ldconfig/*
printf '#!/bin/sh\nexit 101\n' > usr/sbin/policy-rc.d
chmod 755 usr/sbin/policy-rc.d
echo force-unsafe-io > etc/dpkg/dpkg.cfg.d/container
printf 'APT::Keep-Downloaded-Packages "false";\nAcquire::Languages "none";\n' \
    > etc/apt/apt.conf.d/container
"""
STATIC_BUSYBOX: Final = ("/bin/busybox", "/usr/bin/busybox")
PROGRAM_INTERPRETER: Final = 3

Say = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Host:
    """What of the host matters: its environment, and where there is room to work."""

    environment: Mapping[str, str]
    work: str

    @property
    def epoch(self) -> int | None:
        """The time that all is to be dated, where somebody said."""
        text = self.environment.get("SOURCE_DATE_EPOCH", "")
        return int(text) if text.isdigit() else None


def bootstrap(images: Images, what: str, host: Host, say: Say) -> Image:
    """Make `busybox`, `debian` or `debian:<suite>`, and name it as a registry would."""
    kind, _, suite = what.partition(":")
    match kind:
        case "busybox" if not suite:
            return _busybox(images, host, say)
        case "debian":
            return _debian(images, suite or _own_suite(), host, say)
        case _:
            raise InvalidRequest(
                f"there is no recipe for {what!r}: busybox, debian and debian:<suite> can be made"
            )


def _busybox(images: Images, host: Host, say: Say) -> Image:
    with ExitStack() as left:
        path = next(filter(_is_static, STATIC_BUSYBOX), None)
        if path is None:
            say("Fetching the package busybox-static")
            folder = left.enter_context(tempfile.TemporaryDirectory(dir=host.work))
            path = _package("busybox-static", folder, host)
        say(f"Using {path}")
        with open(path, "rb") as file:
            program = file.read()
        listed = subprocess.run(
            [path, "--list-full"], stdout=subprocess.PIPE, check=True, timeout=30, env={}
        )
        applets = sorted({clean for line in listed.stdout.decode().split() if (clean := line)})
        version = re.search(rb"BusyBox v(\d+(?:\.\d+)+)", program)
        epoch = int(os.stat(path).st_mtime) if host.epoch is None else host.epoch
    tags = ["latest", version[1].decode()] if version else ["latest"]
    say(f"Adding {len(applets)} applets")
    recipe = Recipe(
        layer=_busybox_files(program, applets, epoch),
        run=RunConfig(env=[PATH], cmd=["sh"]),
        platform=images.host,
        created=moments.show(epoch * 1_000_000_000),
        created_by="boxship image bootstrap busybox",
    )
    return _make(images, recipe, "busybox", tags, say)


def _busybox_files(program: bytes, applets: list[str], epoch: int) -> Iterator[bytes]:
    """Yield the layer: folders, accounts, the program and a hard link for each applet."""
    mtime = epoch * 1_000_000_000
    for name, mode in FOLDERS:
        yield tarwriter.folder(name, mode=mode, mtime=mtime)
    for name, text, mode in (
        ("etc/group", GROUP, 0o644),
        ("etc/passwd", PASSWD, 0o644),
        ("etc/shadow", SHADOW, 0o640),
    ):
        yield tarwriter.file(name, text.encode(), mode=mode, mtime=mtime)
    yield tarwriter.file("bin/busybox", program, mode=0o755, mtime=mtime)
    known = {name for name, _ in FOLDERS}
    for applet in applets:
        name = applet.lstrip("/")
        if name == "bin/busybox" or name.rpartition("/")[0] not in known:
            continue
        yield tarwriter.header(
            tar.Entry(name.encode(), tar.HARD_LINK, mode=0o755, mtime=mtime, link=b"bin/busybox")
        )
    yield tarwriter.END


def _is_static(path: str) -> bool:
    """Whether a program is there that needs no other file to run."""
    try:
        with open(path, "rb") as file:
            start = file.read(4096)
    except OSError:
        return False
    if start[:5] != b"\x7fELF\x02":
        return False
    at, size, count = (
        int.from_bytes(start[32:40], "little"),
        int.from_bytes(start[54:56], "little"),
        int.from_bytes(start[56:58], "little"),
    )
    kinds = (start[at + n * size : at + n * size + 4] for n in range(count))
    return all(int.from_bytes(kind, "little") != PROGRAM_INTERPRETER for kind in kinds)


def _package(name: str, folder: str, host: Host) -> str:
    """Fetch a package and unpack it; return its busybox."""
    for tool in ("apt-get", "dpkg-deb"):
        if not which(tool):
            raise CannotBootstrap(f"busybox-static is not installed, and {tool} is missing")
    environment = dict(host.environment)
    fetched = subprocess.run(
        ["apt-get", "-q", "download", name],
        cwd=folder,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        check=False,
    )
    found = glob(os.path.join(folder, "*.deb"))
    if fetched.returncode or not found:
        why = fetched.stderr.decode(errors="replace").strip().splitlines()
        raise CannotBootstrap(f"apt-get download {name} failed: {why[-1] if why else ''}")
    tree = os.path.join(folder, "tree")
    subprocess.run(["dpkg-deb", "-x", found[0], tree], check=True, env=environment)
    path = next((tree + p for p in STATIC_BUSYBOX if _is_static(tree + p)), None)
    if path is None:
        raise CannotBootstrap(f"the package {name} holds no static busybox")
    return path


def _install(package: str, host: Host, say: Say) -> str:
    """Install a package that brings a program of its own name; return the program's path."""
    if not which("apt-get"):
        raise CannotBootstrap(f"{package} is not installed, and apt-get is missing")
    say(f"Installing the package {package}")
    environment = {**host.environment, "DEBIAN_FRONTEND": "noninteractive"}
    last = ""
    install = ["install", "-y", "-qq", "--no-install-recommends", package]
    for words in (install, ["update", "-qq"], install):
        done = subprocess.run(
            ["apt-get", *words],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        if words is install and not done.returncode and (tool := which(package)):
            return tool
        last = (done.stderr.decode(errors="replace").strip().splitlines() or [last])[-1]
    raise CannotBootstrap(f"{package} cannot be installed: {last}")


def _debian(images: Images, suite: str, host: Host, say: Say) -> Image:
    if not SUITE.fullmatch(suite):
        raise InvalidRequest(f"invalid suite: {suite!r}")
    tool = which("mmdebstrap") or _install("mmdebstrap", host, say)
    epoch = host.epoch if host.epoch is not None else _published(suite)
    environment = {**host.environment, "SOURCE_DATE_EPOCH": str(epoch), "LC_ALL": "C.UTF-8"}
    command = [
        tool,
        "--variant=minbase",
        "--format=tar",
        f"--architectures={_debian_architecture(images.host.architecture)}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-include=/usr/share/doc/*/copyright",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-include=/usr/share/locale/locale.alias",
        f"--customize-hook={DEBIAN_HOOK}",
        suite,
        "-",
    ]
    say(f"Making Debian {suite} with mmdebstrap")
    with tempfile.TemporaryDirectory(dir=host.work) as work:
        errors = open(os.path.join(work, "messages"), "w+b")  # noqa: SIM115
        with (
            errors,
            subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=errors,
                env={**environment, "TMPDIR": work},
                cwd="/",
            ) as running,
        ):
            try:
                recipe = Recipe(
                    layer=_output(running, errors.name, say),
                    run=RunConfig(env=[PATH], cmd=["bash"]),
                    platform=images.host,
                    created=moments.show(epoch * 1_000_000_000),
                    created_by=f"boxship image bootstrap debian:{suite}",
                )
                tags = [suite, "latest"] if suite == _own_suite() else [suite]
                return _make(images, recipe, "debian", tags, say)
            finally:
                running.kill()


def _output(running: subprocess.Popen[bytes], messages: str, say: Say) -> Iterator[bytes]:
    """Yield what mmdebstrap writes, and pass on what it says; fail when it fails."""
    assert running.stdout is not None
    said = 0
    while chunk := os.read(running.stdout.fileno(), 1 << 18):
        said = _pass_on(messages, said, say)
        yield chunk
    status = running.wait()
    _pass_on(messages, said, say)
    if status:
        with open(messages, errors="replace") as file:
            last = file.read()[-2000:].strip().splitlines()
        raise CannotBootstrap(f"mmdebstrap failed: {' / '.join(last[-3:])}")


def _pass_on(messages: str, said: int, say: Say) -> int:
    with open(messages, "rb") as file:
        file.seek(said)
        new = file.read(1 << 16)
    whole = new[: new.rfind(b"\n") + 1]
    for line in whole.decode(errors="replace").splitlines():
        if line.startswith(("I:", "E:", "W:")):
            say(line)
    return said + len(whole)


def _debian_architecture(architecture: str) -> str:
    return {"386": "i386", "arm": "armhf"}.get(architecture, architecture)


def _own_suite() -> str:
    """Return the host's own suite, or the stable one where the host is no Debian."""
    try:
        with open("/etc/os-release") as file:
            found = dict(line.rstrip().split("=", 1) for line in file if "=" in line)
    except OSError:
        found = {}
    if found.get("ID", "").strip('"') == "debian":
        return found.get("VERSION_CODENAME", "").strip('"') or "stable"
    return "stable"


def _published(suite: str) -> int:
    """Return when the suite's package lists were published, as far as the host has them.

    With the same lists the same packages come, so that is the date that makes two runs equal.
    """
    for path in sorted(glob(f"/var/lib/apt/lists/*_dists_{suite}_*Release")):
        with open(path, errors="replace") as file:
            for line in file:
                if line.startswith("Date:"):
                    from email.utils import parsedate_to_datetime

                    return int(parsedate_to_datetime(line[5:].strip()).timestamp())
    return 0


def _make(images: Images, recipe: Recipe, name: str, tags: list[str], say: Say) -> Image:
    names = [str(Reference.parse(f"{name}:{tag}")) for tag in tags]
    image = images.make(recipe, names, action="import")
    for tag in tags:
        say(f"Tagged {name}:{tag}")
    return image
