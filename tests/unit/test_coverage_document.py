"""docs/coverage.md tells the truth: what it says of a route is what the engine has."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from boxship.api.routing import routes_of
from boxship.cli import index
from boxship.daemon.main import route_modules

PAGE = (Path(__file__).resolve().parents[2] / "docs/coverage.md").read_text()
ROW = re.compile(r"^\| `([A-Z]+) (\S+)` \| (yes|refused|no) \|$", re.MULTILINE)


def shape(path: str) -> str:
    """A path without the names of its variables."""
    return re.sub(r"\{[^}]+\}", "{}", path)


def served() -> set[tuple[str, str]]:
    routes = (route for module in route_modules() for route in routes_of(module))
    return {(route.method, shape(route.template)) for route in routes}


def told() -> Iterator[tuple[str, str, str]]:
    for method, path, state in ROW.findall(PAGE):
        if method != "OPTIONS":
            yield method, shape(path), state


def test_each_route_is_as_the_page_says() -> None:
    there = served()
    rows = list(told())
    assert len(rows) > 100
    wrong = [row for row in rows if ((row[0], row[1]) in there) != (row[2] != "no")]
    assert not wrong


def test_no_command_is_missing_from_the_page() -> None:
    for name in (*index.SHORT, *index.GROUPS):
        assert f"`{name}`" in PAGE, f"{name} is not on the page"
