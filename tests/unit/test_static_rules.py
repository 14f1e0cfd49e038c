"""SEC-119: nothing in the engine makes code or commands of text."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

SOURCE = Path(__file__).resolve().parents[2] / "src/boxship"
FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "xml.etree.ElementTree", "xml.sax"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}
CLIENT_ONLY = {  # the client loads its own commands: from a table of ours, and compiled beforehand
    "cli/main.py: __import__()", "cli/bundle.py: compile()", "cli/bundle.py: exec()",
    "cli/bundle.py: import marshal", "cli/launch.py: import marshal", "cli/launch.py: exec()",
    "cli/launch.py: __import__()",
}  # fmt: skip
SHELLS = {("os", "system"), ("os", "popen"), ("yaml", "load"), ("subprocess", "getoutput")}


def findings(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            for name in node.names:
                if name.name in FORBIDDEN_MODULES:
                    yield node.lineno, f"import {name.name}"
        elif isinstance(node, ast.ImportFrom) and node.module in FORBIDDEN_MODULES:
            yield node.lineno, f"import from {node.module}"
        elif isinstance(node, ast.Call):
            function = node.func
            if isinstance(function, ast.Name) and function.id in FORBIDDEN_CALLS:
                yield node.lineno, f"{function.id}()"
            if isinstance(function, ast.Attribute) and isinstance(function.value, ast.Name):
                pair = function.value.id, function.attr
                if pair in SHELLS:
                    yield node.lineno, ".".join(pair)
            for word in node.keywords:
                if word.arg == "shell" and getattr(word.value, "value", True):
                    yield node.lineno, "shell=True"


@pytest.mark.parametrize("package", sorted(path.name for path in SOURCE.iterdir() if path.is_dir()))
def test_no_code_is_made_of_text(package: str) -> None:
    found = [
        f"{path.relative_to(SOURCE)}:{line}: {what}"
        for path in (SOURCE / package).rglob("*.py")
        for line, what in findings(ast.parse(path.read_bytes()))
        if f"{path.relative_to(SOURCE)}: {what}" not in CLIENT_ONLY
    ]
    assert found == []
