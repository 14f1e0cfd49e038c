"""SEC-44: what comes from outside is a digest, or is refused before a path is made of it."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from boxship.errors import InvalidRequest
from boxship.spec.digest import Digest

GOOD = "sha256:" + "0123456789abcdef" * 4
ODD = st.sampled_from(["sha256:", "sha512:", "SHA256:", "..", "/", "\\", "\0", "a", "F", "\n", " "])


@given(st.one_of(st.text(max_size=100), st.lists(ODD | st.just(GOOD), max_size=70).map("".join)))
@example(GOOD.upper())
@example(GOOD + "\n")
@example(GOOD[:-1])
@example(GOOD + "0")
@example("sha256:../../../../../../etc/passwd")
@example("sha256:" + "../" * 21 + "a")
@example("sha512:" + "0" * 128)
@example("md5:" + "0" * 32)
@example("sha256:" + "٠" * 64)
@example("")
def test_nothing_else_is_a_digest(text: str) -> None:
    try:
        found = Digest.parse(text)
    except InvalidRequest:
        return
    assert text == found
    assert len(found.hex) == 64
    assert set(found.hex) <= set("0123456789abcdef")


def test_a_refusal_does_not_repeat_a_long_text() -> None:
    with pytest.raises(InvalidRequest) as refusal:
        Digest.parse("x" * 100_000)
    assert len(str(refusal.value)) < 700


def test_a_good_one_is_itself() -> None:
    assert Digest.parse(GOOD) == GOOD
    with pytest.raises(InvalidRequest):
        Digest.from_hex("../" + "0" * 61)
