"""A client's folder has an index: what has not changed is not looked at again, nor copied."""

from __future__ import annotations

import errno
import os
import stat
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest
from tests.support.pouring import USUAL, Stores

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Records
from boxship.build.digests import Digests, hash_file
from boxship.build.files.kept import KeptContext, KeptFolder, KeptNode, Receiving
from boxship.build.files.tree import Node, Tree
from boxship.build.filesystems import EMPTY, Files, Filesystems
from boxship.build.ops import Action, Copy, Owner
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId
from boxship.spec.buildkit.session_pb2 import Packet, Stat
from boxship.store.database import Database
from boxship.transport.filesync.receive import Receiver, Transferred
from boxship.transport.filesync.send import Tree as Offered
from boxship.wire.fsutil import Kind

LARGE = os.urandom(1 << 10) * 300


def fill(source: Path) -> Path:
    (source / "a" / "deep").mkdir(parents=True)
    (source / "a" / "deep" / "x").write_bytes(b"deep")
    (source / "a" / "large").write_bytes(LARGE)
    (source / "a" / "changes").write_bytes(b"one")
    (source / "run").write_bytes(b"#!")
    (source / "run").chmod(0o4755)
    (source / "empty").write_bytes(b"")
    (source / "link").symlink_to("a/deep")
    for number, path in enumerate(sorted(source.rglob("*"))):
        os.utime(path, ns=(0, 1_600_000_000_123_456_789 + number), follow_symlinks=False)
    return source


def transfer(
    source: Path, target: Path, before: Tree | None = None, lies: Sequence[Stat] = ()
) -> Receiving:
    """Do what a client and the engine do; `lies` are told instead of what the files are."""
    target.mkdir(exist_ok=True)
    seen = Receiving(KeptFolder(str(target)), None if before is None else before.root)
    offered = Offered(str(source), owner=(0, 0))
    told = {one.path: one for one in lies}
    said = [told.get(one.path, one) for one in offered.walk()]
    receiver = Receiver(str(target), Transferred(), seen=seen)
    try:
        packets = [Packet(type=Kind.STAT, stat=one) for one in said] + [Packet(type=Kind.STAT)]
        for number in receiver.take([one.SerializeToString() for one in packets]):
            with open(offered.open(number), "rb") as file:
                parts = [file.read(2), file.read(), b""]
            parts = [part for part in parts[:-1] if part] + [b""]
            answers = [Packet(type=Kind.DATA, id=number, data=part) for part in parts]
            receiver.take([one.SerializeToString() for one in answers])
        assert receiver.complete
    finally:
        receiver.close()
    return seen


def index(seen: Receiving) -> Tree:
    tree = seen.tree()
    assert tree is not None
    return tree


def node(tree: Tree, path: bytes) -> KeptNode:
    found = tree.find(path, follow=False)
    assert found is not None
    assert isinstance(found[1], KeptNode)
    return found[1]


def value(target: Path, tree: Tree) -> Files:
    return Files(str(target), KeptContext(tree, lambda work: None))


def digests() -> Digests:
    return Digests(Filesystems(cast(Any, None), lambda: 0))


@pytest.fixture
def never_hashed(monkeypatch: pytest.MonkeyPatch) -> None:
    def hashed(self: KeptFolder, node: Node) -> bytes:
        raise AssertionError("it was hashed when it came")

    monkeypatch.setattr(KeptFolder, "hashed", hashed)


COPIES = [
    Copy("/", "/t/", **USUAL),
    Copy("/a", "/t", **USUAL),
    Copy("/link/x", "/t", **USUAL),
    Copy("/*/large", "/t/", **USUAL),
    Copy("/", "/t/", include=("**/x",), **USUAL),
    Copy("/", "/t/", exclude=("a", "!a/deep"), **USUAL),
    Copy("/link", "/t", wildcard=False),
]


