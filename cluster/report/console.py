"""Reports, comparisons and the page of results for somebody at a terminal. (I/O)"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import click
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from cluster.errors import ClusterError, Refused
from cluster.files import write_whole
from cluster.report import comparison, folder, results_page
from cluster.report.comparison import Comparison, Pair
from cluster.report.record import Record
from cluster.report.words import cell

PLAIN_WIDTH = 120
PICTURES = "results"


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


def publish(where: Path, docs: Path, numbers: Mapping[str, str]) -> None:
    """`experiment publish`: the page of results and its pictures, whole. Raises ClusterError."""
    from cluster.report import drawing, gallery

    records = _all(where, numbers)
    pictures, paths = {}, {}
    for record in records:
        plots = gallery.plots(record)
        if plots:
            paths[f"{record.name}.svg"] = drawing.picture(plots[0]).encode()
            alt = f"{plots[0].title}. {' '.join(panel.alt for panel in plots[0].panels)}"
            pictures[record.name] = (f"{PICTURES}/{record.name}.svg", alt)
    try:
        (docs / PICTURES).mkdir(parents=True, exist_ok=True)
        for stale in (docs / PICTURES).glob("*.svg"):
            stale.unlink()
        for name, content in paths.items():
            _public(docs / PICTURES / name, content)
        _public(docs / "results.md", results_page.markdown(records, pictures, numbers).encode())
    except OSError as error:
        raise ClusterError(f"--docs {docs}: cannot be written: {error.strerror}") from error
    click.echo(docs / "results.md")


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
