"""Performs a Files operation: its actions, in order, each on its own or on another's result."""

from __future__ import annotations

import errno
import os
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial

from boxship.build.cache.record import Layer
from boxship.build.cache.records import Held
from boxship.build.errors import BadGraph, NoSuchFile
from boxship.build.files import copy as copying
from boxship.build.files import last, place, select, shown, unpack
from boxship.build.files.copy import Beneath
from boxship.build.files.known import large
from boxship.build.files.last import Last
from boxship.build.files.place import Given
from boxship.build.files.pour import LayerTar, is_much
from boxship.build.files.select import Match, Picked
from boxship.build.files.tars import Packed, Tars
from boxship.build.files.tree import Tree
from boxship.build.filesystems import EMPTY, Filesystems, Layers, Value, Writable
from boxship.build.filesystems import Files as FolderOfFiles
from boxship.build.needs import Programs
from boxship.build.ops import (
    NO_OUTPUT,
    SCRATCH,
    Action,
    Copy,
    Delete,
    Files,
    MakeFile,
    MakeFolder,
    MakeLink,
    Owner,
)
from boxship.errors import InvalidRequest
from boxship.kernel import paths
from boxship.snapshot import trees
from boxship.snapshot.trees import Usage
from boxship.wire import tarwriter

NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(slots=True)
class FileChanges:
    """Performs them; blocks, so that it belongs into a worker thread."""

    filesystems: Filesystems
    programs: Programs
    tars: Tars

    def perform(
        self,
        op: Files,
        inputs: Sequence[Value],
        description: str,
        held: Held,
        made: list[Layer],
        *,
        lasting: bool = False,
        build: Held | None = None,
    ) -> dict[int, Value]:
        """Return the operation's results; the layers made are added to `made`.

        Of a `lasting` one an image will be made: what can be done for that on the way is done,
        and kept until its `build` has ended.
        """
        with ExitStack() as undo:
            work = _Work(self, inputs, description, held, made, undo)
            work.lasting = lasting and len(op.actions) == 1
            work.build = build
            work.users = Counter(action.input - len(inputs) for action in op.actions)
            for action in op.actions:
                work.act(action)
            return work.results()


@dataclass(frozen=True, slots=True)
class _Kind:
    """What a copy of one match is: its key, where in the context it is, what files are given.

    Without a key nothing is known of the last copy, nor noted for the next.
    """

    key: str
    source: bytes
    given: Given