@pytest.mark.root
@pytest.mark.usefixtures("never_hashed")
def test_the_index_says_what_the_folder_is(tmp_path: Path) -> None:
    """Digests are the same, whether files have just come or are as they were."""
    source, target = fill(tmp_path / "source"), tmp_path / "target"
    before: Tree | None = None
    for content in (b"one", b"two", b"three"):
        (source / "a" / "changes").write_bytes(content)
        seen = transfer(source, target, before)
        before = index(seen)
        root = os.open(target, trees.FOLDER)
        assert (seen.size, before.count) == (trees.usage(root).size, trees.usage(root).inodes)
        os.close(root)
        for wanted in COPIES:
            folder = Files(str(target))
            assert digests().of_copy(value(target, before), wanted) == digests().of_copy(
                folder, wanted
            )


@pytest.mark.root
def test_without_the_last_index_what_is_wanted_is_hashed_once(tmp_path: Path) -> None:
    """As after a restart of the engine."""
    source, target = fill(tmp_path / "source"), tmp_path / "target"
    transfer(source, target)
    tree = index(transfer(source, target))
    large, other = node(tree, b"a/large"), node(tree, b"run")
    assert large.known == b""
    with (target / "a/large").open("rb") as file:
        assert large.digest == hash_file(file.fileno(), len(LARGE))
    assert large.known == large.digest
    assert other.known == b""
    again = index(transfer(source, target, tree))
    assert node(again, b"a/large").known == large.digest


@pytest.mark.root
@pytest.mark.parametrize("kind", ["hard link", "fifo", "attribute"])
def test_what_is_not_plain_has_no_index(tmp_path: Path, kind: str) -> None:
    source, target = fill(tmp_path / "source"), tmp_path / "target"
    match kind:
        case "hard link":
            os.link(source / "run", source / "a" / "second")
        case "fifo":
            os.mkfifo(source / "fifo")
        case _:
            try:
                os.setxattr(source / "run", "user.kind", b"x")
            except OSError:
                pytest.skip("the filesystem has no attributes of users")
    seen = transfer(source, target)
    assert seen.tree() is None
    (source / "a" / "second").unlink(missing_ok=True)
    (source / "fifo").unlink(missing_ok=True)
    if kind != "attribute":
        assert transfer(source, target).tree() is not None


@pytest.mark.root
def test_names_of_one_file_that_are_said_to_be_files_become_files(tmp_path: Path) -> None:
    """A later transfer may say so; in a layer they would be links of each other."""
    source, target = fill(tmp_path / "source"), tmp_path / "target"
    os.link(source / "run", source / "second")
    transfer(source, target)
    assert (target / "run").samefile(target / "second")
    (source / "second").unlink()
    (source / "second").write_bytes(b"#!")
    (source / "second").chmod(0o4755)
    os.utime(source / "second", ns=(0, (source / "run").stat().st_mtime_ns))
    tree = index(transfer(source, target))
    assert not (target / "run").samefile(target / "second")
    assert node(tree, b"run").digest == node(tree, b"second").digest
    assert described(target) == described(source)


# ---- what a client may lie about


@pytest.mark.root
@pytest.mark.usefixtures("never_hashed")
def test_who_hides_a_change_builds_with_what_is_here(tmp_path: Path) -> None:
    """The digest is that of the bytes in the engine's folder, never of what the client has."""
    source, target = fill(tmp_path / "source"), tmp_path / "target"
    first = index(transfer(source, target))
    path = source / "a" / "changes"
    status = path.stat()
    path.write_bytes(b"ONE")
    os.utime(path, ns=(0, status.st_mtime_ns))
    second = index(transfer(source, target, first))
    assert (target / "a" / "changes").read_bytes() == b"one"
    assert node(second, b"a/changes").digest == node(first, b"a/changes").digest


