"""Attacks on and by builds, carried out with real clients."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import io
import json
import os
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import docker
import pytest
from tests.support.doors import DOORS, MODERN, build
from tests.support.engine import PATIENCE, SPREAD, Engine, engine_number, private_engine
from tests.support.gitrepo import Repository
from tests.support.websites import Page, moved, repositories, site

pytestmark = pytest.mark.usefixtures("unharmed")

OTHER_NOTATIONS = (
    *("[fe80::1]", "[fe80::1%25eth0]", "[fd00:ec2::254]", "[::ffff:169.254.169.254]"),
    *("[64:ff9b::a9fe:a9fe]", "[2002:a9fe:a9fe::1]", "[::a9fe:a9fe]", "[::]", "0.0.0.0"),
    *("2852039166", "0xA9FEA9FE", "0251.0376.0251.0376", "169.254.43518", "100.100.100.200"),
)
REFUSED = "invalid|not found|not allowed|unable|cannot be read|no source is known"
FROM = "FROM busybox:latest\n"
CANARY = "c4n4ry-of-the-tests"
FORMS = [CANARY.encode()] + [
    base64.b64encode(b"." * before + CANARY.encode() + b"..")[4:-4] for before in range(3)
]  # as it is, and wherever it may stand in base64
CONSENT = '{"builder": {"entitlements": {"security-insecure": true}}}'
STATUS = "RUN {flags} grep -E '^(CapEff|CapInh|Seccomp):' /proc/self/status; {more}\n"
DEFAULT = "00000000a80425fb"


@pytest.fixture(scope="module")
def consenting() -> Iterator[Engine]:
    """An engine whose daemon consents to insecure steps."""
    with private_engine(engine_number() + SPREAD, ["--debug"]) as made:
        (made.root / "daemon.json").write_text(CONSENT)
        made.restart()
        made.boxship("image", "bootstrap", "busybox")
        yield made


def built(engine: Engine, text: str = "", **asked: object) -> str:
    """Build by the classic API, as docker-py does; return what went wrong."""
    given = {"fileobj": io.BytesIO(text.encode())} if text else {}
    with contextlib.closing(engine.api(timeout=60 * PATIENCE)) as api:
        try:
            said = list(api.api.build(decode=True, **given, **asked))
        except docker.errors.APIError as error:
            return f"error: {error.explanation}"
    return "".join(f"error: {word['error']}" if "error" in word else "" for word in said)


def facts(text: str) -> dict[str, str]:
    return dict(re.findall(r"(CapEff|CapInh|Seccomp):\s+(\w+)", text))


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", MODERN)
def test_sec_62_an_insecure_step_needs_the_consent_of_client_and_daemon(
    consenting: Engine, door: str
) -> None:
    text = FROM + STATUS.format(flags="--security=insecure", more=f": {door}")
    for _ in range(2):  # the second time another build's result is kept, and is not given out
        refused = build(consenting, door, text=text, check=False)
        assert refused.returncode == 1
        assert "security.insecure is not allowed" in refused.stderr
        done = build(consenting, door, "--allow", "security.insecure", text=text)
    done = build(consenting, door, "--allow", "security.insecure", "--no-cache", text=text)
    said = facts(done.stderr)
    own = re.search(r"CapBnd:\s+(\w+)", Path("/proc/self/status").read_text())
    assert own is not None
    assert said["CapEff"] == own[1]
    assert said["Seccomp"] == "0"
    plain = FROM + STATUS.format(flags="", more=f": {door}")
    done = build(consenting, door, "--allow", "security.insecure", "--no-cache", text=plain)
    assert facts(done.stderr) == {"CapEff": DEFAULT, "CapInh": "0" * 16, "Seccomp": "2"}


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", MODERN)
def test_sec_62_the_hosts_network_needs_consent(engine: Engine, door: str) -> None:
    text = f"{FROM}RUN --network=host echo in=$(readlink /proc/self/ns/net)\n"
    refused = build(engine, door, text=text, check=False)
    assert "network.host is not allowed" in refused.stderr
    done = build(engine, door, "--allow", "network.host", "--no-cache", text=text)
    assert f"in={os.readlink('/proc/self/ns/net')}" in done.stderr
    own = f"{FROM}RUN echo in=$(readlink /proc/self/ns/net)\n"
    done = build(engine, door, "--allow", "network.host", "--no-cache", text=own)
    assert "in=net:" in done.stderr
    assert f"in={os.readlink('/proc/self/ns/net')}" not in done.stderr


def test_sec_02_a_working_folder_by_descriptor_stays_inside(engine: Engine, tmp_path: Path) -> None:
    """A step that begins in a folder which somebody left open sees nothing of the host's."""
    (tmp_path / "canary").touch()
    ups = " ".join("../" * up + "." for up in range(6))
    look = f"for up in {ups}; do test ! -e $up{tmp_path}/canary || exit 77; done"
    for number in range(3, 13):
        said = built(engine, f"{FROM}WORKDIR /proc/self/fd/{number}\nRUN {look}\n")
        assert "77" not in said, number


