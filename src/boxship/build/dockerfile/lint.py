"""The checks of `--check`: BuildKit's rules, their names and their words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.shell import quoted
from boxship.build.ops import Place

MOST: Final = 5_000  # findings
URL: Final = "https://docs.docker.com/go/dockerfile/rule/"
TRUE: Final = frozenset({"1", "t", "T", "TRUE", "true", "True"})
FALSE: Final = frozenset({"0", "f", "F", "FALSE", "false", "False"})


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; page is the end of its URL."""

    name: str
    description: str
    page: str
    experimental: bool = False

    @property
    def url(self) -> str:
        """Where the rule is explained."""
        return f"{URL}{self.page}/"


STAGE_NAME_CASING: Final = Rule(
    "StageNameCasing", "Stage names should be lowercase", "stage-name-casing"
)
FROM_AS_CASING: Final = Rule(
    "FromAsCasing",
    "The 'as' keyword should match the case of the 'from' keyword",
    "from-as-casing",
)
NO_EMPTY_CONTINUATION: Final = Rule(
    "NoEmptyContinuation",
    "Empty continuation lines will become errors in a future release",
    "no-empty-continuation",
)
CONSISTENT_INSTRUCTION_CASING: Final = Rule(
    "ConsistentInstructionCasing",
    "All commands within the Dockerfile should use the same casing (either upper or lower)",
    "consistent-instruction-casing",
)
DUPLICATE_STAGE_NAME: Final = Rule(
    "DuplicateStageName", "Stage names should be unique", "duplicate-stage-name"
)
RESERVED_STAGE_NAME: Final = Rule(
    "ReservedStageName",
    "Reserved words should not be used as stage names",
    "reserved-stage-name",
)
JSON_ARGS_RECOMMENDED: Final = Rule(
    "JSONArgsRecommended",
    "JSON arguments recommended for ENTRYPOINT/CMD to prevent unintended behavior related to OS "
    "signals",
    "json-args-recommended",
)
MAINTAINER_DEPRECATED: Final = Rule(
    "MaintainerDeprecated",
    "The MAINTAINER instruction is deprecated, use a label instead to define an image author",
    "maintainer-deprecated",
)
UNDEFINED_ARG_IN_FROM: Final = Rule(
    "UndefinedArgInFrom", "FROM command must use declared ARGs", "undefined-arg-in-from"
)
WORKDIR_RELATIVE_PATH: Final = Rule(
    "WorkdirRelativePath",
    "Relative workdir without an absolute workdir declared within the build can have unexpected "
    "results if the base image changes",
    "workdir-relative-path",
)
UNDEFINED_VAR: Final = Rule(
    "UndefinedVar", "Variables should be defined before their use", "undefined-var"
)
MULTIPLE_INSTRUCTIONS_DISALLOWED: Final = Rule(
    "MultipleInstructionsDisallowed",
    "Multiple instructions of the same type should not be used in the same stage",
    "multiple-instructions-disallowed",
)
LEGACY_KEY_VALUE_FORMAT: Final = Rule(
    "LegacyKeyValueFormat",
    "Legacy key/value format with whitespace separator should not be used",
    "legacy-key-value-format",
)
INVALID_BASE_IMAGE_PLATFORM: Final = Rule(
    "InvalidBaseImagePlatform",
    "Base image platform does not match expected target platform",
    "invalid-base-image-platform",
)
REDUNDANT_TARGET_PLATFORM: Final = Rule(
    "RedundantTargetPlatform",
    "Setting platform to predefined $TARGETPLATFORM in FROM is redundant as this is the default "
    "behavior",
    "redundant-target-platform",
)
SECRETS_USED_IN_ARG_OR_ENV: Final = Rule(
    "SecretsUsedInArgOrEnv",
    "Sensitive data should not be used in the ARG or ENV commands",
    "secrets-used-in-arg-or-env",
)
INVALID_DEFAULT_ARG_IN_FROM: Final = Rule(
    "InvalidDefaultArgInFrom",
    "Default value for global ARG results in an empty or invalid base image name",
    "invalid-default-arg-in-from",
)
FROM_PLATFORM_FLAG_CONST_DISALLOWED: Final = Rule(
    "FromPlatformFlagConstDisallowed",
    "FROM --platform flag should not use a constant value",
    "from-platform-flag-const-disallowed",
)
COPY_IGNORED_FILE: Final = Rule(
    "CopyIgnoredFile",
    "Attempting to Copy file that is excluded by .dockerignore",
    "copy-ignored-file",
)
INVALID_DEFINITION_DESCRIPTION: Final = Rule(
    "InvalidDefinitionDescription",
    "Comment for build stage or argument should follow the format: `# <arg/stage name> "
    "<description>`. If this is not intended to be a description comment, add an empty line or "
    "comment between the instruction and the comment.",
    "invalid-definition-description",
    experimental=True,
)
EXPOSE_PROTO_CASING: Final = Rule(
    "ExposeProtoCasing",
    "Protocol in EXPOSE instruction should be lowercase",
    "expose-proto-casing",
)
EXPOSE_INVALID_FORMAT: Final = Rule(
    "ExposeInvalidFormat",
    "IP address and host-port mapping should not be used in EXPOSE instruction. This will become "
    "an error in a future release",
    "expose-invalid-format",
)
RULES: Final[Mapping[str, Rule]] = {
    value.name: value for value in list(globals().values()) if isinstance(value, Rule)
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that a place breaks."""

    rule: Rule
    message: str
    places: tuple[Place, ...]

    @property
    def short(self) -> str:
        """One line: the rule, what is wrong, and where."""
        where = f" (line {self.places[0].first})" if self.places else ""
        return f"{self.rule.name}: {self.message}{where}"


@dataclass(frozen=True, slots=True)
class Checks:
    """Which rules count: what `# check=skip=A,B;error=true;experimental=C` says."""

    skip: frozenset[str] = frozenset()
    skip_all: bool = False
    error: bool = False
    experimental: frozenset[str] = frozenset()
    experimental_all: bool = False

    @classmethod
    def parse(cls, text: str) -> Checks:
        """Read a directive's value."""
        found = cls()
        for part in filter(None, (part.strip() for part in text.split(";"))):
            key, equals, value = (piece.strip() for piece in part.partition("="))
            if not equals:
                raise DockerfileError(f"invalid check option {quoted(part)}")
            names = frozenset(filter(None, (name.strip() for name in value.split(","))))
            match key:
                case "skip":
                    found = replace(found, skip=names, skip_all=value == "all")
                case "experimental":
                    found = replace(found, experimental=names, experimental_all=value == "all")
                case "error":
                    found = replace(found, error=_truth(part, value))
                case _:
                    raise DockerfileError(f"invalid check option {quoted(key)}")
        return found

    def with_comments(self, comments: Iterable[str]) -> Checks:
        """Return these checks with what comments above one instruction skip besides."""
        found = self
        for comment in comments:
            key, equals, value = comment.partition("=")
            if key.strip().lower() != "check" or not equals:
                continue
            more = Checks.parse(value)
            found = replace(
                found, skip=found.skip | more.skip, skip_all=found.skip_all or more.skip_all
            )
        return found

    def counts(self, rule: Rule) -> bool:
        """Whether the rule is looked at; one that is experimental where it is asked for by name."""
        if rule.experimental:
            return self.experimental_all or rule.name in self.experimental
        return not (self.skip_all or rule.name in self.skip)


def _truth(part: str, value: str) -> bool:
    if value not in TRUE | FALSE:
        raise DockerfileError(
            f"failed to parse check option {quoted(part)}: strconv.ParseBool: parsing "
            f"{quoted(value)}: invalid syntax"
        )
    return value in TRUE


@dataclass(slots=True)
class Linter:
    """Collects findings; each is kept once, however often its line is looked at."""

    checks: Checks = field(default_factory=Checks)
    findings: list[Finding] = field(default_factory=list)
    _known: set[Finding] = field(default_factory=set)
    _commented: tuple[object, Checks] | None = None  # the last comments, and what they skip

    def find(
        self, rule: Rule, places: Iterable[Place], message: str, comments: Iterable[str] = ()
    ) -> None:
        """Note that a rule is broken, unless it does not count here."""
        checks = self._with(comments) if comments else self.checks
        finding = Finding(rule, message, tuple(places))
        if checks.counts(rule) and finding not in self._known:
            self._known.add(finding)
            self.findings.append(finding)
            if len(self.findings) > MOST:
                raise DockerfileError(f"the checks find more than {MOST} things", finding.places)

    def _with(self, comments: Iterable[str]) -> Checks:
        if self._commented is None or self._commented[0] is not comments:
            self._commented = comments, self.checks.with_comments(comments)
        return self._commented[1]

    def settle(self) -> None:
        """Raise where the file asks that findings be errors, and there are some."""
        if self.checks.error and self.findings:
            names = ", ".join(dict.fromkeys(finding.rule.name for finding in self.findings))
            raise DockerfileError(f"lint violation found for rules: {names}")
