"""Keys as objects of a bucket, by boto3.

Unfinished blobs lie in a local folder until their digest has been checked; then they go up, in
parts when they are large. So nothing wrong or half is ever in the bucket, and a client that went
on elsewhere must come back to the server that has its upload.

What was touched is remembered by this process only: collection belongs to the one server that
writes to the bucket.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from boxship.registry.config import BadConfig, S3Section
from boxship.registry.errors import StorageUnavailable
from boxship.registry.storage.driver import NoSuchKey, Stat

LINK_LIFE: Final = 1200  # seconds that a client may take to follow a redirect
TOUCHED: Final = 100_000
ABSENT: Final = frozenset({"404", "NoSuchKey", "NotFound"})


class ObjectContent:
    """An object that is open for reading."""

    file: BinaryIO | None = None

    def __init__(self, store: ObjectStore, key: str, size: int) -> None:
        self._store = store
        self._key = key
        self.size = size
        self._stream: Any = None
        self._at = 0

    def read(self, offset: int, count: int) -> bytes:
        """Return the next bytes; reading on from where the last call ended is cheap."""
        if offset >= self.size:
            return b""
        if self._stream is None or offset != self._at:
            self.close()
            self._stream = self._store.stream(self._key, offset)
            self._at = offset
        data: bytes = self._stream.read(count)
        self._at += len(data)
        return data

    def close(self) -> None:
        if self._stream is not None:
            self._stream.close()
            self._stream = None


class ObjectStore:
    """Keeps bytes in a bucket."""

    local = False

    def __init__(self, section: S3Section, spool: str) -> None:
        self._client, self._transfer = _connect(section)
        self._bucket = section.bucket
        self._root = section.rootdirectory.strip("/")
        self._spool = spool
        self._extra = _extra(section)
        self._touched: dict[str, float] = {}
        self._lock = threading.Lock()

    def read(self, key: str) -> bytes:
        with self._told(key):
            answer = self._client.get_object(Bucket=self._bucket, Key=self._key(key))
            data: bytes = answer["Body"].read()
        return data

    def stat(self, key: str) -> Stat | None:
        try:
            with self._told(key):
                answer = self._client.head_object(Bucket=self._bucket, Key=self._key(key))
        except NoSuchKey:
            return None
        changed = max(answer["LastModified"].timestamp(), self._touched.get(key, 0.0))
        return Stat(answer["ContentLength"], changed)

    def open(self, key: str) -> ObjectContent:
        if (found := self.stat(key)) is None:
            raise NoSuchKey(key)
        return ObjectContent(self, key, found.size)

    def stream(self, key: str, offset: int) -> Any:
        """Return what reads an object from `offset` on."""
        with self._told(key):
            answer = self._client.get_object(
                Bucket=self._bucket, Key=self._key(key), Range=f"bytes={offset}-"
            )
        return answer["Body"]

    def write(self, key: str, data: bytes) -> None:
        with self._told(key):
            self._client.put_object(
                Bucket=self._bucket, Key=self._key(key), Body=data, **self._extra
            )

    def adopt(self, path: str, key: str) -> None:
        with self._told(key):
            self._client.upload_file(
                path,
                self._bucket,
                self._key(key),
                ExtraArgs=self._extra or None,
                Config=self._transfer,
            )
        os.unlink(path)

    def names(self, key: str) -> list[str]:
        prefix = self._key(key) + "/"
        found: set[str] = set()
        with self._told(key):
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=prefix, Delimiter="/"
            )
            for page in pages:
                for one in page.get("CommonPrefixes", ()):
                    found.add(one["Prefix"][len(prefix) :].rstrip("/"))
                for one in page.get("Contents", ()):
                    found.add(one["Key"][len(prefix) :])
        return sorted(name for name in found if name)

    def delete(self, key: str) -> None:
        with self._told(key):
            self._client.delete_object(Bucket=self._bucket, Key=self._key(key))
            pages = self._client.get_paginator("list_objects_v2").paginate(
                Bucket=self._bucket, Prefix=self._key(key) + "/"
            )
            for page in pages:
                if listed := [{"Key": one["Key"]} for one in page.get("Contents", ())]:
                    self._client.delete_objects(Bucket=self._bucket, Delete={"Objects": listed})

    def touch(self, key: str) -> None:
        with self._lock:
            self._touched.pop(key, None)
            self._touched[key] = time.time()
            while len(self._touched) > TOUCHED:
                del self._touched[next(iter(self._touched))]

    def location(self, key: str) -> str | None:
        """Return a signed address that ends soon."""
        with self._told(key):
            made: str = self._client.generate_presigned_url(
                "get_object",
                Params={"Bucket": self._bucket, "Key": self._key(key)},
                ExpiresIn=LINK_LIFE,
            )
        return made

    def leftovers(self, age: float) -> Iterator[tuple[str, int]]:
        """Abort uploads in parts that a crash left; they are in no listing."""
        before = time.time() - age
        with self._told(""):
            pages = self._client.get_paginator("list_multipart_uploads").paginate(
                Bucket=self._bucket, Prefix=self._key("")
            )
            for page in pages:
                for one in page.get("Uploads", ()):
                    if one["Initiated"].timestamp() < before:
                        self._client.abort_multipart_upload(
                            Bucket=self._bucket, Key=one["Key"], UploadId=one["UploadId"]
                        )
        return iter(())

    def spool(self) -> str:
        os.makedirs(self._spool, exist_ok=True)
        return self._spool

    def free(self) -> int | None:
        found = os.statvfs(self.spool())
        return found.f_bavail * found.f_frsize

    def _key(self, key: str) -> str:
        return f"{self._root}/{key}" if self._root else key

    def _told(self, key: str) -> _Told:
        return _Told(key)


class _Told:
    """Turns boto's failures into ours."""

    def __init__(self, key: str) -> None:
        self._key = key

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if error is None:
            return
        from boto3.exceptions import Boto3Error
        from botocore.exceptions import BotoCoreError, ClientError

        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", ""))
            if code in ABSENT:
                raise NoSuchKey(self._key) from error
            raise StorageUnavailable(f"the object store refuses: {code or 'no reason'}") from error
        if isinstance(error, BotoCoreError | Boto3Error):
            raise StorageUnavailable("the object store does not answer") from error


