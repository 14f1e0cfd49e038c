"""Files that builds fetch: URLs and repositories, kept and hostile ones."""

from __future__ import annotations

import asyncio
import http.server
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from tests.support.building import Heard, Workshop, workshop
from tests.support.remote import free_port

from boxship.build import ops
from boxship.build.errors import BuildFailed
from boxship.build.ops import About, Action, Copy, Files, Ref, Source, Vertex
from boxship.spec.digest import Digest

NUMBER = 430
GIT = {"GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1", "PATH": os.environ["PATH"]}


class Site(http.server.BaseHTTPRequestHandler):
    """Serves one file with an ETag, and redirects."""

    asked: list[str]
    body = b"hello"

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        if self.path.startswith("/to?"):
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.end_headers()
            return
        if self.path == "/loop":
            self.send_response(302)
            self.send_header("Location", "/loop")
            self.end_headers()
            return
        if self.headers.get("If-None-Match") == '"1"':
            self.send_response(304)
            self.end_headers()
            return
        self.send_response(200)
        self.send_header("ETag", '"1"')
        self.send_header("Content-Length", str(len(self.body)))
        self.end_headers()
        self.wfile.write(self.body)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def site() -> Iterator[tuple[str, list[str]]]:
    asked: list[str] = []
    handler = type("Handler", (Site,), {"asked": asked})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def fetched(identifier: str, path: str = "/", **attrs: str) -> Ref:
    """What a source holds, copied onto nothing."""
    said = tuple(sorted((key.replace("_", "."), value) for key, value in attrs.items()))
    source = Ref(Vertex(Source(identifier, said), about=About(name="source")))
    does = Copy(path, "/", contents_only=True, make_parents=True)
    return Ref(Vertex(Files((Action(does, ops.SCRATCH, 0, 0),)), (source,)))


async def built(shop: Workshop, ref: Ref, path: str) -> bytes:
    await shop.build(ref, Heard(), tags=("t:1",))
    return shop.read("t:1", path)


def test_a_url_is_fetched_once_and_asked_about_again() -> None:
    async def story() -> None:
        async with workshop(NUMBER) as shop:
            with site() as (url, asked):
                for _ in range(2):
                    assert await built(shop, fetched(f"{url}/to?/file"), "/to") == b"hello"
                assert asked == ["/to?/file", "/file"] * 2
                good = str(Digest.of(b"hello"))
                ref = fetched(f"{url}/f", http_checksum=good, http_filename="name")
                assert await built(shop, ref, "/name") == b"hello"
                wrong = fetched(f"{url}/f", http_checksum="sha256:" + "0" * 64)
                with pytest.raises(BuildFailed, match="digest mismatch"):
                    await built(shop, wrong, "/f")

    asyncio.run(story())


def test_link_local_addresses_other_schemes_and_endless_redirects_are_refused() -> None:
    async def story() -> None:
        async with workshop(NUMBER + 1) as shop:
            with site() as (url, asked):
                for identifier, message in (
                    ("http://169.254.169.254/latest/meta-data", "not allowed"),
                    ("http://[fe80::1]/x", "not allowed"),
                    ("http://[::ffff:169.254.169.254]/x", "not allowed"),
                    (f"{url}/to?http://169.254.169.254/x", "not allowed"),
                    (f"{url}/to?file:///etc/passwd", "file"),
                    (f"{url}/loop", "redirects"),
                ):
                    with pytest.raises(BuildFailed, match=message):
                        await built(shop, fetched(identifier), "/x")
                assert len(asked) < 30

    asyncio.run(story())


@contextmanager
def repository(path: Path) -> Iterator[str]:
    """A repository with two commits, served by git itself."""
    work = path / "work"
    work.mkdir()

    def git(*words: str) -> str:
        said = ("user.name=a", "user.email=a@b", "init.defaultBranch=main")
        who = [word for one in said for word in ("-c", one)]
        done = subprocess.run(
            ["git", *who, *words], cwd=work, env=GIT, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    git("init", "-q")
    (work / "file").write_text("first")
    git("add", ".")
    git("commit", "-qm", "first")
    git("tag", "v1")
    (work / "file").write_text("second")
    (work / "sub").mkdir()
    (work / "sub/inner").write_text("inner")
    (work / "out").symlink_to("/etc")
    git("add", ".")
    git("commit", "-qm", "second")
    subprocess.run(
        ["git", "clone", "-q", "--bare", str(work), str(path / "r.git")], env=GIT, check=True
    )
    import socket

    port = free_port()
    daemon = subprocess.Popen(
        ["git", "daemon", "--reuseaddr", "--export-all", f"--base-path={path}",
         "--listen=127.0.0.1", f"--port={port}", str(path)],
        env=GIT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    try:
        for _ in range(200):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            threading.Event().wait(0.02)
        yield f"git://127.0.0.1:{port}/r.git"
    finally:
        os.killpg(daemon.pid, 15)
        daemon.wait()
        assert daemon.stderr is not None
        daemon.stderr.close()


def test_a_commit_is_what_its_ref_means_and_nothing_leads_out_of_it(tmp_path: Path) -> None:
    async def story() -> None:
        async with workshop(NUMBER + 2) as shop:
            with repository(tmp_path) as url:
                full = {"git_fullurl": url}
                assert await built(shop, fetched(url, **full), "/file") == b"second"
                assert await built(shop, fetched(f"{url}#v1", **full), "/file") == b"first"
                assert await built(shop, fetched(f"{url}#main:sub", **full), "/inner") == b"inner"
                kept = fetched(url, **full, git_keepgitdir="true")
                assert url.encode() in await built(shop, kept, "/.git/config")
                for fragment in ("main:../..", "main:out", "nowhere", "main:missing"):
                    with pytest.raises(BuildFailed):
                        await built(shop, fetched(f"{url}#{fragment}", **full), "/file")

    asyncio.run(story())


def test_refs_and_addresses_that_git_could_misunderstand_are_refused() -> None:
    async def story() -> None:
        async with workshop(NUMBER + 3) as shop:
            for remote, ref in (
                ("https://example.com/r.git", "--upload-pack=touch /tmp/x"),
                ("https://example.com/r.git", "a..b"),
                ("https://example.com/r.git", "$(id)"),
                ("ext::sh -c id", ""),
                ("file:///etc", ""),
                ("/etc", ""),
                ("-u./x", ""),
                ("https://-oProxyCommand=id/r.git", ""),
                ("ssh://-oProxyCommand=id/r.git", ""),
                ("http://169.254.169.254/r.git", ""),
            ):
                ref_ = fetched(f"git://x#{ref}", git_fullurl=remote)
                with pytest.raises(BuildFailed, match=r"invalid git|not allowed"):
                    await built(shop, ref_, "/x")

    asyncio.run(story())
