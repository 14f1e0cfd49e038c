"""Text to nodes: continuations, comments, documents, JSON forms, directives."""

from __future__ import annotations

import pytest

from boxship.build.dockerfile.directives import syntax_of
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.parse import LINE_LIMIT, SIZE_LIMIT, decode, parse, render
from boxship.build.ops import Place


def nodes(text: str) -> list[tuple[str, tuple[str, ...]]]:
    return [(node.name, node.args) for node in parse(text).nodes]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("FROM a", [("FROM", ("a",))]),
        ("\ufeffFROM a\n", [("FROM", ("a",))]),
        ("FROM a\r\nRUN x\r\n", [("FROM", ("a",)), ("RUN", ("x",))]),
        ("\n\n  FROM a\n", [("FROM", ("a",))]),
        ("RUN a \\\n  b", [("RUN", ("a   b",))]),
        ("RUN a \\\r\n  b\r\n", [("RUN", ("a   b",))]),
        ("RUN a \\  \t\n b", [("RUN", ("a  b",))]),
        ("RUN a \\\n# comment\n b", [("RUN", ("a  b",))]),
        ("RUN a \\\n   # comment\n b", [("RUN", ("a  b",))]),
        ("RUN a \\\n\n b", [("RUN", ("a  b",))]),
        ("RUN a \\\n", [("RUN", ("a",))]),
        ("RUN a\\\\\nRUN b", [("RUN", ("a\\\\",)), ("RUN", ("b",))]),
        ("\\\nFROM a", [("FROM", ("a",))]),
        ("RUN echo # not a comment", [("RUN", ("echo # not a comment",))]),
        ("# escape=`\nRUN a `\n b\\\nRUN c", [("RUN", ("a  b\\",)), ("RUN", ("c",))]),
        ('CMD ["a", "b c"]', [("CMD", ("a", "b c"))]),
        ("CMD ['a']", [("CMD", ("['a']",))]),
        ('CMD ["a",]', [("CMD", ('["a",]',))]),
        ('CMD ["a"] && b', [("CMD", ('["a"] && b',))]),
        ('CMD   [ "a" ]   ', [("CMD", ("a",))]),
        ("CMD []", [("CMD", ())]),
        ('COPY ["a b", "c"]', [("COPY", ("a b", "c"))]),
        ("COPY a  b\tc", [("COPY", ("a", "b", "c"))]),
        ("ENV a=b c='d e'", [("ENV", ("a", "b", "=", "c", "'d e'", "="))]),
        ("ENV a b  c ", [("ENV", ("a", "b  c", ""))]),
        ("ENV a=b\\ c", [("ENV", ("a", "b\\ c", "="))]),
        ('ENV a="b \\" c"', [("ENV", ("a", '"b \\" c"', "="))]),
        ("ENV a=", [("ENV", ("a", "", "="))]),
        ("LABEL a.b=c", [("LABEL", ("a.b", "c", "="))]),
        ("ARG a b=c", [("ARG", ("a", "b=c"))]),
        ("HEALTHCHECK NONE", [("HEALTHCHECK", ("NONE",))]),
        ('HEALTHCHECK CMD ["a"]', [("HEALTHCHECK", ("CMD", "a"))]),
        ("ONBUILD RUN a b", [("ONBUILD", ("RUN", "a b"))]),
        ("onbuild run a", [("onbuild", ("run", "a"))]),
        ("WORKDIR /a b", [("WORKDIR", ("/a b",))]),
        ("USER", [("USER", ())]),
        ("NOSUCH thing", [("NOSUCH", ())]),
        ("VOLUME /a /b", [("VOLUME", ("/a", "/b"))]),
        ('VOLUME ["/a b"]', [("VOLUME", ("/a b",))]),
    ],
)
def test_text_becomes_these_nodes(text, expected):
    assert nodes(text) == expected


