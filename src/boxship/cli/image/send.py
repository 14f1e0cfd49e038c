"""Send an image to another engine: only what that does not have yet."""

from __future__ import annotations

from boxship.cli.command import Command
from boxship.cli.connect import engine_at, engine_of
from boxship.cli.progress import show_progress
from boxship.client.transfer import Repository
from boxship.errors import BoxshipError, InvalidRequest, NotFound
from boxship.lib.units import human_size

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from queue import Queue
    from typing import Any

    from boxship.cli.shell import Shell
    from boxship.client.engine import Engine

    Manifest = tuple[str, str, bytes]  # media type, digest, bytes
    Report = dict[str, Any]

COMMAND = Command(
    usage="send NAME HOST",
    summary="Send an image to another engine, only what that does not have yet",
    details=(
        "Send an image to another engine, only what that does not have yet.\n\n"
        "HOST is an address (ssh://user@host, unix:///path, tcp://host:port), the name of a\n"
        "context, or a host for ssh. No registry takes part, and only this command needs to\n"
        "reach both engines."
    ),
    names=("image send",),
    at_least=2,
    at_most=2,
    words="image",
)
UNNAMED = "boxship/unnamed"
WORKERS = 3
LARGEST = 4 << 20
NESTING = 4


class Blob:
    """Something to send, as its manifest describes it."""

    __slots__ = ("digest", "is_layer", "size")

    def __init__(self, about: dict[str, Any], *, is_layer: bool) -> None:
        self.digest = str(about["digest"])
        self.size = int(about["size"])
        self.is_layer = is_layer

    @property
    def short(self) -> str:
        return self.digest.partition(":")[2][:12]


class Parcel:
    """All of an image that is here: its blobs, the manifests above them, and the one on top."""

    def __init__(self, top: Manifest) -> None:
        self.top = top
        self.manifests: list[Manifest] = []
        self.blobs: dict[str, Blob] = {}


def run(shell: Shell, words: list[str]) -> int:
    """Compare what both engines have, and send the rest."""
    name, place = words
    repository, reference = where(shell, name)
    parcel = packed(Repository(engine_of(shell), repository), reference, name)
    sending = Sending(shell, place, repository, parcel)
    sending.check()
    show_progress(shell.out, sending.reports(reference))
    shell.out.line(
        f"{reference if ':' not in reference else 'image'}: digest: {parcel.top[1]} "
        f"size: {len(parcel.top[2])}"
    )
    shell.out.line(
        f"Sent {sending.sent} of {len(parcel.blobs)} blobs, {human_size(sending.bytes)}; "
        "the others were there"
    )
    return 0


def where(shell: Shell, name: str) -> tuple[str, str]:
    """Return the repository and tag that a name means; what is no name of it has only a digest."""
    from boxship.lib import quickjson
    from boxship.spec.reference import Reference

    found = quickjson.decode(shell.client.images.inspect_text(name))
    tags = found.get("RepoTags") or []
    try:
        asked = Reference.parse(name).with_default_tag()
    except InvalidRequest:
        return UNNAMED, found["Id"]
    if asked.tag and asked.without_digest().familiar in tags:
        return asked.repository, asked.tag
    return UNNAMED, found["Id"]


def packed(source: Repository, reference: str, name: str) -> Parcel:
    """Collect what there is of an image here; NotFound when no part of it can be run."""
    top = source.manifest(reference)
    if top is None:
        raise NotFound(f"No such image: {name}")
    parcel = Parcel(top)
    if not _pack(source, top, parcel, 0):
        raise NotFound(f"{name}: its content is not here")
    return parcel


