"""Detached mounts: a part of a volume, an image or a part of one.

They reach the runtime as descriptors, because a path to them could be swapped by whoever writes
to the volume, or does not exist at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from boxship.container.needs import Images, Snapshots, Volumes
from boxship.container.record import MountPoint
from boxship.errors import InvalidRequest
from boxship.kernel import mounts, paths
from boxship.kernel.apart import OWN, leave_host
from boxship.lib.threads import apart


@dataclass(frozen=True, slots=True)
class Trees:
    """Makes them; all methods may wait for a disk. Whoever gets a descriptor closes it."""

    images: Images
    snapshots: Snapshots
    volumes: Volumes
    place: str  # an empty folder

    def of_volume(self, point: MountPoint) -> int:
        """Return what is at the subpath of a volume, which has been acquired."""
        found = self.volumes.open_subpath(point.name, point.subpath)
        try:
            return mounts.open_tree(folder=found, recursive=True)
        finally:
            os.close(found)

    def of_image(self, point: MountPoint) -> int:
        """Return the files of an image, or what is at the subpath of them; read-only."""
        view = self.snapshots.view(self.images.get(point.source).chain_id)
        if not point.subpath:
            return view
        try:
            return apart("image mount", lambda: self._part(view, point))
        finally:
            os.close(view)

    def _part(self, view: int, point: MountPoint) -> int:
        """Attach the whole where only this thread sees it: a detached mount cannot be copied."""
        leave_host(self.place, *OWN)
        mounts.move_mount(view, self.place)
        try:
            found = paths.open_in_root(view, point.subpath, os.O_PATH)
        except OSError as failure:
            reason = os.strerror(failure.errno or 0).lower()
            raise InvalidRequest(
                f"cannot access subpath {point.subpath!r} of image {point.name}: {reason}"
            ) from None
        try:
            return mounts.open_tree(folder=found)
        finally:
            os.close(found)
