"""Layers as the kernel shows them: stacks of any height, old kernels, and mounts nobody sees."""

import os
import threading

import pytest
from tests.support.images import archive

from boxship.kernel import mounts
from boxship.snapshot import snapshots as snapshots_module
from boxship.snapshot.errors import TooDeep
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.digest import Digest

pytestmark = pytest.mark.root


@pytest.fixture
def snapshots(tmp_path):
    made = Snapshots.at(str(tmp_path / "snapshots"))
    if made.driver != "overlay2":
        pytest.skip("overlayfs does not work on the temporary folder")
    return made


def stack(snapshots, height):
    contents = [archive((f"f{n}", b"n%d" % n, {}), ("top", b"n%d" % n, {})) for n in range(height)]
    return snapshots.apply_all([(Digest.of(c), lambda c=c: [c]) for c in contents])[-1].chain


def content(mounted, name):
    try:
        with open(f"/proc/self/fd/{mounted}/{name}", "rb") as file:
            return file.read()
    finally:
        os.close(mounted)


def mounted_in_the_host(folder):
    """What the host's mount table says of the store in `folder`; others mount things meanwhile."""
    with open("/proc/self/mountinfo") as table:
        return [line for line in table if str(folder) in line or "boxship-overlay-" in line]


def test_a_snapshot_is_mounted_nowhere(snapshots, tmp_path):
    snapshots.prepare("one", stack(snapshots, 3))
    mounted = snapshots.open("one")
    assert mounted_in_the_host(tmp_path) == []
    os.mkdir(f"/proc/self/fd/{mounted}/made")
    os.close(mounted)
    assert mounted_in_the_host(tmp_path) == []


def test_a_hundred_and_twenty_four_layers_carry_a_snapshot_and_more_are_refused(snapshots):
    chain = stack(snapshots, 124)
    snapshots.prepare("high", chain)
    assert content(snapshots.open("high"), "top") == b"n123"
    assert content(snapshots.view(chain), "f0") == b"n0"
    more = archive(("more", b"more", {}))
    chain = snapshots.apply(chain, [more]).chain
    with pytest.raises(TooDeep, match="max depth exceeded"):
        snapshots.prepare("higher", chain)


def test_old_kernels_want_all_options_in_one_page(snapshots, tmp_path, monkeypatch):
    """Kernels before 6.5 take no `lowerdir+`; all layers then go into one page of options."""
    real = mounts.new_filesystem

    def old(fstype, options=(), **more):
        pairs = list(options.items() if hasattr(options, "items") else options)
        if any(name == "lowerdir+" for name, _ in pairs):
            raise OSError(22, "Invalid argument")
        return real(fstype, pairs, **more)

    monkeypatch.setattr(mounts, "new_filesystem", old)
    monkeypatch.setattr(mounts, "_lowerdir_plus", False)
    for height in (3, 100):
        snapshots.prepare(f"h{height}", stack(snapshots, height))
        assert content(snapshots.open(f"h{height}"), "top") == b"n%d" % (height - 1)
    assert mounted_in_the_host(tmp_path) == []


def test_a_renamed_folder_of_the_image_is_whole_in_the_layer(snapshots):
    """No redirects: what moves is copied, so that a layer can be read without the kernel's help."""
    chain = snapshots.apply(None, [archive(("d/f", b"inner", {}))]).chain
    snapshots.prepare("one", chain)
    mounted = snapshots.open("one")
    root = f"/proc/self/fd/{mounted}"
    with pytest.raises(OSError, match="cross-device"):
        os.rename(f"{root}/d", f"{root}/e")
    os.chmod(f"{root}/d/f", 0o600)
    os.close(mounted)
    layer = b"".join(snapshots.diff("one"))
    assert b"inner" in layer


def test_layers_do_not_go_while_snapshots_are_put_on_them(snapshots):
    """Creating containers and removing images at the same time leaves no snapshot in the air."""
    contents = [archive((f"f{n}", b"n%d" % n, {})) for n in range(4)]
    stop = threading.Event()
    broken = []

    def make():
        number = 0
        while not stop.is_set():
            number += 1
            key = f"{threading.get_ident()}-{number}"
            try:
                layers = snapshots.apply_all([(Digest.of(c), lambda c=c: [c]) for c in contents])
                snapshots.prepare(key, layers[-1].chain)
            except Exception:  # a layer went between the two steps: refused, and nothing made
                continue
            try:
                os.close(snapshots.open(key))
            except Exception as error:
                broken.append(error)
            snapshots.remove(key)

    threads = [threading.Thread(target=make) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(100):
        snapshots.collect(())
    stop.set()
    for thread in threads:
        thread.join()
    assert broken == []


def test_a_link_swapped_in_while_a_layer_is_unpacked_leads_nowhere(snapshots, tmp_path):
    """Somebody with access swaps folders for links all the time; nothing is written outside."""
    outside = tmp_path / "outside"
    outside.mkdir()
    members = [(f"d{n % 10}/s/f{n}", b"x", {}) for n in range(3000)]
    layer = archive(*members)
    stop = threading.Event()
    staging = tmp_path / "snapshots" / "overlay2" / "staging"

    def swap():
        while not stop.is_set():
            for folder in staging.glob("*/diff/d*"):
                try:
                    os.rename(folder / "s", folder / "t")
                    os.symlink(outside, folder / "s")
                    os.unlink(folder / "s")
                    os.rename(folder / "t", folder / "s")
                except OSError:
                    continue

    swapper = threading.Thread(target=swap)
    swapper.start()
    try:
        for _ in range(5):
            try:
                snapshots.discard(snapshots.unpack([layer]))
            except Exception:  # it notices, or it does not: what counts is below
                continue
    finally:
        stop.set()
        swapper.join()
    assert list(outside.iterdir()) == []


def test_whether_an_overlay_can_be_made_is_tried_once_in_a_boot(tmp_path, monkeypatch):
    root = str(tmp_path / "snapshots")
    tried = []

    def trouble(where):
        tried.append(where)
        return ""

    monkeypatch.setattr(snapshots_module, "overlay_trouble", trouble)
    for _ in range(3):
        assert Snapshots.at(root).driver == "overlay2"
    assert tried == [root]
    for said in ("", "of another boot"):
        (tmp_path / "snapshots" / snapshots_module.WORKS).write_text(said)
        Snapshots.at(root)
    assert tried == [root] * 3


def test_an_overlay_that_cannot_be_made_is_tried_again(tmp_path, monkeypatch):
    root = str(tmp_path / "snapshots")
    monkeypatch.setattr(snapshots_module, "overlay_trouble", lambda where: "no overlay here")
    assert Snapshots.at(root).driver == "vfs"
    monkeypatch.setattr(snapshots_module, "overlay_trouble", lambda where: "")
    assert Snapshots.at(root).driver == "overlay2"
