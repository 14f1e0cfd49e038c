"""A store of images in a folder of the test's own, with nobody using it."""

import itertools

import pytest

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
        """All that the store holds, by file name."""
        kept = sorted(str(d) for d in self.blobs.digests())
        staging = self.root / "snapshots" / self.snapshots.driver / "staging"
        ingest = self.root / "blobs" / "ingest"
        left = [p.name for folder in (staging, ingest) for p in folder.iterdir()]
        return kept, sorted(self.snapshots.layers()), left


@pytest.fixture
def engine(tmp_path):
    return Engine(tmp_path)


@pytest.fixture
def images(engine):
    return engine.images
