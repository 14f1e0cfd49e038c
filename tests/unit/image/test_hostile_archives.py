"""Archives made to harm: refused with a reason, and nothing of them stays.

Each is loaded or imported into a real store; afterwards the store is as before, and nothing
outside of it has come to be or has changed.
"""

import gzip
import json
import os
import resource
import tarfile

import pytest
from tests.support.images import (
    OCI,
    archive,
    config,
    descriptor,
    docker_archive,
    layout,
    manifest,
    sha256,
)

from boxship.errors import BoxshipError
from boxship.wire import tarwriter
from boxship.wire.tar import Entry

pytestmark = pytest.mark.root
GOOD = archive(("file", b"content", {}))


@pytest.fixture
def outside(tmp_path):
    """A canary beside the store, which must not change, and a marker that must not appear."""
    canary = tmp_path / "canary"
    canary.write_text("alive")
    yield canary
    assert canary.read_text() == "alive"
    assert canary.stat().st_mode & 0o7777 == 0o644
    assert not (tmp_path / "marker").exists()
    assert sorted(os.listdir(tmp_path)) == before(tmp_path)


def before(tmp_path):
    return sorted(name for name in os.listdir(tmp_path) if name != "marker")


def refused(engine, data, *, by="load"):
    """Load or import it; return the message, and make sure that nothing stayed."""
    take = engine.images.load if by == "load" else engine.images.import_
    with pytest.raises(BoxshipError) as refusal:
        take([data[at : at + 65536] for at in range(0, len(data), 65536)])
    assert engine.images.list() == []
    assert engine.stored() == ([], [], [])
    return str(refusal.value)


def up(tmp_path):
    """The way from inside a layer's folder to the test's own."""
    return "../" * 12 + str(tmp_path).lstrip("/")


TRAVERSALS = {
    "dots": lambda p: [(f"{up(p)}/marker", b"x", {})],
    "dots inside": lambda p: [("a/", tarfile.DIRTYPE, {}), (f"a/../{up(p)}/marker", b"x", {})],
    "hard link out": lambda p: [("l", tarfile.LNKTYPE, {"linkname": f"{up(p)}/canary"})],
    "whiteout of dots": lambda p: [(".wh...", b"", {})],
    "whiteout of itself": lambda p: [("a/.wh..", b"", {})],
    "whiteout of nothing": lambda p: [("a/.wh.", b"", {})],
    "hard link to itself": lambda p: [("l", tarfile.LNKTYPE, {"linkname": "l"})],
    "hard link to nothing": lambda p: [("l", tarfile.LNKTYPE, {"linkname": "missing"})],
    "folder through a file": lambda p: [("a", b"x", {}), ("a/b", b"x", {})],
    "name too long": lambda p: [("n" * 300, b"x", {})],
    "path too deep": lambda p: [("d/" * 3000 + "f", b"x", {})],
    "owner too large": lambda p: [("f", b"x", {"uid": 1 << 40})],
}


@pytest.mark.parametrize("by", ["load", "import"])
@pytest.mark.parametrize("name", TRAVERSALS)
def test_a_layer_that_leads_out_is_refused(engine, tmp_path, outside, name, by):
    layer = archive(*TRAVERSALS[name](tmp_path))
    refused(engine, docker_archive([layer]) if by == "load" else layer, by=by)


CONFINED = {
    "absolute": lambda p: [(f"{p}/marker", b"x", {})],
    "absolute link": lambda p: [
        ("l", tarfile.SYMTYPE, {"linkname": str(p)}),
        ("l/marker", b"x", {}),
    ],
    "relative link": lambda p: [
        ("l", tarfile.SYMTYPE, {"linkname": up(p)}),
        ("l/marker", b"x", {}),
    ],
    "chain of links": lambda p: [
        ("a", tarfile.SYMTYPE, {"linkname": "b"}),
        ("b", tarfile.SYMTYPE, {"linkname": up(p)}),
        ("a/marker", b"x", {}),
    ],
    "file over a link": lambda p: [
        ("l", tarfile.SYMTYPE, {"linkname": f"{p}/canary"}),
        ("l", b"overwritten", {"mode": 0o777}),
    ],
    "folder over a link": lambda p: [
        ("l", tarfile.SYMTYPE, {"linkname": str(p)}),
        ("l", tarfile.DIRTYPE, {"mode": 0o777}),
        ("l/marker", b"x", {}),
    ],
    "whiteout through a link": lambda p: [
        ("l", tarfile.SYMTYPE, {"linkname": up(p)}),
        ("l/.wh.canary", b"", {}),
    ],
    "opaque through a link": lambda p: [
        ("l", tarfile.SYMTYPE, {"linkname": up(p)}),
        ("l/.wh..wh..opq", b"", {}),
    ],
    "hard link through a link": lambda p: [
        ("l", tarfile.SYMTYPE, {"linkname": "/" + up(p)}),
        ("l/x", b"inside", {}),
        ("h", tarfile.LNKTYPE, {"linkname": "l/x"}),
    ],
    "device over a link": lambda p: [
        ("l", tarfile.SYMTYPE, {"linkname": f"{p}/marker"}),
        ("l", tarfile.CHRTYPE, {"devmajor": 1, "devminor": 3, "mode": 0o666}),
    ],
}


