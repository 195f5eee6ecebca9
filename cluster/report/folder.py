"""Reads results from a folder and writes the report beside them. (I/O)"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from cluster.errors import ClusterError
from cluster.files import read_text, write_whole
from cluster.report.record import Record, RecordError, ordered, parse

RESULT = "result.json"
REPORT = "report.html"


def read(where: Path, numbers: Mapping[str, str]) -> tuple[list[Record], list[str]]:
    """The results of a folder, of one experiment's folder or of one file, and a line for each that cannot be read, or
    that is of an experiment of which there is one already: both would be drawn to the same files. Raises ClusterError
    when there is none at all."""
    paths = found(where)
    if not paths:
        raise ClusterError(f"{where}: no result here: give a folder that `experiment run --out` has filled")
    records: list[Record] = []
    faults: list[str] = []
    first: dict[str, Path] = {}
    for path in paths:
        try:
            record = parse(read_text(path, "result"), numbers)
            if first.setdefault(record.name, path) != path:
                faults.append(f"{path}: {record.name} is in {first[record.name]} already: move one to another folder")
                continue
            records.append(record)
        except RecordError as error:
            faults.append(f"{path}: {error}")
        except ClusterError as error:
            faults += error.faults
    return ordered(records), faults


def found(where: Path) -> list[Path]:
    """The result files below a path."""
    if where.is_file():
        return [where]
    own = where / RESULT
    return [own] if own.is_file() else sorted(path for path in where.glob(f"*/{RESULT}") if path.is_file())


def write(where: Path, records: Sequence[Record], faults: Sequence[str], drawn: Sequence[str]) -> Path:
    """`report.html` of all results, and the files of every plot of the experiments named in `drawn`, whose earlier
    plots go. Raises ClusterError."""
    from cluster.report import drawing, gallery, page

    try:
        for record in records:
            if record.name in drawn:
                folder = where / record.name
                folder.mkdir(parents=True, exist_ok=True)
                files = dict(file for plot in gallery.plots(record) for file in drawing.files(plot))
                for name, content in files.items():
                    write_whole(folder / name, content)
                for stale in _plots(folder) - {folder / name for name in files}:
                    stale.unlink()
        write_whole(where / REPORT, page.page(records, faults).encode())
    except OSError as error:
        raise ClusterError(f"{where}: cannot be written: {error.strerror}") from error
    return where / REPORT


def _plots(folder: Path) -> set[Path]:
    """The files of plots that were drawn here: each has both forms, and a name that one of ours has."""
    from cluster.report import gallery

    pairs = [(one, one.with_suffix(".png")) for one in folder.glob("*.svg") if gallery.SLUG.fullmatch(one.stem)]
    return {one for pair in pairs if all(file.is_file() for file in pair) for one in pair}
