"""Repositories as contexts and in ADD, by real clients, from git's own server."""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.support.doors import build
from tests.support.engine import Engine
from tests.support.gitrepo import Repository
from tests.support.websites import Asked, Page, Site, moved, repositories, site

BUILDKIT = ("session", "buildx", "boxship")
COMMITTED = 1600000000  # when tests/support/gitrepo.py commits
TOKEN = "t0ken-for-the-tests"
COPIED = "FROM scratch\nCOPY . /\n"


@dataclass
class Served:
    """A server with a repository that has a submodule, and what they hold."""

    site: Site
    first: str
    second: str

    @property
    def url(self) -> str:
        return f"{self.site.url}/open/r.git"

    @property
    def locked(self) -> str:
        return f"{self.site.url}/locked/r.git"


def guarded(folder: Path) -> object:
    """Serve all repositories; those beneath /locked/ to those who have the token only."""
    serve = repositories(folder)
    basic = "basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()

    def answer(asked: Asked) -> Page:
        path = asked.path
        if path.startswith("/moved/"):
            return moved("/open/" + path.removeprefix("/moved/"))
        if path.startswith("/away?"):  # to wherever the rest says
            return moved(path.partition("?")[2])
        said = asked.headers.get("Authorization", "")
        if path.startswith("/locked/") and said not in (basic, f"Bearer {TOKEN}"):
            return Page(status=401, headers={"WWW-Authenticate": "Basic"})
        return serve(asked)

    return answer


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("repositories")
    module = Repository.new(folder / "open/m.git")
    inner = module.commit(inner="of the module")
    made = Repository.new(folder / "open/r.git")
    first = made.commit(Dockerfile=COPIED, file="first")
    made.git("tag", "v1")
    made.git("tag", "-am", "with a message", "v2")
    made.git("update-ref", "refs/pull/7/head", first)
    made.git("branch", "side/branch")
    (made.path / "sub").mkdir()
    (made.path / "sub/Dockerfile").write_text(COPIED)
    (made.path / ".gitmodules").write_text('[submodule "m"]\n\tpath = m\n\turl = ../m.git\n')
    (made.path / "file").write_text("second")
    made.git("add", "-A")
    made.git("update-index", "--add", "--cacheinfo", f"160000,{inner},m")
    made.git("commit", "-qm", "second")
    second = made.git("rev-parse", "HEAD")
    (folder / "locked").symlink_to(folder / "open")
    with site(guarded(folder)) as running:  # type: ignore[arg-type]
        yield Served(running, first, second)


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", BUILDKIT)
def test_a_repository_is_a_context(
    engine: Engine, served: Served, door: str, tmp_path: Path
) -> None:
    """What a branch, tag, commit or pull request's ref means now, with the submodules."""
    wanted = {
        "": "second",
        "#v1": "first",
        f"#{served.first}": "first",
        "#main:sub": "",
    }
    if door == "boxship":
        wanted |= {
            "#v2": "first",
            "#pull/7/head": "first",
            "#refs/heads/side/branch": "first",
            "?tag=v1": "first",
            "?branch=main&subdir=sub": "",
        }
    for number, (ref, text) in enumerate(wanted.items()):
        out = tmp_path / str(number)
        build(engine, door, "-o", f"type=local,dest={out}", served.url + ref)
        if text == "second":
            assert names(out) == [".gitmodules", "Dockerfile", "file", "m", "sub"]
            assert (out / "m/inner").read_text() == "of the module"
            assert names(out / "m") == ["inner"]
        else:
            assert names(out) == (["Dockerfile", "file"] if text else ["Dockerfile"])
        assert not text or (out / "file").read_text() == text
    if door == "boxship":
        out = tmp_path / "dated"
        url = f"{served.url}?mtime=commit&ref=main"  # the cache asks for no times
        build(engine, door, "--no-cache", "-o", f"type=local,dest={out}", url)
        assert {int((out / name).stat().st_mtime) for name in ("file", "m/inner")} == {COMMITTED}
    gone = build(engine, door, served.url + "#no-such", check=False)
    assert "repository does not contain ref no-such" in gone.stderr
    before = len(served.site.asked)
    build(engine, door, "-o", f"type=local,dest={tmp_path}/again", f"{served.url}#{served.first}")
    assert len(served.site.asked) == before  # a commit that is here is not asked about


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", ["buildx", "boxship"])
def test_a_repository_is_added(engine: Engine, served: Served, door: str, tmp_path: Path) -> None:
    text = (
        f"FROM scratch AS plain\nADD {served.url} /r\n"
        f"FROM scratch AS kept\nADD --keep-git-dir=true {served.url}#v1 /r\n"
        f"FROM scratch AS checked\nADD --checksum={served.first[:12]} {served.url}#v1 /r\n"
        f"FROM scratch AS wrong\nADD --checksum={served.second} {served.url}#v1 /r\n"
        f"FROM scratch AS part\nADD {served.url}#main:sub /r\n"
    )

    def made(target: str) -> Path:
        out = tmp_path / target
        build(engine, door, "--target", target, "-o", f"type=local,dest={out}", text=text)
        return out / "r"

    assert names(made("plain")) == [".gitmodules", "Dockerfile", "file", "m", "sub"]
    kept = made("kept")
    assert names(kept) == [".git", "Dockerfile", "file"]
    assert (kept / ".git/HEAD").read_text().strip() == served.first
    assert served.url in (kept / ".git/config").read_text()
    assert names(made("checked")) == ["Dockerfile", "file"]
    assert names(made("part")) == ["Dockerfile"]
    wrong = build(engine, door, "--target", "wrong", text=text, check=False)
    assert wrong.returncode == 1
    assert "expected checksum to match" in wrong.stderr


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", ["buildx", "boxship"])
def test_a_secret_of_the_client_opens_a_repository(
    engine: Engine, served: Served, door: str, tmp_path: Path
) -> None:
    def words(number: int, *secret: str) -> list[str]:
        return [*secret, "-o", f"type=local,dest={tmp_path}/{number}", f"{served.locked}#v1"]

    shut = build(engine, door, *words(0), check=False)
    assert shut.returncode == 1
    env = {"T": TOKEN, "H": f"Bearer {TOKEN}"}
    for number, secret in enumerate(
        ("id=GIT_AUTH_TOKEN,env=T", "id=GIT_AUTH_HEADER,env=H", "id=GIT_AUTH_TOKEN.127.0.0.1,env=T")
    ):
        done = build(engine, door, *words(number, "--secret", secret), env=env)
        assert (tmp_path / str(number) / "file").read_text() == "first"
        assert TOKEN not in done.stderr
    text = f"FROM scratch\nADD {served.locked}#v1 /r\n"
    build(engine, door, "--secret", "id=GIT_AUTH_TOKEN,env=T", text=text, env=env)
    login = served.locked.replace("http://", f"http://x-access-token:{TOKEN}@")
    out = tmp_path / "login"
    done = build(
        engine, door, "-o", f"type=local,dest={out}",
        text=f"FROM scratch\nADD --keep-git-dir {login} /r\n",
    )  # fmt: skip
    config = (out / "r/.git/config").read_text()
    assert TOKEN not in config
    assert TOKEN not in done.stderr
    assert TOKEN not in engine.log.read_text()


