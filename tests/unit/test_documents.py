"""Documents name things that exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
MODULE = re.compile(r"`(boxship/[a-z0-9_/]+(?:\.py)?)`")
LINK = re.compile(r"\]\(([^)#:]+)\)")


@pytest.mark.parametrize(
    "page", sorted((CHECKOUT / "docs" / "journeys").glob("*.md")), ids=lambda page: page.name
)
def test_the_modules_of_a_journey_exist(page: Path) -> None:
    named = MODULE.findall(page.read_text())
    assert named
    assert [name for name in named if not (CHECKOUT / "src" / name).exists()] == []


@pytest.mark.parametrize(
    "page",
    [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))],
    ids=lambda page: page.name,
)
def test_links_lead_somewhere(page: Path) -> None:
    links = LINK.findall(page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []
