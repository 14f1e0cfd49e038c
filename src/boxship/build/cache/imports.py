"""Cached results of other machines: those that images carry in themselves."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from boxship.build import inline
from boxship.build.cache.records import Records
from boxship.build.progress import Report, Warned
from boxship.build.request import CacheOption
from boxship.build.sources.images import ImageSource
from boxship.build.sources.source import Asker
from boxship.content.store import Blobs
from boxship.errors import BoxshipError, InvalidRequest, NotSupported
from boxship.image.images import Image, Images
from boxship.spec.digest import Digest


def check_targets(wanted: Sequence[CacheOption]) -> None:
    """Refuse to send the cache where it cannot go."""
    for option in wanted:
        if option.kind != "inline":
            raise NotSupported(f"cache export to {option.kind!r} is not supported: use inline")


class Imports:
    """Takes in what an image says of its own layers."""

    def __init__(self, finder: ImageSource, images: Images, blobs: Blobs, records: Records) -> None:
        self._finder = finder
        self._images = images
        self._blobs = blobs
        self._records = records

    async def bring(self, wanted: Sequence[CacheOption], asker: Asker, report: Report) -> None:
        """Take in all that is wanted; what cannot be had is told of, and does not matter."""
        for option in wanted:
            name = option.attrs.get("ref", "")
            try:
                if option.kind not in ("registry", "inline") or not name:
                    raise InvalidRequest(f"cache import from {option.kind!r} is not supported")
                image = await self._finder.find(name, None, asker, lambda told: None, newest=False)
                await asyncio.to_thread(self._take, image)
                asker.held.chain(image.chain_id)
            except BoxshipError as error:
                text = f"failed to import cache of {name or option.kind}: {error}"
                report(Warned(Digest.of(text.encode()), 1, text.encode()))

    def _take(self, image: Image) -> None:
        manifest = image.variant.manifest
        if manifest is None:
            return
        config = self._blobs.read(manifest.config.digest)
        steps = inline.read(config, image.variant.chains)
        if steps:
            self._images.ensure_unpacked(image)
        for one in steps:
            if self._records.outputs(one.identity) is None:
                self._records.put(one.identity, {one.output: one.chain}, [])
                self._records.put_key(one.key, one.identity)