@pytest.mark.docker_cli
def test_redirects_are_followed_with_care(engine: Engine, served: Served, tmp_path: Path) -> None:
    """To another path; to another site without the login; to link-local addresses never."""
    out = tmp_path / "moved"
    url = served.url.replace("/open/", "/moved/")
    build(engine, "boxship", "-o", f"type=local,dest={out}", f"{url}#v1")
    assert names(out) == ["Dockerfile", "file"]
    other = served.site.url.replace("127.0.0.1", "localhost")
    target = f"{other}/locked/r.git/info/refs?service=git-upload-pack"
    seen: list[str] = []

    def lead_away(asked: Asked) -> Page:
        seen.append(asked.headers.get("Authorization", ""))
        return moved(target if "away" in asked.path else served.site.url + "/nowhere")

    with site(lead_away) as leading:
        words = ("--secret", "id=GIT_AUTH_TOKEN,env=T", f"{leading.url}/away.git")
        done = build(engine, "boxship", *words, env={"T": TOKEN}, check=False)
        assert done.returncode == 1
        assert seen[0].startswith("basic ")
        asked = [a for a in served.site.asked if a.headers["Host"].startswith("localhost")]
        assert asked
        assert not any(a.headers.get("Authorization") for a in asked)
        lost = build(engine, "boxship", f"{leading.url}/lost.git", check=False)
        assert "leads to no repository" in lost.stderr
    for address in ("169.254.169.254", "[fe80::1]", "[::ffff:169.254.169.254]", "2852039166"):
        with site(lambda asked, a=address: moved(f"http://{a}{asked.path}")) as leading:
            done = build(engine, "boxship", f"{leading.url}/r.git", check=False)
            assert re.search("is not (allowed as a source|a canonical IPv4)", done.stderr)
