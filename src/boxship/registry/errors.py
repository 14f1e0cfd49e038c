"""What goes wrong here, with the codes that the distribution specification gives it.

{"errors": [{"code": CODE, "message": TEXT, "detail": ANYTHING}]}
"""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from boxship.errors import (
    BoxshipError,
    Forbidden,
    InvalidRequest,
    NotFound,
    NotSupported,
    Unauthorized,
    Unavailable,
)


class RegistryError(BoxshipError):
    """A failure that the protocol has a code for."""

    code: ClassVar[str] = "UNKNOWN"
    status: ClassVar[HTTPStatus] = HTTPStatus.INTERNAL_SERVER_ERROR

    def __init__(self, message: str, detail: Any = None) -> None:
        super().__init__(message)
        self.detail = detail

    def headers(self) -> list[tuple[str, str]]:
        """Return header lines that the answer has on top."""
        return []


class NameInvalid(RegistryError, InvalidRequest):
    code = "NAME_INVALID"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, name: str) -> None:
        super().__init__("invalid repository name", {"name": name})


class NameUnknown(RegistryError, NotFound):
    code = "NAME_UNKNOWN"
    status = HTTPStatus.NOT_FOUND

    def __init__(self, name: str) -> None:
        super().__init__("repository name not known to registry", {"name": name})


class TagInvalid(RegistryError, InvalidRequest):
    code = "TAG_INVALID"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, tag: str) -> None:
        super().__init__("invalid tag", {"tag": tag})


class DigestInvalid(RegistryError, InvalidRequest):
    """It is no digest, or not that of the content."""

    code = "DIGEST_INVALID"
    status = HTTPStatus.BAD_REQUEST


class SizeInvalid(RegistryError, InvalidRequest):
    """A length that is not that of the content."""

    code = "SIZE_INVALID"
    status = HTTPStatus.BAD_REQUEST


class TooLarge(RegistryError, InvalidRequest):
    code = "SIZE_INVALID"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class RangeInvalid(RegistryError, InvalidRequest):
    """The part asked for, or sent, is not one that can be."""

    code = "RANGE_INVALID"
    status = HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE

    def __init__(self, message: str, headers: Sequence[tuple[str, str]] = ()) -> None:
        super().__init__(message)
        self._headers = list(headers)

    def headers(self) -> list[tuple[str, str]]:
        return self._headers


class BlobUnknown(RegistryError, NotFound):
    code = "BLOB_UNKNOWN"
    status = HTTPStatus.NOT_FOUND

    def __init__(self, digest: str) -> None:
        super().__init__("blob unknown to registry", {"digest": digest})


class UploadUnknown(RegistryError, NotFound):
    code = "BLOB_UPLOAD_UNKNOWN"
    status = HTTPStatus.NOT_FOUND

    def __init__(self, upload: str) -> None:
        super().__init__("blob upload unknown to registry", {"upload": upload})


class UploadInvalid(RegistryError, InvalidRequest):
    code = "BLOB_UPLOAD_INVALID"
    status = HTTPStatus.BAD_REQUEST


class UploadBusy(RegistryError, InvalidRequest):
    code = "BLOB_UPLOAD_INVALID"
    status = HTTPStatus.CONFLICT

    def __init__(self) -> None:
        super().__init__("another request is writing to this upload")


class ManifestInvalid(RegistryError, InvalidRequest):
    code = "MANIFEST_INVALID"
    status = HTTPStatus.BAD_REQUEST


class ManifestUnknown(RegistryError, NotFound):
    code = "MANIFEST_UNKNOWN"
    status = HTTPStatus.NOT_FOUND

    def __init__(self, name: str, reference: str) -> None:
        super().__init__("manifest unknown", {"name": name, "reference": reference})


class ManifestBlobUnknown(RegistryError, InvalidRequest):
    """A manifest refers to what this repository does not have."""

    code = "MANIFEST_BLOB_UNKNOWN"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, digests: Sequence[str]) -> None:
        shown = ", ".join(digests[:5])
        super().__init__(
            f"manifest refers to what is not in the repository: {shown}", {"digests": digests[:100]}
        )


class PaginationInvalid(RegistryError, InvalidRequest):
    code = "PAGINATION_NUMBER_INVALID"
    status = HTTPStatus.BAD_REQUEST

    def __init__(self, given: str) -> None:
        super().__init__("invalid number of results requested", {"n": given[:50]})


class NotAuthenticated(RegistryError, Unauthorized):
    """Nobody has said who asks; `challenge` says how one does."""

    code = "UNAUTHORIZED"
    status = HTTPStatus.UNAUTHORIZED

    def __init__(self, challenge: str, message: str = "authentication required") -> None:
        super().__init__(message)
        self._challenge = challenge

    def headers(self) -> list[tuple[str, str]]:
        return [("WWW-Authenticate", self._challenge)]


class Denied(RegistryError, Forbidden):
    code = "DENIED"
    status = HTTPStatus.FORBIDDEN

    def __init__(self, message: str = "requested access to the resource is denied") -> None:
        super().__init__(message)


class Unsupported(RegistryError, NotSupported):
    code = "UNSUPPORTED"
    status = HTTPStatus.METHOD_NOT_ALLOWED

    def __init__(self, message: str = "the operation is unsupported") -> None:
        super().__init__(message)


class TooManyRequests(RegistryError, Unavailable):
    code = "TOOMANYREQUESTS"
    status = HTTPStatus.TOO_MANY_REQUESTS

    def __init__(self, message: str, wait: int) -> None:
        super().__init__(message)
        self._wait = wait

    def headers(self) -> list[tuple[str, str]]:
        return [("Retry-After", str(self._wait))]


class StorageUnavailable(RegistryError, Unavailable):
    """The storage, or the registry behind this one, does not answer or has no room."""

    code = "UNAVAILABLE"
    status = HTTPStatus.SERVICE_UNAVAILABLE