@pytest.mark.parametrize("name", CONFINED)
def test_a_layer_that_points_out_stays_inside(engine, tmp_path, outside, name):
    """Links may point anywhere; what goes through one goes nowhere but into the layer."""
    layer = archive(*CONFINED[name](tmp_path))
    try:
        engine.images.load([docker_archive([layer])])
    except BoxshipError:
        assert engine.stored() == ([], [], [])


def test_attributes_of_overlayfs_are_not_taken_from_a_layer(engine):
    entry = Entry(
        b"d/",
        b"5",
        mode=0o755,
        xattrs={
            b"trusted.overlay.redirect": b"/etc",
            b"trusted.overlay.opaque": b"y",
            b"user.overlay.opaque": b"y",
            b"trusted.other": b"x",
            b"security.selinux": b"x",
            b"user.kept": b"yes",
        },
    )
    layer = tarwriter.header(entry) + tarwriter.END
    (image,) = engine.images.load([docker_archive([layer])])
    mounted = engine.snapshots.view(image.chain_id)
    found = os.listxattr(f"/proc/self/fd/{mounted}/d")
    os.close(mounted)
    assert found == ["user.kept"]


DOCUMENTS = {
    "no documents": archive(("x", b"x", {})),
    "nothing": b"",
    "no tar": b"nonsense" * 1000,
    "config missing": archive(("manifest.json", b'[{"Config":"c.json","Layers":[]}]', {})),
    "config outside": archive(
        ("manifest.json", b'[{"Config":"../../../etc/passwd","Layers":[]}]', {})
    ),
    "link outside": archive(
        ("c.json", tarfile.SYMTYPE, {"linkname": "/etc/passwd"}),
        ("manifest.json", b'[{"Config":"c.json","Layers":[]}]', {}),
    ),
    "loop of links": archive(
        ("c.json", tarfile.SYMTYPE, {"linkname": "d.json"}),
        ("d.json", tarfile.SYMTYPE, {"linkname": "c.json"}),
        ("manifest.json", b'[{"Config":"c.json","Layers":[]}]', {}),
    ),
    "duplicate keys": docker_archive([GOOD], document=b'{"rootfs":{"diff_ids":[]},"rootfs":{}}'),
    "deep nesting": docker_archive([GOOD], document=b'{"x":' + b"[" * 50_000),
    "config is a list": docker_archive([GOOD], document=b"[]"),
    "not a number": docker_archive([GOOD], document=b'{"x":NaN}'),
    "lone surrogate": docker_archive([GOOD], document=b'{"author":"\\ud800"}'),
    "wrong diff ID": docker_archive([GOOD], rootfs={"type": "layers", "diff_ids": [sha256(b"")]}),
    "fewer layers": docker_archive([GOOD], rootfs={"type": "layers", "diff_ids": []}),
    "diff ID as path": docker_archive(
        [GOOD], rootfs={"type": "layers", "diff_ids": ["sha256:../../../../x"]}
    ),
    "name as path": docker_archive([GOOD], tags=["../../etc:1"]),
    "name in capitals": docker_archive([GOOD], tags=["UPPER:1"]),
    "twice the same name": archive(("manifest.json", b"[]", {}), ("manifest.json", b"[ ]", {})),
    "file and link": archive(("a", b"x", {}), ("a", tarfile.SYMTYPE, {"linkname": "b"})),
    "no image in it": archive(("manifest.json", b"[]", {})),
}


@pytest.mark.parametrize("name", DOCUMENTS)
def test_documents_that_do_not_fit_are_refused(engine, outside, name):
    refused(engine, DOCUMENTS[name])


def oci_image(**members):
    """A good image's documents, with members of the manifest changed."""
    layer = gzip.compress(GOOD, mtime=0)
    document = config([GOOD])
    return manifest(document, [layer], **members), document, layer


def one(target, *blobs, kind="manifest.v1+json", **members):
    return layout([(target, kind, members)], [target, *blobs])


def test_a_good_layout_is_loaded(engine):
    (image,) = engine.images.load([one(*oci_image())])
    assert engine.images.get(image.id) == image


