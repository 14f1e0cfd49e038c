"""The virtual machine's files: a Debian root disk, its kernel and a minimal initramfs.

<cache>/<digest of this recipe>/root.ext4   minimal Debian with systemd and what the tests need
                                vmlinuz     the cloud kernel, as Debian ships it
                                initrd.gz   busybox and the modules for a virtio root disk
"""

from __future__ import annotations

import gzip
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

HOST_PACKAGES = ("qemu-system-x86", "qemu-utils", "mmdebstrap", "e2fsprogs", "cpio", "kmod")
GUEST_PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "udev", "kmod", "linux-image-cloud-amd64",
    "btrfs-progs", "busybox-static", "ca-certificates", "conntrack", "e2fsprogs", "git",
    "iproute2", "iptables", "iputils-ping", "libnftables1", "nftables", "openssh-client",
    "openssh-server", "podman", "procps", "python3", "python3-venv", "runc", "skopeo", "socat",
    "strace",
)  # fmt: skip
MODULES = ("virtio_pci", "virtio_blk", "virtio_console", "ext4", "crc32c_generic")
SERVICE = """\
[Unit]
Description=command channel of the tests
DefaultDependencies=no
After=systemd-udevd.service local-fs.target
[Service]
ExecStartPre=/bin/sh -c 'for i in $(seq 100); do [ -e {port} ] && exit 0; sleep .05; done; exit 1'
ExecStart=/usr/bin/python3 -I -S /usr/local/lib/agent.py
Delegate=yes
OOMScoreAdjust=-900
[Install]
WantedBy=sysinit.target
"""
QUIET = (  # units that would only work in the background while tests run
    "systemd-timesyncd.service", "apt-daily.timer", "apt-daily-upgrade.timer", "fstrim.timer",
    "e2scrub_all.timer", "e2scrub_reap.service", "getty@tty1.service", "dpkg-db-backup.timer",
    "systemd-random-seed.service", "nftables.service", "systemd-oomd.service", "ssh.service",
    "podman.service", "podman.socket", "podman-auto-update.timer", "podman-restart.service",
)  # fmt: skip
INIT = """\
#!/bin/busybox sh
/bin/busybox mount -t proc proc /proc
/bin/busybox mount -t sysfs sys /sys
/bin/busybox mount -t devtmpfs dev /dev
for module in $(/bin/busybox cat /order); do /bin/busybox insmod /modules/$module; done
n=0
while [ ! -b /dev/vda ] && [ $n -lt 200 ]; do /bin/busybox usleep 10000; n=$((n+1)); done
/bin/busybox mount -t ext4 -o rw,noatime /dev/vda /root
/bin/busybox umount /sys /proc
/bin/busybox mount --move /dev /root/dev
exec /bin/busybox switch_root /root /sbin/init
"""
AGENT = Path(__file__).with_name("agent.py")
PORT_PATH = "/dev/virtio-ports/boxship"


def suite() -> str:
    """Return the Debian release whose Python the checkout's virtual environment was made with."""
    release = platform.freedesktop_os_release()
    return release["VERSION_CODENAME"] if release.get("ID") == "debian" else "bookworm"


def digest() -> str:
    """Return the name under which an image made by this very recipe is kept."""
    recipe = hashlib.sha256(Path(__file__).read_bytes() + AGENT.read_bytes() + suite().encode())
    return recipe.hexdigest()[:16]


def ensure(cache: Path) -> Path:
    """Return the folder of the image, building it (a minute or two) if there is none."""
    install(HOST_PACKAGES)
    folder = cache / digest()
    if not (folder / "root.ext4").exists():
        cache.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="building-", dir=cache) as work:
            build(Path(work))
            shutil.rmtree(folder, ignore_errors=True)
            made = Path(work) / "image"
            made.rename(folder)
        forget_others(cache, folder)
    return folder


