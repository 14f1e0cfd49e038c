"""What steps find when they run, and what is said of those that cannot."""

from __future__ import annotations

import contextlib
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.support.corpus import Door, reused
from tests.support.engine import Engine

pytestmark = pytest.mark.docker_cli
DOORS = ("classic", "session", "buildx", "boxship")
NEWER = ("session", "buildx", "boxship")
WORDS = ("--network", "none", "--no-cache")
MODES = (
    "755", "go-w", "u=rw,g=r,o=r", "a+X", "u=rwX,go=rX", "+x", "=r", "u+s,g+s,+t", "ug=rwx,o=",
    "o=g-w", "a=", "u+rw,g+r,o-x,o+w",
)  # fmt: skip


def door(engine: Engine, kind: str) -> Door:
    return Door(kind, engine.host, engine.root / "config")


def context(folder: Path, text: str) -> str:
    (folder / "Dockerfile").write_text(text)
    (folder / "file").write_text("file\n")
    return str(folder)


def refused(engine: Engine, kind: str, folder: Path, text: str) -> str:
    """Return what is said of a Dockerfile that cannot be built."""
    done = door(engine, kind).run("--network", "none", context(folder, text))
    assert done.returncode != 0
    return (done.stdout + done.stderr).decode()


@pytest.mark.parametrize("kind", DOORS)
def test_a_proxy_is_in_a_steps_environment_only(engine: Engine, tmp_path: Path, kind: str) -> None:
    text = """FROM busybox
RUN p=http:/; [ "$http_proxy $HTTP_PROXY $no_proxy $NO_PROXY" = "$p/p $p/p x x" ]
RUN ! env | grep HOSTNAME
ENV KEPT=none$http_proxy
"""
    given = ("--build-arg", "http_proxy=http://p", "--build-arg", "NO_PROXY=x")
    tag = f"steps-proxy-{kind}"
    door(engine, kind).build(*WORDS, *given, "-t", tag, context(tmp_path, text))
    other = ("--network", "none", "--build-arg", "http_proxy=http://other")  # is no other step
    again = reused(door(engine, kind).build(*other, context(tmp_path, text)))
    assert again["RUN ! env | grep HOSTNAME"] == [True]
    with contextlib.closing(engine.api()) as api:
        said = api.api.inspect_image(tag), api.api.history(tag)
        api.images.remove(tag)
    assert "KEPT=none" in said[0]["Config"]["Env"]
    assert "http://p" not in str(said)


def test_a_cache_that_begins_as_something_else_is_another(engine: Engine, tmp_path: Path) -> None:
    text = """FROM busybox AS filled
RUN mkdir /s && echo first > /s/f
FROM busybox
RUN --mount=type=cache,target=/begin touch /begin/plain
RUN --mount=type=cache,target=/begin,uid=33,gid=34,mode=0700 \\
    [ "$(stat -c '%u %g %a' /begin) $(ls /begin)" = "33 34 700 " ] && touch /begin/owned
RUN --mount=type=cache,target=/begin,uid=1000 [ "$(stat -c %u /begin) $(ls /begin)" = "1000 " ]
RUN --mount=type=cache,target=/begin,from=filled,source=/s \\
    grep first /begin/f && echo more >> /begin/f
RUN --mount=type=cache,target=/begin,from=filled,source=/s grep more /begin/f
RUN --mount=type=cache,target=/begin,uid=33,gid=34,mode=0700 [ "$(ls /begin)" = owned ]
RUN --mount=type=cache,target=/begin [ "$(ls /begin)" = plain ]
"""
    for _ in range(2):  # those that were filled are used again
        door(engine, "buildx").build(*WORDS, context(tmp_path, text))
        text = text.replace('/begin)" = "33 34 700 " ]', '/begin)" = "33 34 700 owned" ]')


