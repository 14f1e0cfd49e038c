"""Layers that come before their digests: sealed under a name, renamed while others look on."""

import errno
import io
import os
import tarfile
import threading

import pytest
from tests.support.images import archive
from tests.support.snapshots import BASE

from boxship.snapshot.drivers import layerfile
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest

pytestmark = pytest.mark.root


@pytest.mark.parametrize("failing", ["symlink", "write", "rename"])
def test_a_layer_that_cannot_be_renamed_stays_what_it_was(snapshots, monkeypatch, failing):
    base = snapshots.apply(None, [BASE]).chain
    name, real = Digest.of(b"a name of ours"), Digest.of(b"what it is called")
    snapshots.prepare("work", base, bare=True)
    snapshots.seal("work", name)

    def refused(*words, **more):
        raise OSError(errno.EDQUOT, os.strerror(errno.EDQUOT))

    with monkeypatch.context() as patched:
        patched.setattr(layerfile if failing == "write" else os, failing, refused)
        if failing == "symlink" and snapshots.driver != "overlay2":
            return
        with pytest.raises(OSError, match="quota"):
            snapshots.rename(name, real, base)
    assert snapshots.has_layer(name)
    assert not snapshots.has_layer(real)
    assert b"".join(snapshots.layer_diff(name))
    os.close(snapshots.view(name))
    assert snapshots.rename(name, real, base)
    os.close(snapshots.view(real))


@pytest.mark.parametrize("step", ["write", "rename", "_move_children"])
def test_a_layer_outlasts_a_daemon_that_is_killed_while_renaming_it(snapshots, tmp_path, step):
    base = snapshots.apply(None, [BASE]).chain
    name, real = Digest.of(b"a name of ours"), Digest.of(b"what it is called")
    snapshots.prepare("work", base, bare=True)
    snapshots.seal("work", name)
    pid = os.fork()
    if pid == 0:
        driver = snapshots._driver
        where = {"write": layerfile, "rename": os, "_move_children": driver}[step]
        setattr(where, step, lambda *_, **__: os._exit(0))
        snapshots.rename(name, real, base)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0
    again = Snapshots.at(str(tmp_path / "snapshots"), snapshots.driver)
    (left,) = [one for one in (name, real) if again.has_layer(one)]
    os.close(again.view(left))
    assert b"".join(again.layer_diff(left))
    assert again.rename(left, real, base)
    os.close(again.view(real))


def test_a_snapshot_becomes_a_layer_and_is_renamed_under_what_stands_on_it(snapshots):
    base = snapshots.apply(None, [BASE]).chain
    name = Digest.of(b"a name of ours")
    snapshots.prepare("work", base, bare=True)
    mounted = snapshots.open("work")
    try:
        inside = os.open(".", os.O_RDONLY, dir_fd=mounted)
        assert "proc" not in os.listdir(inside)
        os.close(inside)
        os.close(os.open("new", os.O_CREAT | os.O_WRONLY, 0o644, dir_fd=mounted))
        os.unlink("etc/a", dir_fd=mounted)
    finally:
        os.close(mounted)
    snapshots.seal("work", name)
    assert not snapshots.exists("work")
    snapshots.prepare("child", name)
    layer = b"".join(snapshots.layer_diff(name))
    with tarfile.open(fileobj=io.BytesIO(layer)) as packed:
        names = sorted(packed.getnames())
    assert [one for one in names if one != "etc"] == ["etc/.wh.a", "new"]
    real = Digest.of(b"what it is called")
    assert snapshots.rename(name, real, base)
    assert snapshots.has_layer(real)
    assert snapshots.parent(real) == base
    assert not snapshots.rename(real, base, None)
    snapshots.collect([])  # the child keeps its layers, by whatever name
    mounted = snapshots.open("child")
    try:
        os.stat("new", dir_fd=mounted)
        with pytest.raises(FileNotFoundError):
            os.stat("etc/a", dir_fd=mounted)
    finally:
        os.close(mounted)


def test_a_layer_is_laid_on_another_parent(snapshots):
    base = snapshots.apply(None, [BASE]).chain
    changed = snapshots.apply(base, [archive(("etc/.wh.a", b"", {}), ("more", b"more", {}))]).chain
    other = snapshots.apply(base, [archive(("other", b"other", {}))]).chain
    both = Digest.of(b"both")
    snapshots.graft(changed, both, other)
    mounted = snapshots.view(both)
    try:
        for name in ("more", "other", "etc/b"):
            os.stat(name, dir_fd=mounted)
        with pytest.raises(FileNotFoundError):
            os.stat("etc/a", dir_fd=mounted)
    finally:
        os.close(mounted)


