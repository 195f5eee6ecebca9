"""Reports, comparisons and the page of results for somebody at a terminal. (I/O)"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.errors import ClusterError, Refused
from cluster.files import read_text, write_whole
from cluster.report import comparison, folder, published, results_page
from cluster.report.comparison import Comparison, Pair
from cluster.report.published import Line
from cluster.report.record import Record, RecordError
from cluster.report.words import cell

PLAIN_WIDTH = 120
PAGE = "results.md"
LINES = Path("data", "results.json")
"""What the page is made of, beside it."""


def write(out: Path, drawn: Sequence[str], numbers: Mapping[str, str]) -> None:
    """The report after a run: of all results in the folder; plots of the experiments that ran are drawn. A result of
    an earlier run that cannot be read is told, and changes nothing else. Raises ClusterError."""
    records, faults = folder.read(out, numbers)
    path = folder.write(out, records, faults, drawn)
    for fault in faults:
        click.echo(f"cluster: {fault}", err=True)
    click.echo(path)


def report(where: Path, numbers: Mapping[str, str]) -> None:
    """`experiment report`. Raises Refused when some results could not be read; the report of the others is written."""
    out = where.parent if where.is_file() else where
    records, faults = folder.read(where, numbers)
    if not records:
        raise ClusterError(*faults)
    click.echo(folder.write(out, records, faults, [record.name for record in records]))
    if faults:
        raise Refused(*faults)


def compare(a: Path, b: Path, numbers: Mapping[str, str], *, as_json: bool) -> int:
    """`experiment compare`: 1 if something is worse in B. Raises ClusterError."""
    found = comparison.compared(_all(a, numbers), _all(b, numbers))
    if as_json:
        click.echo(json.dumps([one.as_json() for one in found], indent=1, ensure_ascii=False))
    else:
        console = Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)
        for one in found:
            _show(console, one)
    return 1 if any(one.worse for one in found) else 0


def publish(where: Path | None, docs: Path, numbers: Mapping[str, str], *, only: bool = False) -> None:
    """`experiment publish`: the page of results and its pictures. Lines of experiments without a result here are kept
    as they were published, unless it shall be `only` those; pictures that no line has any more go, other files stay.
    Raises ClusterError, before anything is changed, and Refused when some results could not be read; those of the
    others are published, if it is not `only` those."""
    before = _published(docs, numbers)
    records, faults = folder.read(where, numbers) if where else ([], [])
    if faults and (only or not records):
        raise ClusterError(*faults)
    new, drawn = _drawn(records)
    lines = published.renewed([] if only else before, new)
    if not lines:
        raise ClusterError(
            f"{docs / LINES}: nothing is published there: give a folder that `experiment run` has filled"
        )
    shown = {docs / results_page.picture(one.name): one.name for one in lines if one.picture is not None}
    missing = [path for path, name in shown.items() if name not in drawn and not path.is_file()]
    if missing:
        raise ClusterError(*(f"{path}: is not there: take it from the repository again" for path in missing))
    _check_places(docs, [docs / results_page.picture(name) for name in drawn])
    try:
        _write(docs, lines, drawn, numbers)
        for stale in {docs / results_page.picture(one.name) for one in before} - shown.keys():
            stale.unlink(missing_ok=True)
    except OSError as error:
        raise ClusterError(f"--docs {docs}: cannot be written: {error.strerror}") from error
    click.echo(docs / PAGE)
    if faults:
        raise Refused(*faults)


def _published(docs: Path, numbers: Mapping[str, str]) -> list[Line]:
    """The lines that the page has. Raises ClusterError, also for a page that somebody else wrote."""
    path, page = docs / LINES, docs / PAGE
    if page.is_file() and not read_text(page, "page of results").startswith(results_page.MARK):
        raise ClusterError(f"{page}: another program or somebody's hand made it: move it, or give another --docs")
    try:
        return published.parse(read_text(path, "published results"), numbers) if path.exists() else []
    except RecordError as error:
        raise ClusterError(f"{path}: {error}") from error


def _check_places(docs: Path, pictures: Iterable[Path]) -> None:
    """Whether every file can be replaced: half of them would be another page. Raises ClusterError."""
    for path in (docs / PAGE, docs / LINES, *pictures):
        if path.is_dir():
            raise ClusterError(f"{path}: cannot be written: Is a directory")
        there = next(folder for folder in path.parents if folder.exists())
        if not there.is_dir():
            raise ClusterError(f"{there}: cannot be written: Not a directory")
        if not os.access(there, os.W_OK | os.X_OK):
            raise ClusterError(f"{there}: cannot be written: Permission denied")


def _drawn(records: Iterable[Record]) -> tuple[list[Line], dict[str, bytes]]:
    """The line of each result, and the picture of each that has one."""
    from cluster.report import drawing, gallery

    lines, pictures = [], {}
    for record in records:
        alt = None
        if plots := gallery.plots(record):
            pictures[record.name] = drawing.picture(plots[0]).encode()
            alt = f"{plots[0].title}. {' '.join(panel.alt for panel in plots[0].panels)}"
        lines.append(published.line(record, alt))
    return lines, pictures


def _write(docs: Path, lines: Sequence[Line], pictures: Mapping[str, bytes], numbers: Mapping[str, str]) -> None:
    """Pictures first: the page never shows one that is not there."""
    (docs / results_page.PICTURES).mkdir(parents=True, exist_ok=True)
    (docs / LINES).parent.mkdir(exist_ok=True)
    for name, content in pictures.items():
        _public(docs / results_page.picture(name), content)
    _public(docs / LINES, published.encoded(lines))
    _public(docs / PAGE, results_page.markdown(lines, numbers).encode())


def _public(path: Path, content: bytes) -> None:
    """A file of the repository: everybody may read it."""
    write_whole(path, content)
    path.chmod(0o644)


def _all(where: Path, numbers: Mapping[str, str]) -> list[Record]:
    """Every result of a path. Raises ClusterError when one cannot be read: half of them would say something else."""
    records, faults = folder.read(where, numbers)
    if faults:
        raise ClusterError(*faults)
    return records


def _show(console: Console, one: Comparison) -> None:
    title = f"{one.number} {one.name}".strip()
    same = one.verdict_a if one.verdict_a == one.verdict_b else f"{one.verdict_a} → {one.verdict_b}"
    console.print(f"\n[bold]{title}[/bold]: {same}", highlight=False)
    if one.differs:
        console.print(f"The two runs differ in {'; '.join(one.differs)}.", highlight=False, markup=False)
    if one.checks:
        console.print(_table("checks", one.checks, changes=True))
    if one.numbers:
        console.print(_table("numbers", one.numbers, changes=False))


def _table(title: str, pairs: Iterable[Pair], *, changes: bool) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    table.add_column(title.removesuffix("s"), overflow="fold")
    for name in ("A", "B", "B ÷ A"):
        table.add_column(name, justify="right")
    if changes:
        table.add_column("verdict")
    for pair in pairs:
        row = [cell(value) for value in (pair.a, pair.b, pair.ratio)]
        table.add_row(Text(pair.name), *row, *([pair.change or "same"] if changes else []))
    return table
