"""What `-v`, `--mount`, `--tmpfs`, `--volumes-from` and VOLUME say, and what they cannot."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from boxship.container.mountpoints import (
    clean_target,
    collect,
    is_mode,
    parse_bind,
    parse_mount,
    parse_tmpfs,
)
from boxship.container.record import MountPoint
from boxship.errors import InvalidRequest
from boxship.spec.engine.common import (
    Mount,
    MountBindOptions,
    MountImageOptions,
    MountTmpfsOptions,
    MountVolumeOptions,
)
from boxship.spec.engine.container import HostConfig


@pytest.mark.parametrize(
    ("raw", "wanted"),
    [
        ("/data", {"type": "volume", "destination": "/data", "anonymous": True, "name": ""}),
        ("name:/data", {"type": "volume", "name": "name", "rw": True, "mode": "z"}),
        ("name:/data:ro", {"type": "volume", "name": "name", "rw": False, "mode": "ro"}),
        ("name:/data:nocopy", {"no_copy": True, "rw": True}),
        ("/h:/data", {"type": "bind", "source": "/h", "propagation": "rprivate"}),
        ("/h/../x//y/:/data/", {"source": "/x/y", "destination": "/data"}),
        ("/h:/data:ro", {"rw": False, "make_source": True}),
        ("/h:/data:rw,rslave,z", {"rw": True, "propagation": "rslave"}),
        ("/h:/data:shared", {"propagation": "shared"}),
        ("/h:/a/./b/../c", {"destination": "/a/c"}),
        ("/h://data", {"destination": "/data"}),
    ],
)
def test_binds(raw: str, wanted: dict[str, Any]) -> None:
    point = parse_bind(raw)
    assert {name: getattr(point, name) for name in wanted} == wanted


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        ("", "invalid volume specification: ''"),
        (":/data", "invalid volume specification: ':/data'"),
        ("/a:/b:ro:x", "invalid volume specification"),
        ("/a:ro", "invalid volume specification: '/a:ro'"),
        ("/a:b", "invalid mount path: 'b' mount path must be absolute"),
        ("/a:/", "destination can't be '/'"),
        ("/a:/..", "destination can't be '/'"),
        ("name:/", "destination can't be '/'"),
        ("/a:/b:sideways", "invalid mode: sideways"),
        ("/a:/b:ro,rw", "invalid mode: ro,rw"),
        ("/a:/b:private,shared", "invalid mode: private,shared"),
        ("/a:/b:nocopy", 'mount config for type "bind": field VolumeOptions must not be specified'),
        ("a:/b:shared", 'mount config for type "volume": field BindOptions must not be specified'),
    ],
)
def test_binds_that_make_no_sense(raw: str, said: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_bind(raw)
    assert said in str(refusal.value)


@pytest.mark.parametrize(
    ("mode", "known"),
    [
        ("", True),
        ("ro", True),
        ("rw,z,rshared,nocopy,cached", True),
        ("z,Z", False),
        ("ro,ro", False),
        ("ro,", False),
        ("RO", False),
        ("consistent,delegated", False),
    ],
)
def test_modes(mode: str, known: bool) -> None:
    assert is_mode(mode) is known


@pytest.mark.parametrize(
    ("mount", "wanted"),
    [
        (
            Mount(type="bind", source="/h/", target="/t", read_only=True),
            {"source": "/h", "rw": False, "make_source": False, "propagation": "rprivate"},
        ),
        (
            Mount(
                type="bind", source="/h", target="/t",
                bind_options=MountBindOptions(
                    propagation="rslave", non_recursive=True, create_mountpoint=True
                ),
            ),
            {"propagation": "rslave", "non_recursive": True, "make_source": True},
        ),
        (
            Mount(type="volume", source="v", target="/t", volume_options=MountVolumeOptions(
                no_copy=True, subpath="a/b"
            )),
            {"name": "v", "no_copy": True, "subpath": "a/b", "anonymous": False, "driver": ""},
        ),
        (Mount(type="volume", target="/t"), {"anonymous": True, "driver": "local"}),
        (
            Mount(type="tmpfs", target="/t", tmpfs_options=MountTmpfsOptions(
                size_bytes=4096, mode=0o1777, options=[["uid", "5"], ["noexec"]]
            )),
            {"options": ("size=4096", "mode=1777", "uid=5", "noexec"), "rw": True},
        ),
        (Mount(type="tmpfs", target="/t", read_only=True), {"options": ("ro",), "rw": False}),
        (
            Mount(type="image", source="i:1", target="/t", image_options=MountImageOptions(
                subpath="etc"
            )),
            {"source": "i:1", "rw": False, "subpath": "etc"},
        ),
    ],
)  # fmt: skip
def test_mounts(mount: Mount, wanted: dict[str, Any]) -> None:
    point = parse_mount(mount)
    assert point.destination == "/t"
    assert {name: getattr(point, name) for name in wanted} == wanted


VOLUME, BIND = MountVolumeOptions(), MountBindOptions()


@pytest.mark.parametrize(
    ("mount", "said"),
    [
        (Mount(type="bind", source="/h"), "field Target must not be empty"),
        (Mount(type="bind", target="/t"), "field Source must not be empty"),
        (Mount(type="bind", source="h", target="/t"), "mount path must be absolute"),
        (Mount(type="bind", source="/h", target="t"), "mount path must be absolute"),
        (Mount(type="bind", source="/h", target="/"), "destination can't be '/'"),
        (Mount(type="cluster", target="/t"), "mount type unknown"),
        (Mount(target="/t"), "mount type unknown"),
        (
            Mount(type="bind", source="/h", target="/t", volume_options=VOLUME),
            "field VolumeOptions must not be specified",
        ),
        (
            Mount(type="volume", target="/t", bind_options=BIND),
            "field BindOptions must not be specified",
        ),
        (
            Mount(type="bind", source="/h", target="/t",
                  bind_options=MountBindOptions(propagation="inward")),
            "invalid propagation mode: inward",
        ),
        (Mount(type="volume", target="/t", read_only=True), "must not set ReadOnly mode"),
        (Mount(type="tmpfs", source="x", target="/t"), "field Source must not be specified"),
        (
            Mount(type="tmpfs", target="/t", tmpfs_options=MountTmpfsOptions(size_bytes=-1)),
            "invalid tmpfs size",
        ),
        (Mount(type="image", target="/t"), "field Source must not be empty"),
    ],
)  # fmt: skip
def test_mounts_that_make_no_sense(mount: Mount, said: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        parse_mount(mount)
    assert f'invalid mount config for type "{mount.type or ""}": ' in str(refusal.value)
    assert said in str(refusal.value)


@pytest.mark.parametrize("subpath", ["..", "../x", "a/../../x", "a/..", "/etc", "a/../b"])
def test_subpaths_stay_in_what_they_are_part_of(subpath: str) -> None:
    """SEC-35."""
    for mount in (
        Mount(type="volume", source="v", target="/t",
              volume_options=MountVolumeOptions(subpath=subpath)),
        Mount(type="image", source="i", target="/t",
              image_options=MountImageOptions(subpath=subpath)),
    ):  # fmt: skip
        with pytest.raises(InvalidRequest, match="subpath must be a relative path within the"):
            parse_mount(mount)


def test_tmpfs_words() -> None:
    assert parse_tmpfs("/t", "size=1m,mode=1777,ro").options == ("size=1m", "mode=1777", "ro")
    assert not parse_tmpfs("/t", "ro").rw
    assert not parse_tmpfs("/t", "").shown
    for wrong in ("size=1m;x", "a b", "size=$(id)", "=x"):
        with pytest.raises(InvalidRequest, match="invalid tmpfs option"):
            parse_tmpfs("/t", wrong)


@pytest.mark.parametrize("path", ["relative", "", "./x", "..", "/", "/.", "/a/..", "//"])
def test_targets_are_absolute_and_not_the_root(path: str) -> None:
    with pytest.raises(InvalidRequest):
        clean_target(path)


# ---- all of them together

OTHER = (
    MountPoint(type="bind", destination="/b", source="/h"),
    MountPoint(type="volume", destination="/v", name="vol", mode="z"),
    MountPoint(type="tmpfs", destination="/t"),
)


def collected(host: HostConfig, *volumes: str) -> dict[str, MountPoint]:
    def mounts_of(name: str) -> Sequence[MountPoint]:
        assert name == "other"
        return OTHER

    return {point.destination: point for point in collect(host, volumes, mounts_of)}


def test_what_is_asked_for_wins_over_the_image_and_over_others() -> None:
    host = HostConfig(binds=["/mine:/b", "named:/w"], volumes_from=["other"])
    found = collected(host, "/b", "/v", "/w", "/new")
    assert found["/b"].source == "/mine"
    assert found["/v"].name == "vol"
    assert found["/w"].name == "named"
    assert found["/new"].anonymous
    assert "/t" not in found


def test_what_comes_from_another_belongs_to_it_and_may_be_read_only() -> None:
    found = collected(HostConfig(volumes_from=["other:ro"]))
    assert not found["/b"].rw
    assert not found["/v"].rw
    assert found["/v"].no_copy
    assert collected(HostConfig(volumes_from=["other"]))["/v"].rw
    for wrong, said in (
        ("", "volumes-from specification cannot be an empty string"),
        (":ro", "invalid volumes-from specification: ':ro'"),
        ("other:sideways", "invalid mode: sideways"),
    ):
        with pytest.raises(InvalidRequest, match=said):
            collected(HostConfig(volumes_from=[wrong]))


def test_how_another_mounts_its_volume_is_not_said_of_this_one() -> None:
    assert collected(HostConfig(volumes_from=["other:ro"]))["/v"].mode == ""


@pytest.mark.parametrize(
    "host",
    [
        HostConfig(binds=["/a:/x", "b:/x/"]),
        HostConfig(binds=["/a:/x"], tmpfs={"/x": ""}),
        HostConfig(binds=["/x"], mounts=[Mount(type="tmpfs", target="/y/../x")]),
    ],
)
def test_two_for_one_place_are_refused(host: HostConfig) -> None:
    with pytest.raises(InvalidRequest, match="Duplicate mount point: /x"):
        collected(host)


def test_a_volume_driver_counts_for_volumes_without_one() -> None:
    found = collected(HostConfig(volume_driver="nfs", binds=["named:/n", "/anon"]), "/image")
    assert {found[path].driver for path in ("/n", "/anon", "/image")} == {"nfs"}
