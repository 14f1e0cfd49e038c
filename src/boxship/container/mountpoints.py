"""What `-v`, `--mount`, `--tmpfs`, `--volumes-from` and an image's VOLUME ask to attach.

Only words are read here; volumes are made and host paths looked at by `create` and `start`.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final

from boxship.container.record import MountPoint
from boxship.errors import InvalidRequest
from boxship.spec.engine.common import Mount, MountBindOptions
from boxship.spec.engine.container import HostConfig

PROPAGATIONS: Final = frozenset({"private", "rprivate", "slave", "rslave", "shared", "rshared"})
CONSISTENCIES: Final = frozenset({"consistent", "cached", "delegated", "default"})
RELABEL: Final = frozenset({"z", "Z"})
ACCESS: Final = frozenset({"ro", "rw"})
SUBPATH_ESCAPES: Final = re.compile(r"(^|/)\.\.(/|$)|^/")
DEFAULT_PROPAGATION: Final = "rprivate"
TMPFS_FLAGS: Final = ("nosuid", "nodev", "noexec")


def collect(
    host_config: HostConfig,
    image_volumes: Iterable[str],
    mounts_of: Callable[[str], Sequence[MountPoint]],
) -> tuple[MountPoint, ...]:
    """Return all that is to be attached; what comes later wins over an image's or another's.

    `mounts_of` returns the mounts of the container that `--volumes-from` names.
    """
    inherited: dict[str, MountPoint] = {}
    for word in host_config.volumes_from or ():
        for point in _from_container(word, mounts_of):
            inherited[point.destination] = point
    asked: dict[str, MountPoint] = {}
    driver = host_config.volume_driver or ""
    for point in (
        *(parse_bind(raw, driver) for raw in host_config.binds or ()),
        *(parse_mount(mount) for mount in host_config.mounts or ()),
        *(parse_tmpfs(path, words) for path, words in (host_config.tmpfs or {}).items()),
    ):
        if point.destination in asked:
            raise InvalidRequest(f"Duplicate mount point: {point.destination}")
        asked[point.destination] = point
    found = {**inherited, **asked}
    for path in image_volumes:
        at = clean_target(path)
        if at not in found:
            found[at] = MountPoint(
                type="volume", destination=at, driver=driver or "local", anonymous=True
            )
    return tuple(found.values())


def parse_bind(raw: str, volume_driver: str = "") -> MountPoint:
    """Read `-v`: `[SOURCE:]DESTINATION[:MODE]`."""
    words = raw.split(":")
    wrong = f"invalid volume specification: '{raw}'"
    kind = "bind" if words[0].startswith("/") and len(words) > 1 else "volume"
    if not words[0] or len(words) > 3 or (len(words) == 2 and is_mode(words[1])):
        raise InvalidRequest(wrong)
    source, target = ("", words[0]) if len(words) == 1 else (words[0], words[1])
    mode = words[2] if len(words) == 3 else ""
    if not is_mode(mode):
        raise InvalidRequest(f"invalid mode: {mode}")
    options = mode.split(",") if mode else []
    try:
        target = clean_target(target)
        if source.startswith("/"):
            return _bind(source, target, mode, options)
        if not PROPAGATIONS.isdisjoint(options):
            raise InvalidRequest("field BindOptions must not be specified")
    except InvalidRequest as reason:
        raise InvalidRequest(f'{wrong}: invalid mount config for type "{kind}": {reason}') from None
    return MountPoint(
        type="volume",
        destination=target,
        name=source,
        driver=volume_driver or ("local" if not source else ""),
        mode=mode or ("z" if source else ""),
        rw="ro" not in options,
        no_copy="nocopy" in options,
        anonymous=not source,
    )


def is_mode(mode: str) -> bool:
    """Whether this is what may stand after the last colon: each kind of word at most once."""
    counts: dict[str, int] = {}
    for word in mode.split(",") if mode else ():
        for kind, words in (
            ("access", ACCESS),
            ("relabel", RELABEL),
            ("propagation", PROPAGATIONS),
            ("consistency", CONSISTENCIES),
            ("copy", frozenset({"nocopy"})),
        ):
            if word in words:
                counts[kind] = counts.get(kind, 0) + 1
                break
        else:
            return False
    return all(count == 1 for count in counts.values())


def parse_mount(mount: Mount) -> MountPoint:
    """Read one `--mount`."""
    kind = mount.type or ""
    try:
        if not mount.target:
            raise InvalidRequest("field Target must not be empty")
        target = clean_target(mount.target)
        match kind:
            case "bind":
                return _mount_bind(mount, target)
            case "volume":
                return _mount_volume(mount, target)
            case "tmpfs":
                return _mount_tmpfs(mount, target)
            case "image":
                return _mount_image(mount, target)
            case _:
                raise InvalidRequest("mount type unknown")
    except InvalidRequest as reason:
        raise InvalidRequest(f'invalid mount config for type "{kind}": {reason}') from None


def parse_tmpfs(path: str, words: str) -> MountPoint:
    """Read one `--tmpfs`: a path and mount(8) options."""
    target = clean_target(path)
    options = tuple(word for word in words.split(",") if word)
    for word in options:
        if not re.fullmatch(r"[a-z_]+(=[\w:%.,-]+)?", word):
            raise InvalidRequest(f'invalid tmpfs option "{word}"')
    return MountPoint(
        type="tmpfs", destination=target, options=options, rw="ro" not in options, shown=False
    )


def clean_target(path: str) -> str:
    """Return a path inside the container in one spelling."""
    if not path.startswith("/"):
        raise InvalidRequest(f"invalid mount path: '{path}' mount path must be absolute")
    cleaned = "/" + posixpath.normpath(path).lstrip("/")
    if cleaned == "/":
        raise InvalidRequest("invalid specification: destination can't be '/'")
    return cleaned


def _bind(source: str, target: str, mode: str, options: Sequence[str]) -> MountPoint:
    given = next((word for word in options if word in PROPAGATIONS), "")
    if "nocopy" in options:
        raise InvalidRequest("field VolumeOptions must not be specified")
    return MountPoint(
        type="bind",
        destination=target,
        source=posixpath.normpath(source),
        mode=mode,
        rw="ro" not in options,
        propagation=given or DEFAULT_PROPAGATION,
        make_source=True,
    )


def _mount_bind(mount: Mount, target: str) -> MountPoint:
    _refuse_options(mount, "bind_options")
    if not mount.source:
        raise InvalidRequest("field Source must not be empty")
    if not mount.source.startswith("/"):
        raise InvalidRequest(f"invalid mount path: '{mount.source}' mount path must be absolute")
    options = mount.bind_options or MountBindOptions()
    if options.propagation and options.propagation not in PROPAGATIONS:
        raise InvalidRequest(f"invalid propagation mode: {options.propagation}")
    return MountPoint(
        type="bind",
        destination=target,
        source=posixpath.normpath(mount.source),
        rw=not mount.read_only,
        propagation=options.propagation or DEFAULT_PROPAGATION,
        make_source=bool(options.create_mountpoint),
        non_recursive=bool(options.non_recursive),
        readonly_non_recursive=bool(options.read_only_non_recursive),
        readonly_force_recursive=bool(options.read_only_force_recursive),
    )


def _mount_volume(mount: Mount, target: str) -> MountPoint:
    _refuse_options(mount, "volume_options")
    options = mount.volume_options
    driver = options.driver_config if options else None
    subpath = (options.subpath if options else None) or ""
    if SUBPATH_ESCAPES.search(subpath):
        raise InvalidRequest("subpath must be a relative path within the volume")
    if not mount.source and mount.read_only:
        raise InvalidRequest("must not set ReadOnly mode when using anonymous volumes")
    if not mount.source and subpath:
        raise InvalidRequest("must not set Subpath when using anonymous volumes")
    return MountPoint(
        type="volume",
        destination=target,
        name=mount.source or "",
        driver=(driver.name if driver else None) or ("" if mount.source else "local"),
        mode="z",
        rw=not mount.read_only,
        no_copy=bool(options and options.no_copy),
        subpath=subpath,
        anonymous=not mount.source,
    )


def _mount_tmpfs(mount: Mount, target: str) -> MountPoint:
    _refuse_options(mount, "tmpfs_options")
    if mount.source:
        raise InvalidRequest("field Source must not be specified")
    options: list[str] = []
    wanted = mount.tmpfs_options
    if wanted and (wanted.size_bytes or 0) < 0:
        raise InvalidRequest("invalid tmpfs size")
    if wanted and wanted.size_bytes:
        options.append(f"size={wanted.size_bytes}")
    if wanted and wanted.mode:
        options.append(f"mode={wanted.mode:o}")
    for pair in (wanted.options if wanted else None) or ():
        options.append("=".join(pair[:2]))
    if mount.read_only:
        options.append("ro")
    return MountPoint(
        type="tmpfs", destination=target, options=tuple(options), rw=not mount.read_only
    )


def _mount_image(mount: Mount, target: str) -> MountPoint:
    _refuse_options(mount, "image_options")
    if not mount.source:
        raise InvalidRequest("field Source must not be empty")
    subpath = (mount.image_options.subpath if mount.image_options else None) or ""
    if SUBPATH_ESCAPES.search(subpath):
        raise InvalidRequest("subpath must be a relative path within the image")
    return MountPoint(
        type="image", destination=target, source=mount.source, rw=False, subpath=subpath
    )


def _refuse_options(mount: Mount, allowed: str) -> None:
    names = {
        "bind_options": "BindOptions",
        "volume_options": "VolumeOptions",
        "tmpfs_options": "TmpfsOptions",
        "image_options": "ImageOptions",
    }
    for member, name in names.items():
        if member != allowed and getattr(mount, member) is not None:
            raise InvalidRequest(f"field {name} must not be specified")


def _from_container(
    word: str, mounts_of: Callable[[str], Sequence[MountPoint]]
) -> Iterable[MountPoint]:
    name, _, mode = word.partition(":")
    if not word:
        raise InvalidRequest("volumes-from specification cannot be an empty string")
    if not name:
        raise InvalidRequest(f"invalid volumes-from specification: '{word}'")
    if not is_mode(mode):
        raise InvalidRequest(f"invalid mode: {mode}")
    for point in mounts_of(name):
        if point.type in ("bind", "volume"):
            rw = point.rw and "ro" not in mode.split(",")
            # The volume belongs to the other container too, so it is nobody's to take along.
            yield replace(point, mode="", rw=rw, no_copy=True)


def volume_options(mount: Mount | None) -> tuple[Mapping[str, str], Mapping[str, str]]:
    """Return driver options and labels that a `--mount type=volume` gives a new volume."""
    options = mount.volume_options if mount else None
    driver = options.driver_config if options else None
    return (driver.options if driver else None) or {}, (options.labels if options else None) or {}
