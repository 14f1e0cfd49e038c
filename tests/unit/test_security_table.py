"""The pages that map attacks and promises to tests name tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("page", ["security-tests", "promises", "build-claims"])
def test_each_test_that_is_named_exists(page: str) -> None:
    text = (CHECKOUT / f"docs/{page}.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 15
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (CHECKOUT / path).exists() or f"def {name}" not in (CHECKOUT / path).read_text()
    ]
    assert missing == []
