"""Stages to a graph: bases, arguments, triggers, platforms, contexts."""

from __future__ import annotations

import pytest
from tests.support.dockerfiles import (
    AMD64,
    ARM64,
    Bases,
    build,
    config,
    history,
    op,
    ops_of,
    vertices,
)

from boxship.build import ops
from boxship.build.dockerfile.errors import BaseUnavailable, DockerfileError
from boxship.build.dockerfile.options import Input
from boxship.build.ops import Source
from boxship.errors import NotFound, Unavailable


def run_of(text: str, **options) -> ops.Exec:
    made = build(f"FROM base\n{text}", **options)
    found = ops_of(made, ops.Exec)
    return found[-1]


def run_settings(text: str, **options):
    return build(f"FROM base\n{text}", **options).config.config


def test_vertices_are_called_what_buildkit_calls_them():
    made = build(
        "FROM base AS one\nWORKDIR /a\nRUN x $NO 'y'\nFROM base\nCOPY --from=one /a /b\nADD c /d\n"
    )
    names = list(vertices(made))
    assert names[0].startswith("[stage-1 1/3] FROM docker.io/library/base:latest@sha256:")
    assert names[1:] == [
        "[one 2/3] WORKDIR /a",
        "[one 3/3] RUN x $NO 'y'",
        "[stage-1 2/3] COPY --from=one /a /b",
        "[internal] load build context",
        "[stage-1 3/3] ADD c /d",
    ]


def test_a_single_stage_has_no_name_and_numbers_are_aligned():
    made = build("FROM base\n" + "RUN x\n" * 10)
    assert [name[:8] for name in vertices(made)][:2] == ["[ 1/11] ", "[ 2/11] "]


def test_a_base_that_cannot_be_asked_for_now_is_named_with_its_line():
    class Offline(Bases):
        async def resolve(self, reference, platform):
            raise Unavailable("no such host")

    with pytest.raises(BaseUnavailable) as refusal:
        build("FROM scratch AS s\nFROM there/it:1\n", Offline())
    assert str(refusal.value) == (
        "there/it:1: failed to resolve source metadata for docker.io/there/it:1: no such host"
    )
    assert [place.first for place in refusal.value.places] == [2]


def test_stages_that_nothing_needs_are_left_out():
    bases = Bases()
    made = build("FROM nowhere AS a\nRUN x\nFROM base AS b\nRUN y\n", bases)
    assert [reference for reference, _ in bases.asked] == ["docker.io/library/base:latest"]
    assert not any("RUN x" in name for name in vertices(made))


