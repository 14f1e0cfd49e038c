"""What a browser is shown of builds: a record, its trace, two of them side by side.

Pages are plain: no scripts, one style sheet, nothing of elsewhere. All that comes from records is
escaped where it enters a page, by `text`.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from boxship.cli.building.comparing import Pair, changed, took
from boxship.cli.building.serving import CSS, PLAIN, Page
from boxship.cli.building.tracing import DEEPEST, Span, placed
from boxship.cli.building.tracking import Step, Steps
from boxship.lib.words import visible, visible_block

WIDE: Final = 1000  # units of a bar's picture
MOST: Final = 10_000  # rows of a page
STYLE: Final = """\
body { font: 14px/1.4 system-ui, sans-serif; margin: 2em auto; max-width: 90em; padding: 0 1em;
  color: #1b1f24; background: #fff; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 2em; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: 2px 8px; vertical-align: top; border-bottom: 1px solid #eee; }
td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
td.name { overflow-wrap: anywhere; } td.bar { width: 40%; }
tr.slower td { background: #fff4e5; } tr.faster td { background: #eaf6ec; }
tr.failed td { background: #fdecea; }
svg { display: block; width: 100%; height: 1em; }
rect { fill: #3b82c4; } rect.failed { fill: #c0392b; } rect.cached { fill: #9aa7b3; }
pre { background: #f6f8fa; padding: 8px; overflow-x: auto; white-space: pre-wrap;
  overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) {
  body { color: #e6e8ea; background: #15191e; } a { color: #79b8f3; }
  th, td { border-color: #2c333b; } pre { background: #1e242b; }
  tr.slower td { background: #3a2d15; } tr.faster td { background: #16301d; }
  tr.failed td { background: #421c19; }
}
""" + "".join(f".d{deep} {{ padding-left: {8 + 16 * deep}px; }}\n" for deep in range(DEEPEST + 1))


def text(said: object) -> str:
    """Return anything as a page may have it."""
    return html.escape(visible_block(str(said)))


def with_style(pages: Mapping[str, Page]) -> dict[str, Page]:
    """Return pages and what they all look like."""
    return {**pages, "style.css": Page(STYLE, CSS)}


def _page(title: str, *parts: str) -> Page:
    return Page(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<title>{text(title)}</title><link rel="stylesheet" href="style.css"></head>\n'
        f"<body><h1>{text(title)}</h1>\n{''.join(parts)}</body></html>\n"
    )


def _table(titles: Sequence[str], rows: Iterable[str]) -> str:
    """Return a table; the rows are markup already."""
    head = "".join(f"<th>{text(title)}</th>" for title in titles)
    return f"<table><tr>{head}</tr>\n{''.join(rows)}</table>\n"


def _bar(first: float, length: float, state: str = "") -> str:
    at = min(round(WIDE * first), WIDE - 2)
    width = max(2, min(round(WIDE * length), WIDE - at))
    return (
        f'<svg viewBox="0 0 {WIDE} 10" preserveAspectRatio="none">'
        f'<rect class="{state}" x="{at}" y="1" width="{width}" height="8"/></svg>'
    )


# A trace


def trace(title: str, spans: Sequence[Span]) -> Page:
    """Return what a build did when."""
    began = min(span.started for span in spans)
    whole = max(1, max(span.ended for span in spans) - began)

    def row(span: Span, deep: int) -> str:
        first, length = (span.started - began) / whole, (span.ended - span.started) / whole
        status = span.said.get("Status") or {}
        failed = isinstance(status, dict) and status.get("Code") in ("Error", 1)
        state = "failed" if failed else "cached" if _is_cached(span) else ""
        about = text(status.get("Description", "")) if failed else ""
        return (
            f'<tr><td class="name d{deep}">{text(visible(span.name))}'
            f"{f'<br><small>{about}</small>' if about else ''}</td>"
            f'<td class="number">{(span.started - began) / 1e9:.3f}s</td>'
            f'<td class="number">{(span.ended - span.started) / 1e9:.3f}s</td>'
            f'<td class="bar">{_bar(first, length, state)}</td></tr>\n'
        )

    rows = [row(span, deep) for span, deep in placed(spans)][:MOST]
    left = "" if len(rows) < MOST else f"<p>Only the first {MOST} spans are shown.</p>"
    return _page(title, _table(("Span", "Started", "Took", ""), rows), left)


def _is_cached(span: Span) -> bool:
    said = span.said.get("Attributes")
    yes = {"Key": "cached", "Value": {"Type": "BOOL", "Value": True}}
    return isinstance(said, list) and yes in said


# Two builds


def compared(names: Sequence[str], found: Sequence[Pair]) -> Page:
    """Return two builds side by side."""

    def row(pair: Pair) -> str:
        change = pair.change or 0.0
        state = "slower" if change > 0.05 else "faster" if change < -0.05 else ""
        values = (took(pair.first), took(pair.second), changed(pair))
        cells = "".join(f'<td class="number">{text(value)}</td>' for value in values)
        return f'<tr class="{state}"><td class="name">{text(pair.name)}</td>{cells}</tr>\n'

    title = f"{names[0]} and {names[1]}"
    links = '<p><a href="first">the first trace</a>, <a href="second">the second trace</a></p>'
    titles = ("Step", names[0][:12], names[1][:12], "Change")
    return _page(title, _table(titles, map(row, found[:MOST])), links)


# A record


def record(
    title: str,
    facts: Iterable[tuple[str, str]],
    steps: Steps,
    said: Mapping[str, Any],
    *,
    traced: bool,
) -> Page:
    """Return what is known of a build; `said` as `history inspect` has it."""
    parts = [_pairs(facts)]
    if traced:
        parts.append('<p><a href="trace">What it did when</a></p>\n')
    if error := (said["Error"] or {}).get("Message"):
        parts.append(f"<h2>Error</h2><pre>{text(error)}</pre>\n")
    parts.append("<h2>Steps</h2>" + _table(("Step", "Took"), _steps(steps)))
    for heading, pairs in (
        ("Sources", [(one["URI"], ", ".join(one["Digests"])) for one in said["Materials"]]),
        ("Build arguments", [(one["Name"], one["Value"]) for one in said["BuildArgs"]]),
        ("Labels", [(one["Name"], one["Value"]) for one in said["Labels"]]),
        ("Named contexts", [(one["Name"], one["Value"]) for one in said["NamedContexts"]]),
    ):
        if pairs:
            parts.append(f"<h2>{heading}</h2>{_pairs(pairs)}")
    if attached := said["Attachments"]:
        rows = (
            f'<tr><td class="name"><a href="attachment-{number}">{text(one["Type"])}</a></td>'
            f'<td>{text(one.get("Platform", ""))}</td><td class="name">{text(one["Digest"])}</td>'
            "</tr>\n"
            for number, one in enumerate(attached)
        )
        parts.append("<h2>Attachments</h2>" + _table(("Type", "Platform", "Digest"), rows))
    return _page(title, *parts)


def attachment(data: bytes) -> Page:
    """Return what belongs to a record: JSON laid out, anything else as it is."""
    try:
        shown = json.dumps(json.loads(data), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        shown = data.decode("utf-8", "replace")
    return Page(visible_block(shown), PLAIN)


def _pairs(pairs: Iterable[tuple[str, str]]) -> str:
    rows = (
        f'<tr><th>{text(name)}</th><td class="name">{text(value)}</td></tr>\n'
        for name, value in pairs
    )
    return f"<table>{''.join(rows)}</table>\n"


def _steps(steps: Steps) -> Iterator[str]:
    for step in [*steps.steps.values()][:MOST]:
        state = "failed" if step.error and not step.canceled else ""
        yield (
            f'<tr class="{state}"><td class="name">{text(step.name)}{_output(step)}</td>'
            f'<td class="number">{text(took(step))}</td></tr>\n'
        )


def _output(step: Step) -> str:
    said = "\n".join([*step.lines, *([step.error] if step.error else [])])
    return f"<details><summary>output</summary><pre>{text(said)}</pre></details>" if said else ""
