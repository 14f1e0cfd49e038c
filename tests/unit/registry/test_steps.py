"""What takes several steps is run with each step failing in turn: what is left is whole."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from boxship.registry.check import Checker
from boxship.registry.collect import Collector
from boxship.registry.errors import ManifestUnknown, StorageUnavailable
from boxship.registry.names import Digest, Name, Tag
from boxship.registry.service import Policy, Service
from boxship.registry.storage.memory import Memory

NAME, TAG = Name("a/b"), Tag("v1")
OCI = "application/vnd.oci.image.manifest.v1+json"


class Failing(Memory):
    """A storage whose Nth change fails, before it or after it is done."""

    def __init__(self, spool: str) -> None:
        super().__init__(spool)
        self.left: int | None = None
        self.after = False

    def _step(self, change: Callable[[], None]) -> None:
        if self.left is None:
            change()
            return
        self.left -= 1
        if self.left > 0:
            change()
            return
        if self.after:
            change()
        raise StorageUnavailable("the disk is full")

    def write(self, key: str, data: bytes) -> None:
        self._step(lambda: Memory.write(self, key, data))

    def delete(self, key: str) -> None:
        self._step(lambda: Memory.delete(self, key))


def push(service: Service, content: bytes, **more: object) -> Digest:
    upload = service.uploads.begin(NAME)
    upload.append([content])
    digest = Digest.of(content)
    service.uploads.finish(upload, digest)
    config = {"mediaType": "a/b", "digest": digest, "size": len(content)}
    document = {"schemaVersion": 2, "mediaType": OCI, "config": config, "layers": [], **more}
    return service.manifests.put(NAME, TAG, json.dumps(document).encode(), OCI).digest


def problems(service: Service) -> list[str]:
    return [found.sentence for found in Checker(service, lambda name: False).run()]


def remove(service: Service) -> None:
    service.manifests.remove(NAME, service.manifests.resolve(NAME, TAG))


def collect(service: Service) -> None:
    service.now = lambda: 1e12
    collector = Collector(service)
    list(collector.carry_out(collector.plan(10.0, untagged=True)))


ACTIONS: dict[str, Callable[[Service], object]] = {
    "push": lambda service: push(
        service, b"new", subject={"mediaType": OCI, "digest": Digest.of(b"s"), "size": 1}
    ),
    "untag": lambda service: service.manifests.untag(NAME, TAG),
    "remove": remove,
    "collect": collect,
}


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("action", sorted(ACTIONS))
def test_each_step_may_fail(tmp_path: Path, action: str, after: bool) -> None:
    number = 0
    while True:
        number += 1
        storage = Failing(str(tmp_path / str(number)))
        service = Service(storage, Policy(delete=True))
        push(service, b"unused")
        old = push(service, b"old")
        storage.left, storage.after = number, after
        try:
            ACTIONS[action](service)
        except StorageUnavailable:
            pass
        else:
            break
        storage.left = None
        assert problems(service) == []
        try:
            found = service.manifests.get(NAME, TAG).digest
        except ManifestUnknown:
            assert action in ("untag", "remove")
        else:
            assert action == "push" or found == old
        if action in ("push", "collect"):
            ACTIONS[action](service)  # the next try succeeds
            assert problems(service) == []
            assert service.manifests.get(NAME, TAG)
        assert number < 50
    assert number > 1