class _Work:
    """One operation: what its actions have made so far."""

    def __init__(
        self,
        changes: FileChanges,
        inputs: Sequence[Value],
        description: str,
        held: Held,
        made: list[Layer],
        undo: ExitStack,
    ) -> None:
        self._filesystems = changes.filesystems
        self._programs = changes.programs
        self._inputs = inputs
        self._description = description
        self._held = held
        self._made = made
        self._undo = undo
        self._states: list[Writable | Value] = []  # by action
        self._outputs: dict[int, int] = {}  # number of a result: action
        self._tars = changes.tars
        self._archive: Packed | None = None
        self._then: Callable[[Callable[[], object]], None] | None = None
        self.lasting = False
        self.build: Held | None = None
        self.users: Counter[int] = Counter()  # how many actions work on an action's result

    def act(self, action: Action) -> None:
        """Do one action."""
        writable = self._begun(action.input)
        self._states.append(writable)
        target = os.open(".", trees.FOLDER, dir_fd=writable.mount)
        try:
            self._do(action, target, writable)
        finally:
            os.close(target)
        if action.output != NO_OUTPUT:
            self._outputs[action.output] = len(self._states) - 1

    def results(self) -> dict[int, Value]:
        """Make layers of what was asked for."""
        return {number: self._sealed(at) for number, at in self._outputs.items()}

    def _begun(self, number: int) -> Writable:
        """Return what an action works on: that of the action before it, or a new one."""
        at = number - len(self._inputs)
        if at >= 0:
            state = self._state(at)
            wanted = at in self._outputs.values() or self.users[at] > 1
            if isinstance(state, Writable) and not wanted:
                return state
            value: Value = self._sealed(at)
        else:
            value = EMPTY if number == SCRATCH else self._inputs[number]
        parent = self._filesystems.layered(value, self._description, self._held, self._made)
        writable = self._filesystems.change(parent, bare=True)
        self._undo.callback(self._filesystems.drop, writable)
        return writable

    def _state(self, at: int) -> Writable | Value:
        if not 0 <= at < len(self._states):
            raise BadGraph("an action works on the result of a later one")
        return self._states[at]

    def _sealed(self, at: int) -> Value:
        state = self._state(at)
        if not isinstance(state, Writable):
            return state
        usage = None if self._archive is None else self._archive.usage
        layer = self._filesystems.keep(state, self._description, self._held, usage)
        self._made.append(layer)
        self._keep_archive(layer)
        value = Layers(layer.chain)
        self._states = [value if one is state else one for one in self._states]
        return value

    def _second(self, number: int) -> Value:
        if number == SCRATCH:
            return EMPTY
        at = number - len(self._inputs)
        return self._inputs[number] if at < 0 else self._sealed(at)

    # ---- what there is to do

    def _do(self, action: Action, target: int, writable: Writable) -> None:
        match action.does:
            case Copy() as wanted:
                self._copy(wanted, self._second(action.second), target, writable)
            case MakeFile() as wanted:
                self._make_file(wanted, target)
            case MakeFolder() as wanted:
                self._make_folder(wanted, target)
            case MakeLink() as wanted:
                self._make_link(wanted, target)
            case Delete() as wanted:
                self._delete(wanted, target)

    def _copy(self, wanted: Copy, value: Value, target: int, writable: Writable) -> None:
        given = self._given(wanted.owner, wanted.timestamp, target)
        with ExitStack() as opened:
            source = opened.enter_context(self._filesystems.reading(value))
            for required in wanted.required:
                select.matches(source, Copy(required, "", follow_links=True))
            matches = select.matches(source, wanted)
            beneath: Beneath | None = None
            whole = len(matches) == 1  # the layer is of one match
            if isinstance(value, FolderOfFiles) and value.archive is not None:
                self._then = value.archive.then if self.lasting and whole else None
                key = last.key(wanted, given) if whole else ""
                kind = _Kind(key, matches[0].real if whole else b"", given)
                beneath = self._beneath(writable, kind, opened)
            elif whole and isinstance(source, int) and self.lasting and self.build is not None:
                index = self._index(source, value, matches[0], writable)
                if index is not None:
                    source, self._then = index, self.build.then
                    beneath = self._beneath(writable, _Kind("", b"", given), opened)
            for match in matches:
                if wanted.unpack and unpack.unpack(source, target, match, wanted.target, given):
                    continue
                copying.copy(source, target, match, wanted, given, beneath)

    def _index(self, source: int, value: Value, match: Match, writable: Writable) -> Tree | None:
        """Return the index of a folder that is copied out of another result, if that pays."""
        try:
            there = paths.openat2(source, match.real or b".", trees.FOLDER, 0, select.PLAIN)
        except OSError:
            return None
        os.close(there)
        own = self._filesystems.own_files(writable)
        if own is None:
            return None
        try:
            if shown.shares_blocks(own):
                return None
        finally:
            os.close(own)
        return shown.index(shown.ShownFolder(self._filesystems.shown(value)), match)

    def _beneath(self, writable: Writable, kind: _Kind, opened: ExitStack) -> Beneath | None:
        root = self._filesystems.own_files(writable)
        if root is None:
            return None
        opened.callback(os.close, root)
        return Beneath(root, partial(self._begin, writable, kind, opened))

    def _begin(
        self,
        writable: Writable,
        kind: _Kind,
        opened: ExitStack,
        path: bytes,
        found: Sequence[Picked],
    ) -> tuple[LayerTar | None, Last | None]:
        """Look for what was made last time; begin the layer's archive. Only if it is worth that."""
        if not is_much(found):
            return None, None
        known = self._tars.last.find(kind.key, path) if kind.key else None
        if known is not None:
            opened.callback(known.close)
            self._held.chain(known.layer)
        if self._then is None:
            return None, known
        assembly = self._tars.begin(known, found, kind.given)
        self._undo.callback(self._drop_archive)
        before = b"".join(self._filesystems.archive(writable))
        archive = LayerTar(assembly, before.removesuffix(tarwriter.END))
        usage = Usage(sum(one.stat.st_size for one in found), len(found))
        usage.inodes += path.count(b"/") + 1 if path else 0
        self._archive = Packed(archive, kind.key, path, usage, large=large(kind.source, found))
        return archive, known

    def _keep_archive(self, layer: Layer) -> None:
        """Let whoever makes an image of the layer find its archive, until the build ends."""
        packed, self._archive = self._archive, None
        if packed is None or self._then is None:
            return
        self._tars.keep(layer.chain, packed)
        self._then(partial(self._tars.end, layer.chain))

    def _drop_archive(self) -> None:
        if self._archive is not None:
            self._archive.archive.assembly.drop()

    def _make_file(self, wanted: MakeFile, target: int) -> None:
        given = self._given(wanted.owner, wanted.timestamp, target)
        where = place.resolve(target, wanted.path)
        up, _, name = where.rpartition(b"/")
        folder = _folder(target, up, wanted.path)
        try:
            if not name:
                raise InvalidRequest(f"{wanted.path}: is a directory")
            try:
                os.unlink(name, dir_fd=folder)
            except FileNotFoundError:
                pass
            except IsADirectoryError:
                raise InvalidRequest(f"{wanted.path}: is a directory") from None
            file = os.open(name, NEW, 0o600, dir_fd=folder)
            try:
                view = memoryview(wanted.data)
                while view:
                    view = view[os.write(file, view) :]
                os.fchown(file, *given.ids)
                os.fchmod(file, wanted.mode & 0o7777)
                _stamp(file, given)
            finally:
                os.close(file)
        finally:
            os.close(folder)

    def _make_folder(self, wanted: MakeFolder, target: int) -> None:
        try:
            given = self._given(wanted.owner, wanted.timestamp, target)
        except InvalidRequest:
            given = Given(0, 0, wanted.timestamp)  # WORKDIR of a user whom the image lacks
        where = place.resolve(target, wanted.path)
        if wanted.parents:
            os.close(place.make_folders(target, where, given, wanted.mode & 0o7777))
            return
        up, _, name = where.rpartition(b"/")
        folder = _folder(target, up, wanted.path)
        try:
            if not name:
                return
            there = place.status(folder, name)
            if there is None:
                os.close(place.make_folders(folder, name, given, wanted.mode & 0o7777))
        finally:
            os.close(folder)

    def _make_link(self, wanted: MakeLink, target: int) -> None:
        given = self._given(wanted.owner, wanted.timestamp, target)
        up, _, name = select.clean(wanted.path).rpartition("/")
        folder = _folder(target, place.resolve(target, up), wanted.path)
        try:
            os.symlink(wanted.says, name, dir_fd=folder)
            os.chown(name, *given.ids, dir_fd=folder, follow_symlinks=False)
            if given.time >= 0:
                times = (given.time, given.time)
                os.utime(name, ns=times, dir_fd=folder, follow_symlinks=False)
        finally:
            os.close(folder)

    def _delete(self, wanted: Delete, target: int) -> None:
        asked = Copy(wanted.path, "", wildcard=wanted.wildcard, allow_no_match=True)
        if wanted.wildcard:
            try:
                found = [match.path for match in select.matches(target, asked)]
            except NoSuchFile:
                if not wanted.allow_missing:
                    raise
                return
        else:
            found = [os.fsencode(select.clean(wanted.path))]
        for path in found:
            up, _, name = path.rpartition(b"/")
            if not name:
                raise InvalidRequest("the root cannot be deleted")
            try:
                folder = paths.open_in_root(target, up or b".", os.O_PATH | os.O_DIRECTORY)
            except OSError as failure:
                if wanted.allow_missing:
                    continue
                raise NoSuchFile(wanted.path) from failure
            try:
                if place.status(folder, name) is None and not wanted.allow_missing:
                    raise NoSuchFile(wanted.path)
                trees.remove(folder, name)
            finally:
                os.close(folder)

    # ---- whose

    def _given(self, owner: Owner | None, timestamp: int, target: int) -> Given:
        if owner is None:
            return Given(time=timestamp)
        user, group = owner.user, owner.group
        if isinstance(user, str) or isinstance(group, str):
            uid, gid = self._looked_up(owner, target)
            return Given(uid, gid, timestamp)
        return Given(user, group, timestamp)

    def _looked_up(self, owner: Owner, target: int) -> tuple[int | None, int | None]:
        user = "" if owner.user is None else str(owner.user)
        group = "" if owner.group is None else str(owner.group)
        at = owner.names - len(self._inputs)
        if owner.names == SCRATCH or (at >= 0 and isinstance(self._state(at), Writable)):
            found = self._programs.owner(target, user, group, required=owner.required)
        else:
            value = self._second(owner.names)
            with self._filesystems.looking(value) as root:
                found = self._programs.owner(root, user, group, required=owner.required)
        return (
            None if owner.user is None else found[0],
            None if owner.group is None and owner.user is None else found[1],
        )


def _folder(root: int, path: bytes, asked: str) -> int:
    try:
        return place.folder(root, path)
    except OSError as failure:
        if failure.errno in (errno.ENOENT, errno.ENOTDIR):
            raise NoSuchFile(asked) from None
        raise


def _stamp(file: int, given: Given) -> None:
    if given.time >= 0:
        os.utime(file, ns=(given.time, given.time))
