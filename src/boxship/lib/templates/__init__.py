"""Go's text/template language, as far as formats of the command line use it.

    compiled = templates.compile("{{.Name}}: {{join .Tags \\", \\"}}")
    compiled.render({"Name": "web", "Tags": ["a", "b"]})

    lexer      text to tokens
    parser     tokens to nodes; every error names the line, in Go's words
    evaluate   nodes and a value to text; steps, depth and output are bounded
    values     what Go thinks of a Python value: its type's name, truth, kind, fields
    gofmt      fmt's verbs: how %v, %q and %-10s print
    functions  the built-in functions and those that Docker adds

A JSON document is data as it stands: objects are maps, unless a `Shape` says which are structs.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from boxship.lib.templates.evaluate import Template


def compile(source: str, name: str = "") -> Template:
    """Parse a template; ParseError when the text is not one."""
    # Not at the top: programs that only want a part of the package start faster without the rest.
    from boxship.lib.templates.evaluate import Template
    from boxship.lib.templates.functions import NAMES
    from boxship.lib.templates.parser import Parser

    return Template(name, source, Parser(name, source, NAMES).parse())
