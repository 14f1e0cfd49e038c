"""Devices that a host offers by name: which files count, and what they change in a bundle."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from boxship.errors import InvalidRequest, NotSupported
from boxship.runtime.cdi import Devices
from boxship.spec.oci import runtime as oci


def write(folder: Path, name: str, *devices: str, **more: Any) -> None:
    document = {
        "cdiVersion": "0.6.0",
        "kind": "vendor.com/thing",
        "devices": [{"name": one, "containerEdits": {"env": [f"ONE={one}"]}} for one in devices],
        **more,
    }
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(json.dumps(document))


def bundle() -> oci.Spec:
    return oci.Spec(
        process=oci.Process(args=["true"], cwd="/", env=["PATH=/bin", "ONE=none"]),
        mounts=[oci.Mount(destination="/lib/thing", type="bind", source="/old", options=[])],
        linux=oci.Linux(),
    )


def test_devices_come_from_all_folders_and_later_ones_count(tmp_path: Path) -> None:
    early, late = tmp_path / "etc", tmp_path / "run"
    write(early, "a.json", "1", "2")
    write(late, "b.json", "2", annotations={"from": "late"})
    write(late, "c.json", "3")
    write(late, "d.json", "3")
    (late / "no.txt").write_text("not of ours")
    found = Devices([str(early), str(tmp_path / "none"), str(late)]).all()
    assert list(found) == ["vendor.com/thing=1", "vendor.com/thing=2"]
    assert found["vendor.com/thing=2"].annotations == {"from": "late"}


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cdiVersion": "0.6.0", "kind": "nothing", "devices": [{"name": "x"}]}',
        '{"cdiVersion": "0.6.0", "kind": "a.b/c", "devices": [{"name": "/x"}]}',
        '{"cdiVersion": "", "kind": "a.b/c", "devices": [{"name": "x"}]}',
    ],
)
def test_a_file_that_makes_no_sense_offers_nothing(tmp_path: Path, text: str) -> None:
    write(tmp_path / "d", "good.json", "x")
    (tmp_path / "d" / "bad.json").write_text(text)
    (tmp_path / "d" / "bad.yaml").write_text("a: [")
    assert list(Devices([str(tmp_path / "d")]).all()) == ["vendor.com/thing=x"]


def test_a_yaml_file_is_read_like_json(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text(
        "cdiVersion: 0.6.0\nkind: a.b/c\ndevices:\n- name: x\n  containerEdits:\n    env: [A=1]\n"
    )
    assert Devices([str(tmp_path)]).all()["a.b/c=x"].edits[1].env == ["A=1"]


def test_a_device_changes_environment_nodes_mounts_groups_and_hooks(tmp_path: Path) -> None:
    edits = {
        "env": ["ALL=yes"],
        "deviceNodes": [
            {"path": "/dev/thing", "type": "c", "major": 1, "minor": 5, "permissions": "r"},
            {"path": "/dev/other", "hostPath": "/dev/null"},
        ],
        "mounts": [{"hostPath": "/host/lib", "containerPath": "/lib/thing", "options": ["ro"]}],
        "hooks": [{"hookName": "createContainer", "path": "/bin/hook", "args": ["hook", "x"]}],
        "additionalGids": [0, 44],
    }
    write(tmp_path, "a.json", "1", "2", containerEdits=edits)
    spec = bundle()
    Devices([str(tmp_path)]).add(spec, ["vendor.com/thing=1", "vendor.com/thing=2"])
    assert spec.process is not None
    assert spec.linux is not None
    assert spec.process.env == ["PATH=/bin", "ALL=yes", "ONE=2"]
    nodes = [(one.path, one.type, one.major, one.minor) for one in spec.linux.devices]
    assert nodes == [("/dev/thing", "c", 1, 5), ("/dev/other", "c", 1, 3)]
    assert spec.linux.resources is not None
    assert [one.access for one in spec.linux.resources.devices] == ["r", "rwm"]
    assert [(one.source, one.options) for one in spec.mounts] == [("/host/lib", ["ro"])]
    assert spec.process.user.additional_gids == [44]
    assert spec.hooks is not None
    assert [one.path for one in spec.hooks.create_container] == ["/bin/hook"]


@pytest.mark.parametrize(
    ("edits", "error"),
    [
        ({"deviceNodes": [{"path": "/dev/no-such-node"}]}, InvalidRequest),
        ({"deviceNodes": [{"path": "/etc"}]}, InvalidRequest),
        ({"hooks": [{"hookName": "sometimes", "path": "/x"}]}, InvalidRequest),
        ({"netDevices": [{"hostInterfaceName": "a", "name": "b"}]}, NotSupported),
    ],
)
def test_what_cannot_be_done_is_refused(
    tmp_path: Path, edits: dict[str, Any], error: type[Exception]
) -> None:
    write(tmp_path, "a.json", "1", containerEdits=edits)
    with pytest.raises(error):
        Devices([str(tmp_path)]).add(bundle(), ["vendor.com/thing=1"])
    with pytest.raises(InvalidRequest, match=r"unresolvable CDI devices vendor.com/thing=9"):
        Devices([str(tmp_path)]).add(bundle(), ["vendor.com/thing=9"])
