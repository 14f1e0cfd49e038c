"""What images are called in what is attested: package URLs. Pure."""

from __future__ import annotations

from boxship.spec.platform import Platform
from boxship.spec.reference import Reference


def package(name: Reference, platform: Platform) -> str:
    """Return what an image with a tag is called in what is attested."""
    place = str(platform).replace("/", "%2F")
    return f"pkg:docker/{name.familiar_repository}@{name.tag}?platform={place}"