def _pack(source: Repository, manifest: Manifest, parcel: Parcel, depth: int) -> bool:
    """Add a manifest's content to the parcel, if all of it is here, or some of what it lists."""
    from boxship.lib import quickjson

    document = quickjson.decode(manifest[2])
    if depth > NESTING:
        raise BoxshipError("an index with too many levels")
    if "manifests" not in document:
        blobs = [Blob(document["config"], is_layer=False)]
        blobs += [Blob(about, is_layer=True) for about in document["layers"]]
        if any(source.blob_size(blob.digest) is None for blob in blobs):
            return False
        parcel.blobs.update({blob.digest: blob for blob in blobs})
        return True
    found = False
    for about in document["manifests"]:
        inner = source.manifest(about["digest"])
        if inner is not None and _pack(source, inner, parcel, depth + 1):
            parcel.manifests.append(inner)
            found = True
    return found


class Sending:
    """One image on its way to another engine, several blobs at once."""

    def __init__(self, shell: Shell, place: str, repository: str, parcel: Parcel) -> None:
        from secrets import token_hex

        self._shell = shell
        self._place = place
        self._repository = repository
        self._parcel = parcel
        self._transfer = token_hex(16)
        self._engine = engine_at(shell, place)
        # Each connection by ssh may ask for a password: one has to do.
        self._workers = 1 if self._engine.target.scheme == "ssh" else WORKERS
        self.sent = 0
        self.bytes = 0

    def check(self) -> None:
        """Make sure that the other engine can receive images."""
        self._target(self._engine).check()

    def reports(self, reference: str) -> Iterator[Report]:
        """Send all, and yield how far it is; what is there already is not sent."""
        from queue import Queue
        from threading import Thread

        waiting: Queue[Blob] = Queue()
        said: Queue[Report | BaseException | None] = Queue()
        for blob in self._parcel.blobs.values():
            if blob.is_layer:
                yield _report(blob, "Preparing")
            waiting.put(blob)
        count = min(self._workers, waiting.qsize())
        for number in range(count):
            # The first has the connection that is there; nobody else uses it until all are done.
            engine = engine_at(self._shell, self._place) if number else self._engine
            Thread(target=self._work, args=(engine, waiting, said), daemon=True).start()
        target = self._target(self._engine)
        try:
            while count:
                report = said.get()
                if isinstance(report, BaseException):
                    raise report
                if report is None:
                    count -= 1
                else:
                    yield report
            for kind, digest, data in self._parcel.manifests:
                target.put_manifest(digest, kind, data)
            kind, _, data = self._parcel.top
            target.put_manifest(reference, kind, data, last=True)
        except BaseException:
            self._give_up()
            raise

    def _give_up(self) -> None:
        """Have what was sent forgotten now; after a while the other engine does so by itself."""
        if self._engine.target.scheme != "ssh":
            try:
                self._target(engine_at(self._shell, self._place)).give_up()
            except BoxshipError:
                pass

    def _target(self, engine: Engine) -> Repository:
        return Repository(engine, self._repository, self._transfer)

    def _work(
        self, engine: Engine, waiting: Queue[Blob], said: Queue[Report | BaseException | None]
    ) -> None:
        from queue import Empty

        try:
            source = Repository(engine_of(self._shell), self._repository)
            target = self._target(engine)
            while True:
                try:
                    blob = waiting.get_nowait()
                except Empty:
                    break
                self._send(blob, source, target, said)
            said.put(None)
        except BaseException as error:
            said.put(error)

    def _send(
        self,
        blob: Blob,
        source: Repository,
        target: Repository,
        said: Queue[Report | BaseException | None],
    ) -> None:
        if target.blob_size(blob.digest) == blob.size:
            if blob.is_layer:
                said.put(_report(blob, "Layer already exists"))
            return

        def counted() -> Iterator[bytes]:
            done = shown = 0
            for piece in source.blob(blob.digest):
                yield piece
                done += len(piece)
                if blob.is_layer and done - shown > blob.size // 100:
                    shown = done
                    said.put(_report(blob, "Pushing", done))

        target.put_blob(blob.digest, counted(), layer=blob.is_layer)
        self.sent += 1
        self.bytes += blob.size
        if blob.is_layer:
            said.put(_report(blob, "Pushed"))


def _report(blob: Blob, status: str, done: int = 0) -> Report:
    detail = {"current": done, "total": blob.size} if done else {}
    return {"id": blob.short, "status": status, "progressDetail": detail}
