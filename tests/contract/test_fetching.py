"""Archives that are imported from a URL, from a server of the test's own."""

from __future__ import annotations

import http.server
import threading
from collections.abc import Iterator

import pytest

from boxship.errors import InvalidRequest, Unavailable
from boxship.image import fetching


class Site(http.server.BaseHTTPRequestHandler):
    """Serves one file; sends others elsewhere, or breaks off."""

    def do_GET(self) -> None:
        match self.path:
            case "/file":
                self.send_response(200)
                self.send_header("Content-Length", "4")
                self.end_headers()
                self.wfile.write(b"data")
            case "/moved":
                self.send_response(302)
                self.send_header("Location", "/file")
                self.end_headers()
            case "/out":
                self.send_response(302)
                self.send_header("Location", "ftp://127.0.0.1/file")
                self.end_headers()
            case "/cut":
                self.send_response(200)
                self.send_header("Content-Length", "400")
                self.end_headers()
                self.wfile.write(b"data")
            case _:
                self.send_error(404)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Site)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.mark.parametrize("path", ["file", "moved"])
def test_a_file_is_fetched_also_where_it_has_moved_to(site: str, path: str) -> None:
    assert b"".join(fetching.chunks(f"{site}/{path}")) == b"data"
    assert b"".join(fetching.chunks(f"http://{site}/{path}")) == b"data"


@pytest.mark.parametrize("path", ["out", "cut", "missing"])
def test_what_cannot_be_had_whole_and_by_http_is_said(site: str, path: str) -> None:
    with pytest.raises(Unavailable, match=f"error downloading http://{site}/{path}: "):
        list(fetching.chunks(f"http://{site}/{path}"))


def test_no_other_way_is_taken(site: str) -> None:
    for url in ("ftp://127.0.0.1/x", "file:///etc/passwd"):
        with pytest.raises(InvalidRequest, match="neither an http nor an https URL"):
            list(fetching.chunks(url))
