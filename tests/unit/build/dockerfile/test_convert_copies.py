"""COPY and ADD to vertices: what is taken, where it goes, and whose it is."""

from __future__ import annotations

import pytest
from tests.support.dockerfiles import (
    build,
    op,
    ops_of,
    vertices,
)

from boxship.build import ops
from boxship.build.ops import Action, Copy, MakeFile, Owner, Source


def copies(found) -> list[Copy]:
    return [action.does for action in found.actions]


@pytest.mark.parametrize(
    ("line", "source", "target"),
    [
        ("COPY a b", "/a", "/w/b"),
        ("COPY a b/", "/a", "/w/b/"),
        ("COPY a .", "/a", "/w/"),
        ("COPY a /", "/a", "/"),
        ("COPY . .", "/", "/w/"),
        ("COPY ./a/ /b", "/a", "/b"),
        ("COPY ../../a /b", "/a", "/b"),
        ("COPY a /b/../c/", "/a", "/c/"),
        ('COPY ["a b", "/c d"]', "/a b", "/c d"),
        ("COPY a* /b/", "/a*", "/b/"),
        ("ENV X=q\nCOPY $X /$X", "/q", "/q"),
    ],
)
def test_where_a_copy_goes(line, source, target):
    made = build(f"FROM base\nWORKDIR /w\n{line}\n")
    found = ops_of(made, ops.Files)[-1]
    (does,) = copies(found)
    assert (does.source, does.target) == (source, target)
    assert does.wildcard
    assert does.make_parents
    assert not does.unpack


@pytest.mark.parametrize(
    ("said", "owner"),
    [
        ("1", Owner(1, 1, 0)),
        ("1:2", Owner(1, 2, 0)),
        ("joe", Owner("joe", None, 0)),
        ("joe:staff", Owner("joe", "staff", 0)),
        ("1:staff", Owner(1, "staff", 0)),
        (":3", Owner(0, 3, 0)),
    ],
)
def test_whose_a_copy_is(said, owner):
    (does,) = copies(op(build(f"FROM base\nCOPY --chown={said} a b\n"), "a b"))
    assert does.owner == owner


def test_several_sources_are_one_vertex():
    made = build("FROM base AS a\nFROM base\nRUN own\nCOPY --from=a /x /y /z/\n")
    assert op(made, "/z/").actions == (
        Action(copies(op(made, "/z/"))[0], 0, 1, ops.NO_OUTPUT),
        Action(copies(op(made, "/z/"))[1], 2, 1, 0),
    )


def test_a_linked_copy_stands_alone_and_is_merged():
    made = build("FROM base\nCOPY --link a /b\n")
    names = list(vertices(made))
    assert names[-1] == "[2/2] LINK COPY --link a /b"
    (action,) = op(made, "[2/2] COPY --link a /b").actions
    assert action.input == ops.SCRATCH
    merged = vertices(made)[names[-1]]
    assert isinstance(merged.op, ops.Merge)
    assert len(merged.inputs) == 2


def test_a_linked_copy_onto_nothing_is_not_merged():
    made = build("FROM scratch\nCOPY --link a /b\n")
    assert not any(isinstance(v.op, ops.Merge) for v in vertices(made).values())


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a/b", ("/", ("a/b",), ("/a/b",))),
        ("./a/./b/c", ("/a", ("b/c",), ("/a/b/c",))),
        ("a/*/b", ("/", ("a/*/b",), ())),
        ("x*/./b", ("/x*", ("b",), ())),
        ("/a", ("/", ("a",), ("/a",))),
    ],
)
def test_parents_are_kept_from_the_pivot_on(source, expected):
    (does,) = copies(op(build(f"FROM base\nCOPY --parents {source} /t/\n"), "/t/"))
    assert (does.source, does.include, does.required) == expected


def test_modes_and_exclusions():
    (does,) = copies(
        op(build("FROM base\nCOPY --chmod=u=rwX,go=rX --exclude=*.o --exclude=x a b\n"), "b")
    )
    assert (does.mode, does.exclude) == ("u=rwX,go=rX", ("*.o", "x"))


def test_documents_are_files_with_variables():
    made = build("FROM base\nENV A=1\nCOPY <<a <<'b' <<-c /d/\n$A \"q\"\na\n$A\nb\n\tx\\$A\n\tc\n")
    files = ops_of(made, ops.Files)
    made_files = [a.does for f in files for a in f.actions if isinstance(a.does, MakeFile)]
    assert {f.path: f.data for f in made_files} == {
        "/a": b'1 "q"\n',
        "/b": b"$A\n",
        "/c": b"x$A\n",
    }


@pytest.mark.parametrize(
    ("line", "identifier", "attrs"),
    [
        ("ADD http://a.b/c.tgz /d", "http://a.b/c.tgz", {"http.filename": "c.tgz"}),
        ("ADD http://a.b /d", "http://a.b", {"http.filename": "__unnamed__"}),
        (
            "ADD http://a.b/c/../%2e%2e/ /d",
            "http://a.b/c/../%2e%2e/",
            {"http.filename": "__unnamed__"},
        ),
        (
            f"ADD --checksum=sha256:{'a' * 64} https://a.b/c /d",
            "https://a.b/c",
            {"http.filename": "c", "http.checksum": "sha256:" + "a" * 64},
        ),
        (
            "ADD https://a.b/c.git#v1:sub /d",
            "git://a.b/c.git#v1:sub",
            {"git.fullurl": "https://a.b/c.git"},
        ),
        (
            "ADD --keep-git-dir https://a.b/c.git /d",
            "git://a.b/c.git",
            {"git.fullurl": "https://a.b/c.git", "git.keepgitdir": "true"},
        ),
        ("ADD git@a.b:c/d.git /d", "git://git@a.b/c/d.git", {"git.fullurl": "git@a.b:c/d.git"}),
        (
            "ADD https://a.b/c.git?tag=v1&subdir=s&submodules=false /d",
            "git://a.b/c.git#refs/tags/v1:s",
            {"git.skipsubmodules": "true"},
        ),
    ],
)
def test_what_an_add_fetches(line, identifier, attrs):
    made = build(f"FROM base\n{line}\n")
    found = ops_of(made, Source)
    (source,) = [one for one in found if not one.identifier.startswith("docker-image")]
    assert source.identifier == identifier
    assert attrs.items() <= dict(source.attrs).items()


@pytest.mark.parametrize(
    ("flags", "source", "unpack"),
    [
        ("", "a.tar", True),
        ("--unpack=false", "a.tar", False),
        ("", "http://a/b.tar", False),
        ("--unpack", "http://a/b.tar", True),
    ],
)
def test_archives_are_unpacked(flags, source, unpack):
    made = build(f"FROM base\nADD {flags} {source} /d\n")
    found = ops_of(made, ops.Files)[-1]
    assert copies(found)[0].unpack is unpack


def test_only_what_is_read_of_the_context_is_asked_for():
    made = build("FROM base\nCOPY a b/c /d/\nRUN --mount=source=e,target=/e x\n")
    source = op(made, "load build context")
    assert dict(source.attrs) == {"local.followpaths": '["a", "b/c", "e"]'}
    whole = build("FROM base\nCOPY a /d/\nCOPY . /e\n")
    assert op(whole, "load build context").attrs == ()
