"""The checks: which line breaks which rule, and in what words."""

from __future__ import annotations

import re

import pytest
from tests.support.dockerfiles import ARM64, Bases, build, config, rules

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.lint import RULES, Checks
from boxship.lib.ignore import Matcher

NAMES = {
    "StageNameCasing", "FromAsCasing", "NoEmptyContinuation", "ConsistentInstructionCasing",
    "DuplicateStageName", "ReservedStageName", "JSONArgsRecommended", "MaintainerDeprecated",
    "UndefinedArgInFrom", "WorkdirRelativePath", "UndefinedVar", "MultipleInstructionsDisallowed",
    "LegacyKeyValueFormat", "InvalidBaseImagePlatform", "RedundantTargetPlatform",
    "SecretsUsedInArgOrEnv", "InvalidDefaultArgInFrom", "FromPlatformFlagConstDisallowed",
    "CopyIgnoredFile", "InvalidDefinitionDescription", "ExposeProtoCasing", "ExposeInvalidFormat",
}  # fmt: skip


def test_the_rules_are_those_of_buildkit():
    assert RULES.keys() == NAMES


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("FROM base\n", []),
        ("FROM base AS Build\n", [("StageNameCasing", 1)]),
        ("FROM base as b\n", [("FromAsCasing", 1)]),
        ("from base as b\n", []),
        ("From base as b\nFROM base AS c\n", [("ConsistentInstructionCasing", 1)]),
        ("FROM base\nRUN x \\\n\n y\n", [("NoEmptyContinuation", 4)]),
        ("FROM base\nrun x\nRUN y\n", [("ConsistentInstructionCasing", 2)]),
        ("from base\nrun x\nRun y\n", [("ConsistentInstructionCasing", 3)]),
        ("FROM base AS a\nFROM base AS a\n", [("DuplicateStageName", 2)]),
        ("FROM base AS context\n", [("ReservedStageName", 1)]),
        ("FROM base AS scratch\n", [("ReservedStageName", 1)]),
        ("FROM base\nCMD x\n", [("JSONArgsRecommended", 2)]),
        ("FROM base\nENTRYPOINT x\n", [("JSONArgsRecommended", 2)]),
        ('FROM base\nSHELL ["/bin/bash", "-c"]\nCMD x\n', []),
        ("FROM base\nMAINTAINER x\n", [("MaintainerDeprecated", 2)]),
        ("FROM base${x}\n", [("UndefinedArgInFrom", 1)]),
        ("ARG x\nFROM base${x}\n", []),
        ("FROM base\nWORKDIR x\nWORKDIR y\n", [("WorkdirRelativePath", 2)]),
        ("FROM base\nWORKDIR /x\nWORKDIR y\n", []),
        ("FROM base\nCOPY $x /y\n", [("UndefinedVar", 2)]),
        ("FROM base\nARG x\nCOPY $x /y\n", []),
        ("FROM base\nCOPY ${x:-a} /y\n", [("UndefinedVar", 2)]),
        ("FROM base\nRUN $x\n", []),
        ('FROM base\nCMD ["a"]\nCMD ["b"]\n', [("MultipleInstructionsDisallowed", 2)]),
        (
            "FROM base\nHEALTHCHECK CMD a\nHEALTHCHECK NONE\n",
            [("MultipleInstructionsDisallowed", 2)],
        ),
        ('FROM base AS a\nCMD ["a"]\nFROM a\nCMD ["b"]\n', []),
        ("FROM base\nENV a b\n", [("LegacyKeyValueFormat", 2)]),
        ("FROM base\nLABEL a b\n", [("LegacyKeyValueFormat", 2)]),
        ("FROM --platform=$TARGETPLATFORM base\n", [("RedundantTargetPlatform", 1)]),
        ("FROM --platform=$BUILDPLATFORM base\n", []),
        ("FROM --platform=linux/amd64 base\n", [("FromPlatformFlagConstDisallowed", 1)]),
        ("FROM --platform=linux/amd64 base AS build_amd64\n", []),
        ("FROM base\nENV API_KEY=x\n", [("SecretsUsedInArgOrEnv", 2)]),
        ("FROM base\nARG github_token\n", [("SecretsUsedInArgOrEnv", 2)]),
        ("FROM base\nENV PUBLIC_KEY=x PASSWORD_FILE=y MONKEY=z\n", []),
        ("ARG v\nFROM base:${v}\n", [("InvalidDefaultArgInFrom", 2)]),
        ("ARG v=latest\nFROM base:${v}\n", []),
        ("FROM base\nEXPOSE 80/TCP\n", [("ExposeProtoCasing", 2)]),
        ("FROM base\nEXPOSE 80:80\n", [("ExposeInvalidFormat", 2)]),
        ("FROM base\nEXPOSE 1.2.3.4:80:80\n", [("ExposeInvalidFormat", 2)]),
        ("FROM base\n# check=skip=UndefinedVar\nCOPY $x /y\n", []),
        ("# check=skip=UndefinedVar\nFROM base\nCOPY $x /y\n", []),
        ("# check=skip=all\nFROM base\nCOPY $x /y\nCMD x\n", []),
        ("# check=skip=JSONArgsRecommended,UndefinedVar\nFROM base\nCOPY $x /y\nCMD x\n", []),
        ("# build is it\nFROM base AS other\n", []),
        (
            "# check=experimental=all\n# wrong text\nFROM base AS other\n",
            [("InvalidDefinitionDescription", 3)],
        ),
        ("# check=experimental=all\n# other does it\nFROM base AS other\n", []),
        ("# check=experimental=all\n# wrong text\n#\nFROM base AS other\n", []),
        (
            "# check=skip=all;experimental=all\n# wrong text\nFROM base AS other\nCMD x\n",
            [("InvalidDefinitionDescription", 3)],
        ),
        (
            "# check=experimental=InvalidDefinitionDescription\n# x\nARG y\nFROM base\n",
            [("InvalidDefinitionDescription", 3)],
        ),
    ],
)
def test_a_line_breaks_a_rule(text, found):
    options = {"build_args": {"v": "latest"}} if "${v}" in text else {}
    assert rules(build(text, **options)) == found


