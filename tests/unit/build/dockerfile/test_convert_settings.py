"""What an image is told of how it is run, and how history tells it."""

from __future__ import annotations

import pytest
from tests.support.dockerfiles import (
    Bases,
    build,
    config,
    history,
)

from boxship.build.dockerfile.errors import DockerfileError
from boxship.spec.platform import Platform

NO_TIMES = "Interval:0s Timeout:0s StartPeriod:0s StartInterval:0s"


def test_settings_of_the_image():
    made = build(
        "FROM base\nENV A=1 PATH=$PATH:/x\nLABEL a=b c='d e'\nLABEL a=z\n"
        "EXPOSE 80 53/udp 8000-8001\n"
        "VOLUME /a /b\nUSER joe\nWORKDIR /w\nSTOPSIGNAL 9\nMAINTAINER me\n"
        'HEALTHCHECK --interval=5s CMD x\nENTRYPOINT ["/e"]\nCMD c\n',
        labels={"l": "m"},
    )
    found = made.config.config
    assert found.env == ["PATH=/bin:/x", "A=1"]
    assert found.labels == {"a": "z", "c": "d e", "l": "m"}
    assert found.exposed_ports == {"80/tcp": {}, "53/udp": {}, "8000/tcp": {}, "8001/tcp": {}}
    assert found.volumes == {"/a": {}, "/b": {}}
    assert (found.user, found.working_dir, found.stop_signal) == ("joe", "/w", "9")
    assert (found.entrypoint, found.cmd) == (["/e"], ["/bin/sh", "-c", "c"])
    assert found.healthcheck.test == ["CMD-SHELL", "x"]
    assert made.config.author == "me"


def test_an_entrypoint_resets_the_command_of_the_base_but_not_ones_own():
    bases = Bases({"b": config(Cmd=["old"], Entrypoint=["e"])})
    assert build("FROM b\n", bases).config.config.cmd == ["old"]
    assert build('FROM b\nENTRYPOINT ["x"]\n', bases).config.config.cmd is None
    assert build('FROM b\nCMD ["c"]\nENTRYPOINT ["x"]\n', bases).config.config.cmd == ["c"]


def test_history_is_told_as_buildkit_tells_it():
    made = build(
        "FROM base\nARG V=1\nENV A=1\nWORKDIR /w\nRUN a b\nCOPY --chown=1 x y\nEXPOSE 80\n"
        'VOLUME /v\nCMD c\nHEALTHCHECK NONE\nLABEL l=1\nUSER u\nSHELL ["/s", "-c"]\nWORKDIR /\n'
    )
    assert history(made) == [
        ("ARG V=1", True),
        ("ENV A=1", True),
        ("WORKDIR /w", False),
        ("RUN |1 V=1 /bin/sh -c a b # buildkit", False),
        ("COPY --chown=1 x y # buildkit", False),
        ("EXPOSE [80/tcp]", True),
        ("VOLUME [/v]", True),
        ('CMD ["/bin/sh" "-c" "c"]', True),
        (f"HEALTHCHECK {{Test:[NONE] {NO_TIMES} Retries:0}}", True),
        ("LABEL l=1", True),
        ("USER u", True),
        ("SHELL [/s -c]", True),
        ("WORKDIR /", True),
    ]


def test_labels_of_a_build_are_steps_of_the_last_stage_for_the_classic_builder():
    asked = {"b": "c", "a": "d '$x\""}
    made = build("FROM base AS one\nFROM base\nENV A=1\n", classic=True, labels=asked)
    assert [one.text for one in made.steps][-3:] == ["ENV A=1", "LABEL a=d '$x\"", "LABEL b=c"]
    assert history(made) == [
        ("/bin/sh -c #(nop)  ENV A=1", True),
        ("/bin/sh -c #(nop)  LABEL a=d '$x\"", True),
        ("/bin/sh -c #(nop)  LABEL b=c", True),
    ]
    assert made.config.config.labels == asked
    assert not made.findings
    first = build("FROM base AS one\nFROM base\n", classic=True, labels=asked, target="one")
    assert (history(first), first.config.config.labels) == ([], asked)


@pytest.mark.parametrize("classic", [True, False])
def test_where_an_image_has_no_path_it_is_given_one(classic):
    bases = Bases({"none": config(Env=[])})
    for base in ("none", "scratch"):
        made = build(f"FROM {base}\nENV A=1\n", bases, classic=classic)
        usual = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        assert made.config.config.env == [usual, "A=1"]


def test_history_is_told_as_the_classic_builder_told_it():
    made = build(
        "FROM base\nARG V=1\nENV A=1\nWORKDIR /w\nRUN a b\nCMD c\nEXPOSE 80 90/udp\n"
        'HEALTHCHECK --interval=5s CMD true\nSHELL ["/s", "-xc"]\nONBUILD RUN x\n',
        classic=True,
    )
    assert history(made) == [
        ("/bin/sh -c #(nop)  ARG V=1", True),
        ("/bin/sh -c #(nop)  ENV A=1", True),
        ("/bin/sh -c #(nop) WORKDIR /w", False),
        ("|1 V=1 /bin/sh -c a b", False),
        ('/bin/sh -c #(nop)  CMD ["/bin/sh" "-c" "c"]', True),
        ("/bin/sh -c #(nop)  EXPOSE 80 90/udp", True),
        ('/bin/sh -c #(nop)  HEALTHCHECK &{["CMD-SHELL" "true"] "5s" "0s" "0s" \'\\x00\'}', True),
        ("/s -xc #(nop)  SHELL [/s -xc]", True),
        ("/s -xc #(nop)  ONBUILD RUN x", True),
    ]


def test_an_image_for_windows_has_its_shell_and_paths():
    windows = {"target_platform": Platform("windows", "amd64")}
    run = build("FROM scratch\nWORKDIR /app/bin\nWORKDIR ..\nCMD x\n", **windows).config.config
    assert run.working_dir == "\\app"
    assert run.env == ["PATH=c:\\Windows\\System32;c:\\Windows"]
    assert run.cmd == ["cmd", "/S", "/C", "x"]
    based = Bases({"b": config(windows["target_platform"], WorkingDir="C:\\srv")})
    assert build("FROM b\nWORKDIR x\n", based, **windows).config.config.working_dir == "\\srv\\x"


@pytest.mark.parametrize(
    "line", ["WORKDIR C:/app", "WORKDIR \\\\app", "COPY a C:/app/", "ADD a b\\\\c"]
)
def test_paths_as_windows_writes_them_are_refused_for_its_images(line):
    with pytest.raises(DockerfileError, match="drives and backslashes are not supported"):
        build(f"FROM scratch\n{line}\n", target_platform=Platform("windows", "amd64"))
