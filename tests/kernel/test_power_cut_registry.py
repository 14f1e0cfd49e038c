"""The power goes while a registry is pushed to, and while secrets are kept."""

from __future__ import annotations

import json
import random
import shutil
from pathlib import Path

import pytest
from tests.support.blocklog import Disk
from tests.support.power import CUTS, Diary, History, allowed, cut_at_random, names
from tests.support.registry_server import OCI_MANIFEST, manifest

from boxship.distribution.credentials.errors import NoCredentials
from boxship.distribution.credentials.keys import Keys
from boxship.distribution.credentials.vault import Entry, Vault
from boxship.registry.errors import BlobUnknown, ManifestUnknown
from boxship.registry.names import Digest, Name, Tag
from boxship.registry.service import Policy, Service
from boxship.registry.storage.filesystem import Filesystem

pytestmark = pytest.mark.root
NAME = Name("team/app")


def blob(tag: str) -> bytes:
    return random.Random(tag).randbytes(90_000)


def config(tag: str) -> bytes:
    return json.dumps({"architecture": "amd64", "os": "linux", "tag": tag}).encode()


def document(tag: str) -> bytes:
    return json.dumps(manifest(config(tag), [blob("shared"), blob(tag)])).encode()


def push_blob(service: Service, data: bytes) -> None:
    """Send a blob in three pieces."""
    upload = service.uploads.begin(NAME)
    for at in range(0, len(data), 40_000):
        upload.append([data[at : at + 40_000]])
    service.uploads.finish(upload, Digest.of(data))


def push(service: Service, tag: str, diary: Diary | None = None) -> None:
    for data in (blob("shared"), blob(tag), config(tag)):
        if diary is None:
            push_blob(service, data)
        else:
            with diary.noting(str(Digest.of(data))):
                push_blob(service, data)
    if diary is None:
        service.manifests.put(NAME, Tag(tag), document(tag), OCI_MANIFEST)
        return
    with diary.noting(f"tag {tag}"), diary.noting(str(Digest.of(document(tag)))):
        service.manifests.put(NAME, Tag(tag), document(tag), OCI_MANIFEST)


def pushed(disk: Disk) -> History:
    service, diary = Service(Filesystem(str(disk.mounted / "root")), Policy()), Diary(disk.position)
    for tag in ("1", "2", "3"):
        push(service, tag, diary)
    with diary.noting("tag 1", there=False):
        service.manifests.untag(NAME, Tag("1"))
    with (
        diary.noting("tag 2", there=False),
        diary.noting(str(Digest.of(document("2"))), there=False),
    ):
        service.manifests.remove(NAME, Digest.of(document("2")))
    return diary.done


def served(point: Path, at: int, history: History) -> None:
    service = Service(Filesystem(str(point / "root")), Policy())
    blobs = {str(Digest.of(data)): data for tag in "123" for data in (config(tag), blob(tag))}
    blobs[str(Digest.of(blob("shared")))] = blob("shared")
    for name in names(history):
        there = is_there(service, name, blobs)
        assert there in allowed(name, at, history), f"{name}: {there}, power cut at {at}"
    for tag in "123":
        push(service, tag)
        assert service.manifests.get(NAME, Tag(tag)).data == document(tag)
    for name, data in blobs.items():
        assert is_there(service, name, {name: data})


def is_there(service: Service, name: str, blobs: dict[str, bytes]) -> bool:
    """Whether the registry gives out what has a name; and then it is whole."""
    try:
        if name.startswith("tag "):
            tag = name.removeprefix("tag ")
            assert service.manifests.get(NAME, Tag(tag)).data == document(tag)
        elif name in blobs:
            content = service.blobs.open(NAME, Digest.parse(name))
            try:
                assert content.read(0, 1 << 20) == blobs[name]
            finally:
                content.close()
        else:
            service.manifests.get(NAME, Digest.parse(name))
    except (BlobUnknown, ManifestUnknown):
        return False
    return True


@CUTS
def test_a_power_cut_leaves_what_was_pushed_whole_or_absent(
    tmp_path: Path, many: int, seed: int
) -> None:
    """R2.2: an answer to a push means that it is durable; and what was cut off is pushed again."""
    cut_at_random(tmp_path, many, seed, pushed, served)


class Kernel:
    """What keeps keys, beside the disk whose power goes."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def read(self, name: str) -> bytes | None:
        return self.path.read_bytes() if self.path.exists() else None

    def write(self, name: str, secret: bytes, *, seconds: int = 0) -> None:
        self.path.write_bytes(secret)

    def forget(self, name: str) -> None:
        self.path.unlink()


def vault(folder: Path, key: Path) -> Vault:
    def ask(new: bool) -> str:
        return "correct horse"

    keys = Keys(Kernel(key), None, ask)
    return Vault(str(folder / "boxship" / "credentials.json"), keys)


def kept(disk: Disk) -> History:
    own, diary = vault(disk.mounted, disk.folder / "key"), Diary(disk.position)
    for name in ("a", "b", "c"):
        with diary.noting(name):
            own.put(name, Entry(name, f"secret of {name}" * 500))
    with diary.noting("b", there=False):
        own.erase("b")
    return diary.done


def opened(point: Path, at: int, history: History) -> None:
    key = Path(shutil.copy(point.parent / "key", point / "key"))
    own = vault(point, key)
    for name in names(history):
        try:
            there = own.get(name) == Entry(name, f"secret of {name}" * 500)
            assert there
        except NoCredentials:
            there = False
        assert there in allowed(name, at, history), f"{name}: {there}, power cut at {at}"
    own.put("d", Entry("d", "new"))
    assert vault(point, key).get("d").secret == "new"


@CUTS
def test_a_power_cut_leaves_all_secrets_or_those_before(
    tmp_path: Path, many: int, seed: int
) -> None:
    """R2.2: what is said to be kept is kept, and the file can always be read."""
    cut_at_random(tmp_path, many, seed, kept, opened)