def test_permissions_in_words_are_what_chmod_makes_of_them(engine: Engine, tmp_path: Path) -> None:
    made = "".join(f"COPY --from=b --chmod={said} /i /a/{n}\n" for n, said in enumerate(MODES))
    expected = "".join(
        f"; cp -a /i /e/{n}; find /e/{n} -depth -exec chmod {said} {{}} \\;"
        for n, said in enumerate(MODES)
    )
    text = f"""FROM busybox AS b
RUN for m in 666 644 755 600 4711 2750; do \\
    mkdir -p /i/d/$m; echo x > /i/$m; chmod $m /i/$m /i/d/$m; done; chmod 755 /i
FROM scratch AS made
{made}
FROM b
COPY --from=made /a /a
RUN mkdir /e{expected}; for at in a e; do \\
    (cd /$at; find . -mindepth 2 | sort | xargs stat -c '%a %n' > /$at.txt); done; \\
    diff /e.txt /a.txt
"""
    door(engine, "buildx").build(*WORDS, context(tmp_path, text))


@pytest.mark.parametrize("kind", NEWER)
def test_an_owner_whom_nobody_knows_is_root(engine: Engine, tmp_path: Path, kind: str) -> None:
    text = """FROM scratch AS empty
COPY --chown=root:root file /f
FROM busybox
COPY --chown=nosuch file /a
COPY --chown=5:nosuch file /b
COPY --chown=:nosuch file /c
COPY --from=empty /f /d
RUN [ "$(cd /; stat -c %u:%g a b c d | tr '\\n' ' ')" = "0:0 5:5 0:0 0:0 " ]
"""
    door(engine, kind).build(*WORDS, context(tmp_path, text))


@pytest.mark.parametrize(
    ("owner", "said"),
    [
        ("nosuch", "can't find uid for user nosuch: no such user: nosuch"),
        ("0:nosuch", "can't find gid for group nosuch: no such group: nosuch"),
    ],
)
def test_the_classic_builder_refuses_such_an_owner(
    engine: Engine, tmp_path: Path, owner: str, said: str
) -> None:
    text = f"FROM busybox\nCOPY --chown={owner} file /\n"
    whole = f"unable to convert uid/gid chown string to host mapping: {said}\n"
    assert whole in refused(engine, "classic", tmp_path, text)


FAULTS = (
    (
        "COPY nosuch /x",
        r'failed to compute cache key: failed to calculate checksum of ref \S+: "/nosuch": '
        "not found",
        "COPY failed: file not found in build context or excluded by .dockerignore: stat nosuch: "
        "file does not exist",
    ),
    (
        "COPY --from=busybox /nosuch /x",
        r'failed to compute cache key: failed to calculate checksum of ref \S+: "/nosuch": '
        "not found",
        "COPY failed: stat nosuch: file does not exist",
    ),
    (
        'RUN ["nosuch"]',
        r'process "nosuch" did not complete successfully: OCI runtime create failed: .*exec: '
        r'"nosuch": executable file not found in \$PATH',
        r'OCI runtime create failed: .*exec: "nosuch": executable file not found in \$PATH',
    ),
    (
        "RUN exit 7",
        'process "/bin/sh -c exit 7" did not complete successfully: exit code: 7',
        "The command '/bin/sh -c exit 7' returned a non-zero code: 7",
    ),
)


@pytest.mark.parametrize("kind", DOORS)
@pytest.mark.parametrize(("line", "said", "classic"), FAULTS, ids=[fault[0] for fault in FAULTS])
def test_what_cannot_be_done_is_told_with_its_line(
    engine: Engine, tmp_path: Path, kind: str, line: str, said: str, classic: str
) -> None:
    told = refused(engine, kind, tmp_path, f"FROM busybox\n{line}\n")
    if kind == "classic":
        assert re.search(f"^{classic}", told, re.MULTILINE), told
        return
    begins = "^" if kind == "session" else "failed to solve: "
    assert re.search(begins + said, told, re.MULTILINE), told
    if kind != "session":  # that client shows no lines
        assert f"   2 | >>> {line}\n" in told


