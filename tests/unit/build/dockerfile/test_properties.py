"""Whatever the text is: it is read or refused, soon, and what was read is rendered the same."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.dockerfiles import build

from boxship.build.dockerfile import gitref, mounts
from boxship.build.dockerfile.directives import syntax_of
from boxship.build.dockerfile.errors import DockerfileError, excerpt
from boxship.build.dockerfile.parse import decode, parse, render
from boxship.build.dockerfile.read import stages
from boxship.build.dockerfile.shell import Lexer, single_quoted
from boxship.build.dockerfile.words import key_values, split_command, split_words
from boxship.errors import BoxshipError

WORDS = st.sampled_from(
    ["a", "b c", "$A", "${A:-b}", "'q'", '"d"', "\\", "`", "#", "<<E", "<<-'F'", "[", "]", '["x"]',
     "--from=a", "--x", "=", "k=v", "\\\n", "\n", "\r\n", "E", "F", "\t", " ", ",", "é", "\x00"]
)  # fmt: skip
NAMES = st.sampled_from(
    ["FROM", "RUN", "COPY", "ADD", "ENV", "ARG", "LABEL", "CMD", "ENTRYPOINT", "USER", "WORKDIR",
     "EXPOSE", "VOLUME", "HEALTHCHECK", "SHELL", "ONBUILD", "STOPSIGNAL", "MAINTAINER", "NO", "#"]
)  # fmt: skip
LINES = st.tuples(NAMES, st.lists(WORDS, max_size=6)).map(lambda t: " ".join((t[0], *t[1])))
FILES = st.lists(LINES, min_size=1, max_size=8).map("\n".join)


def shape(text: str):
    nodes = parse(text).nodes
    return [(n.name, n.args, n.flags, n.is_json, n.heredocs) for n in nodes]


@given(st.one_of(st.text(max_size=200), FILES))
@example("ONBUILD " * 20)
@example("RUN <<''\n\n")
@example("# escape=`\nRUN a`\n#x\n`\nb")
def test_any_text_is_read_or_refused(text):
    try:
        stages(parse(text).nodes)
    except DockerfileError as error:
        excerpt("Dockerfile", text, error.places)


@given(st.binary(max_size=200))
def test_any_bytes_are_read_or_refused(data):
    try:
        parse(decode(data))
    except DockerfileError:
        pass


@given(FILES)
def test_what_was_read_is_rendered_the_same(text):
    try:
        parsed = parse(text)
    except DockerfileError:
        return
    last = parsed.nodes[-1].original.rstrip()
    if last and not last.endswith(parsed.escape):  # it would be continued, had the file not ended
        assert shape(render(parsed)) == shape(text)


@given(FILES)
def test_any_file_is_converted_or_refused(text):
    try:
        build("FROM base\n" + text)
    except BoxshipError:
        pass


@given(st.one_of(st.text(max_size=60), st.lists(WORDS, max_size=8).map("".join)))
def test_any_word_is_expanded_or_refused(word):
    try:
        Lexer().expand(word, {"A": "x y", "B": ""})
    except DockerfileError:
        pass


@given(st.text("ab $'\"\\", max_size=30))
def test_quoting_a_word_gives_it_back(word):
    quoted = single_quoted(word)
    assert Lexer().expand(quoted, {}).text == word
    assert split_words(quoted, "\\") == [quoted]


@given(st.text(max_size=60))
def test_small_readers_take_anything(text):
    split_command(text)
    syntax_of(text)
    for read in (lambda: key_values(text, "ENV", "\\"), lambda: gitref.parse(text)):
        try:
            read()
        except DockerfileError:
            pass
    try:
        mounts.parse(text, str)
    except DockerfileError:
        pass
