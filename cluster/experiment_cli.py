"""`python -m cluster experiment`: the command line of experiments; everything else is imported when one is used."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import click

from cluster.topology import BACKBONES, NETWORKS

DEFAULT_SEED = 1
SEED_MAX = 2**32 - 1


@click.group()
def experiment() -> None:
    """Questions about several regions, answered by measuring.

    Example: python -m cluster experiment run global-vs-regional home-region-dies --quick --out out/
    """


@experiment.command("list")
def list_experiments() -> None:
    """List every experiment: how long each form takes, and what the quick one checks and leaves out.

    Example: python -m cluster experiment list
    """
    from cluster import experiment_console

    width = shutil.get_terminal_size().columns if sys.stdout.isatty() else None
    for line in experiment_console.listed(width):
        click.echo(line)


@experiment.command("run")
@click.argument("names", nargs=-1, required=True, metavar="NAME…|all")
@click.option("--quick", is_flag=True, help="The short form; `list` says what it leaves out.")
@click.option("--seed", type=click.IntRange(0, SEED_MAX), default=DEFAULT_SEED, show_default=True,
              help="Of arrivals and latencies.")  # fmt: skip
@click.option("--backbone", type=click.Choice(BACKBONES), default="http", show_default=True,
              help="What carries the replication.")  # fmt: skip
@click.option("--topology", metavar="NAME|FILE",
              help="Regions and distances instead of the experiment's own; fewer arrivals and revocations each, "
              "so that the machine bears it. Requirements in milliseconds stay those of its own.")  # fmt: skip
@click.option("--network", type=click.Choice(NETWORKS), default=NETWORKS[0], show_default=True,
              help="What is between regions: delays in one process, or network namespaces and an IP router (needs "
              "root). Clients have no namespace: what they are away from regions is the router's.")  # fmt: skip
@click.option("--simulate", is_flag=True, help="In virtual time: seconds, no process, the same numbers for a seed.")
@click.option("--regions", type=click.IntRange(1, 33), help="With --simulate: on so many regions.")
@click.option("--nodes", type=click.IntRange(1, 10_000),
              help="With --simulate: what so many nodes in each region do is computed beside the run, which has one in "
              "each.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where results go.")
def run_experiments(
    names: tuple[str, ...],
    quick: bool,
    seed: int,
    backbone: str,
    topology: str | None,
    network: str,
    simulate: bool,
    regions: int | None,
    nodes: int | None,
    out: Path,
) -> int:
    """Run experiments by name or number; exit 0 only if all are valid and every check holds.

    Example: python -m cluster experiment run E1 --quick --out out/
    """
    from cluster import experiment_console

    if simulate:
        if network != NETWORKS[0]:
            raise click.UsageError(f"--network {network}: processes have it; virtual time has a network of its own")
        return experiment_console.simulate_all(
            names, quick=quick, seed=seed, out=out, backbone=backbone, topology=topology, regions=regions, nodes=nodes
        )
    if regions is not None:
        raise click.UsageError("--regions: give it with --simulate; processes run the topology of the experiment")
    if nodes is not None:
        raise click.UsageError("--nodes: give it with --simulate; on processes each region is one node")
    return experiment_console.run_all(
        names, quick=quick, seed=seed, out=out, backbone=backbone, topology=topology, network=network
    )


@experiment.command("report")
@click.argument("results", metavar="DIR", type=click.Path(exists=True, path_type=Path))
def report_results(results: Path) -> None:
    """Write report.html and the plots again, from results that are there; `run` does it by itself.

    Exit 1 if a result could not be read: the report is made of the others.

    Example: python -m cluster experiment report out/
    """
    from cluster import experiment_console
    from cluster.report import console

    console.report(results, experiment_console.numbers())


@experiment.command("compare")
@click.argument("a", type=click.Path(exists=True, path_type=Path))
@click.argument("b", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="A list of comparisons, and nothing else.")
def compare_results(a: Path, b: Path, as_json: bool) -> int:
    """Compare two folders of results, or two result files: checks and key numbers as ratios B ÷ A.

    Exit 1 if something is worse in B: a check that held or is new, a result that held or was valid, an experiment that
    was there.

    Example: python -m cluster experiment compare before/ after/
    """
    from cluster import experiment_console
    from cluster.report import console

    return console.compare(a, b, experiment_console.numbers(), as_json=as_json)


@experiment.command("publish")
@click.argument("results", metavar="[DIR]", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--docs", type=click.Path(file_okay=False, path_type=Path), default=Path("docs"), show_default=True,
              help="Where results.md, its pictures in results/, and data/results.json are.")  # fmt: skip
@click.option("--only", is_flag=True, help="DIR's results alone: lines of other experiments are dropped.")
def publish_results(results: Path | None, docs: Path, only: bool) -> None:
    """Renew the page of results, docs/results.md, with one picture for each experiment.

    Experiments that have a result in DIR get a new line. Those of others stay as they were published before: what the
    page says of each is kept in docs/data/results.json. Without DIR the page is made again of that file.

    Exit 1 if a result could not be read: the page has the others.

    Example: python -m cluster experiment publish out/
    """
    if only and results is None:
        raise click.UsageError("--only: of what? Give DIR")
    from cluster import experiment_console
    from cluster.report import console

    console.publish(results, docs, experiment_console.numbers(), only=only)


@experiment.command("calibrate")
@click.argument("results", metavar="DIR", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Where the result goes.")
def calibrate_results(results: Path, out: Path) -> int:
    """Simulate what was run on processes, with the same seeds, and compare the percentiles.

    Exit 1 if one of them differs by more than 20 %: the answer says which, and by how much.

    Example: python -m cluster experiment calibrate out/ --out calibration/
    """
    from cluster.virtual import console

    return console.calibrate(results, out)
