"""What every driver of filesystems does, on each of them."""

import io
import os
import stat
import tarfile
from pathlib import Path

import pytest
from tests.support.images import archive
from tests.support.snapshots import BASE

from boxship.lib.filepart import FilePart
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId, Change, Kind
from boxship.snapshot.errors import NoSuchSnapshot, SnapshotExists, TooManyChanges, WrongLayer
from boxship.snapshot.snapshots import Snapshots, export
from boxship.spec.digest import Digest

pytestmark = pytest.mark.root


def apply(snapshots, parent, *members, data=None):
    content = data or archive(*members)
    return snapshots.apply(parent, [content], Digest.of(content)).chain


def tree(mounted):
    """All paths beneath a mount, with content for files; what every container finds left out."""
    found = {}
    root = f"/proc/self/fd/{mounted}"
    for folder, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(folder, name)
            short = path.removeprefix(root + "/")
            mode = os.lstat(path).st_mode
            found[short] = Path(path).read_bytes() if stat.S_ISREG(mode) else stat.S_IFMT(mode)
    os.close(mounted)
    return found


def test_a_layer_is_seen_as_it_was_packed(snapshots):
    chain = apply(snapshots, None, data=BASE)
    mounted = snapshots.view(chain)
    root = f"/proc/self/fd/{mounted}"
    try:
        assert os.stat(f"{root}/etc").st_mode & 0o7777 == 0o750
        assert (os.stat(f"{root}/etc/b").st_mode & 0o7777, os.stat(f"{root}/etc/b").st_uid) == (
            0o4755,
            70000,
        )
        assert os.readlink(f"{root}/lib") == "usr/lib"
        assert os.stat(f"{root}/usr/lib/x").st_nlink == 2
        assert os.stat(f"{root}/null").st_rdev == os.makedev(1, 3)
        assert os.stat(f"{root}/dir").st_mtime == 1_600_000_000
        with pytest.raises(OSError, match="Read-only"):
            Path(f"{root}/new").touch()
    finally:
        os.close(mounted)


def test_whiteouts_hide_and_opaque_folders_begin_anew(snapshots):
    base = apply(snapshots, None, data=BASE)
    chain = apply(
        snapshots,
        base,
        ("etc/.wh.a", b"", {}),
        ("dir/", tarfile.DIRTYPE, {}),
        ("dir/.wh..wh..opq", b"", {}),
        ("dir/own", b"own", {}),
        (".wh.fifo", b"", {}),
    )
    seen = tree(snapshots.view(chain))
    assert "etc/a" not in seen
    assert "fifo" not in seen
    assert seen["etc/b"] == b"two"
    assert {name for name in seen if name.startswith("dir/")} == {"dir/own"}


def test_a_whiteout_does_not_hide_what_its_own_layer_brings(snapshots):
    base = apply(snapshots, None, data=BASE)
    before = apply(
        snapshots,
        base,
        (".wh.dir", b"", {}),
        ("dir/", tarfile.DIRTYPE, {}),
        ("dir/new", b"new", {}),
    )
    after = apply(
        snapshots,
        base,
        ("dir/", tarfile.DIRTYPE, {}),
        ("dir/new", b"newer", {}),
        (".wh.dir", b"", {}),
    )
    assert {n for n in tree(snapshots.view(before)) if n.startswith("dir/")} == {"dir/new"}
    assert "dir/new" in tree(snapshots.view(after))


def test_a_folder_nobody_described_is_as_below(snapshots):
    base = apply(snapshots, None, data=BASE)
    chain = apply(snapshots, base, ("etc/new", b"new", {}))
    mounted = snapshots.view(chain)
    status = os.stat(f"/proc/self/fd/{mounted}/etc")
    os.close(mounted)
    assert (status.st_mode & 0o7777, status.st_uid) == (0o750, 3)


def test_a_hard_link_may_lead_to_a_layer_below(snapshots):
    base = apply(snapshots, None, data=BASE)
    chain = apply(snapshots, base, ("etc/c", tarfile.LNKTYPE, {"linkname": "etc/b"}))
    mounted = snapshots.view(chain)
    root = f"/proc/self/fd/{mounted}"
    assert os.path.samefile(f"{root}/etc/c", f"{root}/etc/b")
    assert os.stat(f"{root}/etc/c").st_uid == 70000
    os.close(mounted)


def test_a_snapshot_is_written_and_read_again(snapshots):
    base = apply(snapshots, None, data=BASE)
    snapshots.prepare("one", base)
    mounted = snapshots.open("one")
    root = f"/proc/self/fd/{mounted}"
    with open(f"{root}/etc/a", "w") as file:
        file.write("changed")
    with open(f"{root}/new", "w") as file:
        file.write("new")
    os.unlink(f"{root}/usr/lib/y")
    os.close(mounted)
    assert snapshots.changes("one") == [
        Change("/etc", Kind.MODIFIED),
        Change("/etc/a", Kind.MODIFIED),
        Change("/new", Kind.ADDED),
        Change("/usr", Kind.MODIFIED),
        Change("/usr/lib", Kind.MODIFIED),
        Change("/usr/lib/y", Kind.DELETED),
    ]
    seen = tree(snapshots.open("one"))
    assert (seen["etc/a"], seen["new"]) == (b"changed", b"new")
    assert tree(snapshots.view(base))["etc/a"] == b"one"
    assert snapshots.usage("one").size >= len("changed") + len("new")


