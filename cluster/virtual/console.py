"""`experiment run --simulate` and `experiment calibrate`: which experiments virtual time can run, one of them with its
result, and results of processes compared with it. (I/O)"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from cluster import experiment_console, topology
from cluster.errors import ClusterError
from cluster.experiment import Experiment
from cluster.files import RTT_FILE, parse_topology, read_text, topology_source
from cluster.interrupts import Interrupts, interrupt
from cluster.report import console as report_console
from cluster.report.record import RecordError, parse
from cluster.result import result
from cluster.scale import fleet
from cluster.scale.plan import Part, Size
from cluster.sim.invariants import InvariantBroken
from cluster.topology import Topology
from cluster.virtual import calibration
from cluster.virtual.runner import VirtualRunner, judged, left_out, refusals
from cluster.virtual.wide import widened


def possible(
    chosen: Sequence[Experiment], backbone: str, *, nodes: int | None, every: bool, console: Console
) -> tuple[Experiment, ...]:
    """Those of `chosen` that can be simulated, with so many nodes in each region if that is given; of `every` one the
    others are told, else they are a mistake. Raises ClusterError."""
    faults = {one.name: _fault(one, backbone, nodes) for one in chosen}
    told = [f"{name}: {why}" for name, why in faults.items() if why]
    if told and (not every or len(told) == len(chosen)):
        raise ClusterError(*told)
    for line in told:
        console.print(line, highlight=False, soft_wrap=True, markup=False)
    return tuple(one for one in chosen if not faults[one.name])


def _fault(one: Experiment, backbone: str, nodes: int | None) -> str:
    if why := refusals(one, backbone):
        return f"cannot be simulated: {'; '.join(why)}"
    if nodes is not None and one.name not in fleet.PARTS:
        return f"--nodes {nodes}: no table of many nodes is about it: {fleet.WHY_NONE[one.name]}"
    return ""


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


def run(
    one: Experiment,
    where: Topology,
    interrupts: Interrupts,
    *,
    quick: bool,
    seed: int,
    commit: str,
    regions: int | None = None,
    nodes: int | None = None,
) -> dict[str, Any]:
    """The result of one experiment in virtual time, also of one that did not come to its end; with what so many `nodes`
    in each region do, if that is given. `regions` is what was asked for, by which `where` was made."""
    started_at, broken = int(time.time()), None
    form = judged(one)
    parts: list[Part] = []
    with experiment_console.progress_bar(one, ", virtual") as show_progress:
        runner = VirtualRunner(form, where, seed, show_progress)
        try:
            with interrupts.ending(interrupt):
                runner.run()
                if nodes is not None:
                    show_progress(one.seconds, f"{nodes:,} nodes in each region")
                    whole = experiment_console.load_all()[one.name]
                    parts += fleet.PARTS[one.name](Size(where, nodes, seed), whole)
        except KeyboardInterrupt:
            broken = experiment_console.STOPPED
        except (InvariantBroken, ClusterError) as error:
            broken = str(error)
        except Exception as error:
            broken = experiment_console.failure(error)
    found = result(
        form,
        runner.runs,
        where,
        seed=seed,
        quick=quick,
        commit=commit,
        started_at=started_at,
        broken=broken,
        beside=[verdict for part in parts for verdict in part.verdicts],
    )
    found["parameters"] |= {"simulated": True, "not_judged": left_out(one)}
    if regions is not None:
        found["parameters"]["regions"] = regions
    if nodes is not None:
        found["parameters"]["nodes_per_region"] = nodes
        found["series"] += [table for part in parts for table in fleet.tables(part, nodes)]
    return found


def calibrate(results: Path, out: Path) -> int:
    """Simulates what was run on processes into `results`, and compares; 0 if all agree. Raises ClusterError."""
    compared: list[calibration.Compared] = []
    first: dict[str, Any] | None = None
    for path in sorted(results.glob("*/result.json")):
        real = _read(path)
        if (one := _repeatable(real, path)) is not None:
            repeated = _repeated(one, real)
            if not repeated["valid"]:
                print(f"{path}: not compared: in virtual time: {repeated['answer']}", file=sys.stderr)
                continue
            if not (found := calibration.compare(real, repeated)):
                print(f"{path}: not compared: no percentile is in both", file=sys.stderr)
                continue
            compared += found
            first = first or real
    if first is None:
        raise ClusterError(f"{results}: no valid result of an experiment on processes that can be simulated is there")
    told = _calibrated(compared, first)
    console = experiment_console.new_console()
    rows = [[c["name"], f"{c['measured']:.3g}", c["required"], "yes" if c["holds"] else "NO"] for c in told["checks"]]
    console.print(experiment_console.rich_table("calibration", ["check", "measured", "required", "holds"], rows))
    path = experiment_console.write_result(out, told)
    console.print(f"{told['answer']}\n{path}", highlight=False, soft_wrap=True, markup=False)
    report_console.write(out, [told["name"]], experiment_console.numbers())
    return 0 if all(one.agrees for one in compared) else 1


def _read(path: Path) -> dict[str, Any]:
    """A result as it stands in its file, of the shape that reports need. Raises ClusterError."""
    text = read_text(path, "result")
    try:
        parse(text, {})
    except RecordError as error:
        raise ClusterError(f"{path}: {error}") from error
    found: dict[str, Any] = json.loads(text)
    return found


def _repeated(one: Experiment, real: Mapping[str, Any]) -> dict[str, Any]:
    """The same in virtual time. Raises KeyboardInterrupt: a part of a run is nothing to compare with."""
    interrupts, quick = Interrupts(), real["parameters"].get("form") == "quick"
    with interrupts.kept():
        found = run(one, place(one, None), interrupts, quick=quick, seed=real["seed"], commit="")
    if interrupts.came:
        raise KeyboardInterrupt
    return found


def _repeatable(real: Mapping[str, Any], path: Path) -> Experiment | None:
    """The experiment in the form that was run; None, and a line about it, for what cannot be compared."""
    parameters = real["parameters"]
    one = experiment_console.load_all().get(real["name"])
    if one is None or parameters.get("simulated", True):
        return None
    why = [] if real["valid"] else ["it is not valid"]
    backbone = str(parameters.get("backbone", "http"))
    why += refusals(one, backbone)
    if why:
        print(f"{path}: not compared: {'; '.join(why)}", file=sys.stderr)
        return None
    form = (one.shortened() if parameters.get("form") == "quick" else one).on(backbone)
    try:
        return experiment_console.placed([form], parameters.get("topology"), every=False)[0]
    except ClusterError as error:
        print(f"{path}: not compared: {'; '.join(error.faults)}", file=sys.stderr)
        return None


def _calibrated(compared: Sequence[calibration.Compared], first: Mapping[str, Any]) -> dict[str, Any]:
    verdicts = calibration.verdicts(compared)
    agreeing = sum(one.agrees for one in compared)
    said = f"{agreeing} of {len(compared)} percentiles agree within {calibration.AGREES_WITHIN:.0%}."
    return {
        "name": "calibration",
        "question": "Does virtual time say what processes do?",
        "answer": " ".join(filter(None, (said, calibration.reasons(compared)))),
        "valid": True,
        "seed": first["seed"],
        "commit": experiment_console.commit(),
        "started_at": int(time.time()),
        "topology": first["topology"],
        "parameters": {"simulated": True, "experiments": list(dict.fromkeys(one.experiment for one in compared))},
        "checks": [asdict(verdict) for verdict in verdicts],
        "series": calibration.series(compared),
    }
