"""Runs experiments for somebody who watches: a progress bar, a readable table, `result.json`, an exit code. (I/O)"""

from __future__ import annotations

import asyncio
import contextlib
import math
import os
import subprocess
import sys
import textwrap
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich import progress
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.progress import BarColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cluster import elsewhere, experiment_folder, namespaces
from cluster.errors import ClusterError
from cluster.experiment import Experiment, ExperimentError, select
from cluster.files import write_whole
from cluster.history import labelled
from cluster.interrupts import Interrupts
from cluster.own_cluster import read_topology
from cluster.report import console as report_console
from cluster.report import folder as report_folder
from cluster.result import encoded, result, shown
from cluster.runner import Progress, Runner
from cluster.topology import NETWORKS

EXPERIMENTS = Path(__file__).parent / "experiments"
STOPPED = "stopped before its end"
PLAIN_WIDTH = 120
"""Columns of a table that goes to a file or a pipe."""


def listed(width: int | None) -> Iterator[str]:
    """What `experiment list` prints, folded to `width` columns if that is given. Raises ClusterError."""
    for one in load_all().values():
        yield _folded(f"{one.number:4} {one.name}: {one.question}", width)
        yield _folded(f"     {_duration(one)}; --quick: {_duration(one.shortened())}", width)
        yield _folded(f"     --quick checks {one.quick.checks}; it leaves out {one.quick.leaves_out}", width)


def _duration(form: Experiment) -> str:
    """How long it takes in all, in half minutes begun, and how much of that is load."""
    return f"about {math.ceil(form.whole_s / 30) / 2:g} min ({form.seconds:.0f} s of load)"


def _folded(line: str, width: int | None) -> str:
    return line if width is None else textwrap.fill(line, width, subsequent_indent=" " * 5)


def run_all(
    names: Sequence[str],
    *,
    quick: bool,
    seed: int,
    out: Path,
    backbone: str = "http",
    topology: str | None = None,
    network: str = NETWORKS[0],
) -> int:
    """Runs experiments one after the other; 0 if all are valid and every check held, else 1. Raises ClusterError."""

    namespaces.check(network)
    forms = placed(_formed(_chosen(names), quick, backbone), topology, every=_every(names))

    def run(one: Experiment, interrupts: Interrupts) -> dict[str, Any]:
        return _run(one, quick, seed, backbone, network, interrupts)

    return _each(forms, out, run)


def simulate_all(
    names: Sequence[str],
    *,
    quick: bool,
    seed: int,
    out: Path,
    backbone: str,
    regions: int | None,
    nodes: int | None = None,
    topology: str | None = None,
) -> int:
    """The same in virtual time. Raises ClusterError, also for an experiment that cannot be simulated."""
    from cluster.virtual import console

    every = _every(names)
    forms = _formed(_chosen(names), quick, backbone)
    able = console.possible(forms, backbone, nodes=nodes, every=every, console=new_console())
    there = placed(able, topology, every=every)
    places = {one.name: console.place(one, regions) for one in there}

    def run(one: Experiment, interrupts: Interrupts) -> dict[str, Any]:
        where, version = places[one.name], commit()
        return console.run(one, where, interrupts, quick=quick, seed=seed, commit=version, regions=regions, nodes=nodes)

    return _each(there, out, run)


def _formed(chosen: Iterable[Experiment], quick: bool, backbone: str) -> list[Experiment]:
    return [(one.shortened() if quick else one).on(backbone) for one in chosen]


def _every(names: Iterable[str]) -> bool:
    return "all" in (name.lower() for name in names)


def placed(forms: Sequence[Experiment], asked: str | None, *, every: bool) -> Sequence[Experiment]:
    """On the topology that is asked for, if one is; of `every` experiment those that mean nothing there are told and
    left out, else they are a mistake. Raises ClusterError."""
    if asked is None:
        return forms
    there = read_topology(asked)
    faults = {one.name: elsewhere.refusals(one, there) for one in forms}
    told = [f"--topology {asked}: {name}: {why}" for name, lines in faults.items() for why in lines]
    kept = [one for one in forms if not faults[one.name]]
    if told and (not every or not kept):
        raise ClusterError(*told)
    for line in told:
        print(f"left out: {line}", file=sys.stderr)
    return [elsewhere.moved(one, asked, there, read_topology(one.topology)) for one in kept]


def new_console() -> Console:
    """As wide as the terminal, or as PLAIN_WIDTH."""
    return Console(width=None if sys.stdout.isatty() else PLAIN_WIDTH)


def _each(forms: Sequence[Experiment], out: Path, run: Callable[[Experiment, Interrupts], dict[str, Any]]) -> int:
    console, code = new_console(), 0
    check_writable(out, [one.name for one in forms])
    interrupts = Interrupts()
    with interrupts.kept():
        for one in forms:
            found = run(one, interrupts)
            path = write_result(out, found)
            with interrupts.telling():
                show(console, one, found, path)
            if not found["valid"] or not all(check["holds"] for check in found["checks"]):
                code = 1
            with interrupts.telling():
                report_console.write(out, [one.name], numbers())
            if interrupts.came:
                return code if one is forms[-1] else 1
    return code


def numbers() -> dict[str, str]:
    """The number of each experiment by its name. Raises ClusterError."""
    return {one.name: one.number for one in load_all().values()}


