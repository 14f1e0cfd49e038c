"""Images that come in parts: kept while something goes on, given up when nothing does."""

import threading

import pytest
from tests.support.images import OCI, archive, config, indexed, manifest, sha256

from boxship.content.errors import WrongContent
from boxship.errors import Conflict, InvalidRequest
from boxship.image import transfers as module
from boxship.image.transfers import Transfers
from boxship.lib.strictjson import InvalidDocument
from boxship.spec.digest import Digest
from boxship.spec.reference import Reference

pytestmark = pytest.mark.root
LAYER = archive(("file", b"content", {}))
CONFIG = config([LAYER])
MANIFEST = manifest(CONFIG, [LAYER])
KIND = OCI + "manifest.v1+json"
NAME = Reference.parse("sent:1")


@pytest.fixture
def now():
    return [0.0]


@pytest.fixture
def transfers(engine, now):
    made = Transfers(
        engine.images, engine.blobs, engine.snapshots, idle=100.0, clock=lambda: now[0]
    )
    yield made
    made.close()


def send(transfers, name, *blobs):
    with transfers.use(name) as transfer:
        for data in blobs:
            transfer.take([data], Digest.parse(sha256(data)))


def finish(transfers, name, data=MANIFEST, reference=NAME):
    with transfers.use(name) as transfer:
        image = transfer.finish(transfer.take_manifest(data, KIND), reference)
    transfers.end(name)
    return image


def test_parts_become_an_image_with_the_last(engine, transfers):
    send(transfers, "t", LAYER)
    send(transfers, "t", CONFIG)
    assert engine.images.list() == []
    image = finish(transfers, "t")
    assert (image.id, image.names) == (sha256(MANIFEST), ("docker.io/library/sent:1",))
    assert engine.snapshots.has_layer(image.chain_id)
    engine.again()
    assert engine.images.get("sent:1").id == image.id


def test_what_is_found_there_stays_for_the_transfer(engine, transfers):
    """The image that had the layer is removed while another that needs it is on its way."""
    send(transfers, "first", LAYER, CONFIG)
    finish(transfers, "first")
    with transfers.use("second") as transfer:
        assert transfer.size(Digest.parse(sha256(LAYER))) == len(LAYER)
    engine.images.remove("sent:1")
    other = config([LAYER], author="other")
    send(transfers, "second", other)
    finish(transfers, "second", manifest(other, [LAYER]))
    assert engine.images.get("sent:1").config.author == "other"


def test_a_transfer_of_which_nothing_is_heard_is_given_up(engine, transfers, now):
    send(transfers, "t", LAYER)
    now[0] = 99.0
    transfers.sweep()
    assert engine.stored()[0] == [sha256(LAYER)]
    now[0] = 201.0
    transfers.sweep()
    assert engine.stored() == ([], [], [])


def test_one_that_is_worked_on_is_not_given_up(engine, transfers, now):
    with transfers.use("t") as transfer:
        transfer.take([LAYER], Digest.parse(sha256(LAYER)))
        now[0] = 1000.0
        transfers.sweep()
        assert engine.stored()[0] == [sha256(LAYER)]
        transfers.end("t")  # the client gave it up while a part was still arriving
        assert engine.stored()[0] == [sha256(LAYER)]
    assert engine.stored() == ([], [], [])


@pytest.mark.parametrize("missing", [LAYER, CONFIG])
def test_with_a_part_missing_there_is_no_image(engine, transfers, missing):
    send(transfers, "t", *(data for data in (LAYER, CONFIG) if data != missing))
    with transfers.use("t") as transfer, pytest.raises((InvalidRequest, InvalidDocument)):
        transfer.finish(transfer.take_manifest(MANIFEST, KIND), NAME)
    transfers.end("t")
    assert engine.images.list() == []
    assert engine.stored() == ([], [], [])


def test_wrong_bytes_and_documents_of_two_minds_are_refused(engine, transfers):
    with transfers.use("t") as transfer:
        with pytest.raises(WrongContent):
            transfer.take([b"wrong"], Digest.parse(sha256(b"right")))
        both = b'{"schemaVersion": 2, "config": {}, "layers": [], "manifests": []}'
        with pytest.raises(InvalidDocument):
            transfer.take_manifest(both, KIND)
        with pytest.raises(InvalidDocument):
            transfer.take_manifest(MANIFEST, OCI + "index.v1+json")
    transfers.end("t")
    assert engine.stored() == ([], [], [])


def test_an_index_comes_with_the_platforms_that_were_sent(engine, transfers):
    data, index, (_, amd) = indexed(("linux", "arm64"), ("linux", "amd64"))
    engine.images.load([data])
    parts = engine.images.get("multi:1").variant.content[1:]
    blobs = [b"".join(engine.blobs.chunks(about.digest)) for about in parts]
    engine.images.remove("multi:1")
    send(transfers, "t", *blobs)
    with transfers.use("t") as transfer:
        transfer.take_manifest(amd, KIND)
        image = transfer.finish(transfer.take_manifest(index, ""), NAME)
    transfers.end("t")
    assert [v.manifest is not None for v in image.variants] == [False, True]


def test_only_so_many_at_a_time(engine, transfers, monkeypatch):
    monkeypatch.setattr(module, "MOST", 2)
    for name in ("a", "b", "a"):
        with transfers.use(name):
            pass
    with pytest.raises(Conflict, match="2 images are being received already"):
        transfers.use("c")
    transfers.end("a")
    with transfers.use("c"):
        pass


def test_parts_may_come_side_by_side(engine, transfers):
    layers = [archive((f"file-{n}", b"%d" % n * 10_000, {})) for n in range(8)]
    document = config(layers)
    threads = [
        threading.Thread(target=send, args=(transfers, "t", data)) for data in (*layers, document)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    image = finish(transfers, "t", manifest(document, layers))
    assert len(image.variant.chains) == 8
    assert engine.stored()[2] == []
