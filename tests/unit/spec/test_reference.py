"""References: what they are written like, what they mean, and what is refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from boxship.errors import InvalidRequest
from boxship.spec.reference import Reference

HEX = "0123456789abcdef" * 4
DIGEST = f"sha256:{HEX}"

MEANINGS = [
    ("busybox", "docker.io/library/busybox", "busybox"),
    ("busybox:1.36", "docker.io/library/busybox:1.36", "busybox:1.36"),
    ("user/app", "docker.io/user/app", "user/app"),
    ("docker.io/busybox", "docker.io/library/busybox", "busybox"),
    ("index.docker.io/library/busybox", "docker.io/library/busybox", "busybox"),
    ("localhost/app", "localhost/app", "localhost/app"),
    ("localhost:5000/app:x", "localhost:5000/app:x", "localhost:5000/app:x"),
    ("example.com/a/b/c", "example.com/a/b/c", "example.com/a/b/c"),
    ("[::1]:5000/app", "[::1]:5000/app", "[::1]:5000/app"),
    ("Host/app", "Host/app", "Host/app"),
    (f"app@{DIGEST}", f"docker.io/library/app@{DIGEST}", f"app@{DIGEST}"),
    (f"app:1@{DIGEST}", f"docker.io/library/app:1@{DIGEST}", f"app:1@{DIGEST}"),
    ("a__b/c-d---e/f.g", "docker.io/a__b/c-d---e/f.g", "a__b/c-d---e/f.g"),
    ("library/localhost", "docker.io/library/localhost", "library/localhost"),
    ("xn--n3h.com/app", "xn--n3h.com/app", "xn--n3h.com/app"),
]
REFUSALS = [
    ("", "invalid reference format"),
    ("app:", "invalid reference format"),
    (":1", "invalid reference format"),
    ("-app", "invalid reference format"),
    ("a//b", "invalid reference format"),
    ("a/../b", "invalid reference format"),
    ("app:" + "x" * 129, "invalid reference format"),
    ("app@sha256:abc", "invalid reference format"),
    ("app name", "invalid reference format"),
    ("app\n", "invalid reference format"),
    ("[::1/app", "invalid reference format"),
    ("user/App", "invalid reference format: repository name (user/App) must be lowercase"),
    ("App:1", "invalid reference format: repository name (library/App) must be lowercase"),
    ("a" * 256, "repository name must not be more than 255 characters"),
    ("a" * 5000, "invalid reference format"),
    (HEX, f"invalid repository name ({HEX}), cannot specify 64-byte hexadecimal strings"),
]


@pytest.mark.parametrize(("text", "canonical", "familiar"), MEANINGS)
def test_a_reference_means_and_is_shown(text, canonical, familiar):
    reference = Reference.parse(text)
    assert (str(reference), reference.familiar) == (canonical, familiar)
    assert Reference.parse(reference.familiar) == reference
    assert Reference.parse(canonical) == reference


@pytest.mark.parametrize(("text", "message"), REFUSALS)
def test_what_is_no_reference_is_refused_in_dockers_words(text, message):
    with pytest.raises(InvalidRequest) as refusal:
        Reference.parse(text)
    assert str(refusal.value) == message


def test_the_default_tag_is_latest_unless_a_digest_is_given():
    assert Reference.parse("a").with_default_tag().familiar == "a:latest"
    assert Reference.parse("a:1").with_default_tag().familiar == "a:1"
    assert Reference.parse(f"a@{DIGEST}").with_default_tag().tag is None


@given(st.text(alphabet="aA0._-/:@[]\n é", max_size=40))
def test_whatever_is_accepted_reads_back_the_same(text):
    try:
        reference = Reference.parse(text)
    except InvalidRequest:
        return
    assert Reference.parse(str(reference)) == reference
    assert Reference.parse(reference.familiar) == reference
