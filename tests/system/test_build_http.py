"""Files of the web in ADD and as contexts, by real clients; and names that mean something else."""

from __future__ import annotations

import asyncio
import base64
import gzip
import io
import os
import socket
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.building import workshop
from tests.support.doors import MODERN, build
from tests.support.engine import Engine
from tests.support.gitrepo import Repository
from tests.support.websites import Asked, Page, Site, moved, repositories, site
from tests.system.test_build_sources import built, fetched

from boxship.build.errors import BuildFailed
from boxship.spec.digest import Digest

BUILDKIT = ("session", "buildx", "boxship")
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
THEN = 1704067200
LOGIN = "basic " + base64.b64encode(b"me:pass word").decode()
NUMBER = 440


def archive(**files: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as made:
        for name, text in files.items():
            entry = tarfile.TarInfo(name.replace("__", "/"))
            entry.size = len(text)
            made.addfile(entry, io.BytesIO(text.encode()))
    return packed.getvalue()


def answer(asked: Asked) -> Page:
    path, headers = asked.path.partition("?")[0], asked.headers
    match path:
        case "/tagged":
            if headers.get("If-None-Match") == '"v1"':
                return Page(status=304)
            return Page(b"tagged", headers={"ETag": '"v1"'})
        case "/dated":
            if headers.get("If-Modified-Since") == MODIFIED:
                return Page(status=304)
            return Page(b"dated", headers={"Last-Modified": MODIFIED})
        case "/locked":
            said = headers.get("Authorization", "").replace("Basic", "basic")
            return Page(b"locked") if said == LOGIN else Page(status=401)
        case "/moved":
            return moved("/tagged")
        case "/context.tar.gz":
            files = {"sub__Dockerfile": "FROM scratch\nCOPY f /\n", "f": "of an archive"}
            return Page(gzip.compress(archive(**files, Dockerfile="FROM scratch\nCOPY . /\n")))
        case "/Dockerfile":
            return Page(b"FROM scratch\nCOPY <<E /made\nby a file\nE\n")
    return Page(status=404)


@pytest.fixture(scope="module")
def web() -> Iterator[Site]:
    with site(answer) as running:
        yield running


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", MODERN)
def test_files_of_the_web_are_added(engine: Engine, web: Site, door: str, tmp_path: Path) -> None:
    """Asked for once, and then whether they are still the same; of the time their server says."""
    good, bad = Digest.of(b"dated"), Digest.of(b"another")
    login = web.url.replace("http://", "http://me:pass%20word@")
    text = (
        f"FROM scratch AS all\nADD {web.url}/tagged {web.url}/moved {login}/locked /files/\n"
        f"ADD --checksum={good} --chmod=640 {web.url}/dated?{door} /dated\n"
        f"FROM scratch AS wrong\nADD --checksum={bad} {web.url}/dated?{door} /\n"
        f"FROM scratch AS shut\nADD {web.url}/locked /\n"
        f"FROM scratch AS gone\nADD {web.url}/gone /\n"
    )
    for _ in range(2):
        out = tmp_path / "out"
        build(engine, door, "--target", "all", "-o", f"type=local,dest={out}", text=text)
        found = {path.name: path.read_text() for path in (out / "files").iterdir()}
        assert found == {"tagged": "tagged", "moved": "tagged", "locked": "locked"}
        status = (out / "dated").stat()
        assert (status.st_mode & 0o7777, int(status.st_mtime)) == (0o640, THEN)
    conditions = [one.headers.get("If-None-Match") for one in web.asked if one.path == "/tagged"]
    assert conditions.count(None) <= 2 * (1 + MODERN.index(door))
    assert '"v1"' in conditions
    of_dated = [one for one in web.asked if one.path == f"/dated?{door}"]
    assert len(of_dated) == 1  # what is here by its checksum is not asked about
    for target, message in (
        ("wrong", "digest mismatch"),
        ("shut", "invalid response status 401"),
        ("gone", "invalid response status 404"),
    ):
        refused = build(engine, door, "--target", target, text=text, check=False)
        assert message in refused.stderr


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", BUILDKIT)
def test_a_context_comes_by_url(engine: Engine, web: Site, door: str, tmp_path: Path) -> None:
    """As an archive, as a part of one, and as a Dockerfile alone."""
    for number, (words, names) in enumerate(
        (
            ([f"{web.url}/context.tar.gz"], ["Dockerfile", "f", "sub"]),
            (["-f", "sub/Dockerfile", f"{web.url}/context.tar.gz"], ["f"]),
            ([f"{web.url}/Dockerfile"], ["made"]),
        )
    ):
        out = tmp_path / str(number)
        build(engine, door, "-o", f"type=local,dest={out}", *words)
        assert sorted(os.listdir(out)) == names
    assert (tmp_path / "1/f").read_text() == "of an archive"
    gone = build(engine, door, f"{web.url}/gone", check=False)
    assert "invalid response status 404" in gone.stderr


class Names:
    """Looks names up as a hostile server of names would: each answer is given once."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("__", "."): list(said) for name, said in answers.items()}
        self._real = socket.getaddrinfo

    def __call__(self, host: str, port: int, *words: object, **more: object) -> list[object]:
        said = self.answers.get(host)
        if said is None:
            return list(self._real(host, port, *words, **more))  # type: ignore[arg-type]
        address = said.pop(0) if len(said) > 1 else said[0]
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        return [(family, socket.SOCK_STREAM, 6, "", (address, port))]


def test_sec_69_names_of_link_local_addresses_are_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And one that is looked up is asked no second time: not for a file, and not by git."""
    made = Repository.new(tmp_path / "r.git")
    made.commit(file="of a repository")
    inner = Repository.new(tmp_path / "m.git")
    modules = '[submodule "m"]\n\tpath = m\n\turl = http://secrets.test/m.git\n'
    (inner.path / ".gitmodules").write_text(modules)
    inner.git("add", "-A")
    inner.git("update-index", "--add", "--cacheinfo", f"160000,{made.git('rev-parse', 'HEAD')},m")
    inner.git("commit", "-qm", "module")
    secret = "169.254.169.254"
    names = Names(
        secrets__test=[secret],
        six__test=["fe80::1"],
        mapped__test=["::ffff:169.254.169.254"],
        turns__test=["127.0.0.1", "127.0.0.1", "127.0.0.1", secret],
        known__test=["127.0.0.1"],
    )
    monkeypatch.setattr(socket, "getaddrinfo", names)

    def with_name(url: str, name: str) -> str:
        return url.replace("127.0.0.1", name)

    async def story() -> None:
        async with workshop(NUMBER) as shop:
            for name in ("secrets.test", "six.test", "mapped.test"):
                for one in (
                    fetched(f"http://{name}/latest/meta-data"),
                    fetched("git://x", git_fullurl=f"http://{name}/r.git"),
                    fetched("git://x", git_fullurl=f"git://{name}/r.git"),
                    fetched("git://x", git_fullurl=f"git@{name}:r.git"),
                ):
                    with pytest.raises(BuildFailed, match="is not allowed as a source"):
                        await built(shop, one, "/x")
            serve = repositories(tmp_path)
            with site(lambda asked: Page(b"x") if asked.path == "/x" else serve(asked)) as web:
                assert await built(shop, fetched(with_name(web.url, "known.test") + "/x"), "/x")
                for name in ("known.test", "turns.test"):  # git could look up neither by itself
                    url = with_name(web.url, name) + "/r.git"
                    found = await built(shop, fetched("git://x", git_fullurl=url), "/file")
                    assert found == b"of a repository"
                url = with_name(web.url, "known.test") + "/m.git"
                with pytest.raises(BuildFailed, match="is not allowed as a source"):
                    await built(shop, fetched("git://x", git_fullurl=url), "/x")

    asyncio.run(story())
