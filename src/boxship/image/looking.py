"""Looking at an image where it is, without fetching it."""

from __future__ import annotations

from boxship.distribution.auth import Credentials
from boxship.distribution.client import Registry
from boxship.distribution.errors import RegistryError
from boxship.distribution.manifests import Manifest
from boxship.distribution.pool import Pool
from boxship.image.refusals import explained
from boxship.lib import strictjson
from boxship.spec.engine.common import OCIDescriptor, OCIPlatform
from boxship.spec.engine.image import DistributionInspect
from boxship.spec.oci import image as oci
from boxship.spec.oci.image import ImageConfig, Index, PlatformDocument
from boxship.spec.oci.image import Manifest as ImageManifest
from boxship.spec.reference import Reference


async def inspect(pool: Pool, asked: Reference, credentials: Credentials) -> DistributionInspect:
    """Return what a name points to in its registry, and the platforms it is for."""
    wanted = asked.with_default_tag()
    registry = Registry(wanted.host, credentials, pool)
    try:
        found = await registry.resolve(wanted.path, wanted.digest or wanted.tag or "")
        platforms = await _platforms(registry, wanted, found)
    except RegistryError as error:
        raise explained(error, wanted, registry.credentials) from error
    about = OCIDescriptor(
        media_type=found.media_type, digest=str(found.digest), size=len(found.data)
    )
    return DistributionInspect(descriptor=about, platforms=platforms)


async def _platforms(registry: Registry, wanted: Reference, found: Manifest) -> list[OCIPlatform]:
    if found.media_type in oci.INDEXES:
        listed = strictjson.decode(found.data, Index, "index").manifests
        return [_shown(one.platform) for one in listed if one.platform is not None]
    pointer = strictjson.decode(found.data, ImageManifest, "manifest").config
    if pointer.media_type not in oci.CONFIGS:
        return []
    limit = strictjson.SIZE
    data = await registry.small_blob(wanted.path, pointer.digest, pointer.size, limit)
    config = strictjson.decode(data, ImageConfig, "image configuration")
    said = OCIPlatform(architecture=config.architecture, os=config.os)
    said.variant = config.variant or None
    return [said]


def _shown(said: PlatformDocument) -> OCIPlatform:
    return OCIPlatform(
        architecture=said.architecture,
        os=said.os,
        os_version=said.os_version or None,
        os_features=said.os_features,
        variant=said.variant or None,
    )
