"""Inspecting: the engine's documents as they are, or read by a template."""

from __future__ import annotations

from boxship.cli.command import UsageError
from boxship.client.errors import EngineError
from boxship.errors import BoxshipError
from boxship.lib import quickjson
from boxship.lib.words import visible_block

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from boxship.cli.shell import Shell
    from boxship.lib.templates.evaluate import Template

BAD_TEMPLATE = 64
JSON = "json"


def inspect_each(shell: Shell, refs: Iterable[str], format: str, get: Callable[[str], str]) -> int:
    """Print the document of each reference; what is not found is told at the end."""
    template = compiled(format)
    documents: list[str] = []
    problems: list[str] = []
    texts: list[str] = []
    for ref in refs:
        try:
            text = get(ref).strip()
        except EngineError as error:
            problems.append(str(error))
            continue
        except BoxshipError as error:
            problems.append(str(error))
            break
        if format in ("", JSON):
            documents.append(text)
            continue
        try:
            texts.append(shown(text, template))
        except BoxshipError as error:
            # Docker ends at the first template that fails, after what it has shown so far.
            texts.append("")
            problems.append(f"template parsing error: {error}")
            break
    # Without a single result a format still gives a line, as Docker has it.
    by_format = "".join(text + "\n" for text in texts) or "\n"
    output = by_format if format else as_list(documents) + "\n"
    if format == JSON:
        output = "[" + ",".join(shown(text, None) for text in documents) + "]\n"
    shell.out.write(visible_block(output) if shell.out.is_terminal() else output)
    if problems:
        return shell.report("\n".join(problems))
    return 0


def compiled(format: str) -> Template | None:
    """Return the format's template; None where JSON is asked for, of either kind."""
    if format in ("", "json"):
        return None
    from boxship.lib import templates
    from boxship.lib.templates.errors import ParseError

    try:
        return templates.compile(format)
    except ParseError as error:
        raise UsageError(f"template parsing error: {error}", status=BAD_TEMPLATE) from error


def shown(text: str, template: Template | None) -> str:
    """Return a document as a template shows it, or on one line where there is none."""
    if template is None:
        return quickjson.encode(quickjson.decode(text))
    from boxship.cli.shapes import SHAPE

    return template.render(quickjson.decode(text), shape=SHAPE)


def as_list(documents: Iterable[str]) -> str:
    """Return a JSON list, laid out, of documents that keep their own numbers and escapes."""
    whole = "[" + ",".join(documents) + "]"
    return quickjson.indent(whole)
