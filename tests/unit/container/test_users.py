"""Who a program runs as, for every way to say it, by images that mean well and by others."""

from __future__ import annotations

import os
import threading
from pathlib import Path

import pytest

from boxship.container.users import GREATEST_ID, MOST_BYTES, Accounts, NoSuchUser
from boxship.errors import InvalidRequest

PASSWD = b"""root:x:0:0:root:/root:/bin/sh
# a comment
daemon:x:1:1::/usr/sbin
web:x:1000:1001:Web:/srv/web:/bin/sh
twin:x:1000:2000::/home/twin:/bin/sh
500:x:0:0:an image's trick:/root:/bin/sh
bare:x:7:8

:x:9:9::/:
broken:x:notanumber:0::/:
far:x:4294967296:0::/:
\xff\xfe:x:77:77::/odd:
"""
GROUP = b"""root:x:0:
adm:x:4:web,daemon
audio:x:29:web
dup:x:29:web
600:x:0:
users:x:100:nobody, web
far:x:2147483648:web-far
"""
ACCOUNTS = Accounts(PASSWD, GROUP)
FAR = GREATEST_ID + 1


@pytest.mark.parametrize(
    ("user", "added", "uid", "gid", "groups", "home"),
    [
        ("", (), 0, 0, (0,), "/root"),
        ("root", (), 0, 0, (0,), "/root"),
        ("0", (), 0, 0, (0,), "/root"),
        ("web", (), 1000, 1001, (1001, 4, 29), "/srv/web"),
        ("1000", (), 1000, 1001, (1001, 4, 29), "/srv/web"),
        ("twin", (), 1000, 2000, (2000,), "/home/twin"),
        ("web:adm", (), 1000, 4, (4,), "/srv/web"),
        ("web:4", (), 1000, 4, (4,), "/srv/web"),
        ("1000:5555", (), 1000, 5555, (5555,), "/srv/web"),
        ("4242", (), 4242, 0, (0,), "/"),
        ("4242:4243", (), 4242, 4243, (4243,), "/"),
        ("bare", (), 7, 8, (8,), "/"),
        ("web", ("audio", "7777", "adm"), 1000, 1001, (1001, 4, 29, 7777), "/srv/web"),
        ("web:adm", ("adm", "0"), 1000, 4, (4, 0), "/srv/web"),
        ("daemon:", (), 1, 1, (1, 4), "/usr/sbin"),
        (":adm", (), 0, 4, (4,), "/root"),
        ("000", (), 0, 0, (0,), "/root"),
        ("0" * 30 + "1000", (), 1000, 1001, (1001, 4, 29), "/srv/web"),
        (str(GREATEST_ID), (), GREATEST_ID, 0, (0,), "/"),
    ],
)
def test_every_form(
    user: str, added: tuple[str, ...], uid: int, gid: int, groups: tuple[int, ...], home: str
) -> None:
    who = ACCOUNTS.resolve(user, added)
    assert (who.uid, who.gid, who.groups, who.home) == (uid, gid, groups, home)


@pytest.mark.parametrize("number", ["500", "600"])
def test_a_number_is_never_a_name(number: str) -> None:
    """SEC-23: the image's passwd has a user called 500 that is root, and a group called 600."""
    who = ACCOUNTS.resolve(f"{number}:{number}", (number,))
    assert (who.uid, who.gid, who.groups) == (int(number), int(number), (int(number),))


def test_each_number_is_itself() -> None:
    """SEC-24: a runtime once took `-u 1` for root."""
    nobody = Accounts(b"", b"")
    for number in [*range(200), *(2**bits + step for bits in range(8, 31) for step in (-1, 0, 1))]:
        assert nobody.resolve(f"{number}:{number}").uid == number
        assert nobody.resolve(f"{number}:{number}").gid == number


@pytest.mark.parametrize(
    "word",
    [
        *(str(FAR), "4294967295", "4294967296", "18446744073709551616", "9" * 5000),
        *("-1", "1e9x", "+1", " 1", "1 ", "0x0", "٣", "1_0", "no-such", "broken", "far", "\0"),
    ],
)
def test_what_is_no_user_is_refused_and_never_root(word: str) -> None:
    """SEC-22: an ID above 2^31 once became root."""
    for user in (word, f"{word}:0", f"0:{word}"):
        with pytest.raises(NoSuchUser):
            ACCOUNTS.resolve(user)
    with pytest.raises(NoSuchUser):
        ACCOUNTS.resolve("0", [word])


def test_messages_are_those_that_clients_know() -> None:
    for user, said in (
        ("ghost", "unable to find user ghost: no matching entries in passwd file"),
        ("0:ghost", "unable to find group ghost: no matching entries in group file"),
        (str(FAR), f"uids and gids must be in range 0-{GREATEST_ID}"),
    ):
        with pytest.raises(NoSuchUser) as refusal:
            ACCOUNTS.resolve(user)
        assert str(refusal.value) == said


# ---- files of images


def read(root: Path) -> Accounts:
    descriptor = os.open(root, os.O_PATH)
    try:
        return Accounts.read(descriptor)
    finally:
        os.close(descriptor)


def test_absent_files_are_empty_ones(tmp_path: Path) -> None:
    assert read(tmp_path) == Accounts(b"", b"")


@pytest.mark.parametrize(
    "target", ["/etc/passwd", "/../../../../etc/passwd", "/proc/1/root/etc/passwd", "loop", "."]
)
def test_links_stay_inside(tmp_path: Path, target: str) -> None:
    """SEC-26: the image's passwd leads to the host's, to itself, or to a folder."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/passwd").symlink_to(target)
    (tmp_path / "etc/loop").symlink_to("loop")
    try:
        found = read(tmp_path).passwd
    except (OSError, InvalidRequest):
        return
    assert found == b""


def test_a_fifo_blocks_nobody(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc/passwd")
    ended = threading.Event()

    def look() -> None:
        try:
            read(tmp_path)
        except (OSError, InvalidRequest):
            pass
        ended.set()

    threading.Thread(target=look, daemon=True).start()
    assert ended.wait(10)


def test_a_file_without_end_is_refused_without_reading_it(tmp_path: Path) -> None:
    """SEC-25: a sparse file of 4 GiB."""
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/group").touch()
    os.truncate(tmp_path / "etc/group", 4 << 30)
    with pytest.raises(InvalidRequest, match=f"larger than {MOST_BYTES >> 20} MiB"):
        read(tmp_path)