def load_all() -> dict[str, Experiment]:
    """Every experiment by name, in the order of their numbers. Raises ClusterError."""
    return experiment_folder.read(EXPERIMENTS)


def _chosen(names: Iterable[str]) -> list[Experiment]:
    try:
        return select(names, load_all())
    except ExperimentError as error:
        raise ClusterError(*error.faults) from error


def _run(
    one: Experiment, quick: bool, seed: int, backbone: str, network: str, interrupts: Interrupts
) -> dict[str, Any]:
    """The result of one experiment, also of one that did not come to its end."""
    started_at, version, broken = int(time.time()), commit(), None
    with progress_bar(one) as show_progress:
        runner = Runner(one, seed, show_progress, backbone, network)
        try:
            asyncio.run(_until_stopped(runner, interrupts))
        except asyncio.CancelledError:
            broken = STOPPED
        except ClusterError as error:
            broken = STOPPED if interrupts.came else "; ".join(error.faults)
        except Exception as error:
            broken = failure(error)
    return result(
        one,
        runner.runs,
        runner.topology,
        seed=seed,
        quick=quick,
        backbone=backbone,
        network=network,
        commit=version,
        started_at=started_at,
        broken=broken,
    )


def failure(error: Exception) -> str:
    """A fault of ours in one experiment: told in full now and in its result, and the others are run all the same."""
    traceback.print_exception(error)
    return f"it failed: {type(error).__name__}: {error}"


@contextlib.contextmanager
def progress_bar(one: Experiment, how: str = "") -> Iterator[Progress]:
    """On stderr, while the body runs; `how` is said behind what is being done."""
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    shown = progress.Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True))
    bar = shown.add_task(one.number, total=one.seconds)
    shown.start()
    try:
        yield lambda done_s, what: shown.update(bar, completed=done_s, description=f"{one.number} {what}{how}")
    finally:
        with contextlib.suppress(OSError):  # the terminal may be gone, and with it nobody to be told
            shown.stop()


async def _until_stopped(runner: Runner, interrupts: Interrupts) -> None:
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    with interrupts.ending(lambda: loop.call_soon_threadsafe(task.cancel)):
        try:
            await runner.run()
        except* ClusterError as group:
            raise _first(group) from None


def _first(group: BaseExceptionGroup[ClusterError]) -> ClusterError:
    error = group.exceptions[0]
    return _first(error) if isinstance(error, BaseExceptionGroup) else error


def write_result(out: Path, found: Mapping[str, Any]) -> Path:
    path = out / str(found["name"]) / "result.json"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, encoded(found))
    except OSError as error:
        raise _unwritable(out, error.strerror) from error
    return path


def check_writable(out: Path, names: Iterable[str]) -> None:
    """Makes the folder before anything runs: minutes of load must not end in a wrong path, nor where something else
    stands in the place of a result. Raises ClusterError."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _unwritable(out, error.strerror) from error
    folders = [out, *(folder for name in names if (folder := out / name).exists())]
    for folder in folders:
        if not folder.is_dir():
            raise _unwritable(folder, "Not a directory")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _unwritable(folder, "Permission denied")
    for file in (out / report_folder.REPORT, *(folder / report_folder.RESULT for folder in folders[1:])):
        if file.is_dir():
            raise _unwritable(file, "Is a directory")


def _unwritable(out: Path, reason: str | None) -> ClusterError:
    return ClusterError(f"--out {out}: cannot be written: {reason}")


def show(console: Console, one: Experiment, found: Mapping[str, Any], path: Path) -> None:
    """Prints latency and losses under each policy, the checks, and the answer."""
    console.print(f"\n[bold]{one.number} {one.name}[/bold]: {one.question}", highlight=False)
    latency = next(series for series in found["series"] if series["name"] == "latency")
    for label in [labelled(policy, variant.name) for policy, variant in one.arms]:
        rows = [
            [place, region or endpoint, *rest] for by, place, endpoint, region, *rest in latency["rows"] if by == label
        ]
        if rows:
            console.print(
                rich_table(f"{label}: what clients saw", ["clients", "endpoint", *latency["columns"][4:]], rows)
            )
    rows = [[c["name"], shown(c["measured"]), c["required"], "yes" if c["holds"] else "NO"] for c in found["checks"]]
    console.print(rich_table("checks", ["check", "measured", "required", "holds"], rows))
    console.print(f"{found['answer']}\n{path}", highlight=False, soft_wrap=True, markup=False)


def rich_table(title: str, columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> Table:
    table = Table(title=title, title_justify="left", box=SIMPLE_HEAD)
    kept = [list(row) for row in rows]
    columns = list(columns)
    empty = {i for i in range(len(columns)) if all(row[i] is None for row in kept)}
    for column in (c for i, c in enumerate(columns) if i not in empty):
        numeric = column.endswith("_ms") or column in ("requests", "lost", "impact_s", "measured")
        table.add_column(column.replace("_", " "), justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(
            *("" if cell is None else f"{cell:.1f}" if isinstance(cell, float) else str(cell) for cell in row)
        )
    return table


def commit() -> str:
    """The commit that was run, `-dirty` when files differ from it; `unknown` outside a repository."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=40", "--exclude", "*"]
    try:
        done = subprocess.run(command, cwd=EXPERIMENTS, capture_output=True, text=True, check=True)  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return "unknown"
    return done.stdout.strip()
