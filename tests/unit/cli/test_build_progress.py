"""Progress of builds: plain lines, and a picture that is drawn over itself."""

from __future__ import annotations

import re

import pytest

from boxship.cli.building.live import Live, cells, cut
from boxship.cli.building.plain import Plain
from boxship.cli.building.show import Ended, Heading
from boxship.cli.building.tracking import amount, prefixed
from boxship.spec.buildkit import control_pb2 as pb

HEADING = Heading("default", "docker")


class Paper:
    """What is written, kept."""

    descriptor = -1

    def __init__(self) -> None:
        self.text = ""

    def write(self, text: str) -> None:
        self.text += text

    def line(self, text: str) -> None:
        self.write(text + "\n")

    def flush(self) -> None:
        pass


class Screen:
    """A terminal of some size that understands what is written to it."""

    def __init__(self, width: int, height: int) -> None:
        self.width, self.height = width, height
        self.rows: list[str] = [""]
        self.at = 0

    def feed(self, text: str) -> None:
        for piece in re.findall(r"\x1b\[\??[\d;]*[A-Za-z]|[^\x1b]", text):
            if piece == "\n":
                self.at += 1
                self.rows += [""] * (self.at == len(self.rows))
            elif piece[0] == "\x1b" and piece[-1] == "A":
                self.at -= int(piece[2:-1])
                assert self.at >= 0, "drawn above the first line"
            elif piece[0] == "\x1b" and piece[-1] == "J":
                del self.rows[self.at + 1 :]
                self.rows[self.at] = ""
            elif piece[0] not in "\x1b\r":
                self.rows[self.at] = piece if self._fresh else self.rows[self.at] + piece
            if piece[0] != "\x1b":
                self._fresh = piece in "\r\n"

    _fresh = True


def vertex(name: str, started: int = 0, completed: int = 0, **more: object) -> pb.StatusResponse:
    told = pb.StatusResponse()
    one = told.vertexes.add(digest=f"sha256:{name}", name=name, **more)  # type: ignore[arg-type]
    if started:
        one.started.seconds = started
    if completed:
        one.completed.seconds = completed
    return told


def said(name: str, text: str, at: int) -> pb.StatusResponse:
    told = pb.StatusResponse()
    told.logs.add(vertex=f"sha256:{name}", msg=text.encode()).timestamp.seconds = at
    return told


def part(name: str, id: str, **more: int) -> pb.StatusResponse:
    told = pb.StatusResponse()
    one = told.statuses.add(vertex=f"sha256:{name}", ID=id, **more)
    one.started.seconds = 10
    return told


def test_lines_are_kept_together_by_step() -> None:
    paper = Paper()
    plain = Plain(paper, HEADING)  # type: ignore[arg-type]
    plain.take(vertex("[1/2] RUN a", 10))
    plain.take(vertex("[2/2] RUN b", 10))
    plain.tick()
    plain.take(said("[1/2] RUN a", "one\ntw", 11))
    plain.take(said("[2/2] RUN b", "other\n", 11))
    plain.tick()
    plain.take(said("[1/2] RUN a", "o\n", 12))
    plain.take(vertex("[2/2] RUN b", 10, 13, error="exit code: 1"))
    plain.take(vertex("[1/2] RUN a", 10, 14, error="context canceled"))
    plain.take(vertex("[3/3] COPY c", 14, 14, cached=True))
    plain.finish()
    assert paper.text.splitlines() == [
        '#0 building with "default" instance using docker driver', "",
        "#1 [1/2] RUN a", "#1 1.000 one", "#1 2.000 two", "#1 CANCELED", "",
        "#2 [2/2] RUN b", "#2 1.000 other", "#2 ERROR: exit code: 1", "",
        "#3 [3/3] COPY c", "#3 CACHED",
    ]  # fmt: skip


def test_what_has_failed_and_what_was_warned_of_stands_at_the_end() -> None:
    paper = Paper()
    shown = Ended(Plain(paper, None), paper, debug=True, colors=False)  # type: ignore[arg-type]
    shown.take(vertex("RUN bad", 10))
    shown.take(said("RUN bad", "".join(f"{n}\n" for n in range(30)), 11))
    shown.take(vertex("RUN bad", 10, 12, error="exit code: 1"))
    warning = pb.StatusResponse()
    one = warning.warnings.add(
        vertex="sha256:RUN bad", short=b"Rule: it is so", detail=[b"Why"], url="https://rule"
    )
    one.info.filename, one.info.data = "Dockerfile", b"FROM x\nRUN bad\n"
    one.ranges.add().start.line = 2
    shown.take(warning)
    shown.take(warning)
    shown.finish()
    end = paper.text[paper.text.index("------") :].splitlines()
    assert end[:3] == ["------", " > RUN bad:", "1.000 10"]
    assert end[22:] == [
        "------", "", " 1 warning found:", " - Rule: it is so", "Why", "More info: https://rule",
        "Dockerfile:2", "-" * 20, "   1 |     FROM x", "   2 | >>> RUN bad", "   3 |     ",
        "-" * 20, "",
    ]  # fmt: skip


def picture(live: Live, paper: Paper, screen: Screen) -> list[str]:
    """Have a picture drawn, and return what the terminal shows."""
    screen.feed(paper.text)
    paper.text = ""
    return [row.rstrip() for row in screen.rows if row]


@pytest.fixture
def drawn() -> tuple[Live, Paper, Screen, list[float]]:
    paper, screen, now = Paper(), Screen(60, 24), [100.0]
    live = Live(
        paper,  # type: ignore[arg-type]
        HEADING,
        colors=False,
        clock=lambda: now[0],
        size=lambda: (screen.width, screen.height),
    )
    return live, paper, screen, now