@pytest.mark.parametrize(
    ("line", "flags", "args"),
    [
        ("COPY --from=x a b", ("--from=x",), ("a", "b")),
        ("COPY --from=x --chown=1:2 a b", ("--from=x", "--chown=1:2"), ("a", "b")),
        ("RUN --mount=type=bind,target='/a b' x", ("--mount=type=bind,target=/a b",), ("x",)),
        ('RUN --a="b c" x', ("--a=b c",), ("x",)),
        ("RUN --a=b\\ c x", ("--a=b c",), ("x",)),
        ("RUN -- --a x", (), ("--a x",)),
        ("RUN --a", ("--a",), ()),
        ("RUN -a x", (), ("-a x",)),
        ("CMD --a ['x']", ("--a",), ("['x']",)),
        ('CMD --a ["x"]', ("--a",), ("x",)),
    ],
)
def test_flags_come_before_arguments(line, flags, args):
    (node,) = parse(line).nodes
    assert (node.flags, node.args) == (flags, args)


@pytest.mark.parametrize(
    ("text", "documents"),
    [
        ("RUN <<EOF\na\nEOF\n", [("EOF", "a\n", True, False)]),
        ("RUN <<EOF\nEOF", [("EOF", "", True, False)]),
        ("RUN <<'EOF'\n$a\nEOF\n", [("EOF", "$a\n", False, False)]),
        ('RUN <<"EOF"\n$a\nEOF\n', [("EOF", "$a\n", False, False)]),
        ("RUN <<E'O'F\n$a\nEOF\n", [("EOF", "$a\n", False, False)]),
        ("RUN <<-EOF\n\ta\n\tEOF\n", [("EOF", "\ta\n", True, True)]),
        ("RUN cat <<A <<B\n1\nA\n2\nB\n", [("A", "1\n", True, False), ("B", "2\n", True, False)]),
        ("RUN x 3<<EOF\na\nEOF\n", [("EOF", "a\n", True, False)]),
        ("COPY <<a <<b /d/\n1\na\n2\nb\n", [("a", "1\n", True, False), ("b", "2\n", True, False)]),
        ("ADD <<a /d\nx\\\ny\n# z\n\na", [("a", "x\\\ny\n# z\n\n", True, False)]),
        ("ONBUILD RUN <<E\nx\nE\n", [("E", "x\n", True, False)]),
        ("RUN <<EOF\r\na\r\nEOF\r\n", [("EOF", "a\r\n", True, False)]),
        ("RUN <<EOF && \\\n  x\na\nEOF\n", [("EOF", "a\n", True, False)]),
        ("RUN <<EOF\nRUN <<X\nEOF\n", [("EOF", "RUN <<X\n", True, False)]),
        ("RUN <<EOF\n EOF\nEOF\n", [("EOF", " EOF\n", True, False)]),
        ('RUN ["<<EOF"]', []),
        ("RUN echo '<<EOF'", []),
        ('RUN echo "<<EOF"', []),
        ("RUN echo \\<<EOF", []),
        ("RUN echo a<<EOF", []),
        ("RUN cat <<<word", []),
        ("RUN echo $((1<<2))", []),
        ("ENV a=<<EOF", []),
        ("CMD cat <<EOF", []),
        ("RUN echo << EOF", []),
    ],
)
def test_documents_of_a_line(text, documents):
    (node,) = parse(text).nodes
    assert [(d.name, d.content, d.expand, d.chomp) for d in node.heredocs] == documents


def test_a_document_takes_its_lines_and_the_next_instruction_follows():
    text = "FROM a\nCOPY <<one <<-two /x/\nRUN no\none\n\tb\n\ttwo\nRUN yes\n"
    parsed = parse(text)
    assert [node.name for node in parsed.nodes] == ["FROM", "COPY", "RUN"]
    assert parsed.nodes[1].place == Place(2, 6)
    assert [d.text for d in parsed.nodes[1].heredocs] == ["RUN no\n", "b\n"]


def test_bytes_that_are_no_utf8_survive_in_documents_only():
    parsed = parse(decode(b"FROM a\xff\nCOPY <<E /x\n\xfe\nE\n"))
    assert parsed.nodes[0].args == ("a\ufffd",)
    assert parsed.nodes[1].heredocs[0].content.encode("utf-8", "surrogateescape") == b"\xfe\n"


