"""The verbs of `python -m cluster` that a running router obeys, and the options that a router starts with. (I/O)"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cluster import control, routing
from cluster.command_line import DATA, find, find_with
from cluster.data_dir import DataDir
from cluster.errors import ClusterError, Refused
from cluster.router_config import PARTS

DRAIN_S = 10.0
POLL_S = 0.05


def options(function: Callable[..., Any]) -> Callable[..., Any]:
    """How a router starts."""
    for option in (
        click.option(
            "--without",
            type=click.Choice(PARTS),
            multiple=True,
            help="What the router does without, to see what it is good for. May be given several times.",
        ),
        click.option(
            "--dns-ttl",
            type=click.FloatRange(0, 86_400),
            metavar="S",
            help="How long the policy dns keeps an answer, in seconds. 60 at first.",
        ),
        click.option(
            "--pinned-from",
            type=click.IntRange(1, 65_000),
            metavar="PORT",
            help="For experiments: listen from PORT on, for every place and region, for a proxy that chooses itself.",
        ),
        click.option("--policy", metavar="NAME", help=f"How the router chooses: {', '.join(routing.POLICIES)}."),
    ):
        function = option(function)
    return function


def known_policy(name: str | None, said_as: str = "--policy") -> str:
    """The name of a policy, the default one for None. Raises ClusterError for any other word."""
    name = routing.DEFAULT_POLICY if name is None else name
    try:
        routing.find(name)
    except routing.PolicyError as error:
        raise ClusterError(f"{said_as} {error}") from error
    return name


@click.command()
@click.argument("name", metavar="NAME")
@DATA
def policy(name: str, data_dir: Path) -> None:
    """Let the running router choose regions in another way, from its next request on. A router that starts again
    begins with the policy that the cluster was started with.

    Example: python -m cluster policy home-2011
    """
    data = find(data_dir)
    name = known_policy(name, "policy")
    answer = _order(data, "policy", policy=name)
    click.echo(f"router: {name} from now on, {answer['before']} until now")


@click.command()
@click.argument("name", metavar="R")
@DATA
def drain(name: str, data_dir: Path) -> None:
    """Send no new calls of the global endpoint to a region, and wait until it has answered what it was sent (at most
    10 s). Its own endpoint goes on. Refused under a policy that has no other region for some place.

    Example: python -m cluster drain eu-west-1
    """
    data = find_with(data_dir, name)
    until = time.monotonic() + DRAIN_S
    while left := int((told := _order(data, "drain", region=name, draining=True))["in_flight"]):
        if time.monotonic() > until:
            raise Refused(f"{name}: takes no new calls; {left} are still not answered after {DRAIN_S:g} s")
        time.sleep(POLL_S)
    if told["told_for_s"]:
        click.echo(f"{name}: DNS names it no more; who was told it before may call it for {told['told_for_s']:g} s yet")
    else:
        click.echo(f"{name}: takes no new calls and has none")
    click.echo(f"`python -m cluster undrain {name}{data.flag}` ends it")


@click.command()
@click.argument("name", metavar="R")
@DATA
def undrain(name: str, data_dir: Path) -> None:
    """Send calls to a region again.

    Example: python -m cluster undrain eu-west-1
    """
    _order(find_with(data_dir, name), "drain", region=name, draining=False)
    click.echo(f"{name}: takes calls again, all of them in 10 s")


VERBS = (policy, drain, undrain)


def _order(data: DataDir, verb: str, **members: Any) -> dict[str, Any]:
    """Has the router obey. Raises ClusterError."""
    answer = control.ask(data.run, control.ROUTER_ORDERS, verb, **members)
    if answer is None:
        raise ClusterError(f"router: nothing runs it in {data.path}: is the cluster up?")
    if not answer["ok"]:
        raise ClusterError(answer["fault"])
    return answer