@pytest.mark.parametrize(
    ("target", "last"), [("a", "RUN 1"), ("A", "RUN 1"), ("0", "RUN 1"), ("", "RUN 2")]
)
def test_the_target_decides_what_is_built(target, last):
    made = build("FROM base AS a\nRUN 1\nFROM base AS b\nRUN 2\n", target=target)
    assert list(vertices(made))[-1].endswith(last)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM base\nCOPY --from=2 a b", "invalid stage index 2"),
        ("FROM base AS a\nCOPY --from=a x y", "circular dependency detected on stage: a"),
        ("FROM base AS a\nRUN --mount=from=a,target=/x y", "circular dependency detected"),
        (
            "FROM base AS a\nCOPY --from=b x y\nFROM base AS b\nCOPY --from=a x y",
            "circular dependency detected on stage: a",
        ),
        (
            "FROM base AS a\nCOPY --from=b x y\nFROM base AS b\nFROM a",
            'cannot copy from stage "b", it needs to be defined before current stage "a"',
        ),
        ("FROM base\nCOPY --from=$x a b", "variable expansion is not supported for --from"),
        ("FROM $x", "base name ($x) should not be blank"),
        ("FROM --platform=$x base", "empty platform value from expression $x"),
        ("FROM --platform=a/b/c/d base", "failed to parse platform a/b/c/d"),
        ("FROM UPPER", 'failed to parse stage name "UPPER"'),
        ("FROM base\nSTOPSIGNAL nosuch", "invalid signal: nosuch"),
        ("FROM base\nVOLUME $x", "VOLUME specified can not be an empty string"),
        ("FROM base\nEXPOSE x", "invalid containerPort: x"),
        ("FROM base\nEXPOSE 99999", "invalid containerPort: 99999"),
        ("FROM base\nEXPOSE 80/icmp", "invalid proto: icmp"),
        ("FROM base\nEXPOSE 90-80", "invalid containerPort: 90-80"),
        ("FROM base\nEXPOSE 1.2.3:80:80", "invalid IP address: 1.2.3"),
        ("FROM base\nCOPY --chmod=9999 a b", "invalid chmod parameter: '9999'"),
        ("FROM base\nCOPY --chmod=10000 a b", "between 0 and 07777"),
        ("FROM base\nCOPY --chmod=q+x a b", 'invalid chmod parameter: "q+x"'),
        ("FROM base\nCOPY https://a.b/c /d", "source can't be a URL for COPY"),
        ("FROM base\nCOPY https://a.b/c.git /d", "source can't be a git ref for COPY"),
        ("FROM base\nADD --checksum=sha256:a x /d", "checksum requires HTTP(S) or Git sources"),
        ("FROM base\nADD --checksum=x http://a/b http://a/c /d", "multiple sources"),
        ("FROM base\nADD --checksum=x http://a/b /d", "invalid checksum digest format"),
        ("FROM base\nRUN --mount=target=/ x", 'invalid mount target "/"'),
        ("FROM base\nENV a=${b:?why}", "b: why"),
        ("FROM base\nENV a='b", "matching single-quote"),
        ("FROM base AS first\nFROM frst", "(did you mean first?)"),
    ],
)
def test_what_cannot_be_converted(text, message):
    with pytest.raises((DockerfileError, NotFound)) as refusal:
        build(text)
    assert message in str(refusal.value)


def test_an_error_knows_its_lines():
    with pytest.raises(DockerfileError) as refusal:
        build("FROM base\nRUN x\nENV a=1 \\\n  b='\n")
    assert refusal.value.places == (ops.Place(3, 4),)


def test_an_unknown_target_is_told_with_what_was_meant():
    with pytest.raises(DockerfileError, match=r'target stage "biuld" could not be found'):
        build("FROM base AS build", target="biuld")


# variables


def test_arguments_before_the_first_stage_are_for_from_and_for_who_declares_them():
    text = "ARG V=1\nARG W=$V-x\nFROM base AS a-$V\n"
    with pytest.raises(DockerfileError, match="invalid name for build stage"):
        build(text)
    made = run_of("RUN 1", build_args={})
    assert made.env == ("PATH=/bin",)
    text = "ARG V=1\nARG W=$V-x\nFROM base\nENV A=$V\nARG W\nENV B=$W\nARG V=2\nENV C=$V\n"
    assert build(text).config.config.env == ["PATH=/bin", "A=", "B=1-x", "C=2"]


def test_arguments_come_from_the_caller_first():
    text = "ARG V=1\nARG V=2\nENV A=$V\nARG W\nENV B=${W-unset}\n"
    assert run_settings(text, build_args={"V": "3"}).env == ["PATH=/bin", "A=3", "B=unset"]
    assert run_settings(text, build_args={"W": ""}).env == ["PATH=/bin", "A=2", "B="]


def test_stages_inherit_arguments_and_environment_of_the_stage_they_stand_on():
    made = build(
        "FROM base AS a\nARG X=1\nENV Y=2\nFROM a\nRUN echo $X $Y\nFROM base AS c\n", target=""
    )
    assert made.config.config.env == ["PATH=/bin"]
    made = build("FROM base AS a\nARG X=1\nENV Y=2\nFROM a\nRUN echo\n")
    found = op(made, "RUN echo")
    assert set(found.env) == {"PATH=/bin", "X=1", "Y=2"}
    assert history(made)[-1][0] == "RUN |1 X=1 /bin/sh -c echo # buildkit"


