"""The README's table of operations and clients. `python -m tests.compat.table` writes it from the last test run."""

from __future__ import annotations

import re
import sys
from pathlib import Path

from tests.compat.record import PINNED, Record, load
from tests.compat.scenario import REFUSALS, ROWS
from tests.running import ROOT

README = ROOT / "README.md"
BETWEEN = re.compile(r"(?<=<!-- clients -->\n).*?(?=<!-- /clients -->)", re.DOTALL)
CELLS = {"yes": "✓", "lacks": "–", "untried": ""}


def columns(records: list[Record]) -> dict[str, list[str]]:
    """Cells by column heading, in the order of the rows."""
    return {f"{each.client} {each.version}": [CELLS[each.rows[row]] for row in ROWS] for each in records}


def label(row: str) -> str:
    """A row's name; of a refusal the error that has to arrive."""
    return f"{row}: {REFUSALS[row][0]}" if row in REFUSALS else row


def render(records: list[Record]) -> str:
    """The table in Markdown."""
    cells = columns(records)
    lines = ["| | " + " | ".join(cells) + " |", "|---|" + ":-:|" * len(cells)]
    lines += [
        f"| {label(row)} | " + " | ".join(marks) + " |" for row, *marks in zip(ROWS, *cells.values(), strict=True)
    ]
    return "\n".join(lines) + "\n"


def parse(readme: str) -> dict[str, list[str]]:
    """The columns of the table in the README's text. Raises ValueError when it has not this project's rows."""
    found = BETWEEN.search(readme)
    if found is None:
        raise ValueError("the README has no table of clients")
    head, _, *rows = [[cell.strip() for cell in line.split("|")[1:-1]] for line in found[0].splitlines()]
    if [row[0] for row in rows] != [label(row) for row in ROWS]:
        raise ValueError("the README's table has not the rows of the scenario")
    return {name: [row[number] for row in rows] for number, name in enumerate(head) if number}


def differences(readme: str, records: list[Record]) -> list[str]:
    """Columns of a run that the README does not have. A client that a distribution brings is compared when it is of
    the version that the README names."""
    said = parse(readme)
    return [
        name
        for record, (name, cells) in zip(records, columns(records).items(), strict=True)
        if said.get(name) != cells and (PINNED[record.client] or name in said)
    ]


def main(readme: Path = README) -> None:
    """Write the table. Exits with 1 where a client has not run: a table without it would say less than is true."""
    records = load()
    missing = set(PINNED) - {record.client for record in records}
    if missing:
        sys.exit(f"no test run of {', '.join(sorted(missing))}: run `make test` where they are installed")
    readme.write_text(BETWEEN.sub(lambda _: render(records), readme.read_text()))


if __name__ == "__main__":
    main()