def test_sec_61_what_an_insecure_step_leaves_is_taken_out_without_following_links(
    consenting: Engine, tmp_path: Path
) -> None:
    """It may unmount what it was given, and put links to the host's files in its place."""
    host = tmp_path / "stub"
    host.mkdir()
    (host / "empty").touch()
    (tmp_path / "empty").touch()
    text = (
        f"{FROM}RUN --security=insecure --mount=type=tmpfs,target=/a/stub/deep "
        "--mount=type=cache,target=/a/empty --mount=type=secret,id=s,target=/b/stub/empty "
        "umount /a/stub/deep /a/empty /b/stub/empty; rm -rf /a /b && "
        f"ln -s {tmp_path} /a && ln -s {tmp_path} /b && mount --bind {tmp_path} /mnt; true\n"
    )
    words = ("--allow", "security.insecure", "--secret", "id=s,env=S")
    build(consenting, "boxship", *words, text=text, env={"S": "x"})
    assert sorted(os.listdir(tmp_path)) == ["empty", "stub"]
    assert os.listdir(host) == ["empty"]


# Secrets


def everything(*roots: Path) -> Iterator[tuple[str, bytes]]:
    for root in roots:
        for path in root.rglob("*"):
            if path.is_file() and not path.is_symlink():
                yield str(path), path.read_bytes()


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", MODERN)
def test_sec_68_secrets_are_nowhere_afterwards(
    consenting: Engine, door: str, tmp_path: Path
) -> None:
    """Neither in the image, its history and provenance, nor in a cache, a log or on the disk.

    A build argument is in the history, as with docker: it must not be in what is attested.
    """
    secret = tmp_path / "secret"
    secret.write_text(f"{CANARY}-file")
    folder, argument = tmp_path / "served", "arg-of-" + "the-tests"
    Repository.new(folder / "r.git").commit(file="x")
    serve = repositories(folder)
    with site(lambda a: Page(b"file") if a.path == "/f" else serve(a)) as web:
        login = web.url.replace("http://", f"http://me:{CANARY}-url@")
        text = (
            f"{FROM}ARG API_TOKEN\n"
            "RUN --mount=type=secret,id=file test -s /run/secrets/file\n"
            'RUN --mount=type=secret,id=env,env=SECRET test -n "$SECRET"\n'
            f"ADD {login}/f /f\nADD --keep-git-dir {login}/r.git /r\n"
        )
        done = build(
            consenting, door, "-t", f"secret:{door}", "--provenance=mode=max", "--no-cache",
            "--secret", f"id=file,src={secret}", "--secret", "id=env,env=S",
            "--secret", "id=GIT_AUTH_TOKEN,env=G", "--build-arg", f"API_TOKEN={argument}",
            "--cache-to", f"type=local,dest={tmp_path}/out/cache,mode=max",
            "--metadata-file", f"{tmp_path}/out/metadata",
            text=text, env={"S": f"{CANARY}-env", "G": f"{CANARY}-git"},
        )  # fmt: skip
    assert CANARY not in done.stdout + done.stderr
    assert CANARY not in consenting.docker("history", "--no-trunc", f"secret:{door}").stdout
    consenting.docker("save", "-o", f"{tmp_path}/out/image.tar", f"secret:{door}")
    for line in consenting.boxship("buildx", "history", "ls").stdout.splitlines()[1:]:
        ref = line.split()[0]
        assert CANARY not in consenting.boxship("buildx", "history", "inspect", ref).stdout
        assert CANARY not in consenting.boxship("buildx", "history", "logs", ref).stdout
    attested = consenting.boxship("image", "inspect", f"secret:{door}").stdout
    assert json.loads(attested)
    consenting.stop()  # the database is whole then
    files = dict(everything(consenting.root, tmp_path / "out"))
    consenting.start()
    found = [path for path, data in files.items() if any(form in data for form in FORMS)]
    assert found == []
    statements = [data for data in files.values() if data.startswith(b'{"_type":"https://in-toto')]
    assert statements
    assert not any(argument.encode() in data for data in statements)