def test_one_line_sees_the_values_from_before_it():
    assert run_settings("ENV abc=hello\nENV abc=bye def=$abc\nENV ghi=$abc").env == [
        "PATH=/bin",
        "abc=bye",
        "def=hello",
        "ghi=bye",
    ]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("BUILDPLATFORM", "linux/amd64"),
        ("BUILDOS", "linux"),
        ("BUILDARCH", "amd64"),
        ("BUILDVARIANT", ""),
        ("TARGETPLATFORM", "linux/arm64"),
        ("TARGETARCH", "arm64"),
        ("TARGETSTAGE", "last"),
    ],
)
def test_platform_arguments(name, value):
    text = f"FROM base AS last\nENV A=$TARGETARCH\nARG {name}\nENV B=${name}\n"
    made = build(text, target_platform=ARM64, platform_given=True)
    assert made.config.config.env == ["PATH=/bin", "A=", f"B={value}"]


def test_proxies_reach_processes_but_neither_variables_nor_history():
    made = build(
        "FROM base\nRUN x $http_proxy\nENV A=$HTTP_PROXY\n", build_args={"HTTP_PROXY": "http://p"}
    )
    found = op(made, "RUN x $http_proxy")
    assert dict(found.proxies) == {"http_proxy": "http://p"}
    assert found.env == ("PATH=/bin",)
    assert made.config.config.env == ["PATH=/bin", "A="]
    assert "http://p" not in str(made.config)
    assert made.unused == ()


def test_build_arguments_that_nobody_declares_are_told():
    assert build("FROM base\nARG A\n", build_args={"A": "1", "B": "2"}).unused == ("B",)


# RUN


def test_stages_without_cache():
    text = "FROM base AS a\nRUN 1\nFROM base\nCOPY --from=a x y\n"

    def ignored(**options):
        made = vertices(build(text, **options))
        return [v.about.ignore_cache for n, v in made.items() if "RUN" in n or "COPY" in n]

    assert ignored() == [False, False]
    assert ignored(no_cache=frozenset()) == [True, True]
    assert ignored(no_cache=frozenset({"a"})) == [True, False]


# COPY and ADD


def test_equal_files_make_equal_graphs_and_names_do_not_matter():
    one = build("FROM base AS a\nRUN x\nCOPY b c\n")
    other = build("# comment\nFROM   base  AS  b\nRUN x\nCOPY b c\n")
    assert one.root.vertex.digest == other.root.vertex.digest


# what the image is


def test_scratch_has_nothing_but_a_path():
    made = build("FROM scratch\nLABEL a=b\n")
    assert made.root is None
    assert made.config.config.env == [
        "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
    ]
    assert made.config.config.working_dir == "/"


# bases


def test_triggers_of_the_base_run_first_and_are_not_inherited():
    bases = Bases({"parent": config(OnBuild=["RUN from-parent", "COPY a /b"])})
    made = build("FROM parent\nRUN own\n", bases)
    names = list(vertices(made))
    assert names[1].endswith("ONBUILD RUN from-parent")
    assert names[3].endswith("ONBUILD COPY a /b")
    assert names[4].endswith("RUN own")
    assert made.config.config.on_build is None


def test_triggers_of_a_stage_run_in_the_stage_that_stands_on_it():
    made = build("FROM base AS a\nONBUILD RUN later\nFROM a\nRUN now\nFROM base AS c\nFROM a\n")
    assert any("ONBUILD RUN later" in name for name in vertices(made))
    last = build("FROM base AS a\nONBUILD RUN later\n")
    assert last.config.config.on_build == ["RUN later"]
    assert not any("later" in name for name in vertices(last))


def test_a_trigger_may_bring_another_image():
    bases = Bases({"parent": config(OnBuild=["COPY --from=tools /x /y"]), "tools": config()})
    made = build("FROM parent\n", bases)
    assert any(
        "tools" in v.op.identifier for v in vertices(made).values() if isinstance(v.op, Source)
    )


@pytest.mark.parametrize(
    "trigger", ["FROM x", "ONBUILD RUN x", "MAINTAINER x", "RUN x\nRUN y", "NO x"]
)
def test_a_base_with_bad_triggers_is_refused(trigger):
    with pytest.raises(DockerfileError):
        build("FROM parent\n", Bases({"parent": config(OnBuild=[trigger])}))


def test_the_platform_of_a_stage():
    bases = Bases()
    build(
        "FROM --platform=$BUILDPLATFORM base AS tools\nFROM base\nCOPY --from=tools a b\n",
        bases,
        target_platform=ARM64,
        platform_given=True,
    )
    assert {platform for _, platform in bases.asked} == {AMD64, ARM64}


