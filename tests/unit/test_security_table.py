"""The page that maps attacks to tests names tests that exist."""

from __future__ import annotations

import re
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]


def test_each_test_that_is_named_exists() -> None:
    text = (CHECKOUT / "docs/security-tests.md").read_text()
    named = re.findall(r"`(tests/[\w/]+\.py)(?:::(\w+))?`", text)
    assert len(named) > 40
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not (CHECKOUT / path).exists() or f"def {name}" not in (CHECKOUT / path).read_text()
    ]
    assert missing == []