# Addresses


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", DOORS)
def test_sec_69_link_local_addresses_are_not_fetched_from(engine: Engine, door: str) -> None:
    """By ADD and as contexts; as they are written, by a redirect, or in other notations."""
    refused = "is not allowed as a source|not a canonical IPv4 address|cannot be read"
    with site(lambda asked: moved("http://" + asked.path[1:] + "/x")) as web:
        urls = ["http://169.254.169.254/x", f"{web.url}/169.254.169.254"]
        for url in urls:
            done = build(engine, door, text=f"FROM scratch\nADD {url} /\n", check=False)
            assert done.returncode == 1
            assert re.search(refused, done.stdout + done.stderr), url
        if door != "classic":  # that client fetches by itself
            assert "is not allowed" in build(engine, door, urls[0], check=False).stderr
            return
        for where in OTHER_NOTATIONS:
            for url in (f"http://{where}/x", f"{web.url}/{where}"):
                assert re.search(refused, built(engine, f"FROM scratch\nADD {url} /\n")), url
        assert re.search(refused, built(engine, path=urls[1]))
        for image in ("169.254.169.254/a/b:1", "169.254.169.254:80/x", "[fe80::1]:5000/x"):
            assert re.search(f"{refused}|invalid", built(engine, f"FROM {image}\n")), image


# Repositories


def odd_repository(folder: Path) -> dict[str, str]:
    """Make a repository with hostile branches; return each with what is said of it."""
    made = Repository.new(folder / "odd.git")
    made.commit(file="x")
    blob, link = made.blob(b"[core]\n\tfsmonitor = touch /ran\n"), made.blob(b"/etc")
    empty = made.tree()
    inner = made.tree(("100644", "config", blob))
    trees = {
        "link-called-git": [("120000", ".git", link)],
        "folder-called-git": [("40000", ".git", inner)],
        "file-called-GIT": [("40000", ".GIT", inner)],
        "up": [("40000", "..", inner)],
        "slash": [("100644", "a/b", blob)],
        "twice": [("120000", "a", link), ("40000", "a", inner)],
    }
    for branch, entries in trees.items():
        made.commit_tree(made.tree(*entries), branch)
    for branch, text in {
        "local-path": "path = m\n\turl = /etc",
        "file-url": f"path = m\n\turl = file://{folder}/odd.git",
        "ext-url": "path = m\n\turl = ext::sh -c touch% /ran",
        "dash-url": "path = m\n\turl = -u./x",
        "metadata-url": "path = m\n\turl = http://169.254.169.254/r.git",
        "up-path": "path = ../m\n\turl = ../odd.git",
        "command": "path = m\n\turl = ../odd.git\n\tupdate = !touch /ran",
    }.items():
        modules = made.blob(f'[submodule "m"]\n\t{text}\n'.encode())
        head = made.git("rev-parse", "main")
        tree = made.tree(("100644", ".gitmodules", modules), ("160000", "m", head))
        made.commit_tree(tree, branch)
        trees[branch] = []
    linked = made.tree(("120000", ".gitmodules", link), ("40000", "sub", empty))
    made.commit_tree(linked, "modules-link")
    return dict.fromkeys([*trees, "modules-link"], "")