def _connect(section: S3Section) -> tuple[Any, Any]:
    try:
        import boto3
        from boto3.s3.transfer import TransferConfig
        from botocore.config import Config
    except ImportError as error:
        raise BadConfig("storage.s3 needs boto3: install boxship[s3]") from error
    endpoint = section.regionendpoint or None
    if endpoint and "://" not in endpoint:
        endpoint = f"{'https' if section.secure else 'http'}://{endpoint}"
    options: dict[str, Any] = {
        "addressing_style": "path" if section.forcepathstyle or endpoint else "auto",
        "use_accelerate_endpoint": section.accelerate,
        "use_dualstack_endpoint": section.usedualstack,
    }
    settings = Config(
        s3=options,
        signature_version="s3v4" if section.v4auth else "s3",
        max_pool_connections=32,
        retries={"total_max_attempts": 3, "mode": "standard"},
        use_fips_endpoint=section.usefipsendpoint,
    )
    client = boto3.session.Session().client(
        "s3",
        region_name=section.region or "us-east-1",
        endpoint_url=endpoint,
        use_ssl=section.secure,
        verify=not section.skipverify,
        aws_access_key_id=section.accesskey or None,
        aws_secret_access_key=section.secretkey or None,
        aws_session_token=section.sessiontoken or None,
        config=settings,
    )
    part = max(int(section.chunksize), 5 << 20)
    transfer = TransferConfig(multipart_threshold=part, multipart_chunksize=part, max_concurrency=4)
    return client, transfer


def _extra(section: S3Section) -> dict[str, str]:
    """Return what every object is written with."""
    found: dict[str, str] = {}
    if section.keyid:
        found |= {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": section.keyid}
    elif section.encrypt:
        found["ServerSideEncryption"] = "AES256"
    if section.storageclass and section.storageclass != "NONE":
        found["StorageClass"] = section.storageclass
    if section.objectacl:
        found["ACL"] = section.objectacl
    return found
