"""The report as one HTML page: no script, no network, no other file. Pure but for the style beside it, which is read
once.

Everything that comes from a result is escaped, and the page forbids itself to load anything (Content-Security-Policy).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from html import escape
from importlib.resources import files

from cluster.report import palette, sections
from cluster.report.record import Record
from cluster.report.sections import verdict
from cluster.report.words import count, listed, short_commit, when

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"
STYLE = files("cluster.report").joinpath("style.css").read_text(encoding="utf-8")
MANY = 2
"""Experiments from which on there is an overview."""


def page(records: Sequence[Record], broken: Sequence[str]) -> str:
    """The whole file. `broken` says of results that could not be read what is wrong with them."""
    title = "Report of the laboratory" if len(records) != 1 else records[0].title
    parts = [
        "<!doctype html>",
        '<html lang="en"><head><meta charset="utf-8">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(title)}</title><style>{style()}</style></head><body>",
        '<a class="skip" href="#experiments">To the experiments</a><div class="page"><header>',
        "<h1>Regions, outages and failover, measured</h1>",
        f'<p class="muted">{escape(_made_of(records))}</p>',
        _sums(records),
        "</header>",
        _broken(broken),
        _overview(records) if len(records) >= MANY else "",
        '<main id="experiments">',
        *(sections.section(record) for record in records),
        "</main></div></body></html>",
    ]
    return "\n".join(part for part in parts if part) + "\n"


def style() -> str:
    """The style sheet with both schemes."""
    found = STYLE.replace("LIGHT", palette.declarations(palette.LIGHT))
    return found.replace("DARK", palette.declarations(palette.DARK))


def _made_of(records: Sequence[Record]) -> str:
    if not records:
        return "No result could be read."
    forms = listed(sorted({"quick form" if record.quick else "full form" for record in records}))
    times = sorted(record.started_at for record in records)
    until = f" to {when(times[-1])}" if when(times[-1]) != when(times[0]) else ""
    commits = listed(sorted({short_commit(record.commit) for record in records}))
    return f"{count(len(records), 'experiment').capitalize()}, {forms}; {when(times[0])}{until}; commit {commits}."


def _sums(records: Sequence[Record]) -> str:
    found = Counter(record.verdict for record in records)
    checks = sum(len(record.checks) for record in records)
    shown = [
        (str(found["holds"]), verdict("holds")),
        (str(found["does not hold"]), verdict("does not hold")),
        (str(found["not valid"]), verdict("not valid")),
        (f"{sum(record.held for record in records)}/{checks}", '<span class="muted">checks held</span>'),
    ]
    return f'<ul class="sums">{"".join(f"<li><b>{number}</b>{what}</li>" for number, what in shown)}</ul>'


def _broken(faults: Iterable[str]) -> str:
    lines = "".join(f"<li>{escape(fault)}</li>" for fault in faults)
    head = '<section aria-label="Results that could not be read"><p class="verdict doubt">Not read</p>'
    return f"{head}<ul>{lines}</ul></section>" if lines else ""


def _overview(records: Iterable[Record]) -> str:
    rows = "".join(
        f'<tr><th scope="row"><a href="#{escape(record.name)}">{escape(record.title)}</a></th>'
        f"<td>{verdict(record.verdict)}</td>"
        f'<td data-of="checks held" class="number">{record.held}/{len(record.checks)}</td>'
        f"<td>{escape(record.answer)}</td></tr>"
        for record in records
    )
    head = "".join(f'<th scope="col">{name}</th>' for name in ("experiment", "verdict", "checks held", "answer"))
    return (
        '<section aria-labelledby="overview"><h2 id="overview">All experiments</h2>'
        f'<table class="overview stack"><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></section>'
    )
