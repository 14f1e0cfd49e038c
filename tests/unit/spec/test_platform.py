"""Platforms in words, and which of them a host runs."""

import pytest

from boxship.errors import InvalidRequest
from boxship.spec.platform import Platform, best

AMD64 = Platform("linux", "amd64")
ARM64 = Platform("linux", "arm64")
ARM = Platform("linux", "arm", "v7")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linux/amd64", "linux/amd64"),
        ("linux/x86_64", "linux/amd64"),
        ("linux/aarch64", "linux/arm64"),
        ("linux/arm64/v8", "linux/arm64"),
        ("linux/arm64/8", "linux/arm64"),
        ("linux/arm", "linux/arm/v7"),
        ("linux/arm/v6", "linux/arm/v6"),
        ("armhf", "linux/arm/v7"),
        ("arm64", "linux/arm64"),
        ("windows", "windows/amd64"),
    ],
)
def test_platforms_have_one_usual_form(text, shown):
    assert str(Platform.parse(text, AMD64)) == shown


@pytest.mark.parametrize("text", ["", "a/b/c/d", "linux//x", "linux/a b", "../x"])
def test_what_is_no_platform_is_refused(text):
    with pytest.raises(InvalidRequest, match="invalid platform specification"):
        Platform.parse(text)


def test_one_word_has_to_be_a_system_or_an_architecture():
    with pytest.raises(InvalidRequest, match='"bogus": unknown operating system or architecture'):
        Platform.parse("bogus", AMD64)


def test_the_host_runs_the_nearest():
    v6 = Platform("linux", "arm", "v6")
    assert best([AMD64, ARM64, ARM, v6], ARM64) == 1
    assert best([AMD64, v6, ARM], ARM) == 2
    assert best([ARM, v6], v6) == 1
    assert best([AMD64, None], ARM64) is None
    assert best([Platform("linux", "386")], AMD64) == 0
    assert best([Platform("linux", "amd64", "v3")], AMD64) is None
