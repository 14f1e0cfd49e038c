"""Nodes to instructions: flags, arguments, and what is refused."""

from __future__ import annotations

import pytest

from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile import mounts
from boxship.build.dockerfile.errors import DockerfileError, excerpt
from boxship.build.dockerfile.parse import parse
from boxship.build.dockerfile.read import instruction_of, stages
from boxship.build.ops import Place, Sharing
from boxship.spec.engine.common import HealthConfig


def one(text: str):
    (node,) = parse(text).nodes
    return instruction_of(node)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUNN x", "unknown instruction: RUNN (did you mean RUN?)"),
        ("COPPY a b", "unknown instruction: COPPY (did you mean COPY?)"),
        ("xyzzyxyzzy", "unknown instruction: xyzzyxyzzy"),
        ("FROM", "FROM requires either one or three arguments"),
        ("FROM a b", "FROM requires either one or three arguments"),
        ("FROM a IS b", "FROM requires either one or three arguments"),
        ("FROM a AS 1b", 'invalid name for build stage: "1b", name can\'t start with a number'),
        ("FROM a AS b$", "invalid name for build stage"),
        ("FROM --plattform=x a", "unknown flag: plattform (did you mean platform?)"),
        ("FROM --platform a", "missing a value on flag: platform"),
        ("FROM --platform=a --platform=b a", "duplicate flag specified: platform"),
        ("COPY a", "COPY requires at least two arguments, but only one was provided."),
        ("ADD", "ADD requires at least two arguments"),
        ("COPY a <<E\nE", "COPY cannot accept a heredoc as a destination"),
        ("COPY --link=x a b", "expecting boolean value for flag link, not: x"),
        ("COPY --link= a b", "missing a value on flag: link"),
        ("COPY --checksum=x a b", "unknown flag: checksum"),
        ("ADD --from=x a b", "unknown flag: from"),
        ("ENV", "ENV requires at least one argument"),
        ("ENV =x", "ENV names can not be blank"),
        ("ARG =x", "ARG names can not be blank"),
        ("ARG", "ARG requires at least one argument"),
        ("LABEL", "LABEL requires at least one argument"),
        ("EXPOSE", "EXPOSE requires at least one argument"),
        ("VOLUME", "VOLUME requires at least one argument"),
        ('VOLUME [""]', "VOLUME specified can not be an empty string"),
        ("USER", "USER requires exactly one argument"),
        ("WORKDIR", "WORKDIR requires exactly one argument"),
        ("STOPSIGNAL", "STOPSIGNAL requires exactly one argument"),
        ("MAINTAINER", "MAINTAINER requires exactly one argument"),
        ("SHELL bash -c", "SHELL requires the arguments to be in JSON form"),
        ("SHELL []", "SHELL requires at least one argument"),
        ("ONBUILD", "ONBUILD requires at least one argument"),
        ("ONBUILD ONBUILD RUN x", "Chaining ONBUILD via `ONBUILD ONBUILD` isn't allowed"),
        ("ONBUILD FROM x", "FROM isn't allowed as an ONBUILD trigger"),
        ("ONBUILD MAINTAINER x", "MAINTAINER isn't allowed as an ONBUILD trigger"),
        ("HEALTHCHECK", "HEALTHCHECK requires at least one argument"),
        ("HEALTHCHECK NONE x", "HEALTHCHECK NONE takes no arguments"),
        ("HEALTHCHECK CMD", "Missing command after HEALTHCHECK CMD"),
        ("HEALTHCHECK X y", 'Unknown type "X" in HEALTHCHECK (try CMD)'),
        ("HEALTHCHECK --interval=1us CMD x", 'Interval "interval" cannot be less than 1ms'),
        ("HEALTHCHECK --interval=x CMD x", 'time: invalid duration "x"'),
        ("HEALTHCHECK --retries=-1 CMD x", "--retries cannot be negative (-1)"),
        ("HEALTHCHECK --retries=x CMD x", "invalid syntax"),
        ("RUN --network=bridge x", 'invalid network mode "bridge"'),
        ("RUN --security=lax x", 'security "lax" is not valid'),
        ("RUN --mount=from=$x,target=/a x", "'from' doesn't support variable expansion"),
        ('RUN --mount=\\"a x', "failed to parse csv mounts"),
    ],
)
def test_what_is_refused_is_told_in_buildkits_words(text, message):
    with pytest.raises(DockerfileError) as refusal:
        one(text)
    assert message in str(refusal.value)
    assert str(refusal.value).startswith("dockerfile parse error on line 1: ")


def test_a_stage_begins_with_from():
    found = one("FROM --platform=$P a:1 As Build")
    assert isinstance(found, ins.From)
    assert (found.base, found.alias, found.platform) == ("a:1", "build", "$P")


def test_a_copy_has_sources_documents_and_flags():
    found = one(
        "COPY --from=b --chown=1:2 --chmod=u+x --link --parents --exclude=*.o a <<E /d/\nx\nE"
    )
    assert isinstance(found, ins.Copy)
    assert (found.origin, found.parents) == ("b", True)
    files = found.files
    assert (files.sources, files.target, files.owner) == (("a",), "/d/", "1:2")
    assert (files.mode, files.link, files.exclude) == ("u+x", True, ("*.o",))
    assert [(d.name, d.content) for d in files.documents] == [("E", "x\n")]


def test_an_add_knows_what_was_not_said():
    found = one("ADD --checksum=sha256:a --keep-git-dir=false --unpack a /")
    assert isinstance(found, ins.Add)
    assert (found.checksum, found.keep_git_dir, found.unpack) == ("sha256:a", False, True)
    plain = one("ADD a /")
    assert isinstance(plain, ins.Add)
    assert (plain.keep_git_dir, plain.unpack) == (None, None)


