"""The processes of a container, as ps(1) on the host would show them.

The default columns are read from /proc by us, so that a host needs no ps. For other columns the
host's own ps is asked, never the container's: nothing of a container is executed by the engine.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import pwd
import shutil
import time
from collections.abc import Collection, Sequence
from typing import Final

from boxship.errors import BoxshipError, InvalidRequest

DEFAULT: Final = ("-ef",)
DEFAULT_TITLES: Final = ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]
PS_TIMEOUT: Final = 10.0  # seconds
MOST_OUTPUT: Final = 16 << 20

Table = tuple[list[str], list[list[str]]]


class PsFailed(BoxshipError):
    """The host's ps did not do what was asked of it."""


async def table(pids: Collection[int], arguments: Sequence[str]) -> Table:
    """Return the titles and one row for each process, with ps arguments or the default columns."""
    if not arguments or tuple(arguments) == DEFAULT:
        return await asyncio.to_thread(own_table, pids)
    return parse(await _ask_ps(arguments), pids)


def own_table(pids: Collection[int]) -> Table:
    """Return what `ps -ef` shows of these processes; those that are gone are left out."""
    rows = []
    for pid in sorted(pids):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            rows.append(_row(pid))
    return DEFAULT_TITLES, rows


def _row(pid: int) -> list[str]:
    with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as file:
        text = file.read()
    name = text[text.index("(") + 1 : text.rindex(")")]
    fields = text[text.rindex(")") + 2 :].split()
    with open(f"/proc/{pid}/cmdline", "rb") as file:
        words = file.read().rstrip(b"\0").split(b"\0")
    ticks = os.sysconf("SC_CLK_TCK")
    used = (int(fields[11]) + int(fields[12])) // ticks
    age = max(_uptime() - int(fields[19]) / ticks, 1)
    command = b" ".join(words).decode(errors="replace") or f"[{name}]"
    return [
        _user(os.stat(f"/proc/{pid}").st_uid),
        str(pid),
        fields[1],
        str(int(100 * used / age)),
        _started(time.time() - age),
        _terminal(int(fields[4])),
        f"{used // 3600:02d}:{used // 60 % 60:02d}:{used % 60:02d}",
        command,
    ]


def _uptime() -> float:
    with open("/proc/uptime", encoding="ascii") as file:
        return float(file.read().split()[0])


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _started(moment: float) -> str:
    at = time.localtime(moment)
    if time.time() - moment < 24 * 3600:
        return f"{at.tm_hour:02d}:{at.tm_min:02d}"
    return time.strftime("%b%d", at)


def _terminal(device: int) -> str:
    major, minor = os.major(device), os.minor(device)
    if 136 <= major <= 143:
        return f"pts/{minor + ((major - 136) << 20)}"
    return "?"


async def _ask_ps(arguments: Sequence[str]) -> str:
    ps = shutil.which("ps", path="/usr/bin:/bin")
    if ps is None:
        raise PsFailed("ps: not found on the host: only the default columns can be shown")
    asked = await asyncio.create_subprocess_exec(
        ps,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
    )
    try:
        async with asyncio.timeout(PS_TIMEOUT):
            output, errors = await asked.communicate()
    except TimeoutError:
        asked.kill()
        await asked.wait()
        raise PsFailed(f"ps: no answer after {PS_TIMEOUT:.0f} s") from None
    if asked.returncode:
        why = errors.decode(errors="replace").strip().partition("\n")[0]  # then comes its usage
        raise PsFailed(f"ps: {why}")
    return output[:MOST_OUTPUT].decode(errors="replace")


def parse(output: str, pids: Collection[int]) -> Table:
    """Keep, of ps's output, the processes named; the last column takes the rest of its line."""
    lines = output.splitlines()
    titles = lines[0].split() if lines else []
    if "PID" not in titles:
        raise InvalidRequest("Couldn't find PID field in ps output")
    at = titles.index("PID")
    wanted = {str(pid) for pid in pids}
    rows = []
    for line in lines[1:]:
        fields = line.split(None, len(titles) - 1)
        if len(fields) > at and fields[at] in wanted:
            rows.append(fields)
    return titles, rows
