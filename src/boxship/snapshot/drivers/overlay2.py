"""overlayfs: a folder for each layer, put on each other by the kernel.

    <root>/layers/<chain>/diff          a committed layer, with layer.json beside
    <root>/active/<key>/{diff,work}     a writable snapshot, with layer.json beside
    <root>/init/<chain>/diff            what every container finds, as far as the image lacks it
    <root>/l/<short>                    links to layers, so that mount options stay short
    <root>/staging/<random>/diff        a layer on its way; gone when the process is
    <root>/empty, <root>/empty-too      below a single layer, which overlayfs cannot take alone

Mounts carry `redirect_dir=nofollow,metacopy=off,index=off`: an upper folder then holds whole
files under their own names, so that it can be read as a layer without asking the kernel, and a
layer that came from outside cannot point at others. The price is that renaming a folder of the
image fails with EXDEV, which programs answer by copying.
"""

from __future__ import annotations

import base64
import os
import secrets
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, suppress
from typing import Final

from msgspec.structs import replace

from boxship.kernel import mounts
from boxship.kernel.paths import RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS, openat2
from boxship.snapshot import trees
from boxship.snapshot.driver import ChainId, Difference, Stage
from boxship.snapshot.drivers import initlayer, layerfile, upperdir
from boxship.snapshot.drivers.kept import Kept
from boxship.snapshot.drivers.layerfile import LayerFile
from boxship.snapshot.errors import CannotUnpack, SnapshotExists, TooDeep
from boxship.snapshot.extract import Whiteouts, is_whiteout, link
from boxship.snapshot.trees import Usage

DEPTH: Final = 125
PAGE: Final = 4096 - 512  # what the options may take of a page, on kernels that want one page
OPTIONS: Final[tuple[tuple[str, mounts.Option], ...]] = (
    ("redirect_dir", "nofollow"),
    ("metacopy", "off"),
    ("index", "off"),
)
WITHIN: Final = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS


