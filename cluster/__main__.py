"""`python -m cluster`: a cluster on this machine, and what one does with it (contract 2)."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cluster import command_line, data_dir, experiment_cli, fault_cli, local, namespaces, router_cli
from cluster.command_line import DATA, ask, check_name, find
from cluster.data_dir import DataDir, Wanted, check_not_running
from cluster.supervisor import RunFlags, Supervisor, check_not_supervised, command
from cluster.topology import BACKBONES, NETWORKS

SEED = click.option("--seed", type=int, help="Of the router's latency jitter and every other chance.")
HOOKS = click.option("--unsafe-test-hooks", is_flag=True, help="Reset and clock hooks, on loopback. For tests only.")


NETWORK = click.option(
    "--network",
    type=click.Choice(NETWORKS),
    default=NETWORKS[0],
    show_default=True,
    help="What is between regions: delays in one process, or network namespaces and an IP router (needs root).",
)

DRAIN = click.option(
    "--drain-s",
    type=click.FloatRange(0, 60),
    default=0,
    show_default=True,
    metavar="N",
    help="A node that gets SIGTERM says 503 on /readyz and goes on serving for so many seconds.",
)


def filling(function: Callable[..., Any]) -> Callable[..., Any]:
    """The options that decide what an empty data directory is filled with."""
    for option in (
        click.option("--world", type=click.Path(path_type=Path), metavar="FILE", help="What the cluster starts from."),
        DATA,
        click.option("--base-port", type=int, metavar="N", help="The router's port; the others follow. 8700 at first."),
        click.option(
            "--backbone",
            type=click.Choice(BACKBONES),
            help="What carries the replication: the nodes' own calls, or NATS servers. http at first.",
        ),
        click.option("--topology", metavar="NAME|FILE", help="Regions and distances. three_regions at first."),
    ):
        function = option(function)
    return function


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def cluster() -> None:
    """Several regions on one machine.

    Example: python -m cluster up
    """


@cluster.command()
@filling
@router_cli.options
@SEED
@HOOKS
@NETWORK
@DRAIN
def up(
    topology: str | None,
    backbone: str | None,
    base_port: int | None,
    data_dir: Path,
    world: Path | None,
    policy: str | None,
    dns_ttl: float | None,
    without: tuple[str, ...],
    pinned_from: int | None,
    seed: int | None,
    unsafe_test_hooks: bool,
    network: str,
    drain_s: float,
) -> int:
    """Start every region and the router; Ctrl-C stops them.

    Example: python -m cluster up --topology two_continents --base-port 9700 --data-dir /tmp/two --backbone nats
    """
    namespaces.check(network)
    data = _prepare(data_dir, Wanted(topology, base_port, world, backbone), policy)
    check_not_running(data)
    local.check_ports(data.ports.named())
    flags = RunFlags(policy, seed, unsafe_test_hooks, dns_ttl, network, without, pinned_from, drain_s)
    return asyncio.run(local.Local(data, flags).run())


@cluster.command()
@click.argument("name")
@filling
@router_cli.options
@SEED
@HOOKS
@NETWORK
@DRAIN
def supervise(
    name: str,
    topology: str | None,
    backbone: str | None,
    base_port: int | None,
    data_dir: Path,
    world: Path | None,
    policy: str | None,
    dns_ttl: float | None,
    without: tuple[str, ...],
    pinned_from: int | None,
    seed: int | None,
    unsafe_test_hooks: bool,
    network: str,
    drain_s: float,
) -> int:
    """Run one region, a NATS server, the links or the router under a supervisor: one line of the Procfile.

    Example: python -m cluster supervise us-east-1
    """
    data = _prepare(data_dir, Wanted(topology, base_port, world, backbone), policy)
    check_name(data, name)
    check_not_supervised(data, name)
    local.check_ports(data.ports.of(name))
    flags = RunFlags(policy, seed, unsafe_test_hooks, dns_ttl, network, without, pinned_from, drain_s)

    async def run() -> int:
        return await Supervisor(data, name, command(data, name, flags), drain_s).run()

    return asyncio.run(run())


@cluster.command()
@DATA
@router_cli.options
@SEED
@HOOKS
@click.option("--drain", type=click.FloatRange(0, 600), default=0, show_default=True, metavar="S",
              help="At its end /readyz says 503 for so many seconds before it stops to listen.")  # fmt: skip
def router(
    data_dir: Path,
    policy: str | None,
    dns_ttl: float | None,
    without: tuple[str, ...],
    pinned_from: int | None,
    seed: int | None,
    unsafe_test_hooks: bool,
    drain: float,
) -> int:
    """Run the router alone, without a supervisor.

    Example: python -m cluster router --data-dir .stsd --policy home-2011 --drain 6
    """
    from cluster.router_process import run

    flags = RunFlags(policy, seed, unsafe_test_hooks, dns_ttl, without=without, pinned_from=pinned_from)
    return run(find(data_dir), router_cli.known_policy(policy), flags, drain)


@cluster.command()
@DATA
@SEED
@NETWORK
def links(data_dir: Path, seed: int | None, network: str) -> int:
    """Run the links between the regions alone, without a supervisor.

    Example: python -m cluster links --data-dir .stsd
    """
    from cluster.link_process import run

    namespaces.check(network)
    return run(find(data_dir), seed, network)


@cluster.command()
@DATA
def status(data_dir: Path) -> int:
    """Show every process and every faulty link; exit 1 if something is not well.

    Example: python -m cluster status
    """
    from cluster import status as state

    data = find(data_dir)
    found = asyncio.run(state.rows(data))
    state.show(data, found)
    return 0 if all(row.well for row in found) else 1


@cluster.command()
@click.argument("name", metavar="R")
@DATA
def kill(name: str, data_dir: Path) -> None:
    """End the process of a region (or router, links, a NATS server) at once, as a crash would.

    Example: python -m cluster kill us-east-1
    """
    data = find(data_dir)
    answer = ask(data, name, "kill")
    click.echo(
        f"{name}: process {answer['pid']} is killed; `python -m cluster start {name}{data.flag}` starts it again"
    )


@cluster.command()
@click.argument("name", metavar="R")
@DATA
def start(name: str, data_dir: Path) -> None:
    """Start the process of a region (or router, links, a NATS server) again and wait until it is ready.

    Example: python -m cluster start us-east-1
    """
    answer = ask(find(data_dir), name, "start")
    click.echo(f"{name}: process {answer['pid']} {'runs already' if answer.get('already') else 'is ready'}")


for verb in (*router_cli.VERBS, *fault_cli.VERBS):
    cluster.add_command(verb)


@cluster.command()
@click.option("--regions", type=click.IntRange(2, 33), default=30, show_default=True, help="Of the round-trip table.")
@click.option("--nodes", type=click.IntRange(1, 10_000), default=1000, show_default=True, help="In each region.")
@click.option("--seed", type=click.IntRange(0, experiment_cli.SEED_MAX), default=7, show_default=True,
              help="Of every chance.")  # fmt: skip
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="Where the result goes, if anywhere.")
def sim(regions: int, nodes: int, seed: int, out: Path | None) -> int:
    """Compute what many regions of many nodes do, in virtual time; exit 1 if a claim does not hold.

    Example: python -m cluster sim --regions 30 --nodes 1000 --seed 7 --out out/
    """
    from cluster.scale import console

    return console.run(regions, nodes, seed, out)


cluster.add_command(experiment_cli.experiment)


def _prepare(path: Path, wanted: Wanted, policy: str | None) -> DataDir:
    router_cli.known_policy(policy)
    if wanted.backbone == "nats":
        from cluster import brokers

        brokers.program()  # a missing one is told before anything is filled
    data = data_dir.prepare(path, wanted)
    if data.ports.nats:
        from cluster import brokers

        brokers.write(data)
    return data


if __name__ == "__main__":
    command_line.main(cluster, "python -m cluster", "cluster")