@pytest.mark.docker_cli
def test_sec_66_hostile_repositories_change_nothing(engine: Engine, tmp_path: Path) -> None:
    branches = odd_repository(tmp_path / "served")
    with site(repositories(tmp_path / "served")) as web:
        for branch in branches:
            text = f"FROM scratch\nADD {web.url}/odd.git#{branch} /r\n"
            assert re.search("error: .*(git|submodule|not allowed)", built(engine, text)), branch
        assert not any("169.254" in one.path for one in web.asked)
    assert not os.path.exists("/ran")


@pytest.mark.docker_cli
@pytest.mark.parametrize("door", ["session", "buildx", "boxship"])
def test_sec_66_hostile_refs_and_addresses_are_refused(
    engine: Engine, door: str, tmp_path: Path
) -> None:
    work = tmp_path / "served"
    Repository.new(work / "r.git").commit(Dockerfile="FROM scratch\nCOPY . /\n")
    with site(repositories(work)) as web:
        url = f"{web.url}/r.git"
        hostile = [
            f"{url}#--upload-pack=touch$IFS/ran", f"{url}#main:../../..", f"{url}#a..b",
            f"{url}#main:/../../etc", "ssh://-oProxyCommand=touch$IFS/ran/r.git",
        ]  # fmt: skip
        if door == "boxship":
            hostile += [f"{url}#ma\nin", f"{url}#$(id)", "git@-oProxyCommand=x:r.git"]
            hostile += ["git://169.254.169.254/r.git", "ssh://git@169.254.169.254/r.git"]
        for one in hostile:
            done = build(engine, door, one, check=False)
            assert done.returncode == 1, one
            assert re.search(REFUSED, done.stderr), one
    for added in ("ext::sh -c id", "file:///etc", "/etc/passwd.git", "../../../etc"):
        assert "error: " in built(engine, f'FROM scratch\nADD ["{added}", "/r"]\n')
    assert not os.path.exists("/ran")


# Contexts


def hostile_archives(host: Path) -> Iterator[bytes]:
    """Yield archives that lead out of where they are unpacked; `host` has a file `canary`."""

    def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
        made = tarfile.TarInfo(name)
        made.type, made.linkname, made.mode = kind, link, 0o644
        made.devmajor, made.devminor = 1, 3
        return made

    out, link, same = str(host), tarfile.SYMTYPE, tarfile.LNKTYPE
    for entries in (
        [entry("../../../../../.." + out + "/new")],
        [entry(out + "/new")],
        [entry("d", link, out), entry("d/new")],
        [entry("d", link, "../" * 12 + out), entry("d/new")],
        [entry("a", link, "/"), entry("a" + out + "/new")],
        [entry("h", same, out + "/canary"), entry("h")],
        [entry("h", same, "../" * 12 + out + "/canary")],
        [entry("d", link, out), entry("h", same, "d/canary")],
        [entry("canary", link, out + "/canary"), entry("canary")],
        [entry("null", tarfile.CHRTYPE)],
        [entry("disk", tarfile.BLKTYPE)],
        [entry("pipe", tarfile.FIFOTYPE)],
    ):
        packed = io.BytesIO()
        with tarfile.open(fileobj=packed, mode="w") as archive:
            text = b"FROM scratch\nCOPY . /c/\n"
            first = entry("Dockerfile")
            first.size = len(text)
            archive.addfile(first, io.BytesIO(text))
            for one in entries:
                archive.addfile(one)
        yield packed.getvalue()