def test_changes_that_no_answer_could_hold_are_refused(snapshots, monkeypatch):
    snapshots.prepare("one", None)
    mounted = snapshots.open("one")
    os.makedirs(f"/proc/self/fd/{mounted}/a/b/c")
    os.close(mounted)
    assert [change.path for change in snapshots.changes("one")] == ["/a", "/a/b", "/a/b/c"]
    monkeypatch.setattr("boxship.snapshot.snapshots.LISTED", len("a" + "a/b" + "a/b/c") - 1)
    with pytest.raises(TooManyChanges):
        snapshots.changes("one")


def test_a_new_snapshot_has_no_changes_and_what_every_container_finds(snapshots):
    base = apply(snapshots, None, data=BASE)
    snapshots.prepare("one", base)
    assert snapshots.changes("one") == []
    seen = tree(snapshots.open("one"))
    assert {"proc", "sys", "dev/pts", "dev/shm", "etc/hosts", ".dockerenv"} <= set(seen)
    assert not {"proc", ".dockerenv"} & set(tree(snapshots.view(base)))


def test_what_a_snapshot_changed_makes_a_layer_that_gives_the_same_tree(snapshots):
    base = apply(snapshots, None, data=BASE)
    snapshots.prepare("one", base)
    mounted = snapshots.open("one")
    root = f"/proc/self/fd/{mounted}"
    os.unlink(f"{root}/etc/a")
    os.unlink(f"{root}/dir/inner")
    os.rmdir(f"{root}/dir")
    os.mkdir(f"{root}/dir", 0o700)
    with open(f"{root}/dir/" + "long" * 40, "wb") as file:
        file.truncate(100_000)
    os.link(f"{root}/dir/" + "long" * 40, f"{root}/second")
    os.setxattr(f"{root}/second", "user.note", b"kept")
    os.mkfifo(f"{root}/pipe")
    os.symlink("nowhere", f"{root}/link")
    os.chown(f"{root}/link", 99999999, 5, follow_symlinks=False)
    os.close(mounted)
    changed = snapshots.changes("one")
    layer = b"".join(snapshots.diff("one"))
    chain = snapshots.apply(base, [layer], Digest.of(layer)).chain
    snapshots.prepare("two", chain)
    assert tree(snapshots.open("two")) == tree(snapshots.open("one"))
    mounted = snapshots.view(chain)
    root = f"/proc/self/fd/{mounted}"
    assert os.getxattr(f"{root}/second", "user.note") == b"kept"
    assert os.lstat(f"{root}/link").st_uid == 99999999
    assert os.stat(f"{root}/second").st_nlink == 2
    os.close(mounted)
    assert Change("/dir/inner", Kind.DELETED) in changed


def test_an_export_reads_back_as_the_same_tree(snapshots):
    base = apply(snapshots, None, data=BASE)
    mounted = snapshots.view(base)
    exported = b"".join(export(mounted))
    os.close(mounted)
    again = apply(snapshots, None, data=exported)
    assert tree(snapshots.view(again)) == tree(snapshots.view(base))


def test_many_layers_unpack_together(snapshots):
    contents = [
        archive((f"file{n}", b"number %d" % n, {}), ("last", b"number %d" % n, {}))
        for n in range(12)
    ]
    layers = snapshots.apply_all([(Digest.of(c), lambda c=c: [c]) for c in contents])
    seen = tree(snapshots.view(layers[-1].chain))
    assert seen["last"] == b"number 11"
    assert len(seen) == 13


def test_other_content_than_the_image_says_leaves_nothing(snapshots, tmp_path):
    good, other = archive(("a", b"a", {})), archive(("b", b"b", {}))
    with pytest.raises(WrongLayer):
        snapshots.apply_all([(Digest.of(good), lambda: [good]), (Digest.of(good), lambda: [other])])
    snapshots.collect(())
    assert snapshots.layers() == {}
    staging = tmp_path / "snapshots" / snapshots.driver / "staging"
    assert list(staging.iterdir()) == []


def test_layers_go_when_nothing_wants_them(snapshots):
    base = apply(snapshots, None, data=BASE)
    middle = apply(snapshots, base, ("m", b"m", {}))
    top = apply(snapshots, middle, ("t", b"t", {}))
    snapshots.collect([middle])
    assert set(snapshots.layers()) == {base, middle}
    assert not snapshots.has_layer(top)


