"""What is told of images: events in the words that clients wait for."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from boxship.image import builtin
from boxship.image.catalog import Catalog
from boxship.image.needs import Publisher
from boxship.image.record import Build, Image
from boxship.spec.platform import Platform
from boxship.spec.reference import Reference


class Announcing:
    """Images of which is told what becomes of them."""

    host: Platform
    _catalog: Catalog
    _publisher: Publisher
    _clock: Callable[[], int]

    def announce_build(self, image: Image, names: Sequence[str], ref: str = "") -> None:
        """Tell that an image was built, and what it is called; note the build's record."""
        if ref:
            self._catalog.built(image.id, Build(ref, self._clock()))
        self._tell("build", image, str(image.id))
        for name in names:
            self._tell("tag", image, Reference.parse(name).familiar)

    def announce_pull(self, image: Image, name: Reference) -> None:
        """Tell that an image was pulled."""
        self._exchanged("pull", image, name)

    def announce_load(self, image: Image, name: Reference | None) -> None:
        """Tell that an image came in one piece."""
        self._tell("load", image, str(image.id) if name is None else name.familiar)

    def announce_push(self, image: Image, name: Reference) -> None:
        """Tell that an image was pushed."""
        self._exchanged("push", image, name)

    def _exchanged(self, action: str, image: Image, name: Reference) -> None:
        if builtin.recipe(name.with_default_tag(), self.host) is None:
            self._catalog.originate(image.id, name.repository)
        attributes = {**image.labels, "name": name.familiar_repository}
        self._publisher.publish("image", action, name.familiar, attributes)

    def _tell(self, action: str, image: Image, name: str) -> None:
        self._publisher.publish("image", action, image.id, {**image.labels, "name": name})
