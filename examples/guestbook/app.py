"""A guest book: notes in SQLite, shown and added over HTTP. Standard library only."""

from __future__ import annotations

import html
import os
import signal
import sqlite3
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

DATABASE = os.path.join(os.environ.get("NOTES", "/data"), "notes.db")
PAGE = """<!doctype html><title>Guest book</title><h1>Guest book</h1>
<form method=post><input name=note autofocus><button>Sign</button></form><ul>{notes}</ul>
"""


def database() -> sqlite3.Connection:
    connection = sqlite3.connect(DATABASE)
    connection.execute("CREATE TABLE IF NOT EXISTS notes (id INTEGER PRIMARY KEY, note TEXT)")
    return connection


class GuestBook(BaseHTTPRequestHandler):
    """GET shows the notes, POST adds one; /healthz answers without touching them."""

    def do_GET(self) -> None:
        if self.path == "/healthz":
            return self.answer(200, "text/plain", "ok\n")
        with database() as notes:
            rows = notes.execute("SELECT note FROM notes ORDER BY id").fetchall()
        listed = "".join(f"<li>{html.escape(note)}</li>" for (note,) in rows)
        return self.answer(200, "text/html; charset=utf-8", PAGE.format(notes=listed))

    def do_POST(self) -> None:
        length = min(int(self.headers.get("Content-Length", 0)), 4096)
        form = parse_qs(self.rfile.read(length).decode(errors="replace"))
        with database() as notes:
            notes.execute("INSERT INTO notes (note) VALUES (?)", (form.get("note", [""])[0],))
        self.send_response(303)
        self.send_header("Location", "/")
        self.end_headers()

    def answer(self, status: int, kind: str, text: str) -> None:
        body = text.encode()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


def main() -> None:
    os.makedirs(os.path.dirname(DATABASE), exist_ok=True)
    server = ThreadingHTTPServer(("", int(os.environ.get("PORT", "8000"))), GuestBook)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    print(f"guest book on port {server.server_port}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
