"""Checks that need nothing but the text: names, case, comments, defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from boxship.build.dockerfile import instructions as ins
from boxship.build.dockerfile import lint, scope
from boxship.build.dockerfile.errors import DockerfileError
from boxship.build.dockerfile.lint import Linter
from boxship.build.dockerfile.parse import Parsed
from boxship.build.dockerfile.read import Stage
from boxship.build.dockerfile.shell import Lexer, quoted
from boxship.errors import InvalidRequest
from boxship.spec.reference import Reference

RESERVED = frozenset({"context", "scratch"})


def empty_continuations(parsed: Parsed, linter: Linter) -> None:
    """Note blank lines in continued instructions."""
    for place, _ in parsed.empty_continuations:
        linter.find(lint.NO_EMPTY_CONTINUATION, [place], "Empty continuation line")


def check(stages: Sequence[Stage], declared: Sequence[ins.Arg], linter: Linter) -> None:
    """Look at the stages' names, at the instructions' case and at what comments tell."""
    for arg in declared:
        _arg_docs(arg, linter)
    seen: set[str] = set()
    for stage in stages:
        _stage(stage.begins, seen, linter)
        for instruction in stage.instructions:
            line = instruction.line
            if isinstance(instruction, ins.Arg):
                _arg_docs(instruction, linter)
            elif isinstance(instruction, ins.Maintainer):
                linter.find(
                    lint.MAINTAINER_DEPRECATED,
                    [line.place],
                    "Maintainer instruction is deprecated in favor of using label",
                    line.comments,
                )
    _case([line for stage in stages for line in _lines(stage)], linter)


def _lines(stage: Stage) -> list[ins.Line]:
    return [stage.begins.line, *(instruction.line for instruction in stage.instructions)]


def _stage(begins: ins.From, seen: set[str], linter: Linter) -> None:
    place, comments = [begins.line.place], begins.line.comments
    name = begins.alias
    if not name:
        return
    if begins.written != name:
        message = f"Stage name '{begins.written}' should be lowercase"
        linter.find(lint.STAGE_NAME_CASING, place, message, comments)
    case = _case_of(begins.line.name)
    if case != "mixed" and _case_of(begins.keyword) != case:  # a mixed FROM is another finding
        message = f"'{begins.keyword}' and '{begins.line.name}' keywords' casing do not match"
        linter.find(lint.FROM_AS_CASING, place, message, comments)
    if name in RESERVED:
        message = f"Stage name should not use the same name as reserved stage {quoted(name)}"
        linter.find(lint.RESERVED_STAGE_NAME, place, message, comments)
    if name in seen:
        message = f"Duplicate stage name {quoted(name)}, stage names should be unique"
        linter.find(lint.DUPLICATE_STAGE_NAME, place, message, comments)
    seen.add(name)
    _docs("FROM", [name], begins.line, linter)


def _arg_docs(arg: ins.Arg, linter: Linter) -> None:
    _docs("ARG", [definition.key for definition in arg.definitions], arg.line, linter)


def _docs(kind: str, names: Sequence[str], line: ins.Line, linter: Linter) -> None:
    if not line.comments:
        return
    if any(line.comments[-1].startswith(name + " ") for name in names):
        return
    shown = names[0] if len(names) == 1 else "<arg_key>"
    message = f"Comment for {kind} should follow the format: `# {shown} <description>`"
    linter.find(lint.INVALID_DEFINITION_DESCRIPTION, [line.place], message, line.comments)


def _case_of(word: str) -> str:
    return "lower" if word.islower() else "upper" if word.isupper() else "mixed"


def _case(lines: Sequence[ins.Line], linter: Linter) -> None:
    cases = [_case_of(line.name) for line in lines]
    wanted = "lower" if cases.count("lower") > cases.count("upper") else "upper"
    for line, case in zip(lines, cases, strict=True):
        if case != wanted:
            linter.find(
                lint.CONSISTENT_INSTRUCTION_CASING,
                [line.place],
                f"Command '{line.name}' should match the case of the command majority "
                f"({wanted}case)",
                line.comments,
            )


def default_bases(
    stages: Sequence[Stage],
    declared: Sequence[ins.Arg],
    known: Mapping[str, str],
    lexer: Lexer,
    linter: Linter,
) -> None:
    """Note bases that are none unless build arguments are given."""
    if not any("$" in stage.begins.base for stage in stages):
        return
    try:
        defaults = scope.global_args(known, declared, {}, lexer)
        bases = [(stage.begins, lexer.word(stage.begins.base, defaults)) for stage in stages]
    except DockerfileError:
        return  # whoever builds will hear of it
    for begins, base in bases:
        try:
            Reference.parse(base)
        except InvalidRequest:
            linter.find(
                lint.INVALID_DEFAULT_ARG_IN_FROM,
                [begins.line.place],
                f"Default value for ARG {begins.base} results in empty or invalid base image name",
                begins.line.comments,
            )