@pytest.mark.root
@pytest.mark.usefixtures("never_hashed")
@pytest.mark.parametrize("said", [1, 3, 1 << 40])
def test_a_size_that_is_not_true_counts_for_nothing(tmp_path: Path, said: int) -> None:
    """Size and digest are those of what has come; the next transfer asks for it again."""
    source, target = fill(tmp_path / "source"), tmp_path / "target"
    (source / "a" / "changes").write_bytes(b"0123456789")
    lie = next(one for one in Offered(str(source), owner=(0, 0)).walk() if one.path == b"a/changes")
    lie.size = said
    tree = index(transfer(source, target, lies=[lie]))
    assert node(tree, b"a/changes").st_size == 10
    folder = Files(str(target))
    for wanted in COPIES:
        assert digests().of_copy(value(target, tree), wanted) == digests().of_copy(folder, wanted)
    again = index(transfer(source, target, tree, lies=[lie]))
    assert node(again, b"a/changes").digest == node(tree, b"a/changes").digest


@pytest.mark.root
def test_a_kept_file_that_is_no_longer_what_it_was_fails_the_copy(tmp_path: Path) -> None:
    """Nobody but a transfer changes such a folder; if somebody does, nothing wrong is built."""
    source, target = fill(tmp_path / "source"), tmp_path / "target"
    tree = index(transfer(source, target))
    (target / "run").write_bytes(b"longer")
    os.rename(target / "a", target / "b")
    (target / "a").symlink_to("b")
    with pytest.raises(OSError) as failure:
        tree.spool.read(node(tree, b"run"))
    assert failure.value.errno == errno.ESTALE
    with pytest.raises(OSError) as failure:
        tree.spool.read(node(tree, b"a/large"))
    assert failure.value.errno == errno.ENOTDIR


# ---- layers


class Bench(Stores):
    def perform(self, source: Files, wanted: Copy, *more: Copy) -> Layer:
        actions = [Action(wanted, 0, 1, output=-1 if more else 0)]
        for number, one in enumerate(more, start=1):
            actions.append(Action(one, number + 1, 1, output=0 if number == len(more) else -1))
        return self.done(tuple(actions), [EMPTY, source], lasting=source.archive is not None)

    def file(self, layer: Layer, path: str) -> Path:
        files = self.snapshots.layer_files(layer.chain)
        assert files is not None
        return Path(files) / path

    def packed(self, layer: Layer) -> bytes:
        return b"".join(self.snapshots.layer_diff(layer.chain))

    def finished(self, layer: Layer) -> None:
        """Do what an export does with a layer, and end its build."""
        with self.blobs.lease() as lease:
            digest = self.tars.commit(layer.chain, lease)
            assert digest is not None
            made, layer.chain = layer.chain, ChainId(digest)
            self.snapshots.rename(made, layer.chain, None)
            self.tars.named(made, layer.chain, digest)
        threads = set(threading.enumerate())
        self.tars.end(made)
        for thread in set(threading.enumerate()) - threads:
            thread.join()

    def committed(self, layer: Layer) -> bytes:
        with self.blobs.lease() as lease:
            digest = self.tars.commit(layer.chain, lease)
            assert digest is not None
            return b"".join(self.blobs.chunks(digest))


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bench]:
    made = Bench.at(tmp_path, monkeypatch)
    yield made
    for chain in list(made.snapshots.layers()):
        made.tars.end(chain)


def described(top: Path) -> dict[str, tuple[object, ...]]:
    """What is in a folder; times of folders are left: some are given none."""
    found: dict[str, tuple[object, ...]] = {}
    for path in sorted(top.rglob("*")):
        status = path.lstat()
        content: object = None
        if stat.S_ISREG(status.st_mode):
            content = path.read_bytes()
        elif stat.S_ISLNK(status.st_mode):
            content = os.readlink(path)
        time = 0 if stat.S_ISDIR(status.st_mode) else status.st_mtime_ns
        owner = (status.st_uid, status.st_gid)
        found[str(path.relative_to(top))] = (status.st_mode, *owner, time, content)
    return found


MORE: list[dict[str, Any]] = [
    {},
    {"owner": Owner(3, 4)},
    {"mode": "u=rwX,go="},
    {"timestamp": 1_500_000_000 * 10**9 + 5},
    {"exclude": ("a/large",)},
    {"include": ("a/deep", "run")},
]


