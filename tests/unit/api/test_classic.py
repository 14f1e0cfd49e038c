"""A build told in the classic builder's words, whatever order the solver works in."""

from __future__ import annotations

from boxship.api.render.classic import Teller
from boxship.api.render.numbers import Numbers
from boxship.build.dockerfile.steps import Step
from boxship.build.ops import Place
from boxship.build.progress import Output, VertexState
from boxship.spec.digest import Digest

A, B, C = (Digest.of(name) for name in (b"a", b"b", b"c"))
PLACE = Place(1, 1)


def step(text: str, *vertices: Digest, **more: object) -> Step:
    return Step(text, PLACE, vertices, is_run=text.startswith("RUN"), said=text, **more)


def base(name: str = "x") -> Step:
    digest = "ab" * 32
    return Step(f"FROM {name}", PLACE, (A,), is_from=True, base=f"docker-image://x@sha256:{digest}")


class Told:
    """What was said, as one text."""

    def __init__(self, *steps: Step, numbers: Numbers | None = None, remove: bool = True) -> None:
        self.text = ""
        self.teller = Teller(self._say, numbers or Numbers(), remove=remove)
        self.teller.begin(steps)

    def _say(self, message) -> None:
        self.text += message["stream"]

    def state(self, vertex: Digest, *, cached=False, started=1, completed=0, error="") -> None:
        self.teller.tell(
            VertexState(
                vertex, "", cached=cached, started=started, completed=completed, error=error
            )
        )

    def done(self, vertex: Digest, *, cached: bool = False) -> None:
        self.state(vertex, cached=cached, completed=2)

    def output(self, vertex: Digest, data: bytes, stream: int = 1) -> None:
        self.teller.tell(Output(vertex, stream, data, 0))

    @property
    def plain(self) -> list[str]:
        """The lines, numbers left out."""
        lines = self.text.splitlines()
        return [" ".join(w for w in line.split() if not _is_number(w)) for line in lines]


def _is_number(word: str) -> bool:
    return len(word) == 12 and not set(word) - set("0123456789abcdef")


def test_a_later_step_waits_for_its_turn():
    told = Told(base(), step("RUN one", B), step("RUN two", C))
    told.done(A)
    told.state(C)
    told.output(C, b"two says\n")
    told.done(C)
    assert "two says" not in told.text
    told.state(B)
    told.output(B, b"one says\n")
    assert told.text.endswith("one says\n")
    told.done(B)
    told.teller.end("0" * 12)
    assert told.plain == [
        "Step 1/3 : FROM x",
        "--->",
        "Step 2/3 : RUN one",
        "---> Running in",
        "one says",
        "Removing intermediate container",
        "--->",
        "Step 3/3 : RUN two",
        "---> Running in",
        "two says",
        "Removing intermediate container",
        "--->",
    ]
    assert told.text.endswith(f" ---> {'0' * 12}\n")


def test_what_was_there_already_is_from_the_cache_and_keeps_its_number():
    numbers = Numbers()
    first = Told(base(), step("ENV A=1"), step("RUN one", B), numbers=numbers)
    first.done(A)
    first.done(B)
    first.teller.end("1" * 12)
    second = Told(base(), step("ENV A=1"), step("RUN one", B), numbers=numbers)
    second.done(B, cached=True)
    second.teller.end("1" * 12)
    assert second.plain.count("---> Using cache") == 2
    assert [w for w in second.text.split() if _is_number(w)][1:] == [
        first.text.split("ENV A=1")[1].split(" ---> ")[2].strip().splitlines()[0],
        "1" * 12,
    ]


def test_copies_need_no_container():
    told = Told(base(), step("COPY a b", B))
    told.done(A)
    told.done(B)
    told.teller.end("1" * 12)
    assert "Running in" not in told.text


def test_containers_that_stay_are_not_said_to_go():
    told = Told(base(), step("RUN one", B), remove=False)
    told.done(B)
    told.teller.end("1" * 12)
    assert "Running in" in told.text
    assert "Removing" not in told.text


def test_triggers_are_told_and_not_counted():
    digest = "cd" * 32
    parent = Step(
        "FROM p", PLACE, (A,), is_from=True, triggers=2, base=f"docker-image://p@sha256:{digest}"
    )
    told = Told(parent, step("RUN t", B), step("ENV T=1"), step("RUN own", C))
    for vertex in (A, B, C):
        told.done(vertex)
    told.teller.end("1" * 12)
    assert [line for line in told.plain if line.startswith(("Step", "#"))] == [
        "Step 1/2 : FROM p",
        "# Executing 2 build triggers",
        "Step 2/2 : RUN own",
    ]


def test_errors_are_red_and_a_failed_step_is_left_open():
    told = Told(base(), step("RUN one", B))
    told.done(A)
    told.state(B)
    told.output(B, b"oh\n", 2)
    told.state(B, completed=2, error="failed")
    assert told.text.endswith("\x1b[91moh\n\x1b[0m")


def test_what_comes_before_the_first_stage_is_a_step_without_a_number():
    told = Told(Step("ARG A=1", PLACE, is_global=True), base())
    told.teller.end("1" * 12)
    assert told.plain == ["Step 1/2 : ARG A=1", "Step 2/2 : FROM x", "--->"]


def test_a_program_that_never_ends_fills_no_memory_before_its_turn():
    told = Told(base(), step("RUN one", B), step("RUN two", C))
    for _ in range(100):
        told.output(C, b"x" * 100_000)
    told.done(A)
    told.done(B)
    assert len(told.text) < 2_000_000
    assert "[output clipped, log limit 1MiB reached]" in told.text