# each rule with a line that breaks it, and what is said of it
SAID = (
    ("FROM base AS Build", "StageNameCasing: Stage name 'Build' should be lowercase (line 1)"),
    ("FROM base as b", "FromAsCasing: 'as' and 'FROM' keywords' casing do not match (line 1)"),
    ("FROM base\nRUN x \\\n\n y", "NoEmptyContinuation: Empty continuation line (line 4)"),
    (
        "FROM base\nrun x\nRUN y",
        "ConsistentInstructionCasing: Command 'run' should match the case of the command majority "
        "(uppercase) (line 2)",
    ),
    (
        "FROM base AS b\nFROM base AS b",
        'DuplicateStageName: Duplicate stage name "b", stage names should be unique (line 2)',
    ),
    (
        "FROM base AS context",
        "ReservedStageName: Stage name should not use the same name as reserved stage "
        '"context" (line 1)',
    ),
    (
        "FROM base\nENTRYPOINT x",
        "JSONArgsRecommended: JSON arguments recommended for ENTRYPOINT to prevent unintended "
        "behavior related to OS signals (line 2)",
    ),
    (
        "FROM base\nMAINTAINER x",
        "MaintainerDeprecated: Maintainer instruction is deprecated in favor of using label "
        "(line 2)",
    ),
    (
        "ARG VERSON=1\nFROM base${VERSION}",
        "UndefinedArgInFrom: FROM argument 'VERSION' is not declared (did you mean VERSON?) "
        "(line 2)",
    ),
    (
        "FROM base\nWORKDIR app/",
        'WorkdirRelativePath: Relative workdir "app/" can have unexpected results if the base '
        "image changes (line 2)",
    ),
    (
        "FROM base\nENV PATH=$PAHT:/x",
        "UndefinedVar: Usage of undefined variable '$PAHT' (did you mean $PATH?) (line 2)",
    ),
    (
        'FROM base\nCMD ["a"]\nCMD ["b"]',
        "MultipleInstructionsDisallowed: Multiple CMD instructions should not be used in the same "
        "stage because only the last one will be used (line 2)",
    ),
    (
        "FROM base\nLABEL a b",
        'LegacyKeyValueFormat: "LABEL key=value" should be used instead of legacy "LABEL key '
        'value" format (line 2)',
    ),
    (
        "FROM other",
        'InvalidBaseImagePlatform: Base image other was pulled with platform "linux/arm64", '
        'expected "linux/amd64" for current build (line 1)',
    ),
    (
        "FROM --platform=${TARGETPLATFORM} base",
        "RedundantTargetPlatform: Setting platform to predefined ${TARGETPLATFORM} in FROM is "
        "redundant as this is the default behavior (line 1)",
    ),
    (
        "FROM base\nARG auth=x",
        "SecretsUsedInArgOrEnv: Do not use ARG or ENV instructions for sensitive data "
        '(ARG "auth") (line 2)',
    ),
    (
        "ARG v\nFROM base:$v",
        "InvalidDefaultArgInFrom: Default value for ARG base:$v results in empty or invalid base "
        "image name (line 2)",
    ),
    (
        "FROM --platform=linux/amd64 base",
        "FromPlatformFlagConstDisallowed: FROM --platform flag should not use constant value "
        '"linux/amd64" (line 1)',
    ),
    (
        "FROM base\nADD ./left /",
        'CopyIgnoredFile: Attempting to Add file "left" that is excluded by .dockerignore (line 2)',
    ),
    (
        "# x\nARG a b\nFROM base",
        "InvalidDefinitionDescription: Comment for ARG should follow the format: `# <arg_key> "
        "<description>` (line 2)",
    ),
    (
        "FROM base\nEXPOSE 80/TcP",
        "ExposeProtoCasing: Defined protocol '80/TcP' in EXPOSE instruction should be lowercase "
        "(line 2)",
    ),
    (
        "FROM base\nEXPOSE 127.0.0.1:80:80",
        "ExposeInvalidFormat: EXPOSE instruction should not define an IP address or host-port "
        "mapping, found '127.0.0.1:80:80' (line 2)",
    ),
)


