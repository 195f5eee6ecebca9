"""`python -m cluster sim`: the plan of `scale`, its tables on the screen, `result.json`, an exit code. (I/O)"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from cluster import experiment_console, topology
from cluster.errors import ClusterError
from cluster.files import RTT_FILE, read_text
from cluster.report import console as report_console
from cluster.result import answer
from cluster.scale import fleet, plan
from cluster.scale.plan import Part, Size
from cluster.scale.tree import HEADS
from cluster.topology import Topology
from cluster.virtual.wide import widened

NAME = "many-regions"
QUESTION = "What do thirty regions of a thousand nodes do, which no machine here has room for?"
STORM = "retry-storm"


def run(regions: int, nodes: int, seed: int, out: Path | None) -> int:
    """Everything; 0 if every check held. Raises ClusterError, for a wrong `out` before anything is computed."""
    if out is not None:
        experiment_console.check_writable(out, [NAME])
    started_at, where = int(time.time()), _topology(regions)
    parts = _parts(Size(where, nodes, seed))
    tables = [table for part in parts for table in part.tables]
    verdicts = [verdict for part in parts for verdict in part.verdicts]
    found = {
        "name": NAME,
        "question": QUESTION,
        "answer": answer(verdicts, ()),
        "valid": True,
        "seed": seed,
        "commit": experiment_console.commit(),
        "started_at": started_at,
        "topology": {
            "name": where.name,
            "regions": list(where.regions),
            "home": where.home,
            "locations": list(where.locations),
        },
        "parameters": {
            "simulated": True,
            "nodes_per_region": nodes,
            "tree": {"fan_out": plan.DEFAULT[0], "window_ms": plan.DEFAULT[1] * 1000, "heads": HEADS},
        },
        "checks": [asdict(verdict) for verdict in verdicts],
        "series": tables,
    }
    _show(found)
    if out is not None:
        print(experiment_console.write_result(out, found))
        report_console.write(out, [NAME], experiment_console.numbers())
    return 0 if all(verdict.holds for verdict in verdicts) else 1


def _parts(size: Size) -> list[Part]:
    storm = experiment_console.load_all()[STORM]
    asked: Mapping[str, Callable[[], Part]] = {
        "convergence": lambda: plan.convergence(size),
        "real cores against the hop model": lambda: plan.calibration(size),
        "partition": lambda: plan.partitions(size),
        "failover": lambda: plan.failovers(size),
        "retries": lambda: fleet.storms(size, storm),
        "costs": lambda: plan.rates(size),
        "stampede": lambda: plan.stampedes(size),
    }
    columns = (TextColumn("{task.description}"), BarColumn(), TextColumn("{task.percentage:>3.0f}%"))
    with Progress(*columns, TimeElapsedColumn(), console=Console(stderr=True)) as progress:
        bar, parts = progress.add_task("", total=len(asked)), []
        for name, part in asked.items():
            progress.update(bar, description=name)
            parts.append(part())
            progress.advance(bar)
        progress.update(bar, description="done")
    return parts


def _topology(regions: int) -> Topology:
    text = read_text(RTT_FILE, "round-trip table")
    known = json.loads(text)
    names = list(dict.fromkeys((*known["default_experiment_regions"], *sorted(known["region_rtt_p50_ms"]))))
    first = Topology("table", (names[0],), names[0], (names[0],), {})
    try:
        return widened(first, regions, topology.parse_rtt_table(text), names)
    except ValueError as error:
        raise ClusterError(f"--regions {regions}: {error}") from error


def _show(found: Mapping[str, Any]) -> None:
    console = experiment_console.new_console()
    console.print(f"\n[bold]{found['name']}[/bold]: {found['question']}", highlight=False)
    for series in found["series"]:
        rows = [[f"{cell:.4g}" if isinstance(cell, float) else cell for cell in row] for row in series["rows"]]
        console.print(experiment_console.rich_table(series["name"], series["columns"], rows))
    rows = [[c["name"], f"{c['measured']:.4g}", c["required"], "yes" if c["holds"] else "NO"] for c in found["checks"]]
    console.print(experiment_console.rich_table("checks", ["check", "measured", "required", "holds"], rows))
    console.print(found["answer"], highlight=False, soft_wrap=True, markup=False)