def test_a_layer_is_found_while_its_name_changes(snapshots):
    """Two builds that share a step: one gives its layer a name while the other mounts it."""
    base = snapshots.apply(None, [BASE]).chain
    name = first = Digest.of(b"name 0")
    snapshots.prepare("work", base, bare=True)
    snapshots.seal("work", name)
    troubles, done = [], threading.Event()

    def look():
        while not done.is_set():
            try:
                os.close(snapshots.view(first))
            except BaseException as error:
                troubles.append(error)
                return

    looking = threading.Thread(target=look)
    looking.start()
    try:
        for number in range(1, 200):
            new = Digest.of(b"name %d" % number)
            assert snapshots.rename(name, new, base)
            name = new
    finally:
        done.set()
        looking.join()
    assert not troubles


def test_what_a_layer_becomes_while_all_are_brought_to_the_disk_is_kept(
    snapshots, tmp_path, monkeypatch
):
    base = snapshots.apply(None, [BASE]).chain
    name, real = Digest.of(b"a name of ours"), Digest.of(b"what it is called")
    below, above = Digest.of(b"one below"), Digest.of(b"one above")
    for key, layer, parent in (("a", name, base), ("b", below, base), ("c", above, below)):
        snapshots.prepare(key, parent, bare=True)
        snapshots.seal(key, layer)

    def meanwhile(*words):
        assert snapshots.rename(name, real, base)
        assert snapshots.rename(below, Digest.of(b"another name"), base)

    with monkeypatch.context() as patched:
        patched.setattr(layerfile, "syscall", meanwhile)
        snapshots.settle()
    again = Snapshots.at(str(tmp_path / "snapshots"), snapshots.driver)
    assert set(again.layers()) == set(snapshots.layers())
    assert again.parent(above) == Digest.of(b"another name")


def test_layers_are_renamed_while_all_are_brought_to_the_disk(snapshots, tmp_path):
    base = snapshots.apply(None, [BASE]).chain
    names = [Digest.of(b"layer %d" % number) for number in range(20)]
    for number, layer in enumerate(names):
        snapshots.prepare(f"work{number}", names[number - 1] if number else base, bare=True)
        snapshots.seal(f"work{number}", layer)
    troubles, done = [], threading.Event()

    def settle():
        while not done.is_set():
            try:
                snapshots.settle()
            except BaseException as error:
                troubles.append(error)

    settling = [threading.Thread(target=settle) for _ in range(2)]
    for one in settling:
        one.start()
    try:
        for round in range(5):
            parent = base
            for number, layer in enumerate(names):
                names[number] = Digest.of(b"%d of round %d" % (number, round))
                assert snapshots.rename(layer, names[number], parent)
                parent = names[number]
    finally:
        done.set()
        for one in settling:
            one.join()
    assert not troubles
    again = Snapshots.at(str(tmp_path / "snapshots"), snapshots.driver)
    assert set(again.layers()) == {base, *names}
    assert [again.parent(one) for one in names] == [base, *names[:-1]]


@pytest.mark.parametrize("bare", [True, False])
def test_a_snapshot_begun_while_its_layer_is_renamed_stands_on_the_new_name(
    snapshots, tmp_path, monkeypatch, bare
):
    base = snapshots.apply(None, [BASE]).chain
    name, real = Digest.of(b"a name of ours"), Digest.of(b"what it is called")
    snapshots.prepare("work", base, bare=True)
    snapshots.seal("work", name)
    driver = snapshots._driver
    where, renamed = driver._path, []

    def meanwhile(*parts):
        path = where(*parts)
        if name.hex in parts and not renamed:
            renamed.append(parts)
            assert driver.rename_layer(name, real, base)
        return path

    with monkeypatch.context() as patched:
        patched.setattr(driver, "_path", meanwhile)
        snapshots.prepare("mine", name, bare=bare)
    assert renamed
    os.close(snapshots.open("mine"))
    again = Snapshots.at(str(tmp_path / "snapshots"), snapshots.driver)
    os.close(again.open("mine"))
    assert list(again._driver.bases()) == [real]
