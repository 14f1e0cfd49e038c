"""The encrypted secrets, with keys in dictionaries instead of a kernel and a desktop."""

from __future__ import annotations

import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from boxship.distribution.credentials import vault as vaults
from boxship.distribution.credentials.errors import (
    DamagedVault,
    InvalidCredentials,
    NoCredentials,
    NoKey,
    VaultBusy,
    WrongPassphrase,
)
from boxship.distribution.credentials.keys import SERVICE, Keys
from boxship.distribution.credentials.vault import Entry, Vault


class Kernel:
    """A kernel that keeps keys, or one that does not."""

    def __init__(self, *, works: bool = True) -> None:
        self.kept: dict[str, bytes] = {}
        self.works = works

    def read(self, name: str) -> bytes | None:
        if not self.works:
            raise PermissionError(1, "Operation not permitted")
        return self.kept.get(name)

    def write(self, name: str, secret: bytes, *, seconds: int = 0) -> None:
        if not self.works:
            raise PermissionError(1, "Operation not permitted")
        self.kept[name] = secret

    def forget(self, name: str) -> None:
        self.kept.pop(name, None)


class Desktop:
    """A desktop's keyring."""

    def __init__(self) -> None:
        self.kept: dict[tuple[str, str], str] = {}

    def get_password(self, service: str, name: str) -> str | None:
        return self.kept.get((service, name))

    def set_password(self, service: str, name: str, secret: str) -> None:
        self.kept[service, name] = secret

    def delete_password(self, service: str, name: str) -> None:
        del self.kept[service, name]


class Place:
    """A vault, and all around it that a test may change."""

    def __init__(self, path: Path) -> None:
        self.path = path / "boxship" / "credentials.json"
        self.kernel = Kernel()
        self.desktop: Desktop | None = None
        self.passphrase = "correct horse"
        self.asked = 0

    def ask(self, new: bool) -> str:
        self.asked += 1
        return self.passphrase

    def vault(self, **changes: Any) -> Vault:
        keys = Keys(self.kernel, self.desktop, self.ask, **changes)
        return Vault(str(self.path), keys)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


JOE = Entry("joe", "a secret: ü\n\0\u2028")


def test_what_was_put_is_found_by_another_process(place: Place) -> None:
    place.vault().put("localhost:5000", JOE)
    place.vault().put("https://index.docker.io/v1/", Entry("ann", "x"))
    assert place.vault().get("localhost:5000") == JOE
    assert sorted(place.vault().entries()) == ["https://index.docker.io/v1/", "localhost:5000"]


def test_the_file_tells_nothing_and_is_its_owners_only(place: Place) -> None:
    place.vault().put("secret.example:5000", JOE)
    text = place.path.read_text()
    assert "secret" not in text
    assert "joe" not in text
    assert place.path.stat().st_mode & 0o777 == 0o600
    assert place.path.parent.stat().st_mode & 0o777 == 0o700
    key = next(iter(place.kernel.kept.values()))
    assert key.hex() not in text


def test_what_is_erased_is_gone_and_cannot_be_erased_twice(place: Place) -> None:
    place.vault().put("a", JOE)
    place.vault().put("b", JOE)
    place.vault().erase("a")
    with pytest.raises(NoCredentials, match="credentials not found in native keychain"):
        place.vault().erase("a")
    with pytest.raises(NoCredentials):
        place.vault().get("a")
    assert place.vault().get("b") == JOE


def test_secrets_under_a_lost_key_are_gone_and_new_ones_can_be_kept(place: Place) -> None:
    """A restart of the machine empties the kernel's keyrings."""
    place.vault().put("a", JOE)
    place.kernel.kept.clear()
    with pytest.raises(NoCredentials):
        place.vault().get("a")
    place.vault().put("b", JOE)
    assert list(place.vault().entries()) == ["b"]


@pytest.mark.parametrize("at", ["nonce", "box"])
def test_a_changed_byte_is_noticed_and_nothing_is_overwritten(place: Place, at: str) -> None:
    place.vault().put("a", JOE)
    document = json.loads(place.path.read_text())
    first = "B" if document[at][0] == "A" else "A"
    document[at] = first + document[at][1:]
    place.path.write_text(json.dumps(document))
    before = place.path.read_bytes()
    with pytest.raises(DamagedVault, match="is damaged"):
        place.vault().get("a")
    with pytest.raises(DamagedVault):
        place.vault().put("b", JOE)
    assert place.path.read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b'{"version": 1}',
        b'{"version": 2, "key": {}}',
        b'{"version": 1, "key": {"kind": "kernel", "id": "../../../../x"}}',
        b'{"version": 1, "version": 1, "key": {}}',
        b'{"version": 1, "key": {"kind": "cloud", "id": "0123456789abcdef"}}',
        b"\0" * 100,
        b"[" * 100_000,
    ],
)
def test_any_nonsense_is_refused_by_name(place: Place, content: bytes) -> None:
    place.path.parent.mkdir()
    place.path.write_bytes(content)
    with pytest.raises((DamagedVault, NoKey)):
        place.vault().entries()
    assert place.path.read_bytes() == content


