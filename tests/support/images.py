"""Images with all they stand on, in a folder of the test's own, and archives to feed them."""

from __future__ import annotations

import gzip
import hashlib
import io
import itertools
import json
import tarfile

from boxship.content.partial import SMALLEST
from boxship.content.store import Blobs
from boxship.image.images import Images
from boxship.image.needs import User
from boxship.snapshot.snapshots import Snapshots
from boxship.spec.platform import Platform
from boxship.store.database import Database

HOST = Platform("linux", "amd64")


class Users:
    """Containers by image, as the test says."""

    def __init__(self):
        self.by_image = {}

    def using(self, image):
        return self.by_image.get(image, [])

    def add(self, image, id, *, running):
        self.by_image.setdefault(image.id, []).append(User(id, running))


class Journal:
    """What was told."""

    def __init__(self):
        self.told = []

    def publish(self, type, action, id, attributes):
        self.told.append((action, attributes.get("name", "")))


class Engine:
    """Images with all they stand on; `again` is what a restart finds."""

    def __init__(self, root):
        self.root = root
        self.users = Users()
        self.journal = Journal()
        seconds = itertools.count(1_700_000_000)
        self.clock = lambda: next(seconds) * 10**9
        self.start()

    def start(self):
        self.database = Database(str(self.root / "boxship.db"))
        self.blobs = Blobs(str(self.root / "blobs"))
        self.snapshots = Snapshots.at(str(self.root / "snapshots"))
        self.images = Images(
            self.database, self.blobs, self.snapshots, HOST, self.users, self.journal, self.clock
        )

    def again(self):
        self.database.close()
        self.start()
        return self.images

    def stored(self):
        """All that the store holds, by file name; but not what is worth going on with."""
        kept = sorted(str(d) for d in self.blobs.digests())
        staging = self.root / "snapshots" / self.snapshots.driver / "staging"
        ingest = self.root / "blobs" / "ingest"
        partial = self.root / "blobs" / "partial"
        left = [p.name for folder in (staging, ingest) for p in folder.iterdir()]
        left += [p.name for p in partial.iterdir() if p.stat().st_size < SMALLEST]
        return kept, sorted(self.snapshots.layers()), left


TYPES = (
    tarfile.DIRTYPE,
    tarfile.SYMTYPE,
    tarfile.LNKTYPE,
    tarfile.FIFOTYPE,
    tarfile.CHRTYPE,
    tarfile.BLKTYPE,
)


def archive(*members):
    """An archive of (name, content or type, attributes)."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, content, attributes in members:
            info = tarfile.TarInfo(name)
            info.mtime = 1_600_000_000
            info.mode = 0o644
            if content not in TYPES:
                info.size = len(content)
            else:
                info.type = content
                info.mode = 0o755
            for key, value in attributes.items():
                setattr(info, key, value)
            tar.addfile(info, io.BytesIO(content) if content not in TYPES else None)
    return data.getvalue()


def sha256(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def config(layers, **members):
    """An image's configuration for these uncompressed layers."""
    document = {
        "architecture": "amd64",
        "os": "linux",
        "created": "2020-01-02T03:04:05Z",
        "config": {"Cmd": ["/x"], "Labels": {"from": "test"}},
        "rootfs": {"type": "layers", "diff_ids": [sha256(layer) for layer in layers]},
        "history": [{"created": "2020-01-02T03:04:05Z", "created_by": "test"} for _ in layers],
        "x-unknown": {"kept": True},
    }
    return json.dumps(document | members).encode()


def docker_archive(layers, *, tags=("test:1",), document=None, packed=False, **members):
    """What `docker save` wrote before it wrote OCI layouts."""
    document = document or config(layers, **members)
    name = hashlib.sha256(document).hexdigest() + ".json"
    files = [(name, document, {})]
    paths = []
    for number, layer in enumerate(layers):
        paths.append(f"{number}/layer.tar")
        files.append((paths[-1], gzip.compress(layer, mtime=0) if packed else layer, {}))
    saved = [{"Config": name, "RepoTags": list(tags) or None, "Layers": paths}]
    return archive(*files, ("manifest.json", json.dumps(saved).encode(), {}))


def blob(data):
    return (f"blobs/sha256/{hashlib.sha256(data).hexdigest()}", data, {})


def descriptor(data, media_type, **members):
    return {"mediaType": media_type, "digest": sha256(data), "size": len(data), **members}


OCI = "application/vnd.oci.image."


def manifest(document, stored, **members):
    """An OCI manifest for a configuration and layers as they are stored."""
    return json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI + "manifest.v1+json",
            "config": descriptor(document, OCI + "config.v1+json"),
            "layers": [descriptor(layer, OCI + "layer.v1.tar+gzip") for layer in stored],
        }
        | members
    ).encode()


def layout(targets, blobs):
    """An OCI layout whose index lists these (data, kind, members)."""
    index = {
        "schemaVersion": 2,
        "manifests": [descriptor(d, OCI + kind, **members) for d, kind, members in targets],
    }
    return archive(
        ("oci-layout", b'{"imageLayoutVersion":"1.0.0"}', {}),
        *[blob(data) for data in blobs],
        ("index.json", json.dumps(index).encode(), {}),
    )


def indexed(*platforms):
    """An index with an image for each platform, as (archive, manifests)."""
    blobs, entries, manifests = [], [], []
    for number, (system, architecture) in enumerate(platforms):
        layer = archive(("p", b"number %d" % number, {}))
        packed = gzip.compress(layer, mtime=0)
        document = config([layer], architecture=architecture, os=system)
        one = manifest(document, [packed])
        manifests.append(one)
        blobs += [packed, document, one]
        platform = {"os": system, "architecture": architecture}
        entries.append(descriptor(one, OCI + "manifest.v1+json", platform=platform))
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    names = {"annotations": {"io.containerd.image.name": "docker.io/library/multi:1"}}
    return layout([(index, "index.v1+json", names)], [*blobs, index]), index, manifests


def attested(*statements):
    """An index with an image and what is attested of it, as an archive."""
    layer = archive(("p", b"x", {}))
    packed = gzip.compress(layer, mtime=0)
    document = config([layer])
    image = manifest(document, [packed])
    bodies = [
        json.dumps({"predicateType": kind, "n": n}).encode() for n, kind in enumerate(statements)
    ]
    layers = [
        descriptor(body, "", annotations={"in-toto.io/predicate-type": kind})
        | {"mediaType": "application/vnd.in-toto+json"}
        for body, kind in zip(bodies, statements, strict=True)
    ]
    empty = b"{}"
    attestation = json.dumps(
        {
            "schemaVersion": 2,
            "mediaType": OCI + "manifest.v1+json",
            "config": descriptor(empty, OCI + "config.v1+json"),
            "layers": layers,
        }
    ).encode()
    about = {
        "vnd.docker.reference.type": "attestation-manifest",
        "vnd.docker.reference.digest": sha256(image),
    }
    entries = [
        descriptor(
            image, OCI + "manifest.v1+json", platform={"os": "linux", "architecture": "amd64"}
        ),
        descriptor(
            attestation,
            OCI + "manifest.v1+json",
            annotations=about,
            platform={"os": "unknown", "architecture": "unknown"},
        ),
    ]
    index = json.dumps({"schemaVersion": 2, "manifests": entries}).encode()
    names = {"annotations": {"io.containerd.image.name": "docker.io/library/attested:1"}}
    content = [packed, document, image, empty, attestation, *bodies, index]
    return layout([(index, "index.v1+json", names)], content)
