"""python -m cluster.sim.coverage: which branches of the replication core simulated worlds take (I/O).

A command of its own, because what a module does when it is imported counts too: nothing of the core is imported before
measuring has begun.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import coverage

CORE = (
    "claims",
    "freshness",
    "hearing",
    "identity",
    "knowledge",
    "log",
    "peer_set",
    "pruning",
    "rate",
    "repair",
    "replica",
)
"""The modules of stsd/revocation that decide what is replicated, believed and forgotten (design 5)."""
SEEDS = 120


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit codes as everywhere: 0 fine, 1 less than asked for or something forbidden, 2 bad usage."""
    parser = argparse.ArgumentParser(
        prog="python -m cluster.sim.coverage",
        description="Tells how many lines and branches of the replication core simulated worlds take, by module.",
    )
    parser.add_argument("--seeds", type=_count, default=SEEDS, help=f"worlds of seeds 0 and up (default {SEEDS})")
    parser.add_argument(
        "--at-least", type=float, default=0.0, metavar="PERCENT", help="exit 1 if all together are less"
    )
    given = parser.parse_args(arguments)
    try:
        found = measure(range(given.seeds))
    except AssertionError as broken:  # an invariant; its type must not be imported before measuring
        print(broken, file=sys.stderr)
        return 1
    for name, percent, missing in found:
        print(f"{name:10} {percent:5.1f} %  {missing}".rstrip())
    return 1 if found[-1][1] < given.at_least else 0


def measure(seeds: Iterable[int]) -> list[tuple[str, float, str]]:
    """Run the worlds of these seeds. Each row is a module, the share of its lines and branches that were taken, in
    percent, and the lines and branches (`from->to`) that were not; the last row is all together. Raises
    InvariantBroken."""
    root = Path(__file__).parents[2] / "stsd" / "revocation"
    core = [str(root / f"{name}.py") for name in CORE]
    measured = coverage.Coverage(branch=True, include=core, data_file=None, config_file=False)
    with measured.collect():
        live = import_module("cluster.sim.campaign").live
        for seed in seeds:
            live(seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "coverage.json"
        measured.json_report(outfile=str(path))
        report = json.loads(path.read_text())
    files = {Path(name).stem: found for name, found in report["files"].items()}
    rows = [(name, _percent(files[name]["summary"]), _missing(files[name])) for name in CORE]
    return [*rows, ("all", _percent(report["totals"]), "")]


def _percent(summary: dict[str, Any]) -> float:
    return float(summary["percent_covered"])


def _missing(found: dict[str, Any]) -> str:
    lines = [str(line) for line in found["missing_lines"]]
    missed = set(found["missing_lines"])
    arcs = [f"{start}->{end}" for start, end in found["missing_branches"] if not missed & {start, end}]
    return " ".join((*lines, *arcs))


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("give a number from 1 up")
    return count


if __name__ == "__main__":
    sys.exit(main())