def cases():
    good, document, layer = oci_image()
    yield "image and index in one", one(*oci_image(manifests=[]))
    yield "called an index", one(good, document, layer, kind="index.v1+json")
    yield "calls itself an index", one(*oci_image(mediaType=OCI + "index.v1+json"))
    yield "old schema", one(*oci_image(schemaVersion=1))
    yield "layer missing", one(good, document)
    yield "config missing", one(good, layer)
    yield "manifest missing", layout([(good, "manifest.v1+json", {})], [document, layer])
    yield "size of the manifest", one(good, document, layer, size=5)
    yield "digest as path", one(good, document, layer, digest="sha256:../../../../etc/passwd")
    yield "digest in capitals", one(good, document, layer, digest=sha256(good).upper())
    yield "digest too short", one(good, document, layer, digest="sha256:abc")
    yield "another algorithm", one(good, document, layer, digest="md5:" + "0" * 32)
    yield "negative size", one(good, document, layer, size=-1)
    wrong = {"layers": [descriptor(layer, OCI + "layer.v1.tar+gzip", size=3)]}
    changed, *_ = oci_image(**wrong)
    yield "size of a layer", one(changed, document, layer)
    yield (
        "blob is not its name",
        archive(
            ("oci-layout", b"{}", {}),
            ("blobs/sha256/" + "0" * 64, b"x", {}),
            ("index.json", b"{}", {}),
        ),
    )
    yield "blob name is a path", archive(("blobs/sha256/../../../x", b"x", {}))
    yield "blob name is no digest", archive(("blobs/sha256/abc", b"x", {}))
    torn = layer[: len(layer) // 2]
    yield "torn layer", one(manifest(document, [torn]), document, torn)
    more = layer + gzip.compress(b"more")
    yield "appended member", one(manifest(document, [more]), document, more)
    junk = layer + b"junk"
    yield "appended junk", one(manifest(document, [junk]), document, junk)
    index = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
    yield "empty index", one(index, kind="index.v1+json")
    nested = index
    blobs = []
    for _ in range(8):
        blobs.append(nested)
        nested = json.dumps(
            {"schemaVersion": 2, "manifests": [descriptor(nested, OCI + "index.v1+json")]}
        ).encode()
    yield "indexes in indexes", one(nested, *blobs, kind="index.v1+json")


CASES = dict(cases())


@pytest.mark.parametrize("name", CASES)
def test_layouts_that_do_not_fit_are_refused(engine, outside, name):
    refused(engine, CASES[name])


def test_every_truncation_is_refused_and_leaves_nothing(engine):
    """The two blocks at the end say nothing; all before them does."""
    whole = docker_archive([GOOD])
    end = len(whole.rstrip(b"\0"))
    for size in range(100, end, 997):
        refused(engine, whole[:size])


def test_a_store_with_an_image_keeps_it_when_another_fails(engine):
    engine.images.load([docker_archive([GOOD])])
    before = engine.stored()
    bad = archive(("../x", b"x", {}))
    with pytest.raises(BoxshipError):
        engine.images.load([docker_archive([GOOD, bad], tags=["test:1"])])
    assert engine.stored() == before
    assert [image.names for image in engine.again().list()] == [("docker.io/library/test:1",)]


def zeros(size, packed):
    """A tar with one file of `size` zeros, and how it is sent."""
    yield packed.compress(tarwriter.header(Entry(b"zeros", size=size)))
    piece = bytes(1 << 20)
    for _ in range(size >> 20):
        yield packed.compress(piece)
    yield packed.flush()


def growth(work):
    """How much the process's greatest size grows while `work` is done."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    work()
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) << 10


def test_a_json_of_four_gigabytes_is_not_read_into_memory(engine):
    """Its header says how large it is: nothing of it is read."""

    def pieces():
        yield tarwriter.header(Entry(b"manifest.json", size=4 << 30))
        yield bytes(1 << 20)
        raise AssertionError("it was read on")

    def load():
        with pytest.raises(BoxshipError, match="larger than"):
            engine.images.load(pieces())

    assert growth(load) < 64 << 20
    assert engine.stored() == ([], [], [])


def test_a_manifest_that_is_a_large_blob_is_not_read_into_memory(engine):
    data = b'{"x":"' + b"x" * (8 << 20) + b'"}'
    assert "is larger than" in refused(engine, one(data))


def test_a_gzip_bomb_is_stopped(engine, monkeypatch):
    import zlib

    monkeypatch.setattr("boxship.lib.compression.BOMB_SIZE", 64 << 20)

    def load():
        with pytest.raises(BoxshipError, match="more than 200 times"):
            engine.images.import_(zeros(1 << 40, zlib.compressobj(9, wbits=31)))

    assert growth(load) < 64 << 20
    assert engine.stored() == ([], [], [])
