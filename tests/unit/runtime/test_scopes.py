"""Scopes, asked for from a manager that only says what systemd's would."""

from __future__ import annotations

import os
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from boxship.container.defaults import Defaults, fill_host_config
from boxship.errors import InvalidRequest
from boxship.kernel import processes
from boxship.runtime.cgroups import bus, scopes
from boxship.runtime.cgroups.errors import CgroupUnavailable
from boxship.runtime.cgroups.layout import Hierarchy
from boxship.runtime.cgroups.v2 import V2Tree
from boxship.spec.engine.container import HostConfig
from boxship.spec.oci import runtime as oci
from boxship.wire import dbus


class Manager:
    """Answers calls; notes what was asked for."""

    def __init__(self, path: str, error: str = "") -> None:
        self.calls: list[tuple[str, tuple[Any, ...]]] = []
        self._error = error
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(path)
        self._listener.listen(4)
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            with connection:
                self._talk(connection)

    def _talk(self, connection: socket.socket) -> None:
        stream = connection.makefile("rb")
        said = stream.readline()
        assert said == b"\0AUTH EXTERNAL " + str(os.getuid()).encode().hex().encode() + b"\r\n"
        connection.sendall(b"OK 0123\r\n")
        assert stream.readline() == b"BEGIN\r\n"
        while head := stream.read(16):
            data = head + stream.read(dbus.length(head) - 16)
            reader = dbus._Reader(data, 12)
            fields = dict(reader.take("a(yv)"))
            reader.align(8)
            body = tuple(reader.take(kind) for kind in dbus.parts(fields[dbus.SIGNATURE]))
            self.calls.append((fields[dbus.MEMBER], body))
            connection.sendall(signal())  # which is nobody's answer
            connection.sendall(answer(struct.unpack_from("<I", data, 8)[0], self._error))


def answer(serial: int, error: str) -> bytes:
    kind, text = (dbus.ERROR, "it says no") if error else (dbus.RETURN, "/job/1")
    signature = "s" if error else "o"
    fields: list[Any] = [(dbus.REPLY_SERIAL, ("u", serial)), (dbus.SIGNATURE, ("g", signature))]
    if error:
        fields.append((dbus.ERROR_NAME, ("s", error)))
    return message(kind, fields, signature, text)


def signal() -> bytes:
    fields = [(dbus.MEMBER, ("s", "UnitNew")), (dbus.SIGNATURE, ("g", "s"))]
    return message(dbus.SIGNAL, fields, "s", "some.unit")


def message(kind: int, fields: list[Any], signature: str, value: str) -> bytes:
    body = dbus._Writer()
    body.put(signature, value)
    head = dbus._Writer(struct.pack("<BBBBII", ord("l"), kind, 0, 1, len(body.data), 9))
    head.put("a(yv)", fields)
    head.align(8)
    return bytes(head.data + body.data)


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[Manager]:
    made = Manager(str(tmp_path / "bus"))
    yield made
    made.close()


def test_limits_are_told_in_systemds_words(manager: Manager, tmp_path: Path) -> None:
    limits = oci.Resources(
        memory=oci.Memory(limit=1 << 26, swap=1 << 27, reservation=1 << 25),
        cpu=oci.CPU(quota=50_000, period=100_000, shares=512),
        pids=oci.Pids(limit=20),
    )
    with bus.connected(str(tmp_path / "bus")) as there:
        there.set_properties("boxship-1.scope", scopes.known(limits))
    ((member, (unit, runtime, properties)),) = manager.calls
    assert (member, unit, runtime) == ("SetUnitProperties", "boxship-1.scope", 1)
    assert dict(properties) == {
        "MemoryMax": 1 << 26,
        "MemorySwapMax": 1 << 26,
        "MemoryLow": 1 << 25,
        "TasksMax": 20,
        "CPUWeight": dict(properties)["CPUWeight"],
        "CPUQuotaPeriodUSec": 100_000,
        "CPUQuotaPerSecUSec": 500_000,
    }
    assert 1 <= dict(properties)["CPUWeight"] <= 10_000


def test_no_limit_is_infinity() -> None:
    limits = oci.Resources(memory=oci.Memory(limit=-1), cpu=oci.CPU(quota=-1, period=50_000))
    told = dict(scopes.known(limits))
    assert told["MemoryMax"] == told["CPUQuotaPerSecUSec"] == ("t", scopes.INFINITY)
    assert not list(scopes.known(oci.Resources()))


@pytest.mark.parametrize(
    ("path", "unit"),
    [
        ("system.slice:boxship:abc", ("system.slice", "boxship-abc.scope")),
        (":boxship:abc", ("system.slice", "boxship-abc.scope")),
        ("a.slice::abc", ("a.slice", "abc.scope")),
        ("a.slice:x:b.slice", None),
        ("/boxship/abc", None),
        ("a:b/c:d", None),
    ],
)
def test_which_paths_are_systemds(path: str, unit: tuple[str, str] | None) -> None:
    assert scopes.unit_of(path) == unit


def test_a_scope_that_is_never_made_leaves_nothing(
    manager: Manager, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scopes, "MADE_WITHIN", 0.05)
    tree = scopes.ScopeTree(
        V2Tree(Hierarchy(str(tmp_path), "", frozenset(), True)), str(tmp_path / "bus")
    )
    with pytest.raises(CgroupUnavailable, match=r"did not make boxship-abc\.scope"):
        tree.create("system.slice:boxship:abc")
    ((member, (unit, mode, properties, _)),) = manager.calls
    assert (member, unit, mode) == ("StartTransientUnit", "boxship-abc.scope", "fail")
    told = dict(properties)
    assert (told["Slice"], told["Delegate"]) == ("system.slice", 1)
    (holder,) = told["PIDs"]
    assert not processes.is_alive(holder)


def test_what_systemd_refuses_is_told(tmp_path: Path) -> None:
    made = Manager(str(tmp_path / "bus"), "org.freedesktop.systemd1.UnitExists")
    try:
        with (
            pytest.raises(bus.Refused, match="it says no") as caught,
            bus.connected(str(tmp_path / "bus")) as there,
        ):
            there.start_scope("x.scope", [])
        assert caught.value.name == "org.freedesktop.systemd1.UnitExists"
    finally:
        made.close()


def test_nobody_there_is_told(tmp_path: Path) -> None:
    with (
        pytest.raises(CgroupUnavailable, match=r"systemd cannot be asked: .*: no such file"),
        bus.connected(str(tmp_path / "absent")),
    ):
        pass


def test_a_container_of_systemds_may_only_name_a_slice() -> None:
    by_systemd = Defaults(cgroup_parent="system.slice")
    fill_host_config(HostConfig(cgroup_parent="other.slice"), by_systemd)
    fill_host_config(HostConfig(cgroup_parent="/other"), Defaults())
    with pytest.raises(InvalidRequest, match="should be a valid slice"):
        fill_host_config(HostConfig(cgroup_parent="/other"), by_systemd)