def test_names_tell_the_platform_where_there_are_several():
    made = build(
        "FROM --platform=$BUILDPLATFORM base AS t\nARG TARGETARCH\nRUN x\n"
        "FROM base\nCOPY --from=t a b\n",
        target_platform=ARM64,
        platform_given=True,
        multi_platform=True,
    )
    names = list(vertices(made))
    assert "[linux/amd64->arm64 t 2/2] RUN x" in names
    assert "[linux/arm64 stage-1 2/2] COPY --from=t a b" in names
    assert made.config.architecture == "arm64"


@pytest.mark.parametrize(
    ("text", "contexts"),
    [
        ("FROM nowhere\n", {"nowhere": "docker-image://base"}),
        ("FROM nowhere\n", {"docker.io/library/nowhere:latest": "docker-image://base"}),
        ("FROM nowhere AS a\nFROM a\n", {"a": "docker-image://base"}),
        ("FROM base\nCOPY --from=stuff a b\n", {"stuff": "docker-image://base"}),
        ("FROM nowhere\n", {"nowhere::linux/amd64": "docker-image://base"}),
    ],
)
def test_named_contexts_stand_in_for_images(text, contexts):
    assert build(text, contexts=contexts).root is not None


def test_a_named_context_may_be_a_folder_or_a_repository():
    made = build(
        "FROM base\nCOPY --from=stuff a b\nCOPY --from=repo a c\n",
        contexts={"stuff": "local:stuff", "repo": "https://a.b/c.git#main"},
    )
    found = {source.identifier for source in ops_of(made, Source)}
    assert {"local://stuff", "git://a.b/c.git#main"} <= found


def test_a_named_context_may_be_another_target():
    other = build("FROM base\nENV A=1\nRUN other\n")
    given = Input(other.root, config(Env=["A=1"]))
    made = build("FROM app\nRUN own\n", contexts={"app": "input:app"}, inputs={"app": given})
    assert [n for n in vertices(made) if "RUN" in n] == ["[2/2] RUN other", "[1/2] RUN own"]
    assert "A=1" in made.config.config.env


def test_the_source_date_is_on_all_that_is_made():
    made = build("FROM base\nCOPY a b\nWORKDIR /w\n", build_args={"SOURCE_DATE_EPOCH": "86400"})
    files = ops_of(made, ops.Files)
    assert {a.does.timestamp for f in files for a in f.actions} == {86400 * 10**9}
    assert (made.config.history or [])[-1].created == "1970-01-02T00:00:00Z"
    with pytest.raises(DockerfileError, match="invalid SOURCE_DATE_EPOCH"):
        build("FROM base\n", build_args={"SOURCE_DATE_EPOCH": "yesterday"})


def test_steps_tell_of_every_instruction_that_counts():
    bases = Bases({"parent": config(OnBuild=["RUN t"])})
    made = build("ARG A\nFROM base AS no\nRUN x\nFROM parent\nENV B=1\nRUN y\n", bases)
    assert [(s.text, bool(s.vertices), s.triggers) for s in made.steps] == [
        ("ARG A", False, 0),
        ("FROM parent", True, 1),
        ("RUN t", True, 0),
        ("ENV B=1", False, 0),
        ("RUN y", True, 0),
    ]


def test_a_chain_of_a_thousand_steps_is_converted():
    assert len(vertices(build("FROM base\n" + "RUN x\n" * 1000))) == 1001


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("ENV A=xxxxxxxxxx\n" + "ENV A=$A$A\n" * 30, "the environment is larger than"),
        ("ENV " + " ".join(f"A{n}=" for n in range(5001)), "more than 5000 variables"),
        ("EXPOSE 1-65535\n" * 4, "more than 200000 ports"),
        ("FROM base\n" * 500, "more than 500 stages"),
        (
            "ARG " + " ".join(f"A{n}={'x' * 40}" for n in range(1000)) + "\n" + "RUN x\n" * 200,
            "the history is larger than",
        ),
    ],
)
def test_nothing_grows_without_bound(text, message):
    with pytest.raises(DockerfileError, match=message):
        build(f"FROM base\n{text}")