def test_each_rule_has_words_to_be_compared():
    assert {said.partition(":")[0] for _, said in SAID} == NAMES


@pytest.mark.parametrize(("text", "said"), SAID, ids=[said.partition(":")[0] for _, said in SAID])
def test_a_finding_is_told_in_buildkits_words(text, said):
    name = said.partition(":")[0]
    made = build(
        text + "\n",
        Bases({"other": config(ARM64)}),
        check=f"experimental={name}",
        ignore=Matcher(["left"]),
        platform_given=True,
        build_args={"v": "latest"},
    )
    (found,) = made.findings
    assert found.short == said
    words = re.sub(r"(?<=[a-z])(?=[A-Z])|(?<=JSON)(?=A)", "-", name)
    assert found.rule.url == f"https://docs.docker.com/go/dockerfile/rule/{words.lower()}/"


def test_findings_say_what_is_wrong():
    made = build("FROM base AS Build\nENV FOOBAR=1\nCOPY $FOBAR /x\nCMD x\n")
    assert [finding.short for finding in made.findings] == [
        "StageNameCasing: Stage name 'Build' should be lowercase (line 1)",
        "UndefinedVar: Usage of undefined variable '$FOBAR' (did you mean $FOOBAR?) (line 3)",
        "JSONArgsRecommended: JSON arguments recommended for CMD to prevent unintended behavior "
        "related to OS signals (line 4)",
    ]
    assert made.findings[2].rule.url == (
        "https://docs.docker.com/go/dockerfile/rule/json-args-recommended/"
    )


def test_a_base_of_another_platform_is_noted():
    bases = Bases({"b": config(ARM64)})
    made = build("FROM b\n", bases, platform_given=True)
    assert rules(made) == [("InvalidBaseImagePlatform", 1)]


@pytest.mark.parametrize(
    ("source", "found"),
    [("a.o", True), ("a.c", False), ("obj/x", True), (".", False), ("/a.o", True)],
)
def test_a_copy_of_what_is_left_out_is_noted(source, found):
    made = build(f"FROM base\nCOPY {source} /x/\n", ignore=Matcher(["*.o", "obj"]))
    assert bool(rules(made)) is found


def test_where_patterns_take_back_nothing_is_said():
    assert rules(build("FROM base\nCOPY a.o /\n", ignore=Matcher(["*.o", "!a.o"]))) == []


def test_findings_can_be_errors():
    with pytest.raises(
        DockerfileError, match="lint violation found for rules: JSONArgsRecommended"
    ):
        build("# check=error=true\nFROM base\nCMD x\n")
    assert build("# check=skip=all;error=true\nFROM base\nCMD x\n").findings == ()
    with pytest.raises(DockerfileError, match="lint violation"):
        build("FROM base\nCMD x\n", build_args={"BUILDKIT_DOCKERFILE_CHECK": "error=1"})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("skip", 'invalid check option "skip"'),
        ("nope=x", 'invalid check option "nope"'),
        ("error=perhaps", "failed to parse check option"),
    ],
)
def test_wrong_options_are_refused(text, message):
    with pytest.raises(DockerfileError, match=message):
        Checks.parse(text)