@pytest.mark.root
@pytest.mark.usefixtures("never_hashed")
@pytest.mark.parametrize("more", MORE, ids=lambda more: "-".join(more) or "plain")
def test_a_layer_is_the_same_with_the_index_and_without(bench: Bench, more: dict[str, Any]) -> None:
    """And files of the layer are files of its own."""
    source, target = fill(bench.root / "source"), bench.root / "kept"
    tree = index(transfer(source, target))
    kept = described(target)
    wanted = Copy("/", "/app/", **USUAL, **more)
    linked = bench.perform(value(target, tree), wanted)
    copied = bench.perform(Files(str(target)), wanted)
    assert described(bench.file(linked, "app")) == described(bench.file(copied, "app"))
    assert described(target) == kept
    assert (target / "run").stat().st_nlink == bench.file(linked, "app/run").stat().st_nlink == 1
    assert bench.committed(linked) == bench.packed(linked)


@pytest.mark.root
@pytest.mark.usefixtures("never_hashed")
@pytest.mark.parametrize("change", ["content", "mode", "time"])
def test_what_a_transfer_changes_does_not_change_in_layers(bench: Bench, change: str) -> None:
    """A changed file is another file; all others are those of the layer before."""
    source, target = fill(bench.root / "source"), bench.root / "kept"
    wanted = Copy("/", "/app/", **USUAL)
    tree = index(transfer(source, target))
    first = bench.perform(value(target, tree), wanted)
    bench.finished(first)
    had = described(bench.file(first, "app"))
    path = source / "a" / "changes"
    match change:
        case "content":
            path.write_bytes(b"two")
        case "mode":
            path.chmod(0o600)
        case _:
            os.utime(path, ns=(0, 1_700_000_000_000_000_000))
    second = bench.perform(value(target, index(transfer(source, target, tree))), wanted)
    assert described(bench.file(first, "app")) == had
    now = described(bench.file(second, "app"))
    assert now == {**described(target)}
    assert {name for name in had if had[name] != now[name]} == {"a/changes"}
    for name in ("run", "a/large", "a/deep/x", "empty"):
        assert bench.file(first, f"app/{name}").samefile(bench.file(second, f"app/{name}"))
    assert not bench.file(first, "app/a/changes").samefile(bench.file(second, "app/a/changes"))
    assert bench.committed(second) == bench.packed(second)


@pytest.mark.root
def test_a_file_that_is_copied_twice_is_two_files(bench: Bench) -> None:
    """In one layer or in two, now or the next time: programs look at what is one file."""
    source, target = fill(bench.root / "source"), bench.root / "kept"
    tree = index(transfer(source, target))
    copies = [Copy("/", "/app/", **USUAL), Copy("/a/deep", "/app/again/", **USUAL)]
    layer = bench.perform(value(target, tree), *copies)
    assert not bench.file(layer, "app/a/deep/x").samefile(bench.file(layer, "app/again/x"))
    folder = bench.perform(Files(str(target)), *copies)
    assert bench.packed(layer) == bench.packed(folder)
    for _ in range(2):
        here = bench.perform(value(target, tree), Copy("/", "/here/", **USUAL))
        there = bench.perform(value(target, tree), Copy("/", "/there/", **USUAL))
        assert not bench.file(here, "here/run").samefile(bench.file(there, "there/run"))
        bench.finished(here)
        bench.finished(there)
        tree = index(transfer(source, target, tree))


def test_what_is_to_be_done_at_the_end_is_done_at_once_after_it(tmp_path: Path) -> None:
    """A step goes on for another build when the one that began it was cancelled."""
    records = Records(Database(str(tmp_path / "db")), lambda: 1)
    done: list[str] = []
    with records.holding() as held:
        held.then(lambda: done.append("at the end"))
        assert done == []
    assert done == ["at the end"]
    held.then(lambda: done.append("later"))
    assert done == ["at the end", "later"]
