"""One experiment as a section of the report: question, answer, what was done, plots, checks, conditions, all series.
Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from cluster.report import drawing, gallery, palette, words
from cluster.report.plots import Curves, Panel, Plot
from cluster.report.record import Judged, Record, Table
from cluster.report.words import cell, heading

PANELS_MAX = 6
"""More panels of a plot are folded away."""
CLASSES: Mapping[str, str] = {"holds": "holds", "does not hold": "fails", "not valid": "doubt"}
BESIDE_MAX = 2
CHECKS_MAX = 12
"""More checks that held are folded away; those that did not never are."""
FAULTS_MAX = 6
"""Longer schedules of faults are folded away."""
LONG = 420
"""Letters of an answer that is set smaller."""
ROWS_MAX = 400
"""Of one series in the page; the file has all."""


def verdict(said: str) -> str:
    """The word, with a sign and a colour beside it."""
    return f'<span class="verdict {CLASSES[said]}">{said}</span>'


def section(record: Record) -> str:
    """Everything about one experiment. A first plot that is small enough stands beside the facts."""
    name, plots = escape(record.name), gallery.plots(record)
    beside = plots[:1] if plots and len(plots[0].panels) <= BESIDE_MAX else []
    return "\n".join(
        [
            f'<section class="experiment" id="{name}" aria-labelledby="{name}-title">',
            f'<header><h2 id="{name}-title">{escape(record.title)}</h2>{verdict(record.verdict)}</header>',
            f'<div class="head"><div><p class="question">{escape(record.question)}</p>',
            f'<p class="answer{" long" if len(record.answer) > LONG else ""}">{escape(record.answer)}</p>',
            f"{_plots(beside, record)}</div>",
            f"<div>{_done(record)}<h3>Repeat it</h3><pre>{_command(record)}</pre></div></div>",
            f'<div class="plots">{_plots(plots[len(beside) :], record)}</div>',
            _blast_table(record),
            _checks(record),
            _series(record),
            "</section>",
        ]
    )


def _command(record: Record) -> str:
    """Broken on a narrow screen between its words only."""
    return " ".join(f'<span class="word">{escape(word)}</span>' for word in words.command(record).split(" "))


def _plots(plots: Iterable[Plot], record: Record) -> str:
    return "".join(_plot(plot, record.name) for plot in plots)


def _plot(plot: Plot, name: str) -> str:
    shown = [_figure(panel, f"{name}-{plot.slug}-{index}") for index, panel in enumerate(plot.panels)]
    first, more = shown[:PANELS_MAX], shown[PANELS_MAX:]
    folded = (
        f"<details><summary>{words.count(len(more), 'more panel')}</summary>"
        f'<div class="panels">{"".join(more)}</div></details>'
        if more
        else ""
    )
    width = ("one", "two", "three")[min(len(shown), 3) - 1]
    head = f'<h3>{escape(plot.title)}</h3><p class="caption">{escape(plot.caption)}</p>{_key(plot)}'
    return (
        f'<section class="plot {width}">{head}<div><div class="panels">{"".join(first)}</div>{folded}</div></section>'
    )


def _figure(panel: Panel, prefix: str) -> str:
    caption = f"<figcaption>{escape(panel.title)}</figcaption>" if panel.title else ""
    alt = escape(panel.alt, quote=True)
    return f'<figure>{caption}<div role="img" aria-label="{alt}">{drawing.page_svg(panel, prefix)}</div></figure>'


def _key(plot: Plot) -> str:
    curves = isinstance(plot.panels[0], Curves)
    entries = "".join(
        f"<li>{_swatch(stroke) if curves else _dot(stroke)}{escape(label)}</li>" for label, stroke in plot.key
    )
    return f'<ul class="key">{entries}</ul>' if entries else "<div></div>"


def _swatch(index: int) -> str:
    stroke = palette.stroke(index)
    dash = f' stroke-dasharray="{" ".join(f"{length * 2.4:g}" for length in stroke.dash)}"' if stroke.dash else ""
    line = f'<path d="M0 5h30" stroke="var(--{stroke.color})" stroke-width="2.4" fill="none"{dash}/>'
    return f'<svg width="30" height="10" viewBox="0 0 30 10" aria-hidden="true">{line}</svg>'


SHAPES = (
    '<circle cx="6" cy="6" r="4.5"/>',
    '<path d="M2 2h8v8H2z"/>',
    '<path d="M6 1l5 5-5 5-5-5z"/>',
    '<path d="M6 1l5 9H1z"/>',
    '<path d="M6 11L1 2h10z"/>',
    '<path d="M4 1h4v3h3v4H8v3H4V8H1V4h3z"/>',
)
"""The markers of `drawing.MARKERS`, in their order."""


def _dot(index: int) -> str:
    fill = f"var(--{palette.stroke(index).color})"
    return f'<svg width="12" height="12" viewBox="0 0 12 12" fill="{fill}" aria-hidden="true">{SHAPES[index % 6]}</svg>'


def _blast_table(record: Record) -> str:
    """Who lost what, where something was disturbed: the numbers of the blast radius."""
    table = record.table("latency")
    if not table.has("location", "endpoint", "region", "requests", "lost") or not record.table("faults").rows:
        return ""
    rows = "".join(_blast_row(row, table) for row in table)
    wanted = ("policy", "location", "endpoint", "requests", "lost", "p50_ms", "p99_ms", "impact_s")
    names, texts = {"location": "clients in", "impact_s": "seconds of impact"}, ("policy", "location", "endpoint")
    head = "".join(
        f'<th scope="col"{_numeric(name not in texts)}>{names.get(name, heading(name))}</th>'
        for name in wanted
        if name in table.columns
    )
    return (
        "<details><summary>The blast radius in numbers</summary>"
        f'<div class="scroll" tabindex="0" role="region" aria-label="The blast radius in numbers"><table>'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></details>"
    )


def _blast_row(row: Mapping[str, Any], table: Table) -> str:
    share = row["lost"] / row["requests"] if row["requests"] else 0
    bar = f'<span class="bar" style="width: {share * 80:.0f}px"></span>' if share else ""
    cells = [f"<td>{escape(str(row.get('policy', '')))}</td>"] if "policy" in table.columns else []
    cells += [
        f'<th scope="row">{escape(str(row["location"]))}</th>',
        f"<td>{escape(' '.join(filter(None, (row['endpoint'], row['region']))))}</td>",
        f'<td class="number">{cell(row["requests"])}</td>',
        f'<td class="number">{bar}{cell(row["lost"])}{f" ({share:.1%})" if share else ""}</td>',
    ]
    cells += [
        f'<td class="number">{escape(cell(row[name]))}</td>'
        for name in ("p50_ms", "p99_ms", "impact_s")
        if name in table.columns
    ]
    return f"<tr>{''.join(cells)}</tr>"


def _checks(record: Record) -> str:
    """Every check, those that did not hold first."""
    failed, held = ([one for one in record.checks if one.holds is holds] for holds in (False, True))
    shown = [*failed, *held[: max(0, CHECKS_MAX - len(failed))]]
    rest = held[max(0, CHECKS_MAX - len(failed)) :]
    more = f"<details><summary>{len(rest)} more that held</summary>{_check_table(rest)}</details>" if rest else ""
    return f"<h3>Checks: {record.held} of {len(record.checks)} held</h3>{_check_table(shown)}{more}"


def _check_table(checks: Iterable[Judged]) -> str:
    head = '<th scope="col">check</th><th scope="col" class="number">measured</th><th scope="col">required</th>'
    return (
        f'<table class="stack checks"><thead><tr>{head}<th scope="col">verdict</th></tr></thead>'
        f"<tbody>{''.join(map(_check, checks))}</tbody></table>"
    )


def _check(check: Judged) -> str:
    measured = "nothing" if check.measured is None else cell(check.measured)
    return (
        f'<tr{"" if check.holds else " class=failed"}><th scope="row">{escape(check.name)}</th>'
        f'<td class="number" data-of="measured">{escape(measured)}</td>'
        f'<td data-of="required">{escape(check.required)}</td>'
        f"<td>{verdict('holds' if check.holds else 'does not hold')}</td></tr>"
    )


def _done(record: Record) -> str:
    """What was done, and how far it can be believed."""
    validity = ("" if record.valid else f"{verdict('not valid')} ") + escape(words.validity(record))
    facts = [(word, _folded(word, escape(sentence), record)) for word, sentence in words.done(record)]
    facts += [("Validity", f"{validity}{_conditions(record)}")]
    facts += [("Seed", str(record.seed)), ("Commit", f"<code>{escape(record.commit)}</code>")]
    facts += [("Begun", words.when(record.started_at))]
    listed = "".join(f"<dt>{word}</dt><dd>{told}</dd>" for word, told in facts)
    return f'<dl class="facts" aria-label="What was done">{listed}</dl>'


def _folded(word: str, sentence: str, record: Record) -> str:
    """A long schedule of faults behind its number; everything else as it is."""
    phrases = words.faults(record) if word == "Faults" else []
    if len(phrases) <= FAULTS_MAX:
        return sentence
    return f"<details><summary>{words.count(len(phrases), 'fault')}, one after the other</summary>{sentence}</details>"


def _conditions(record: Record) -> str:
    """The worst conditions of all runs."""
    table = record.table("conditions")
    said = []
    for column, least, pattern in (
        ("idle_cpu", True, "at least {:.0%} of the CPU was idle"),
        ("delay_error_ms_p99", False, "99 of 100 delays were at most {:.3g} ms longer than asked"),
        ("link_error_ms_p99", False, "99 of 100 delays between nodes were at most {:.3g} ms longer than asked"),
        ("generator_lag_ms_p99", False, "99 of 100 requests were sent at most {:.3g} ms late"),
    ):
        if column in table.columns:
            values = [row[column] for row in table if isinstance(row[column], int | float)]
            said += [pattern.format(min(values) if least else max(values))] if values else []
    return f" Conditions: {escape('; '.join(said))}." if said else ""


def _series(record: Record) -> str:
    tables = [table for table in record.tables if table.rows]
    if not tables:
        return ""
    shown = "".join(f"<h4>{escape(table.name)}</h4>{_table(table)}" for table in tables)
    return (
        f'<details class="series"><summary>All series: {words.count(len(tables), "table")}</summary>{shown}</details>'
    )


def _table(table: Table) -> str:
    numeric = [all(not isinstance(value, str) for value in column) for column in zip(*table.rows, strict=True)]
    head = "".join(
        f'<th scope="col"{_numeric(is_number)}>{escape(heading(name))}</th>'
        for name, is_number in zip(table.columns, numeric, strict=True)
    )
    rows = "".join(_row(row, numeric) for row in table.rows[:ROWS_MAX])
    rest = len(table.rows) - ROWS_MAX
    more = f'<p class="muted small">{rest:,} more rows are in result.json.</p>' if rest > 0 else ""
    name = escape(table.name, quote=True)
    return (
        f'<div class="scroll" tabindex="0" role="region" aria-label="{name}"><table><thead><tr>{head}</tr></thead>'
        f"<tbody>{rows}</tbody></table></div>{more}"
    )


def _row(row: Iterable[Any], numeric: Sequence[bool]) -> str:
    cells = (
        f"<td{_numeric(is_number)}>{escape(cell(value))}</td>" for value, is_number in zip(row, numeric, strict=True)
    )
    return f"<tr>{''.join(cells)}</tr>"


def _numeric(is_number: bool) -> str:
    return ' class="number"' if is_number else ""