def test_a_health_check_has_times_and_retries():
    found = one("HEALTHCHECK --interval=1m --timeout=3s --start-period=0s --retries=2 CMD a b")
    assert isinstance(found, ins.Healthcheck)
    assert found.health == HealthConfig(
        test=["CMD-SHELL", "a b"], interval=60 * 10**9, timeout=3 * 10**9, retries=2
    )


def test_a_trigger_keeps_its_documents():
    found = one("ONBUILD  COPY <<E /x\na\nE\n")
    assert isinstance(found, ins.OnBuild)
    assert found.expression == "COPY <<E /x\na\nE"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("target=/a", {"kind": "bind", "target": "/a", "readonly": True}),
        ("type=bind,dst=/a,src=b,rw", {"source": "b", "readonly": False}),
        ("type=bind,target=/a,readwrite=true", {"readonly": False}),
        ("type=bind,target=/a,ro=false", {"readonly": False}),
        ("TYPE=cache,destination=/a", {"kind": "cache", "readonly": False, "id": ""}),
        (
            "type=cache,target=/a,id=x,sharing=LOCKED,mode=0700,uid=1,gid=2",
            {"id": "x", "sharing": Sharing.LOCKED, "mode": 0o700, "uid": 1, "gid": 2},
        ),
        ("type=tmpfs,target=/a,size=64m", {"kind": "tmpfs", "size": 64 << 20}),
        ("type=secret,id=a,env=A,required", {"id": "a", "env": "A", "required": True}),
        ("type=ssh,id=a,required=true,mode=0666", {"required": True, "mode": 0o666}),
        ('type=bind,"source=a,b",target=/c', {"source": "a,b"}),
        ("type=bind,source=$S,target=/c", {"source": "there"}),
    ],
)
def test_mounts(text, expected):
    found = mounts.parse(text, lambda word: word.replace("$S", "there"))
    assert {key: getattr(found, key) for key in expected} == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("type=volume,target=/a", 'unsupported mount type "volume"'),
        ("type=cach,target=/a", "(did you mean cache?)"),
        ("type=bind,targt=/a", "unexpected key 'targt' in 'targt=/a' (did you mean target?)"),
        ("type=bind,target", "invalid field 'target' must be a key=value pair"),
        ("type=bind,target=/a,ro=maybe", "invalid value for ro: maybe"),
        ("type=bind,target=/a,uid=1", 'uid not allowed for "bind" type mounts'),
        ("type=tmpfs,target=/a,mode=0700", 'mode not allowed for "tmpfs" type mounts'),
        ("type=bind,target=/a,size=1", "unexpected key 'size' for mount type 'bind'"),
        ("type=tmpfs,target=/a,size=x", "invalid value for size: x"),
        ("type=bind,target=/a,required", "unexpected key 'required' for mount type 'bind'"),
        ("type=cache,target=/a,sharing=no", 'unsupported sharing value "no"'),
        ("type=bind,target=/a,sharing=shared", "invalid cache sharing set for bind mount"),
        ("type=cache,target=/a,mode=9", "invalid value 9 for mode"),
        ("type=cache,target=/a,uid=-1", "invalid value -1 for uid"),
        ("type=secret", "invalid secret mount. one of source, target required"),
        ("type=secret,id=a,source=b", "both source and id can't be set"),
        ("type=secret,id=a,from=b", "secret mount should not have a from"),
        ("", "failed to parse csv mounts"),
    ],
)
def test_mounts_that_are_refused(text, message):
    with pytest.raises(DockerfileError) as refusal:
        mounts.parse(text, str)
    assert message in str(refusal.value)


def test_stages_and_what_comes_before_them():
    found, before = stages(parse("ARG A=1\nARG B\nFROM a AS x\nRUN 1\nFROM x\nRUN 2\n").nodes)
    assert [arg.definitions[0].key for arg in before] == ["A", "B"]
    assert [(s.begins.alias, len(s.instructions)) for s in found] == [("x", 1), ("", 1)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("RUN x", "no build stage in current context"),
        ("ARG A", "dockerfile contains no stages to build"),
    ],
)
def test_a_file_without_stages_is_refused(text, message):
    with pytest.raises(DockerfileError, match=message):
        stages(parse(text).nodes)


def test_the_lines_at_fault_are_shown_with_those_around_them():
    text = "FROM a\nRUN one\nRUN two\nRUNN \\\n  three\nRUN four\nRUN five\nRUN six\n"
    with pytest.raises(DockerfileError) as refusal:
        stages(parse(text).nodes)
    assert refusal.value.places == (Place(4, 5),)
    assert excerpt("Dockerfile", text, refusal.value.places) == (
        "Dockerfile:4\n"
        "--------------------\n"
        "   3 |     RUN two\n"
        "   4 | >>> RUNN \\\n"
        "   5 | >>>   three\n"
        "   6 |     RUN four\n"
        "--------------------\n"
    )


def test_one_line_at_fault_is_shown_with_two_on_each_side():
    text = "FROM a\nRUN b\nRUN c\nBAD\nRUN d\nRUN e\nRUN f\n"
    shown = excerpt("x/Dockerfile", text, [Place(4, 4)])
    assert shown.splitlines()[2:-1] == [
        "   2 |     RUN b",
        "   3 |     RUN c",
        "   4 | >>> BAD",
        "   5 |     RUN d",
        "   6 |     RUN e",
    ]
