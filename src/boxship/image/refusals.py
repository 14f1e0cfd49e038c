"""What a registry's refusal means for a pull or a push, in the words that clients know."""

from __future__ import annotations

from boxship.distribution.auth import Credentials
from boxship.distribution.errors import Denied, LoginNeeded, NotThere, RegistryError
from boxship.errors import BoxshipError, NotFound
from boxship.spec.reference import Reference

DENIED = "denied: requested access to the resource is denied"


class AccessDenied(NotFound):
    """The registry does not show the repository; whether there is one is not said."""


class ManifestNotFound(NotFound):
    """The repository has no such tag or digest."""


def explained(error: RegistryError, wanted: Reference, credentials: Credentials) -> BoxshipError:
    """Return what a failed pull of `wanted` says."""
    repository = wanted.familiar_repository
    hidden = isinstance(error, Denied) or "DENIED" in error.codes
    if hidden or (isinstance(error, LoginNeeded) and credentials.anonymous and error.status):
        return AccessDenied(
            f"pull access denied for {repository}, repository does not exist or may require "
            f"'docker login': {DENIED if not hidden else error}"
        )
    if not isinstance(error, NotThere):
        return error
    if "NAME_UNKNOWN" in error.codes:
        return ManifestNotFound(f"repository {repository} not found: {error}")
    if "MANIFEST_UNKNOWN" in error.codes or "MANIFEST_BLOB_UNKNOWN" in error.codes:
        return ManifestNotFound(f"manifest for {wanted.familiar} not found: {error}")
    return error
