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

from boxship.lib.templates.errors import TemplateError
from boxship.lib.templates.evaluate import Template, compile
from boxship.lib.templates.values import Method, Record, Shape

__all__ = ["Method", "Record", "Shape", "Template", "TemplateError", "compile"]