def test_keys_are_unique_and_are_no_paths(snapshots):
    snapshots.prepare("one", None)
    with pytest.raises(SnapshotExists):
        snapshots.prepare("one", None)
    for key in ("..", "a/b", "", "-x"):
        with pytest.raises(Exception, match="invalid snapshot key"):
            snapshots.prepare(key, None)
    snapshots.remove("one")
    snapshots.remove("one")
    assert snapshots.keys() == []
    with pytest.raises(NoSuchSnapshot):
        snapshots.open("one")


def test_a_restart_knows_what_was_committed_and_forgets_the_rest(snapshots, tmp_path):
    base = apply(snapshots, None, data=BASE)
    snapshots.prepare("one", base)
    root = str(tmp_path / "snapshots")
    staging = os.path.join(root, snapshots.driver, "staging", "half")
    os.makedirs(os.path.join(staging, "diff"))
    again = Snapshots.at(root, snapshots.driver)
    assert (set(again.layers()), again.keys()) == ({base}, ["one"])
    assert not os.path.exists(staging)
    os.close(again.open("one"))


def test_a_layer_that_was_not_flushed_is_not_believed_after_another_boot(snapshots, tmp_path):
    base = apply(snapshots, None, data=BASE)
    snapshots.settle()
    top = apply(snapshots, base, ("t", b"t", {}))
    snapshots.prepare("one", top)
    root = str(tmp_path / "snapshots")
    assert set(Snapshots.at(root, snapshots.driver).layers()) == {base, top}
    file = os.path.join(root, snapshots.driver, "layers", top.hex, "layer.json")
    with open(file, "r+") as opened:
        text = opened.read()
        opened.seek(0)
        opened.truncate()
        opened.write(text.replace('"boot":"', '"boot":"another'))
    again = Snapshots.at(root, snapshots.driver)
    assert set(again.layers()) == {base}
    assert list(again.missing()) == [top]
    apply(again, base, ("t", b"t", {}))
    os.close(again.open("one"))


def test_a_tree_of_any_depth_can_be_removed(snapshots):
    snapshots.prepare("deep", None)
    mounted = snapshots.open("deep")
    here = os.open(".", os.O_RDONLY | os.O_DIRECTORY, dir_fd=mounted)
    for _ in range(3000):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY | os.O_DIRECTORY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    os.close(mounted)
    snapshots.remove("deep")
    assert snapshots.keys() == []


@pytest.mark.parametrize("most", [0, 2, 1024])
def test_what_is_large_comes_first_in_each_folder_of_a_layer(snapshots, monkeypatch, most):
    """However many files a folder has; what they are made of comes before they are linked to."""
    monkeypatch.setattr(trees, "MOST_LOOKED_AT", most)
    base = apply(snapshots, None, ("gone", b"", {}), ("in/gone", b"", {}))
    snapshots.prepare("one", base, bare=True)
    mounted = snapshots.open("one")
    root = Path(f"/proc/self/fd/{mounted}")
    large = bytes(trees.LARGE)
    for name, data in {"a": b"a", "in/b": b"b", "in/y": large, "in/z": large, "s": large}.items():
        (root / name).write_bytes(data)
    (root / "in/c").hardlink_to(root / "in/z")
    (root / "gone").unlink()
    (root / "in/gone").unlink()
    before = tree(os.dup(mounted))
    os.close(mounted)
    layer = b"".join(snapshots.diff("one"))
    with tarfile.open(fileobj=io.BytesIO(layer)) as read:
        members = [(one.name, one.linkname) for one in read if ".wh." not in one.name]
    assert members == [
        ("s", ""), ("a", ""),
        ("in", ""), ("in/c", ""), ("in/y", ""), ("in/z", "in/c"), ("in/b", ""),
    ]  # fmt: skip
    again = snapshots.apply(base, [layer], Digest.of(layer)).chain
    assert tree(snapshots.view(again)) == before


def test_a_layer_in_parts_is_the_same_layer(snapshots):
    """What is large is a file: whoever takes it lets the kernel copy it."""
    snapshots.prepare("one", None, bare=True)
    mounted = snapshots.open("one")
    root = Path(f"/proc/self/fd/{mounted}")
    for name, size in {
        "a": trees.LARGE + 1,
        "b": trees.LARGE - 1,
        "c": trees.LARGE,
        "d": 0,
    }.items():
        (root / name).write_bytes(os.urandom(size))
    (root / "e").hardlink_to(root / "a")
    os.truncate(root / "d", trees.LARGE * 2)
    os.close(mounted)
    name = ChainId(Digest.of(b"one"))
    snapshots.seal("one", name)
    whole, files = b"".join(snapshots.layer_diff(name)), 0
    parts = io.BytesIO()
    for part in snapshots.layer_parts(name):
        if isinstance(part, FilePart):
            files += 1
            part = b"".join(part.pieces())
        parts.write(part)
    assert files == 3
    assert parts.getvalue() == whole