class Overlay2(Kept):
    """The driver."""

    name = "overlay2"
    independent = True

    def __init__(self, root: str) -> None:
        super().__init__(root)
        for folder in ("l", "empty", "empty-too"):
            os.makedirs(self._path(folder), 0o700, exist_ok=True)
        for folder in ("empty", "empty-too"):
            os.chmod(self._path(folder), 0o755)
        self._folder = os.open(root, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        self._mend_links()

    def _mend_links(self) -> None:
        """Make links anew that are another name's: of layers that a killed daemon was renaming."""
        for chain, record in list(self._layers.items()):
            try:
                is_right = os.readlink(self._path("l", record.link)) == _target(chain)
            except OSError:
                is_right = False
            if not is_right:
                mended = self._layers[chain] = replace(record, link=self._short(chain))
                layerfile.write(self._path("layers", chain.hex), mended)

    # layers

    def stage(self, parent: ChainId | None) -> Stage:
        """Begin a layer in a folder of its own; what is below matters when it is committed."""
        with layerfile.staged(self._path("staging")) as path:
            diff = os.path.join(path, "diff")
            os.mkdir(diff, 0o755)
            os.chmod(diff, 0o755)
            return Stage.beneath(path, "diff", Whiteouts.OVERLAY)

    def commit(self, stage: Stage, chain: ChainId, parent: ChainId | None) -> None:
        """Settle what needs the layers below, measure, and give the folder its name."""
        with self._turn:
            if chain in self._layers:
                self.discard(stage)
                return
            if len(self._lineage(parent)) >= DEPTH:
                raise TooDeep
            self._settle(stage, parent)
            usage = stage.usage()
            self._place(stage.path, chain, parent, usage)
            stage.close()

    def layer_differences(self, chain: ChainId) -> Iterator[Difference]:
        """Yield what a layer's folder holds, compared with what is below."""
        below = self.view(self.parent(chain))
        try:
            upper = self._open_layer(chain)
            try:
                yield from upperdir.differences(upper, below)
            finally:
                os.close(upper)
        finally:
            os.close(below)

    def _open_layer(self, chain: ChainId) -> int:
        """Open the folder of a layer's own files."""
        return self._by_name(
            lambda: os.open(self._path("layers", self._name(chain).hex, "diff"), trees.FOLDER)
        )

    def graft(self, layer: ChainId, chain: ChainId, parent: ChainId | None) -> None:
        """Give the layer's files a second name each; no content is copied."""
        source = self._layer(layer)
        with layerfile.staged(self._path("staging")) as path:
            diff = os.path.join(path, "diff")
            os.mkdir(diff, 0o755)
            with ExitStack() as opened:
                folders = [self._open_layer(layer), os.open(diff, trees.FOLDER)]
                for folder in folders:
                    opened.callback(os.close, folder)
                trees.copy(*folders, linked=True)
            with self._turn:
                if len(self._lineage(parent)) >= DEPTH:
                    raise TooDeep
                self._place(path, chain, parent, Usage(source.size, source.inodes))

    def _place(self, path: str, chain: ChainId, parent: ChainId | None, usage: Usage) -> None:
        """Make a finished folder the layer `chain`; the caller has the turn."""
        record = LayerFile(
            parent=None if parent is None else self._name(parent),
            link=self._short(chain),
            size=usage.size,
            inodes=usage.inodes,
            boot=self._boot,
        )
        layerfile.write(path, record)
        os.rename(path, self._path("layers", chain.hex))
        self._layers[chain] = record

    def _link(self, record: LayerFile, new: ChainId) -> None:
        record.link = self._short(new)

    def _drop_links(self, record: LayerFile) -> None:
        with suppress(FileNotFoundError):
            os.unlink(self._path("l", record.link))

    def _lineage(self, chain: ChainId | None) -> list[ChainId]:
        """The layers from `chain` down."""
        found: list[ChainId] = []
        while chain is not None:
            found.append(self._name(chain))
            chain = self.parent(chain)
        return found

    def _short(self, chain: ChainId) -> str:
        """Make the layer's link; its name begins the chain ID, as long as it must be."""
        letters = base64.b32encode(bytes.fromhex(chain.hex)).decode().rstrip("=")
        target = _target(chain)
        for length in (8, 16, len(letters)):
            path = self._path("l", letters[:length])
            try:
                os.symlink(target, path)
            except FileExistsError:
                if os.readlink(path) != target:
                    continue
            return letters[:length]
        raise SnapshotExists(f"layer {chain} has a link already")

    def _settle(self, stage: Stage, parent: ChainId | None) -> None:
        """Folders nobody described are as below; links to files below bring these up."""
        extraction = stage.extraction
        if parent is None:
            if extraction.links:
                raise CannotUnpack(extraction.links[0][0], "its target is missing")
            return
        below = self._view_folder(parent)
        try:
            implied = list(extraction.implied)
            if not extraction.described:
                implied.insert(0, b"")
            for path in implied:
                _copy_folder(below, stage.root, path)
            for path, target in extraction.links:
                try:
                    _bring_up(below, stage.root, target)
                    _link_in(stage.root, target, path)
                except FileNotFoundError as error:
                    raise CannotUnpack(path, "its target is missing") from error
        finally:
            os.close(below)

    # snapshots

    def prepare(self, key: str, parent: ChainId | None, *, bare: bool = False) -> None:
        """Make the folders of a snapshot, and let them appear at once."""
        layerfile.check_key(key)
        lineage = self._lineage(parent)
        if len(lineage) >= DEPTH:
            raise TooDeep
        with layerfile.staged(self._path("staging")) as path:
            diff = os.path.join(path, "diff")
            os.mkdir(diff, 0o755)
            os.mkdir(os.path.join(path, "work"), 0o700)
            self._by_name(lambda: _copy_path_attributes(self._top(parent, bare=bare), diff))
            self._appear(path, key, parent, bare=bare)

    def _top(self, parent: ChainId | None, *, bare: bool) -> str:
        """Return the folder right under a snapshot's own."""
        parent = None if parent is None else self._name(parent)
        if not bare:
            return self._init(parent)
        return self._path("layers", parent.hex, "diff") if parent else self._path("empty")

    def seal(self, key: str, chain: ChainId, usage: Usage | None = None) -> Usage:
        """Move the upper folder among the layers; the work folder goes."""
        usage = usage or self.usage(key)
        folder = self._path("active", key)
        aside = self._path("staging", secrets.token_hex(8))
        os.rename(os.path.join(folder, "work"), aside)
        trees.remove_path(aside)
        with self._turn:
            parent = self._active(key).parent
            self._place(folder, chain, None if parent is None else ChainId(parent), usage)
        return usage

    def open(self, key: str, *, volatile: bool = False) -> int:
        """Return a new detached mount of a snapshot.

        The end of a mount brings the whole disk up to date, unless it is volatile.
        Two mounts of one snapshot at a time do not see each other's changes in order; what
        wants into a running container goes through its own root.
        """
        folder = self._path("active", key)
        return self._mount(
            lambda: self._below(self._active(key)),
            os.path.join(folder, "diff"),
            os.path.join(folder, "work"),
            [("volatile", None)] if volatile else [],
        )

    def own_files(self, key: str) -> str | None:
        """Return the upper folder."""
        layerfile.check_key(key)
        return self._path("active", key, "diff")

    def layer_files(self, chain: ChainId) -> str | None:
        """Return the layer's folder."""
        return self._path("layers", self._name(chain).hex, "diff")

    def view(self, chain: ChainId | None) -> int:
        """Return a new detached read-only mount of a layer and those below it."""
        ends = [self._path("empty")] + ([self._path("empty-too")] if chain is None else [])
        return self._mount(
            lambda: [self._path("l", self._layer(c).link) for c in self._lineage(chain)] + ends,
            None,
            None,
        )

    def info(self, key: str) -> dict[str, str]:
        """Return the folders, as Docker names them."""
        record = self._active(key)
        folder = self._path("active", key)
        chain = None if record.parent is None else ChainId(record.parent)
        lower = [self._path("init", chain.hex if chain else "scratch", "diff")]
        lower += [self._path("layers", below.hex, "diff") for below in self._lineage(chain)]
        return {
            "LowerDir": ":".join(lower),
            "MergedDir": os.path.join(folder, "merged"),
            "UpperDir": os.path.join(folder, "diff"),
            "WorkDir": os.path.join(folder, "work"),
        }

    def differences(self, key: str) -> Iterator[Difference]:
        """Yield what the upper folder holds, compared with what is below."""
        below = self._mount(
            lambda: [*self._below(self._active(key)), self._path("empty-too")], None, None
        )
        try:
            upper = os.open(self._path("active", key, "diff"), trees.FOLDER)
            try:
                yield from upperdir.differences(upper, below)
            finally:
                os.close(upper)
        finally:
            os.close(below)

    def usage(self, key: str) -> Usage:
        """Measure the upper folder."""
        self._active(key)
        upper = os.open(self._path("active", key, "diff"), trees.FOLDER)
        try:
            return trees.usage(upper)
        finally:
            os.close(upper)

    def _below(self, record: LayerFile) -> list[str]:
        """The folders under a snapshot's own, topmost first."""
        chain = None if record.parent is None else ChainId(record.parent)
        links = [self._path("l", self._layer(below).link) for below in self._lineage(chain)]
        if record.bare:
            return links or [self._path("empty")]
        return [self._init(chain), *links]

    def _init(self, chain: ChainId | None) -> str:
        """Return the folder with what the image of `chain` lacks, made when first asked for."""
        name = chain.hex if chain else "scratch"
        made = self._path("init", name)
        if not os.path.exists(made):
            with self._turn:
                if os.path.exists(made):
                    return os.path.join(made, "diff")
                with layerfile.staged(self._path("staging")) as path:
                    os.mkdir(os.path.join(path, "diff"), 0o755)
                    os.chmod(os.path.join(path, "diff"), 0o755)
                    below = self._view_folder(chain)
                    try:
                        initlayer.fill(os.path.join(path, "diff"), below)
                    finally:
                        os.close(below)
                    os.rename(path, made)
        return os.path.join(made, "diff")

    def _view_folder(self, chain: ChainId | None) -> int:
        """Return the root folder of a view, to read from."""
        mounted = self.view(chain)
        try:
            return os.open(".", trees.FOLDER, dir_fd=mounted)
        finally:
            os.close(mounted)

    def _mount(
        self,
        lower: Callable[[], list[str]],
        upper: str | None,
        work: str | None,
        more: Sequence[tuple[str, mounts.Option]] = (),
    ) -> int:
        """Mount; a layer below that gets another name meanwhile is looked for by that one."""
        return self._by_name(lambda: self._mount_once(lower(), upper, work, more))

    def _mount_once(
        self,
        lower: list[str],
        upper: str | None,
        work: str | None,
        more: Sequence[tuple[str, mounts.Option]],
    ) -> int:
        """Mount; names too long for a kernel that wants one page go by our folder's descriptor."""
        long = sum(map(len, lower)) + len(lower) > PAGE or any(len(name) > 250 for name in lower)
        if long or len(upper or "") > 250:
            prefix = f"/proc/self/fd/{self._folder}"
            lower = [name.replace(self.root, prefix, 1) for name in lower]
            upper, work = (name and name.replace(self.root, prefix, 1) for name in (upper, work))
        return mounts.overlay(lower, upper, work, options=[*OPTIONS, *more])


def _target(chain: ChainId) -> str:
    """Return what a layer's link says."""
    return f"../layers/{chain.hex}/diff"


def _copy_folder(below: int, root: int, path: bytes) -> None:
    """Give a folder the attributes that the same folder has below, if it is one there."""
    try:
        source = openat2(below, path or b".", trees.FOLDER, 0, WITHIN)
    except OSError:
        return
    try:
        target = openat2(root, path or b".", trees.FOLDER, 0, WITHIN)
        try:
            trees.copy_attributes(source, target)
            status = os.fstat(source)
            os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        finally:
            os.close(target)
    finally:
        os.close(source)


def _bring_up(below: int, root: int, path: bytes) -> None:
    """Copy a file from below into the layer, with the folders above it."""
    words = path.split(b"/")
    for count in range(1, len(words)):
        inner = b"/".join(words[:count])
        up, _, name = inner.rpartition(b"/")
        folder = openat2(root, up or b".", trees.FOLDER, 0, WITHIN)
        try:
            os.mkdir(name, 0o755, dir_fd=folder)
            _copy_folder(below, root, inner)
        except FileExistsError:
            continue
        finally:
            os.close(folder)
    up, _, name = path.rpartition(b"/")
    with ExitStack() as opened:
        source = openat2(below, up or b".", trees.FOLDER, 0, WITHIN)
        opened.callback(os.close, source)
        target = openat2(root, up or b".", trees.FOLDER, 0, WITHIN)
        opened.callback(os.close, target)
        status = os.stat(name, dir_fd=source, follow_symlinks=False)
        with suppress(FileExistsError):
            trees.copy_node(trees.Node(path, source, name, status), target)


def _link_in(root: int, target: bytes, path: bytes) -> None:
    with ExitStack() as opened:
        folders = []
        for name in (target, path):
            up = name.rpartition(b"/")[0] or b"."
            folders.append(openat2(root, up, trees.FOLDER, 0, WITHIN))
            opened.callback(os.close, folders[-1])
        source, folder = folders
        last, name = target.rpartition(b"/")[2], path.rpartition(b"/")[2]
        if is_whiteout(os.stat(last, dir_fd=source, follow_symlinks=False)):
            raise FileNotFoundError(os.fsdecode(target))
        try:
            link(source, last, folder, name)
        except FileExistsError:
            trees.remove(folder, name)
            link(source, last, folder, name)


def _copy_path_attributes(source: str, target: str) -> None:
    opened = [os.open(path, trees.FOLDER) for path in (source, target)]
    try:
        trees.copy_attributes(*opened)
    finally:
        for folder in opened:
            os.close(folder)