def test_a_user_whom_nobody_knows_cannot_run_anything(engine: Engine, tmp_path: Path) -> None:
    told = refused(engine, "buildx", tmp_path, "FROM busybox\nUSER nosuch\nRUN id\n")
    assert (
        'process "/bin/sh -c id" did not complete successfully: unable to find user nosuch: no '
        "matching entries in passwd file" in told
    )


def test_a_hosts_name_is_the_images_own(engine: Engine, tmp_path: Path) -> None:
    """Whoever builds the root of another machine writes it; hosts and resolv.conf are given."""
    text = """FROM busybox AS root
RUN echo other > /etc/hostname; echo 1.2.3.4 other >> /etc/hosts
FROM busybox
COPY --from=root /etc /made
RUN [ "$(cat /made/hostname)" = other ] && [ ! -e /made/hosts ]
"""
    door(engine, "buildx").build(*WORDS, context(tmp_path, text))


@pytest.mark.parametrize("kind", ["classic", "session", "boxship"])
def test_steps_run_on_any_network_of_the_engine(engine: Engine, tmp_path: Path, kind: str) -> None:
    """Docker buildx itself refuses such a name."""
    engine.boxship("network", "create", "--subnet", "10.77.3.0/24", "steps")
    try:
        where = context(
            tmp_path, "FROM busybox\nRUN ip -4 addr show eth0 | grep -F 'inet 10.77.3.'\n"
        )
        door(engine, kind).build("--network", "steps", "--no-cache", where)
        done = door(engine, kind).run("--network", "nosuch", "--no-cache", where)
        assert done.returncode == 1
        assert b"network nosuch not found" in done.stdout + done.stderr
    finally:
        engine.boxship("network", "rm", "steps")


@pytest.mark.parametrize("kind", ["buildx", "boxship"])
def test_images_for_windows_are_made_but_nothing_is_run_for_them(
    engine: Engine, tmp_path: Path, kind: str
) -> None:
    windows = ("--platform", "windows/amd64")
    text = "FROM scratch\nCOPY file /app/\nWORKDIR /app\nCMD run\n"
    door(engine, kind).build(*windows, "-t", "steps-windows", context(tmp_path, text))
    with contextlib.closing(engine.api()) as api:
        made = api.api.inspect_image("steps-windows")
        api.images.remove("steps-windows")
    assert (made["Os"], made["Config"]["WorkingDir"]) == ("windows", "\\app")
    done = door(engine, kind).run(*windows, context(tmp_path, "FROM scratch\nRUN dir\n"))
    assert b"a program for windows/amd64 cannot run on linux/" in done.stderr


@pytest.mark.parametrize("kind", ["buildx", "boxship"])
def test_warnings_are_told_before_what_ends_a_build(
    engine: Engine, tmp_path: Path, kind: str
) -> None:
    told = refused(engine, kind, tmp_path, "FROM scratch AS Bad\nMAINTAINER me\nBADCMD\n")
    assert "StageNameCasing: Stage name 'Bad' should be lowercase (line 1)" in told
    assert "MaintainerDeprecated: Maintainer instruction is deprecated" in told
    assert "dockerfile parse error on line 3: unknown instruction: BADCMD" in told
    told = refused(engine, kind, tmp_path, "# check=error=true\nFROM scratch AS Bad\n")
    assert "StageNameCasing: Stage name 'Bad' should be lowercase (line 2)" in told
    assert "lint violation found for rules: StageNameCasing" in told


def test_a_step_that_clients_of_all_kinds_want_at_once_is_done_once(
    engine: Engine, tmp_path: Path
) -> None:
    text = "FROM busybox\nRUN sleep 1; head -c 9 /dev/urandom | base64 > /made\n"
    where = context(tmp_path, text)

    def made(kind: str) -> str:
        tag = f"steps-at-once-{kind}"
        door(engine, kind).build("-q", "--network", "none", "-t", tag, where)
        shown = engine.docker("run", "--rm", "--network", "none", tag, "cat", "/made").stdout
        engine.docker("image", "rm", "-f", tag)
        return shown

    with ThreadPoolExecutor(len(DOORS)) as clients:
        assert len(set(clients.map(made, DOORS))) == 1
