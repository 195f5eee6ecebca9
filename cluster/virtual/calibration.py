"""What virtual time says and what processes did, percentile by percentile: the same experiment, form and seed.

They agree where the ratio is within AGREES_WITHIN. Where it is not, the answer names the group and by how much; a p99
comes from few samples and spikes, and what a busy machine adds is in the processes' numbers only.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

from cluster.checks import Verdict

AGREES_WITHIN = 0.2
TABLES: Mapping[str, int] = {"latency": 4, "convergence": 3, "convergence by condition": 2}
"""The tables that are compared, and how many columns name a group."""
PERCENTILES = ("p50_ms", "p90_ms", "p99_ms")
COLUMNS = "experiment table group percentile processes_ms virtual_ms ratio"


@dataclass(frozen=True, slots=True)
class Compared:
    """One percentile of one group."""

    experiment: str
    table: str
    group: str
    percentile: str
    processes_ms: float
    virtual_ms: float
    ratio: float

    @property
    def agrees(self) -> bool:
        """Whether it is near enough."""
        return abs(self.ratio - 1) <= AGREES_WITHIN


def compare(processes: Mapping[str, Any], virtual: Mapping[str, Any]) -> list[Compared]:
    """Every percentile that both results have."""
    found = []
    for table in TABLES:
        real, simulated = _percentiles(processes, table), _percentiles(virtual, table)
        for (group, percentile), real_ms in real.items():
            virtual_ms = simulated.get((group, percentile))
            if virtual_ms is not None and real_ms > 0:
                ratio = round(virtual_ms / real_ms, 4)
                name = str(processes["name"])
                found.append(Compared(name, table, ", ".join(group), percentile, real_ms, virtual_ms, ratio))
    return found


def _percentiles(result: Mapping[str, Any], name: str) -> dict[tuple[tuple[str, ...], str], float]:
    table = next((one for one in result["series"] if one["name"] == name), None)
    if table is None:
        return {}
    columns, width = table["columns"], TABLES[name]
    return {
        (tuple(cell for cell in row[:width] if cell), percentile): row[columns.index(percentile)]
        for row in table["rows"]
        for percentile in PERCENTILES
        if percentile in columns and row[columns.index(percentile)] is not None
    }


def verdicts(compared: Iterable[Compared]) -> list[Verdict]:
    """One for each experiment, table and percentile: the ratio that is farthest from 1."""
    farthest: dict[tuple[str, str, str], Compared] = {}
    for one in compared:
        key = one.experiment, one.table, one.percentile
        if key not in farthest or abs(one.ratio - 1) > abs(farthest[key].ratio - 1):
            farthest[key] = one
    required = f"at least {1 - AGREES_WITHIN:g} and at most {1 + AGREES_WITHIN:g}"
    return [
        Verdict(
            f"{one.experiment}: {one.table}, {one.percentile.removesuffix('_ms')}: virtual ÷ processes ({one.group})",
            one.agrees,
            one.ratio,
            required,
        )
        for one in farthest.values()
    ]


def series(compared: Sequence[Compared]) -> list[dict[str, Any]]:
    """Everything that was compared."""
    return [{"name": "calibration", "columns": COLUMNS.split(), "rows": [list(astuple(one)) for one in compared]}]


def reasons(compared: Iterable[Compared]) -> str:
    """Where they do not agree, by how much, and what is known of why; empty where they do."""
    off = [one for one in compared if not one.agrees]
    if not off:
        return ""
    named = "; ".join(map(_told, off))
    few = any(one.percentile != "p50_ms" for one in off)
    healed = any("after heal" in one.group for one in off)
    slow = any(one.virtual_ms < one.processes_ms for one in off)
    why = [
        "the far percentiles hang on single spikes, drawn anew" if few else "",
        "virtual time has no other load on the machine" if slow else "",
        "after a heal it counts where in its second each node's exchange of heads is" if healed else "",
    ]
    known = "; ".join(filter(None, why)) or "the model's constants are those of another machine"
    return f"Where they differ by more than {AGREES_WITHIN:.0%}: {named}. What is known of why: {known}."


def _told(one: Compared) -> str:
    where = f"{one.experiment}, {one.table} of {one.group}, {one.percentile.removesuffix('_ms')}"
    times = f"{one.processes_ms:.4g} ms in processes, {one.virtual_ms:.4g} ms in virtual time"
    return f"{where}: {times} ({one.ratio - 1:+.0%})"