def install(packages: tuple[str, ...]) -> None:
    """Install the Debian packages that are missing on this host."""
    shown = subprocess.run(
        ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *packages],
        capture_output=True, text=True, check=False,
    ).stdout.splitlines()  # fmt: skip
    missing = [name for name in packages if f"{name} installed" not in shown]
    if missing:
        command = ("apt-get", "install", "-y", "-qq", "--no-install-recommends", *missing)
        try:
            run(*command)
        except subprocess.CalledProcessError:  # the lists are missing or too old
            run("apt-get", "update", "-qq")
            run(*command)


def build(work: Path) -> None:
    root, made = work / "root", work / "image"
    made.mkdir()
    run(
        "mmdebstrap", "--quiet", "--variant=minbase", f"--include={','.join(GUEST_PACKAGES)}",
        "--dpkgopt=path-exclude=/usr/share/man/*", "--dpkgopt=path-exclude=/usr/share/locale/*",
        "--dpkgopt=path-exclude=/usr/share/doc/*", suite(), str(root),
    )  # fmt: skip
    furnish(root)
    kernel = next((root / "boot").glob("vmlinuz-*"))
    shutil.copy(kernel, made / "vmlinuz")
    pack_initramfs(root, kernel.name.removeprefix("vmlinuz-"), work / "initrd", made / "initrd.gz")
    make_disk(made / "root.ext4", root, "6G")


def furnish(root: Path) -> None:
    """Add the command channel to a fresh Debian root, and quieten it."""
    shutil.copy(AGENT, root / "usr/local/lib/agent.py")
    units = root / "etc/systemd/system"
    (units / "boxship-agent.service").write_text(SERVICE.format(port=PORT_PATH))
    wants = units / "sysinit.target.wants"
    wants.mkdir(exist_ok=True)
    (wants / "boxship-agent.service").symlink_to("/etc/systemd/system/boxship-agent.service")
    for unit in QUIET:
        (units / unit).unlink(missing_ok=True)
        (units / unit).symlink_to("/dev/null")
    (root / "etc/fstab").write_text("")
    (root / "etc/hostname").write_text("boxship-vm\n")


def pack_initramfs(root: Path, version: str, stage: Path, target: Path) -> None:
    """Write an initramfs holding busybox and MODULES, each after those it depends on."""
    for folder in ("bin", "modules", "proc", "sys", "dev", "root"):
        (stage / folder).mkdir(parents=True)
    shutil.copy(root / "bin/busybox", stage / "bin/busybox")
    order = list(dict.fromkeys(m for name in MODULES for m in needed(root, version, name)))
    for module in order:
        shutil.copy(module, stage / "modules")
    (stage / "order").write_text("\n".join(os.path.basename(module) for module in order))
    (stage / "init").write_text(INIT)
    (stage / "init").chmod(0o755)
    names = "\n".join(str(path.relative_to(stage)) for path in sorted(stage.rglob("*")))
    archive = subprocess.run(
        ["cpio", "-o", "-H", "newc", "--quiet"],
        cwd=stage, input=names.encode(), stdout=subprocess.PIPE, check=True,
    ).stdout  # fmt: skip
    target.write_bytes(gzip.compress(archive, 1))


def needed(root: Path, version: str, module: str) -> Iterator[str]:
    """Yield the files to insert for `module`, in order; one built in needs none."""
    shown = subprocess.run(
        ["modprobe", "-d", str(root), "-S", version, "--show-depends", module],
        capture_output=True, text=True, check=False,
    ).stdout  # fmt: skip
    for line in shown.splitlines():
        if line.startswith("insmod "):
            yield line.split()[1]


def make_disk(target: Path, content: Path, size: str) -> None:
    """Write a sparse ext4 image with what is below `content`, owners and times included."""
    target.unlink(missing_ok=True)
    run(
        "mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-E", "lazy_itable_init=1",
        "-d", str(content), str(target), size,
    )  # fmt: skip


def forget_others(cache: Path, kept: Path) -> None:
    """Remove images that an older recipe made."""
    for entry in cache.iterdir():
        if entry != kept and len(entry.name) == len(kept.name) and entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)


def run(*command: str) -> None:
    subprocess.run(command, check=True, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
