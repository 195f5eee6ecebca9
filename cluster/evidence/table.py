"""Three kinds of results become one small record, and the record becomes the README's table. Pure.

| result | made by |
|---|---|
| simulation | `python -m cluster.sim --json` |
| histories | `python -m cluster.nemesis --json`, for each engine |
| convergence | `python -m cluster experiment run revocation-convergence-tail`, for each engine |

A result that is not valid, in which something that must never happen did, or that is of no commit, so that nobody can
repeat it, is refused: it is no evidence of what the tables say. A time that was longer than required is told below.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from textwrap import fill
from typing import Any

BEGIN = "<!-- replication, made by `python -m cluster.evidence render`: begin -->"
END = "<!-- replication: end -->"
CONDITIONS = ("healthy", "after heal")
COUNTED = ("lost", "resurrected", "false_denials")
SIMULATION = (
    *("seed", "commit", "worlds", "virtual_hours", "faults", "acknowledged", "verifications", "denied"),
    *(*COUNTED, "convergence"),
)
HISTORIES = (
    "seed",
    "commit",
    "histories",
    "seconds",
    "faults",
    "operations",
    "acknowledged",
    "copies",
    "unsafe",
    *COUNTED,
)
EXPERIMENT = "revocation-convergence-tail"
COMMIT = re.compile("[0-9a-f]{40}")
NEVER = "at most 0"
"""The requirement of what must not happen even once; others are times."""
SAMPLES_NEEDED = {"p50_ms": 1, "p99_ms": 1_000, "p999_ms": 20_000}
"""A percentile from fewer is not told (multiregion 0.1)."""
WIDTH = 120
Record = Mapping[str, Any]


class EvidenceError(ValueError):
    """A result that cannot be used; the text says why and how to mend it."""


def simulation(found: Record) -> dict[str, Any]:
    """What is kept of a simulation. Raises EvidenceError."""
    if found.get("broken"):
        raise EvidenceError(f"simulation: invariants were broken: {found['broken'][0]}")
    return _kept(found, SIMULATION, "simulation")


def histories(found: Record, engine: str) -> dict[str, Any]:
    """What is kept of the histories of one engine. Raises EvidenceError."""
    if found.get("broken") or found.get("aborted"):
        raise EvidenceError(f"histories of {engine}: {found.get('aborted') or found['broken'][0]}")
    return _kept(found, HISTORIES, f"histories of {engine}")


def convergence(found: Record, engine: str) -> dict[str, Any]:
    """What is kept of an experiment on convergence. Raises EvidenceError."""
    missed = [check for check in found["checks"] if not check["holds"]]
    if not found.get("valid") or any(check["required"] == NEVER or check["measured"] is None for check in missed):
        raise EvidenceError(f"convergence of {engine}: {found.get('answer')} Run it again, on a quiet machine")
    _of_a_commit(found, f"convergence of {engine}")
    conditions = {
        row["condition"]: {
            "samples": row["revocations"], **{name: row[name] for name in ("p50_ms", "p99_ms", "p999_ms")}
        }
        for row in _rows(found, "convergence by condition", engine)
    }  # fmt: skip
    return {
        "commit": found["commit"],
        "regions": len(found["topology"]["regions"]),
        "seeds": found["parameters"]["seeds"],
        "revocations": sum(row["acked"] for row in _rows(found, "revocations", engine)),
        "heals": sum(row["action"] == "heal" for row in _rows(found, "faults", engine)),
        **conditions,
        "late": [{name: check[name] for name in ("name", "measured", "required")} for check in missed],
    }


def _rows(found: Record, name: str, engine: str) -> list[dict[str, Any]]:
    """The rows of one of the tables of an experiment's result."""
    for one in found["series"]:
        if one["name"] == name:
            return [dict(zip(one["columns"], row, strict=True)) for row in one["rows"]]
    raise EvidenceError(f"convergence of {engine}: has no {name}; is it {EXPERIMENT}?")


def _kept(found: Record, members: Iterable[str], what: str) -> dict[str, Any]:
    if missing := [member for member in members if member not in found]:
        raise EvidenceError(f"{what}: {', '.join(missing)} is missing: was it made by the command of this version?")
    _of_a_commit(found, what)
    return {member: found[member] for member in members}


def _of_a_commit(found: Record, what: str) -> None:
    if not COMMIT.fullmatch(found["commit"]):
        raise EvidenceError(f"{what}: made of {found['commit']}, which is no commit: commit, and run it again")


