"""What a hostile Dockerfile adds up to: refused with a clear word, soon and in little memory.

Each of these took seconds to minutes, or hundreds of megabytes, before it had a limit.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Iterable

import pytest
from tests.support.dockerfiles import build

from boxship.build.dockerfile.directives import syntax_of
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.shell import Lexer

MEMORY = 64 << 20
LONG = "x" * 60_000
TOO_MUCH = "variables become too much text"
WORDS = "more than 20000 words in one line"


def lines(head: str, words: Iterable[str], per: int = 900) -> str:
    """One instruction of many words, continued over lines that are not too long."""
    every = list(words)
    parts = [" ".join(every[at : at + per]) for at in range(0, len(every), per)]
    return head + " \\\n".join(parts) + "\n"


def stages(many: int) -> str:
    return "".join(f"FROM s{n} AS s{n + 1}\n" for n in range(many))


HOSTILE = {
    "variables for every RUN": (
        lines("FROM base\nENV ", (f"v{n}={'x' * 40}" for n in range(4900))) + "RUN a\n" * 4990,
        "RUN instructions are given too many variables",
    ),
    "variables from stage to stage": (
        lines("FROM base AS s0\nENV ", (f"v{n}=x" for n in range(4900))) + stages(498),
        "stages take over too much from each other",
    ),
    "ports from stage to stage": (
        "FROM base AS s0\nEXPOSE 1-65535/tcp 1-65535/udp 1-65535/sctp\n" + stages(498),
        "stages take over too much from each other",
    ),
    "labels from stage to stage": (
        lines("FROM base AS s0\nLABEL ", (f"v{n}=" for n in range(9000))) + stages(498),
        "stages take over too much from each other",
    ),
    "triggers of many stages": (
        "FROM base AS s0\n"
        + "ONBUILD RUN a\n" * 4000
        + "".join(f"FROM s0 AS t{n}\n" for n in range(490))
        + "FROM base\n"
        + "".join(f"COPY --from=t{n} a b\n" for n in range(490)),
        "too many ONBUILD triggers",
    ),
    "global arguments that grow": (
        f"ARG a={LONG}\n" + "".join(f"ARG b{n}={'$a' * 15}\n" for n in range(2000)) + "FROM base\n",
        TOO_MUCH,
    ),
    "labels that grow": (
        f"FROM base\nARG a={LONG}\n" + f"LABEL b={'$a' * 15}\n" * 3000,
        "the history is larger than|" + TOO_MUCH,
    ),
    "documents that grow": (
        f"FROM base\nARG a={LONG}\n" + f"COPY <<E /x\n{'$a' * 15}\nE\n" * 900,
        TOO_MUCH,
    ),
    "patterns": (
        f"FROM base\nENV a={'a' * 60_000}\n" + "LABEL b=${a//a?/}\n" * 1000,
        TOO_MUCH,
    ),
    "one long pattern": (
        f"FROM base\nENV a={'a' * 60_000}\nLABEL b=${{a#{'a?' * 28_000}b}}\n",
        TOO_MUCH,
    ),
    "deep substitutions of long words": (
        f"FROM base\nLABEL a={'${a:-' * 90}{'x' * 30_000}{'}' * 90}\n",
        "the value is too long",
    ),
    "documents": ("FROM base\n" + "RUN <<a\na\n" * 1001, "more than 1000 documents"),
    "words": (lines("FROM base\nCOPY ", ["a"] * 20_001), WORDS),
    "quoted words": (lines("FROM base\nENV ", ["a='b'"] * 20_001), WORDS),
    "flags": (lines("FROM base\nRUN ", ["--a"] * 20_001), WORDS),
    "words of an array": ('FROM base\nRUN ["' + '",\\\n"'.join(["a"] * 40_001) + '"]\n', WORDS),
    "words of many lines": (
        "FROM base\n" + lines("EXPOSE ", ["1"] * 15_000) * 4,
        "more than 50000 words",
    ),
    "images": (
        "FROM base\n" + "".join(f"COPY --from=i{n} a b\n" for n in range(1001)),
        "more than 1000 stages and images",
    ),
    "findings": (
        lines('FROM base\nLABEL a="', (f"$u{n}" for n in range(6000))).rstrip() + '"\n',
        "the checks find more than 5000 things",
    ),
    "comments and findings": (
        "FROM base\n"
        + "# check=skip=A\n" * 30_000
        + lines('LABEL a="', (f"$u{n}" for n in range(6000))).rstrip()
        + '"\n',
        "the checks find more than 5000 things",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_adds_up_is_refused_in_bounded_memory(name: str) -> None:
    text, message = HOSTILE[name]
    tracemalloc.start()
    try:
        with pytest.raises(DockerfileError, match=message):
            build(text)
        assert tracemalloc.get_traced_memory()[1] < MEMORY
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("mark", ["#", "//"])
def test_blanks_in_a_first_line_are_read_once(mark: str) -> None:
    """They were looked at again from each of them on, which took hours."""
    blanks = " " * 800_000
    told = syntax_of(f"{mark} syntax = image{blanks}more{blanks}\n")
    assert told
    assert told[:2] == ("image", f"image{blanks}more")
    assert syntax_of(f"{mark} syntax{blanks}image\n") is None
    assert syntax_of(f"{mark}{blanks}syntax={blanks}image{blanks}\n")


def test_an_error_does_not_repeat_a_long_word() -> None:
    with pytest.raises(DockerfileError) as refusal:
        Lexer().expand("${" + "x" * 100_000, {})
    assert len(str(refusal.value)) < 2000


@pytest.mark.parametrize("env", [{}, {"a": "b c"}])
def test_words_and_text_are_of_one_reading(env: dict[str, str]) -> None:
    word = "x${a:-y z}/\"q $a\"'s t'\\ u  $a"
    whole = Lexer().expand(word, env, words=True)
    assert Lexer().word(word, env) == whole.text
    inner = env.get("a", "")
    assert whole.text == f"x{inner or 'y z'}/q {inner}s t u  {inner}"
    first, second = (inner or "y z").split()
    assert whole.words == [f"x{first}", f"{second}/q {inner}s t u", *inner.split()]
