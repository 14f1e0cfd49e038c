"""Trees of any depth: walked, measured and removed with few descriptors."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.deep import deepen

from boxship.snapshot import trees

LEVELS = 2000


@pytest.fixture
def top(tmp_path: Path) -> Iterator[Path]:
    made = tmp_path / "top"
    made.mkdir()
    yield made
    for left in os.listdir(tmp_path):
        trees.remove_path(str(tmp_path / left))


def opened(path: Path) -> int:
    return os.open(path, trees.FOLDER)


def test_a_deep_tree_is_seen_whole_by_few_descriptors(top: Path) -> None:
    deepen(top, LEVELS, with_files=True)
    root = opened(top)
    before = len(os.listdir("/proc/self/fd"))
    most, going_down, coming_up = 0, [], []
    for node in trees.walk(root):
        assert os.stat(node.name, dir_fd=node.folder, follow_symlinks=False).st_ino
        most = max(most, len(os.listdir("/proc/self/fd")) - before)
        (going_down if node.name == b"a" else coming_up).append(node.path)
    assert going_down == [b"/".join([b"a"] * n) for n in range(1, LEVELS + 1)]
    assert (
        coming_up
        == [b"/".join([b"a"] * n + [b"file"]) for n in range(LEVELS - 1, -1, -1)][: len(coming_up)]
    )
    assert len(coming_up) == LEVELS
    assert most < 150
    assert trees.usage(root) == trees.Usage(LEVELS * len("content"), 2 * LEVELS)
    os.close(root)


def test_a_deep_tree_that_is_moved_away_meanwhile_leads_nowhere_else(top: Path) -> None:
    deepen(top, 600, with_files=True)
    elsewhere = top.parent / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "secret").write_text("not ours")
    root, seen = opened(top), []
    for node in trees.walk(root):
        seen.append(node.path)
        if len(seen) == 500:
            os.rename(top / "/".join(["a"] * 200), elsewhere / "zz")
    assert not any(b"secret" in path for path in seen)
    assert seen[-1] == b"file"  # what is next to the way down, near the root, is seen all the same
    os.close(root)


def test_a_deep_tree_is_removed(top: Path) -> None:
    deepen(top, LEVELS)
    trees.remove_path(str(top))
    assert os.listdir(top.parent) == []
