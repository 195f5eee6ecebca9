"""`python -m cluster.nemesis`: record and check histories for some minutes. (I/O)"""

from __future__ import annotations

import asyncio
import json
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from cluster import command_line
from cluster.errors import ClusterError
from cluster.experiment_console import commit
from cluster.files import write_whole
from cluster.nemesis import plan
from cluster.nemesis.checker import Violation, check
from cluster.nemesis.harness import Settings, record
from cluster.nemesis.report import Totals, line
from cluster.own_cluster import read_topology
from cluster.topology import BACKBONES

SHOWN = 20
EXAMPLE = "python -m cluster.nemesis --minutes 10 --seed 7 --json nemesis.json"


@click.command(context_settings={"help_option_names": ["-h", "--help"]}, epilog=f"Example: {EXAMPLE}")
@click.option("--minutes", type=click.FloatRange(min=0, min_open=True), default=1.0, show_default=True,
              help="Histories begin until then; one at least.")  # fmt: skip
@click.option("--seed", type=click.IntRange(0), default=1, show_default=True, help="Of the first history.")
@click.option("--seconds", type=click.FloatRange(1, 600), default=30.0, show_default=True,
              help="How long each history is disturbed.")  # fmt: skip
@click.option("--clients", type=click.IntRange(1, 64), default=8, show_default=True, help="At work at once.")
@click.option("--topology", default="three_regions", show_default=True, metavar="NAME|FILE", help="Its regions.")
@click.option("--backbone", type=click.Choice(BACKBONES), default="http", show_default=True,
              help="What carries the replication.")  # fmt: skip
@click.option("--only", type=click.Choice(plan.VERBS), multiple=True, help="These faults alone; all, if left out.")
@click.option("--json", "json_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Where totals go.")  # fmt: skip
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where a broken history and the logs of its processes go; a new folder, if left out.")  # fmt: skip
def nemesis(
    minutes: float,
    seed: int,
    seconds: float,
    clients: int,
    topology: str,
    backbone: str,
    only: tuple[str, ...],
    json_file: Path | None,
    keep: Path | None,
) -> int:
    """Disturb clusters of real processes and check what clients saw: kill -9, SIGSTOP, cuts, full and lost disks, moved
    clocks. Exit 0 only if no history breaks an invariant.
    """
    regions = read_topology(topology).regions
    if len(regions) < 2:
        raise ClusterError(f"--topology {topology}: has one region; two at least are needed")
    settings = Settings(seconds, clients, topology, only or plan.VERBS, backbone)
    about = {
        "seed": seed, "minutes": minutes, "topology": topology, "backbone": backbone, "commit": commit(),
        "started_at": int(time.time()),
    }  # fmt: skip
    totals = Totals()
    _write(json_file, totals.told(**about))
    try:
        _run(settings, seed, minutes, totals, keep)
    except KeyboardInterrupt:
        totals.aborted = "interrupted"
    finally:
        _write(json_file, totals.told(**about))
    click.echo(f"{totals.histories} histories, {sum(totals.faults.values())} faults: {len(totals.broken)} violations")
    return 0 if totals.sound else 1


def _run(settings: Settings, seed: int, minutes: float, totals: Totals, keep: Path | None) -> None:
    """Histories until time is over, or one does not come to its end."""
    until = time.monotonic() + minutes * 60
    while totals.histories == 0 or time.monotonic() < until:
        number = seed + totals.histories
        with tempfile.TemporaryDirectory(prefix="stsd-nemesis-") as folder:
            try:
                history = asyncio.run(record(settings, number, Path(folder)))
            except ClusterError as error:
                totals.aborted = f"seed {number}: {error}"
                click.echo(f"{totals.aborted}\nlogs: {_kept(Path(folder), keep, number)}", err=True)
                return
            violations = check(history)
            totals.add(history, violations, _replay(settings, number))
            click.echo(line(history, violations), err=True)
            if violations:
                _show(history.told(), violations, Path(folder), keep, number)


def _write(path: Path | None, told: Mapping[str, Any]) -> None:
    """Raises ClusterError; done first without results, so that nobody waits for a file that cannot be written."""
    try:
        if path is not None:
            write_whole(path, json.dumps(told, indent=1).encode() + b"\n")
    except OSError as error:
        raise ClusterError(f"--json {path}: cannot be written: {error.strerror}") from error


def _show(told: object, violations: list[Violation], folder: Path, keep: Path | None, seed: int) -> None:
    for one in violations[:SHOWN]:
        click.echo(f"  invariant {one.invariant}: {one.text}", err=True)
    (folder / "history.json").write_text(json.dumps(told))
    click.echo(f"  the history and logs: {_kept(folder, keep, seed)}", err=True)


def _kept(folder: Path, keep: Path | None, seed: int) -> Path:
    """Where the content of a folder stays."""
    if keep is None:
        keep = Path(tempfile.mkdtemp(prefix="stsd-nemesis-kept-"))
    keep.mkdir(parents=True, exist_ok=True)
    target = keep / f"seed-{seed}"
    shutil.copytree(folder, target, dirs_exist_ok=True)
    return target


def _replay(settings: Settings, seed: int) -> str:
    only = "".join(f" --only '{verb}'" for verb in settings.verbs) if settings.verbs != plan.VERBS else ""
    return (
        f"python -m cluster.nemesis --minutes 0.1 --seed {seed} --seconds {settings.seconds:g}"
        f" --clients {settings.clients} --topology {settings.topology} --backbone {settings.backbone}{only}"
    )


if __name__ == "__main__":
    command_line.main(nemesis, "python -m cluster.nemesis", "nemesis")