@pytest.mark.docker_cli
def test_sec_67_a_context_that_is_an_archive_stays_where_it_is_unpacked(
    engine: Engine, tmp_path: Path
) -> None:
    """As the context from standard input and by URL, and as what ADD unpacks."""
    host = tmp_path / "host"
    host.mkdir()
    (host / "canary").write_text(CANARY)
    before = [(path, path.stat()) for path in (host, host / "canary")]
    archives = list(hostile_archives(host))
    pages = {f"/{n}.tar": Page(data) for n, data in enumerate(archives)}
    with site(lambda asked: pages[asked.path]) as web, contextlib.closing(engine.api()) as api:
        for path, page in pages.items():
            built(engine, path=web.url + path, tag="hostile:remote")
            text = f"FROM scratch\nADD --unpack=true {web.url}{path} /c/\n"
            built(engine, text, tag="hostile:added")
            with contextlib.suppress(docker.errors.APIError):
                list(api.api.build(fileobj=io.BytesIO(page.body), custom_context=True))
            for name in ("hostile:remote", "hostile:added"):
                with contextlib.suppress(docker.errors.ImageNotFound):
                    image = api.images.get(name)
                    assert CANARY.encode() not in b"".join(image.save())
        whole = tmp_path / "out"
        words = ("-o", f"type=tar,dest={whole}", f"{web.url}/0.tar")
        for door in MODERN:
            build(engine, door, *words, check=False)
    assert [(path, path.stat()) for path in (host, host / "canary")] == before


# Caches


def disguised(archive: bytes, name: str, text: bytes) -> bytes:
    """Return a saved image under another name, with another uppermost layer and all else as it was.

    Its configuration says of the new layer what it said of the old one.
    """
    with tarfile.open(fileobj=io.BytesIO(archive)) as saved:
        listed = json.load(_member(saved, "manifest.json"))[0]
        config = json.load(_member(saved, listed["Config"]))
        layers = [_member(saved, path).read() for path in listed["Layers"]]
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as layer:
        layer.addfile(_file("answer", text), io.BytesIO(text))
    layers[-1] = packed.getvalue()
    config["rootfs"]["diff_ids"][-1] = "sha256:" + hashlib.sha256(layers[-1]).hexdigest()
    paths = [f"{number}.tar" for number in range(len(layers))]
    described = [{"Config": "config.json", "RepoTags": [name], "Layers": paths}]
    files = {"config.json": json.dumps(config), "manifest.json": json.dumps(described)}
    whole = io.BytesIO()
    with tarfile.open(fileobj=whole, mode="w") as out:
        for path, data in (
            *((p, d.encode()) for p, d in files.items()),
            *zip(paths, layers, strict=True),
        ):
            out.addfile(_file(path, data), io.BytesIO(data))
    return whole.getvalue()


def _member(archive: tarfile.TarFile, name: str) -> IO[bytes]:
    found = archive.extractfile(name)
    assert found is not None
    return found


def _file(name: str, data: bytes) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.size = len(data)
    return made


@pytest.mark.docker_cli
def test_sec_50_an_image_is_no_cache_unless_it_is_asked(engine: Engine) -> None:
    """Neither by its history nor by the cache it carries; and asked, for that build only."""
    text = f"{FROM}RUN echo right > /answer\n"
    build(engine, "boxship", "-t", "honest:1", "--cache-to", "type=inline", text=text)
    with contextlib.closing(engine.api()) as api:
        archive = b"".join(api.images.get("honest:1").save(named=True))
        api.images.load(disguised(archive, "forged:1", b"wrong"))
        api.images.remove("honest:1")
        api.api.prune_builds(all=True)
    other = f"{FROM}RUN echo something else\n"
    build(engine, "boxship", "--cache-from", "forged:1", text=other)
    build(engine, "boxship", "-t", "victim:1", text=text)
    assert engine.boxship("run", "--rm", "victim:1", "cat", "/answer").stdout == "right\n"
    engine.boxship("image", "rm", "victim:1")
    engine.boxship("builder", "prune", "-af")
    build(engine, "boxship", "-t", "asked:1", "--cache-from", "forged:1", text=text)
    assert engine.boxship("run", "--rm", "asked:1", "cat", "/answer").stdout == "wrong"
    engine.boxship("image", "rm", "asked:1", "forged:1")
    engine.boxship("builder", "prune", "-af")
