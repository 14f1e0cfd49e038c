"""A small object store that speaks as much of S3 as our registry asks for; signatures pass."""

from __future__ import annotations

import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from email.utils import format_datetime
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

KEY = re.compile(r"<Key>(.*?)</Key>")


class ObjectStore(http.server.ThreadingHTTPServer):
    """Buckets are the first part of the path; objects live in memory."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.objects: dict[str, tuple[bytes, datetime]] = {}
        self.parts: dict[str, dict[int, bytes]] = {}
        self.asked: list[str] = []
        self.failures = 0  # of the next requests

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(http.server.BaseHTTPRequestHandler):
    """One request."""

    protocol_version = "HTTP/1.1"
    server: ObjectStore

    def handle_one(self) -> None:
        body = self.body()
        parts = urlsplit(self.path)
        self.query = parse_qs(parts.query, keep_blank_values=True)
        _, _, rest = parts.path.lstrip("/").partition("/")
        self.key = unquote(rest)
        self.server.asked.append(f"{self.command} {self.key}")
        if self.server.failures:
            self.server.failures -= 1
            self.answer(503, b"<Error><Code>SlowDown</Code></Error>")
            return
        getattr(self, f"on_{self.command.lower()}")(body)

    do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = handle_one  # noqa: N815

    def body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if "aws-chunked" not in self.headers.get("Content-Encoding", ""):
            return data
        found = b""
        while data:
            head, _, data = data.partition(b"\r\n")
            size = int(head.partition(b";")[0], 16)
            if not size:
                break
            found, data = found + data[:size], data[size + 2 :]
        return found

    def on_get(self, body: bytes) -> None:
        if "uploads" in self.query:
            self.answer(200, b"<ListMultipartUploadsResult></ListMultipartUploadsResult>")
        elif "list-type" in self.query:
            self.list()
        elif self.key not in self.server.objects:
            self.answer(404, b"<Error><Code>NoSuchKey</Code></Error>")
        else:
            data, changed = self.server.objects[self.key]
            asked = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
            status = 200
            if asked:
                status, end = 206, int(asked[2]) + 1 if asked[2] else len(data)
                data = data[int(asked[1]) : end]
            self.answer(status, data, changed)

    def on_head(self, body: bytes) -> None:
        found = self.server.objects.get(self.key)
        self.answer(200 if found else 404, *(found or (b"",)))

    def on_put(self, body: bytes) -> None:
        if "partNumber" in self.query:
            parts = self.server.parts[self.query["uploadId"][0]]
            parts[int(self.query["partNumber"][0])] = body
        else:
            self.server.objects[self.key] = body, datetime.now(UTC)
        self.answer(200, b"")

    def on_post(self, body: bytes) -> None:
        if "uploads" in self.query:
            name = f"upload{len(self.server.parts)}"
            self.server.parts[name] = {}
            told = f"<UploadId>{name}</UploadId>"
            self.answer(
                200,
                f"<InitiateMultipartUploadResult>{told}</InitiateMultipartUploadResult>".encode(),
            )
        elif "uploadId" in self.query:
            parts = self.server.parts.pop(self.query["uploadId"][0])
            whole = b"".join(parts[number] for number in sorted(parts))
            self.server.objects[self.key] = whole, datetime.now(UTC)
            self.answer(200, b"<CompleteMultipartUploadResult></CompleteMultipartUploadResult>")
        else:
            for key in KEY.findall(body.decode()):
                self.server.objects.pop(key, None)
            self.answer(200, b"<DeleteResult></DeleteResult>")

    def on_delete(self, body: bytes) -> None:
        self.server.objects.pop(self.key, None)
        self.answer(204, b"")

    def list(self) -> None:
        prefix = self.query.get("prefix", [""])[0]
        delimiter = self.query.get("delimiter", [""])[0]
        start = self.query.get("continuation-token", [""])[0]
        contents, folders, last = [], [], ""
        for key in sorted(self.server.objects):
            if not key.startswith(prefix) or (start and key <= start):
                continue
            rest = key[len(prefix) :]
            if delimiter and delimiter in rest:
                folder = prefix + rest.partition(delimiter)[0] + delimiter
                if folder not in folders:
                    folders.append(folder)
            else:
                contents.append(key)
            last = key
            if len(contents) + len(folders) == 3:  # so that there is always a next page
                break
        rest_is = last and any(k > last and k.startswith(prefix) for k in self.server.objects)
        listed = "".join(f"<Contents><Key>{escape(key)}</Key></Contents>" for key in contents)
        listed += "".join(
            f"<CommonPrefixes><Prefix>{escape(one)}</Prefix></CommonPrefixes>" for one in folders
        )
        if rest_is:
            token = f"<NextContinuationToken>{escape(last)}</NextContinuationToken>"
            listed += f"<IsTruncated>true</IsTruncated>{token}"
        self.answer(200, f"<ListBucketResult>{listed}</ListBucketResult>".encode())

    def answer(self, status: int, data: bytes, changed: datetime | None = None) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.send_header("ETag", f'"{hashlib.md5(data, usedforsecurity=False).hexdigest()}"')
        if changed is not None:
            self.send_header("Last-Modified", format_datetime(changed, usegmt=True))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def log_message(self, *words: object) -> None:
        pass


@contextmanager
def object_store() -> Iterator[ObjectStore]:
    """Serve an empty store until the block ends."""
    made = ObjectStore()
    threading.Thread(target=made.serve_forever, args=(0.05,), daemon=True).start()
    try:
        yield made
    finally:
        made.shutdown()
        made.server_close()