def test_a_folder_or_a_pipe_in_the_files_place_is_refused(place: Place) -> None:
    place.path.parent.mkdir()
    os.mkfifo(place.path)
    with pytest.raises(DamagedVault, match="it is no file"):
        place.vault().entries()


def test_entries_cannot_be_moved_to_another_key(place: Place) -> None:
    """What is written of the key is bound to the box, so parts of two files do not fit."""
    place.vault().put("a", JOE)
    document = json.loads(place.path.read_text())
    document["key"]["note"] = "added"
    place.path.write_text(json.dumps(document))
    with pytest.raises(DamagedVault):
        place.vault().get("a")


def test_a_passphrase_is_asked_once_and_then_remembered(place: Place) -> None:
    place.vault(wanted="passphrase").put("a", JOE)
    place.vault().get("a")
    place.vault().put("b", JOE)
    assert place.asked == 1
    place.kernel.kept.clear()  # as after some minutes
    assert place.vault().get("a") == JOE
    assert place.asked == 2


def test_a_wrong_passphrase_opens_nothing(place: Place) -> None:
    place.vault(wanted="passphrase", remembered=0).put("a", JOE)
    place.passphrase = "wrong"
    with pytest.raises(WrongPassphrase):
        place.vault(remembered=0).get("a")
    assert not place.kernel.kept


def test_costs_that_a_file_asks_for_are_bounded(place: Place) -> None:
    place.vault(wanted="passphrase", remembered=0).put("a", JOE)
    document = json.loads(place.path.read_text())
    document["key"]["n"] = 1 << 30
    place.path.write_text(json.dumps(document))
    with pytest.raises(NoKey):
        place.vault(remembered=0).get("a")


def test_without_a_kernels_keyring_a_passphrase_is_taken(place: Place) -> None:
    place.kernel.works = False
    place.vault().put("a", JOE)
    assert place.vault().kind() == "passphrase"
    assert place.vault().get("a") == JOE
    assert place.asked == 2


def test_where_nothing_keeps_a_key_nothing_is_written(place: Place) -> None:
    place.kernel.works = False

    def nobody(new: bool) -> str:
        raise NoKey("nobody can be asked for a passphrase")

    vault = Vault(str(place.path), Keys(place.kernel, None, nobody))
    with pytest.raises(NoKey, match=r"keeps no keys here.*nobody can be asked"):
        vault.put("a", JOE)
    assert not place.path.exists()


def test_a_desktops_keyring_comes_first(place: Place) -> None:
    place.desktop = Desktop()
    place.vault().put("a", JOE)
    assert place.vault().kind() == "desktop"
    assert [service for service, _ in place.desktop.kept] == [SERVICE]
    assert place.vault().get("a") == JOE
    place.desktop = None
    with pytest.raises(NoKey, match="desktop"):
        place.vault().get("a")


@pytest.mark.parametrize("kind", ["passphrase", "desktop", "kernel"])
def test_a_key_can_be_moved_and_the_old_one_is_forgotten(place: Place, kind: str) -> None:
    place.desktop = Desktop()
    place.vault(wanted="kernel", remembered=0).put("a", JOE)
    old = set(place.kernel.kept)
    place.vault(remembered=0).rekey(kind)
    assert place.vault().kind() == kind
    assert place.vault(remembered=0).get("a") == JOE
    assert not old & set(place.kernel.kept)


def test_a_place_for_keys_that_is_not_known_is_refused(place: Place) -> None:
    with pytest.raises(InvalidCredentials, match="not 'cloud'"):
        place.vault(wanted="cloud").put("a", JOE)


def test_writers_take_turns_and_lose_nothing(place: Place) -> None:
    place.vault().put("first", JOE)
    threads = [
        threading.Thread(target=lambda n=n: place.vault().put(f"host-{n}", JOE)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(place.vault().entries()) == 9


def test_a_lock_that_is_held_is_not_waited_for_for_ever(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    monkeypatch.setattr(vaults, "PATIENCE", 0.0)
    place.vault().put("a", JOE)
    held = os.open(f"{place.path}.lock", os.O_RDWR)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(VaultBusy, match="another process"):
            place.vault().put("b", JOE)
    finally:
        os.close(held)
    assert place.vault().get("a") == JOE


def test_a_link_in_the_files_place_stays_one(place: Place) -> None:
    place.path.parent.mkdir()
    elsewhere = place.path.with_name("elsewhere.json")
    place.path.symlink_to(elsewhere)
    place.vault().put("a", JOE)
    assert place.path.is_symlink()
    assert place.vault().get("a") == JOE