@pytest.mark.parametrize(
    ("text", "message", "place"),
    [
        ("", "the Dockerfile cannot be empty", None),
        ("# only\n\n", "file with no instructions", Place(2, 2)),
        ("FROM a\nRUN <<E\nx", "unterminated heredoc", Place(2, 3)),
        ("FROM a\nENV x", "ENV must have two arguments", Place(2, 2)),
        ("FROM a\nENV a=b \\\n c", 'can\'t find = in "c"', Place(2, 3)),
        ('FROM a\nCMD ["a", 1]', "arrays must be comprised of strings only", Place(2, 2)),
        ('CMD ["a", null]', "arrays must be comprised of strings only", Place(1, 1)),
        ("# escape=x\nFROM a", "invalid escape token 'x'", Place(1, 1)),
        ("# escape=`\n# escape=`\nFROM a", "only one escape parser directive", Place(2, 2)),
        ("FROM a\nRUN " + "x" * LINE_LIMIT, "dockerfile line greater than", None),
    ],
)
def test_what_is_wrong_is_told_with_its_lines(text, message, place):
    with pytest.raises(DockerfileError) as refusal:
        parse(text)
    assert message in str(refusal.value)
    if place is not None:
        assert refusal.value.places == (place,)


def test_a_dockerfile_without_end_is_refused():
    with pytest.raises(DockerfileError, match="more than 5000 instructions"):
        parse("FROM a\n" + "RUN x\n" * 5_001)
    with pytest.raises(DockerfileError, match="larger than"):
        decode(b"#" * (SIZE_LIMIT + 1))


@pytest.mark.parametrize(
    ("text", "directives", "escape"),
    [
        ("# syntax=a/b:1\nFROM a", {"syntax": "a/b:1"}, "\\"),
        ("#syntax=a\n#escape=`\nFROM a", {"syntax": "a", "escape": "`"}, "`"),
        ("# SYNTAX = a \nFROM a", {"syntax": "a"}, "\\"),
        ("# check=skip=all;error=true\nFROM a", {"check": "skip=all;error=true"}, "\\"),
        ("# comment\n# escape=`\nFROM a", {}, "\\"),
        ("\n# escape=`\nFROM a", {}, "\\"),
        ("# other=x\n# escape=`\nFROM a", {}, "\\"),
        ("FROM a\n# escape=`\nRUN b", {}, "\\"),
        ("\ufeff# escape=`\nFROM a", {"escape": "`"}, "`"),
    ],
)
def test_directives_stand_before_all_else(text, directives, escape):
    parsed = parse(text)
    assert (parsed.directives, parsed.escape) == (directives, escape)


@pytest.mark.parametrize(
    ("text", "image"),
    [
        ("# syntax=a/b:1 more words\nFROM a", "a/b:1"),
        ("// syntax=a/b\nwhatever", "a/b"),
        ('{"syntax": "a/b", "x": 1}', "a/b"),
        ("#!/usr/bin/env x\n# syntax=a\n", "a"),
        ("#!x\n// syntax=a\n", "a"),
        ("FROM a\n# syntax=b", None),
        ('{"syntax": 1}', None),
        ("[" * 100_000, None),
    ],
)
def test_other_front_ends_can_be_asked_for_in_any_language(text, image):
    found = syntax_of(text)
    assert (found[0] if found else None) == image


def test_empty_lines_in_a_continued_instruction_are_noted():
    parsed = parse("FROM a\nRUN x \\\n\n  y\nRUN z\n")
    assert parsed.empty_continuations == ((Place(4, 4), "RUN x   y"),)


def test_comments_above_an_instruction_stay_with_it():
    text = "# syntax=x\n# build does it\n#\n# A says why\nARG A\nFROM a\n"
    assert [node.comments for node in parse(text).nodes] == [("A says why",), ()]


def test_onbuild_within_onbuild_is_read_no_deeper():
    (node,) = parse("ONBUILD " * 6000 + "RUN x").nodes
    assert node.sub is not None
    assert node.sub.sub is None


def test_deep_json_is_a_shell_form():
    (node,) = parse("CMD " + "[" * 30_000).nodes
    assert not node.is_json


def test_what_is_rendered_reads_the_same():
    text = '# escape=`\nFROM a AS b\nRUN x `\n  y\nCOPY <<-A <<B /d/\n\tx\n\tA\ny\nB\nCMD ["a"]\n'
    first = parse(text)
    again = parse(render(first))
    shape = [(n.name, n.args, n.flags, n.is_json, n.heredocs) for n in first.nodes]
    assert [(n.name, n.args, n.flags, n.is_json, n.heredocs) for n in again.nodes] == shape
