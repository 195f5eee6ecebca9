"""`python -m cluster experiment`: the command line of experiments; everything else is imported when one is used."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from cluster.topology import BACKBONES

DEFAULT_SEED = 1


@click.group()
def experiment() -> None:
    """Questions about several regions, answered by measuring.

    Example: python -m cluster experiment run global-vs-regional home-region-dies --quick --out out/
    """


@experiment.command("list")
def list_experiments() -> None:
    """List every experiment, and what its quick form checks and leaves out.

    Example: python -m cluster experiment list
    """
    from cluster import experiment_console

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in experiment_console.listed(width):
        click.echo(line)


@experiment.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME…|all")
@click.option("--quick", is_flag=True, help="The short form; `list` says what it leaves out.")
@click.option("--seed", type=click.IntRange(0), default=DEFAULT_SEED, show_default=True,
              help="Of arrivals and latencies.")  # fmt: skip
@click.option("--backbone", type=click.Choice(BACKBONES), default="http", show_default=True,
              help="What carries the replication.")  # fmt: skip
@click.option("--simulate", is_flag=True, help="In virtual time: seconds, no process, the same numbers for a seed.")
@click.option("--regions", type=click.IntRange(1, 33), help="With --simulate: on so many regions.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where results go.")
def run_experiments(
    names: tuple[str, ...], quick: bool, seed: int, backbone: str, simulate: bool, regions: int | None, out: Path
) -> int:
    """Run experiments by name or number; exit 0 only if all are valid and every check holds.

    Example: python -m cluster experiment run E1 --quick --out out/
    """
    from cluster import experiment_console

    if simulate:
        return experiment_console.simulate_all(
            names, quick=quick, seed=seed, out=out, backbone=backbone, regions=regions
        )
    if regions is not None:
        raise click.UsageError("--regions: give it with --simulate; processes run the topology of the experiment")
    return experiment_console.run_all(names, quick=quick, seed=seed, out=out, backbone=backbone)
