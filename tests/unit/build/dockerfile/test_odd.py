"""Hundreds of odd Dockerfiles, compared with what a modern BuildKit makes of them."""

from __future__ import annotations

import json

import pytest
from tests.support import odd_dockerfiles as odd
from tests.support.dockerfiles import build

from boxship.errors import BoxshipError
from boxship.lib import strictjson

KNOWN = odd.recorded()
NEWER = {
    "ARG a=1 b=$a\nENV c=$b", "ARG TARGETOS\nENV a=$TARGETOS",
    "ARG B=scratch\nFROM ${B}\nARG B\nENV a=$B", "ARG B=a\nARG C=$B\nFROM scratch\nARG C\nENV d=$C",
    'CMD ["a"] b', 'CMD ["a"] # c', "WORKDIR //a//b/", "RUN --security=x a",
    "# check=error=true\nFROM scratch\nENV a b", "# check=x\nFROM scratch\nENV a=b",
    "FROM --platform=$NONE scratch", "FROM --platform=x/y/z/w scratch", "COPY --chmod=x a b",
    "ADD --checksum=x a b", "ARG B=scratch\nARG B\nFROM $B\nENV a=b",
}  # fmt: skip  # where BuildKit itself has changed since, and we do what it does now
OURS = {
    "STOPSIGNAL 65", "STOPSIGNAL -1", "STOPSIGNAL 100",  # no kernel has these
    "FROM scratch:tag",  # is not asked for
    "COPY --chown=a:b:c <<x /y\nx",  # words
    "RUN []", "ENV R=${A",  # words
}  # fmt: skip
LATER = ("calculate checksum", "did not complete", "resolve source metadata")


def different(text: str) -> bool:
    line = text.removeprefix("FROM scratch\n").removeprefix(odd.SET.removesuffix("ENV R=")).strip()
    return line in NEWER | OURS or text in NEWER | OURS


def test_there_are_hundreds() -> None:
    assert len(KNOWN) > 500
    assert list(KNOWN) == odd.cases()


@pytest.mark.parametrize("text", [text for text in odd.cases() if not different(text)])
def test_the_same_comes_of_it_as_of_buildkit(text: str) -> None:
    known = KNOWN[text]
    if any(word in known.get("error", "") for word in LATER):
        pytest.skip("is known when it is solved")
    if "error" in known:
        with pytest.raises(BoxshipError) as refusal:
            build(text)
        assert odd.said(str(refusal.value)) == known["error"]
        return
    found = odd.image(json.loads(strictjson.encode(build(text).config)))
    assert found["config"] == known["config"]
    assert found["history"] == known["history"]
