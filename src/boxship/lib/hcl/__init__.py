"""HCL, the language of bake files: bodies of attributes and blocks, expressions, templates.

variable "TAG" { default = "latest" }
target "app" {
  inherits = ["base"]
  tags     = [for name in NAMES : "${name}:${TAG}"]
}
"""

from boxship.lib.hcl import values
from boxship.lib.hcl.body import Block, Body
from boxship.lib.hcl.jsonform import parse_json
from boxship.lib.hcl.nodes import Node, Scope
from boxship.lib.hcl.parser import parse, parse_expression
from boxship.lib.hcl.source import BadDefinition, BadValue, Source, Span

__all__ = [
    "BadDefinition",
    "BadValue",
    "Block",
    "Body",
    "Node",
    "Scope",
    "Source",
    "Span",
    "parse",
    "parse_expression",
    "parse_json",
    "values",
]