def test_a_picture_is_drawn_over_the_last(drawn: tuple[Live, Paper, Screen, list[float]]) -> None:
    live, paper, screen, now = drawn
    live.take(vertex("[1/2] FROM x", 100, 100, cached=True))
    live.take(vertex("[2/2] RUN long " + "x" * 80, 100))
    live.take(said("[2/2] RUN long " + "x" * 80, "".join(f"line {n}\n" for n in range(9)), 101))
    now[0] = 102.0
    live.tick()
    first = picture(live, paper, screen)
    assert first[0] == "[+] Building 2.0s (1/2)                      docker:default"
    assert first[1] == " => CACHED [1/2] FROM x                                0.0s"
    assert first[2].startswith(" => [2/2] RUN long xxx")
    assert first[2].endswith("x 2.0s")
    assert first[3:] == [f" => => # line {n}" for n in range(3, 9)]
    assert all(len(row) < screen.width for row in first)
    now[0] = 103.0
    live.tick()
    assert len(picture(live, paper, screen)) == len(first)
    live.take(vertex("[2/2] RUN long " + "x" * 80, 100, 104, error="exit code: 1"))
    now[0] = 104.0
    live.finish()
    last = picture(live, paper, screen)
    assert last[0].startswith("[+] Building 4.0s (2/2) FINISHED")
    assert last[2].startswith(" => ERROR [2/2] RUN long")
    assert len(last) == 3


def test_tabs_take_as_much_room_as_the_terminal_gives_them(
    drawn: tuple[Live, Paper, Screen, list[float]],
) -> None:
    """A line with tabs was broken by the terminal, and the picture crept down."""
    live, paper, screen, now = drawn
    live.take(vertex("RUN a\tb", 100))
    live.take(said("RUN a\tb", "".join(f"{n}\tx" * 30 + "\n" for n in range(3)), 101))
    now[0] = 102.0
    live.tick()
    shown = picture(live, paper, screen)
    assert len(shown) == 5
    assert not any("\t" in row for row in shown)
    assert all(len(row) < screen.width for row in shown)


def test_what_is_interrupted_is_shown_as_given_up() -> None:
    for make in (Plain, Live):
        paper = Paper()
        shown = Ended(make(paper, None), paper, debug=False, colors=False)  # type: ignore[arg-type]
        shown.take(vertex("[1/2] FROM x", 10, 11))
        shown.take(vertex("[2/2] RUN long", 10))
        shown.take(said("[2/2] RUN long", "half a line", 11))
        shown.interrupt(13.0)
        shown.finish()
        lines = paper.text.splitlines()
        if make is Plain:
            assert lines[-3:] == ["#2 [2/2] RUN long", "#2 1.000 half a line", "#2 CANCELED"]
        else:
            assert any(" => CANCELED [2/2] RUN long" in line for line in lines), lines
            assert "------" not in paper.text


def test_many_steps_are_cut_to_the_height_and_output_goes_first(
    drawn: tuple[Live, Paper, Screen, list[float]],
) -> None:
    live, paper, screen, now = drawn
    screen.height = 10
    for number in range(30):
        live.take(vertex(f"step {number:02}", 100, 0 if number % 10 == 5 else 101))
    live.take(said("step 05", "".join(f"{n}\n" for n in range(20)), 101))
    now[0] = 105.0
    live.tick()
    shown = picture(live, paper, screen)
    assert len(shown) <= screen.height - 1
    assert [row.split()[1:3] for row in shown[1:]] == [
        ["step", "05"], ["step", "15"], ["step", "25"],
    ] or "=>" in shown[1]  # fmt: skip
    assert {"step 05", "step 15", "step 25"} <= {row[4:11] for row in shown}


def test_a_window_that_becomes_narrower_breaks_the_last_picture(
    drawn: tuple[Live, Paper, Screen, list[float]],
) -> None:
    """Its lines take several rows then, and all of them are drawn over."""
    live, paper, screen, now = drawn
    live.take(vertex("a step", 100))
    now[0] = 101.0
    live.tick()
    paper.text = ""
    screen.width = 20
    now[0] = 102.0
    live.tick()
    up = re.search(r"\x1b\[(\d+)A", paper.text)
    assert up is not None
    assert int(up[1]) == 2 * 3  # two lines of 59 columns
    assert "\x1b[2J" not in paper.text
    assert paper.text.startswith("\x1b[?25l")
    assert paper.text.endswith("\x1b[?25h")


def test_sizes_and_widths_are_told_as_terminals_have_them() -> None:
    assert [amount(n) for n in (0, 61, 2049, 5_250_000, 3 * 10**9)] == [
        "0B", "61B", "2.05kB", "5.25MB", "3.00GB",
    ]  # fmt: skip
    assert cells("日本x") == 5
    assert cut("日本x", 4) == "日本"
    assert cut("plain", 3) == "pla"


def test_builds_of_several_targets_are_told_apart_and_shared_output_is_said_once() -> None:
    heard: list[pb.StatusResponse] = []
    seen: set[tuple[str, int, int, bytes]] = set()
    for name in ("one", "two"):
        hear = prefixed(name, seen, heard.append)
        hear(vertex("[1/2] FROM x", 1))
        hear(vertex("exporting", 1))
        hear(said("[1/2] FROM x", "said\n", 2))
    names = [one.name for told in heard for one in told.vertexes]
    assert names == [
        "[one 1/2] FROM x", "[one] exporting", "[two 1/2] FROM x", "[two] exporting",
    ]  # fmt: skip
    assert sum(len(told.logs) for told in heard) == 1