def into(readme: str, table: str) -> str:
    """The README with the table between its markers. Raises EvidenceError."""
    before, begin, rest = readme.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise EvidenceError(f"README.md: the markers are missing: {BEGIN} and {END}")
    return f"{before}{BEGIN}\n{table}{END}{after}"


def between(readme: str) -> str:
    """What is between the markers now."""
    return readme.partition(BEGIN + "\n")[2].partition(END)[0]


def render(data: Record) -> str:
    """Both tables, as Markdown."""
    return "\n".join([*_faults(data), "", *_times(data)]) + "\n"


def _faults(data: Record) -> list[str]:
    simulated, real = data["simulation"], data["histories"]
    columns = [*(["virtual time"] if simulated else []), *(f"processes, {engine}" for engine in real)]
    found = [*([_of_simulation(simulated)] if simulated else []), *map(_of_histories, real.values())]
    lines = [_row(["", *columns]), _row(["---", *["---:"] * len(columns)])]
    lines += [_row([name, *(str(one[name]) for one in found)]) for name in found[0]]
    sums = [("virtual time", simulated["faults"])] if simulated else []
    if real:
        sums.append(("processes", sum((Counter(one["faults"]) for one in real.values()), Counter())))
    return [*lines, *(f"\n{fill(f'Faults in {where}: {_listed(faults)}.', WIDTH)}" for where, faults in sums)]


def _of_simulation(one: Record) -> dict[str, object]:
    return {
        "histories, a seed each": _number(one["worlds"]),
        "hours of them": f"{one['virtual_hours']:,.2f}",
        **_common(one, one["verifications"]),
    }


def _of_histories(one: Record) -> dict[str, object]:
    asked = sum(one["operations"].get(action, {}).get("ok", 0) for action in ("verify", "use"))
    return {
        "histories, a seed each": _number(one["histories"]),
        "hours of them": f"{one['seconds'] / 3600:,.2f}",
        **_common(one, asked),
    }


def _common(one: Record, asked: int) -> dict[str, object]:
    return {
        "faults": _number(sum(one["faults"].values())),
        "revocations acknowledged": _number(one["acknowledged"]),
        "answers about sessions": _number(asked),
        "**lost acknowledged revocations**": _number(one["lost"]),
        "**resurrections**": _number(one["resurrected"]),
        "**false denials**": _number(one["false_denials"]),
    }


def _times(data: Record) -> list[str]:
    heads = ["", "regions", "revocations"]
    for condition in CONDITIONS:
        heads += [f"{condition}: p50 ms", "p99 ms", "p99.9 ms", "samples"]
    heads.append("heals")
    lines = [_row(heads), _row(["---", *["---:"] * (len(heads) - 1)])]
    for engine, one in data["convergence"].items():
        lines.append(_row([f"processes, {engine}", *_cells(one)]))
    for one in _virtual(data["simulation"]):
        lines.append(_row(["virtual time", *_cells(one)]))
    return lines + [f"\n{late}" for engine, one in data["convergence"].items() for late in _late(engine, one)]


def _late(engine: str, one: Record) -> Iterable[str]:
    """What took longer than its experiment requires."""
    for check in one.get("late", ()):
        name = check["name"].partition(": ")[2]
        yield f"Late on {engine}: {name}: {check['measured']:.3g}, required {check['required']}."


def _virtual(simulated: Record | None) -> list[dict[str, Any]]:
    """Convergence in virtual time, a record for each number of regions. A sample is a revocation there."""
    found: dict[int, dict[str, Any]] = {}
    for row in (simulated or {}).get("convergence", ()):
        one = found.setdefault(row["regions"], {"regions": row["regions"], "revocations": 0})
        one |= {row["condition"]: row, "heals": row.get("heals"), "revocations": one["revocations"] + row["samples"]}
    return [one for _, one in sorted(found.items())]


def _cells(one: Record) -> Iterable[str]:
    yield from (_number(one["regions"]), _number(one.get("revocations")))
    for condition in CONDITIONS:
        measured = one.get(condition, {})
        samples = measured.get("samples", 0)
        for name, needed in SAMPLES_NEEDED.items():
            yield _ms(measured.get(name) if samples >= needed else None)
        yield _number(samples)
    yield _number(one.get("heals"))


def _row(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _number(value: int | None) -> str:
    return "–" if value is None else f"{value:,}"


def _ms(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def _listed(faults: Mapping[str, int]) -> str:
    return ", ".join(f"{_number(count)} {kind.replace('_', ' ')}" for kind, count in sorted(faults.items()))
