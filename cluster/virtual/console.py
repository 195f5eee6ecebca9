"""`experiment run --simulate`: which experiments virtual time can run, and one of them with its result. (I/O)"""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cluster import topology
from cluster.errors import ClusterError
from cluster.experiment import Experiment
from cluster.files import RTT_FILE, parse_topology, read_text, topology_source
from cluster.result import result
from cluster.sim.invariants import InvariantBroken
from cluster.topology import Topology
from cluster.virtual.runner import VirtualRunner, judged, left_out, refusals
from cluster.virtual.wide import widened


def possible(chosen: Sequence[Experiment], backbone: str, *, every: bool, console: Console) -> tuple[Experiment, ...]:
    """Those of `chosen` that can be simulated; of `every` one the others are told, else they are a mistake. Raises
    ClusterError."""
    faults = {one.name: refusals(one, backbone) for one in chosen}
    told = [f"{name}: cannot be simulated: {'; '.join(why)}" for name, why in faults.items() if why]
    if told and (not every or len(told) == len(chosen)):
        raise ClusterError(*told)
    for line in told:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return tuple(one for one in chosen if not faults[one.name])


def place(one: Experiment, regions: int | None) -> Topology:
    """Where it happens, on so many regions if that is given. Raises ClusterError."""
    found = parse_topology(*topology_source(one.topology))
    if regions is None:
        return found
    text = read_text(RTT_FILE, "round-trip table")
    known = json.loads(text)
    try:
        names = (*known["default_experiment_regions"], *sorted(known["region_rtt_p50_ms"]))
        return widened(found, regions, topology.parse_rtt_table(text), names)
    except ValueError as error:
        raise ClusterError(f"--regions {regions}: {one.name}: {error}") from error


def run(one: Experiment, where: Topology, *, quick: bool, seed: int, commit: str) -> tuple[dict[str, Any], bool]:
    """The result of one experiment in virtual time, and whether Ctrl-C ended it."""
    started_at, broken, stopped = int(time.time()), None, False
    form = judged(one)
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        bar = progress.add_task(one.number, total=one.seconds)

        def show_progress(done_s: float, what: str) -> None:
            progress.update(bar, completed=done_s, description=f"{one.number} {what}, virtual")

        runner = VirtualRunner(form, where, seed, show_progress)
        try:
            runner.run()
        except KeyboardInterrupt:
            broken, stopped = "stopped before its end", True
        except InvariantBroken as error:
            broken = str(error)
    found = result(
        form, runner.runs, where, seed=seed, quick=quick, commit=commit, started_at=started_at, broken=broken
    )
    found["parameters"] |= {"simulated": True, "not_judged": left_out(one)}
    return found, stopped
