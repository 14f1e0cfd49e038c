"""What goes when the cache is pruned; keys; the cache inside an image; addresses refused."""

from __future__ import annotations

import asyncio
import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from boxship.build.cache.cache import Cache, Keep, chosen, selection
from boxship.build.cache.folders import Folders
from boxship.build.cache.record import Kind, Layer, Usage
from boxship.build.cache.records import Records
from boxship.build.errors import Outside
from boxship.build.export import documents, provenance
from boxship.build.export.layers import Packed
from boxship.build.ops import Action, Bind, Copy, Exec, Files, Ref, Source, Vertex
from boxship.build.solver import keys
from boxship.build.sources import reach
from boxship.errors import InvalidRequest
from boxship.lib.urls import without_login
from boxship.snapshot.driver import ChainId
from boxship.spec.digest import Digest
from boxship.spec.oci.image import Descriptor, History, ImageConfig
from boxship.store.database import Database

NOW = 1_000_000_000_000


def usage(id: str, size: int, used: int, *, parents: tuple[str, ...] = (), **more: object) -> Usage:
    facts = {"shared": False, "in_use": False, "mutable": False, "kind": Kind.REGULAR, **more}
    return Usage(
        id=id,
        parents=parents,
        description=id,
        created=0,
        used=used,
        uses=1,
        size=size,
        **facts,  # type: ignore[arg-type]
    )


EVERY = [
    usage("base", 10, 1),
    usage("child", 20, 2, parents=("base",)),
    usage("cache", 30, 3, kind=Kind.CACHE_MOUNT, mutable=True),
    usage("busy", 40, 4, in_use=True),
    usage("image", 50, 5, shared=True),
]


@pytest.mark.parametrize(
    ("filters", "rule", "expected"),
    [
        ({}, Keep(), ["cache", "child", "base"]),
        ({}, Keep(everything=True), ["cache", "child", "base", "image"]),
        ({}, Keep(most=75), ["child", "base"]),
        ({}, Keep(reserved=80), ["child"]),
        ({"type": ["exec.cachemount"]}, Keep(), ["cache"]),
        ({"id": ["ba"]}, Keep(), []),
        ({}, Keep(unused_for=NOW - 2), ["child", "base"]),
    ],
)
def test_what_goes(filters: dict[str, list[str]], rule: Keep, expected: list[str]) -> None:
    gone = [one.id for one in chosen(EVERY, filters, rule, NOW, 0)]
    assert sorted(gone) == sorted(expected)
    if {"child", "base"} <= set(gone):
        assert gone.index("child") < gone.index("base")


def test_the_cache_is_pruned_while_builds_add_to_it(tmp_path: Path) -> None:
    records = Records(Database(str(tmp_path / "db")), lambda: 1)
    images: Any = SimpleNamespace(chains=set, collect=lambda: None)
    folders = Folders(str(tmp_path / "f"), records, lambda: 1)
    cache = Cache(records, folders, images, "/", lambda: 1)
    done = threading.Event()

    def build() -> None:
        for number in range(2_000):
            chain = ChainId(Digest.of(b"%d" % number))
            with records.turn:
                records.layers[chain] = Layer(chain, None, "", 1, 1, size=1)
        done.set()

    async def prune() -> None:
        while not done.is_set():
            await cache.prune({}, keep=1 << 40)

    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        builder = threading.Thread(target=build)
        builder.start()
        asyncio.run(prune())
        builder.join()
    finally:
        sys.setswitchinterval(usual)
        done.set()
    assert len(records.layers) == 2_000


def test_filters_nobody_knows_are_refused() -> None:
    with pytest.raises(InvalidRequest, match="invalid filter"):
        selection({"colour": ["red"]}, NOW)
    with pytest.raises(InvalidRequest, match="invalid time"):
        selection({"until": ["soon"]}, NOW)
    assert selection({"until": ["1ns"]}, NOW)(EVERY[0])
    assert not selection({"until": ["1h"]}, NOW)(EVERY[0])


def test_only_the_content_of_what_is_copied_counts() -> None:
    base, context = (Ref(Vertex(Source(name))) for name in ("docker-image://a", "local://b"))
    step = Vertex(Files((Action(Copy("/x", "/y"), 0, 1, 0),)), (base, context))
    assert list(keys.meaning(step).taken) == [1]
    mounts = (Bind("/", 0, output=0), Bind("/m", 1, readonly=True))
    step = Vertex(Exec(("a",), mounts=mounts), (base, context))
    assert list(keys.meaning(step).taken) == [1]
    mounts = (Bind("/", 0, output=0), Bind("/m", 1))
    step = Vertex(Exec(("a",), mounts=mounts), (base, context))
    assert list(keys.meaning(step).taken) == []


def test_proxies_are_not_part_of_a_key_and_everything_else_is() -> None:
    def key(**more: object) -> str:
        return keys.key(keys.meaning(Vertex(Exec(("a",), **more))), [])  # type: ignore[arg-type]

    assert key(proxies=(("http_proxy", "x"),)) == key()
    assert len({key(), key(env=("A=1",)), key(cwd="/x"), key(user="u"), key(hostname="h")}) == 5


def test_the_times_of_a_history_are_those_of_its_layers() -> None:
    def layer(created: int) -> Packed:
        digest = Digest.of(str(created).encode())
        about = Descriptor(media_type="x", digest=digest, size=1)
        return Packed(about, digest, ChainId(digest), created * 1_000_000_000)

    asked = ImageConfig(
        history=[
            History(created="1970-01-01T00:00:01Z", created_by="base"),
            History(created_by="ENV", empty_layer=True),
            History(created_by="RUN"),
            History(created_by="CMD", empty_layer=True),
        ]
    )
    made = documents.config(asked, [layer(0), layer(5)], None, 9_000_000_000)
    assert made.history is not None
    assert [line.created for line in made.history] == [
        "1970-01-01T00:00:01Z",
        *["1970-01-01T00:00:05Z"] * 3,
    ]
    assert made.created == "1970-01-01T00:00:05Z"
    dated = documents.config(asked, [layer(0), layer(5)], 7, 9_000_000_000)
    assert dated.history is not None
    assert {line.created for line in dated.history[1:]} == {"1970-01-01T00:00:07Z"}


@pytest.mark.parametrize(
    "address",
    [
        *("169.254.169.254", "fe80::1", "::ffff:169.254.169.254"),
        *("0.0.0.0", "fd00:ec2::254", "224.0.0.1"),
    ],
)
def test_addresses_that_tell_secrets_are_refused(address: str) -> None:
    with pytest.raises(Outside):
        reach.check(address)
    reach.check("127.0.0.1")
    reach.check("192.0.2.1")


def test_provenance_is_without_what_logs_in() -> None:
    assert without_login("https://me:pw@host/x") == "https://host/x"
    assert provenance._shown("NPM_TOKEN", "abc") == "xxxxx"
    assert provenance._shown("VERSION", "abc") == "abc"
