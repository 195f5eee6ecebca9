"""Two results of one experiment side by side: what checks measured, key numbers as ratios, changes of verdict. Pure.

A ratio is B ÷ A; there is none where one side has nothing or A is 0. *Worse* is a check that does not hold in B and
held in A or is new, one that held in A and is gone, a result that held and does not hold any more, a valid one that is
not valid any more, and an experiment that only A has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from cluster.report.record import Judged, Record, Table
from cluster.report.words import short_commit

KEYS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "latency": (("policy", "location", "endpoint", "region"), ("lost", "p50_ms", "p99_ms")),
    "convergence by condition": (("policy", "condition"), ("p50_ms", "p99_ms")),
}
"""The key numbers: of which series, what tells its rows apart, and which columns."""


@dataclass(frozen=True, slots=True)
class Pair:
    """One number in both results; None where it is missing. `change` is for checks only: empty, `worse`, `better`, or
    for one that only one side has and that is not worse `new` or `gone`."""

    name: str
    a: float | None
    b: float | None
    ratio: float | None
    change: str = ""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One experiment in both. `verdict_a` and `verdict_b` are `missing` for an experiment that one side has not;
    `differs` tells in words what else differs between the two runs."""

    name: str
    number: str
    verdict_a: str
    verdict_b: str
    differs: tuple[str, ...]
    checks: tuple[Pair, ...]
    numbers: tuple[Pair, ...]

    @property
    def worse(self) -> bool:
        """Whether B says no where A did not."""
        lost = self.verdict_a != "missing" and self.verdict_b == "missing"
        fallen = self.verdict_a == "holds" != self.verdict_b
        doubtful = self.verdict_b == "not valid" and self.verdict_a not in ("not valid", "missing")
        return lost or fallen or doubtful or any(check.change == "worse" for check in self.checks)

    def as_json(self) -> dict[str, Any]:
        """For programs."""
        return {**asdict(self), "worse": self.worse}


def compared(a: Iterable[Record], b: Iterable[Record]) -> list[Comparison]:
    """Every experiment that one of the two has, in the order of A."""
    first, second = {one.name: one for one in a}, {one.name: one for one in b}
    return [_compared(first.get(name), second.get(name)) for name in {**first, **second}]


def _compared(a: Record | None, b: Record | None) -> Comparison:
    one = a or b
    assert one is not None
    return Comparison(
        name=one.name,
        number=one.number,
        verdict_a="missing" if a is None else a.verdict,
        verdict_b="missing" if b is None else b.verdict,
        differs=tuple(_differences(a, b)) if a and b else (),
        checks=tuple(_checks(a.checks, b.checks)) if a and b else (),
        numbers=tuple(_numbers(a, b)) if a and b else (),
    )


def _differences(a: Record, b: Record) -> Iterator[str]:
    """What makes a ratio say less: another commit, seed, form, topology, backbone or load."""
    if a.commit != b.commit:
        yield f"commit {short_commit(a.commit)} and {short_commit(b.commit)}"
    if a.seed != b.seed:
        yield f"seed {a.seed} and {b.seed}"
    if a.topology != b.topology:
        yield f"topology {a.topology.get('name')} and {b.topology.get('name')}"
    for name in sorted({*a.parameters, *b.parameters}):
        if name.startswith("quick_"):
            continue
        one, other = a.parameters.get(name), b.parameters.get(name)
        if one != other:
            short = isinstance(one, str | int) and isinstance(other, str | int)
            yield f"{name} {one} and {other}" if short else name


def _checks(a: Sequence[Judged], b: Sequence[Judged]) -> Iterator[Pair]:
    first, second = _by_name(a), _by_name(b)
    for name in {**first, **second}:
        one, other = first.get(name), second.get(name)
        left, right = one.measured if one else None, other.measured if other else None
        yield Pair(name, left, right, ratio(left, right), _change(one, other))


def _by_name(checks: Iterable[Judged]) -> dict[str, Judged]:
    """Each check; those of one name, which an experiment has of several places, are numbered in their order."""
    found: dict[str, Judged] = {}
    for check in checks:
        name, times = check.name, 1
        while name in found:
            times += 1
            name = f"{check.name} ({times})"
        found[name] = check
    return found


def _change(a: Judged | None, b: Judged | None) -> str:
    if a is None:
        return "new" if b and b.holds else "worse"
    if b is None:
        return "worse" if a.holds else "gone"
    return "" if a.holds == b.holds else "worse" if a.holds else "better"


def _numbers(a: Record, b: Record) -> Iterator[Pair]:
    for series, (group, columns) in KEYS.items():
        left, right = _keyed(a.table(series), group), _keyed(b.table(series), group)
        for key in left:
            for column in columns:
                pair = left[key].get(column), right.get(key, {}).get(column)
                if None not in pair:
                    yield Pair(f"{', '.join(filter(None, key))}: {column}", *pair, ratio(*pair))


def _keyed(table: Table, group: tuple[str, ...]) -> dict[tuple[str, ...], dict[str, Any]]:
    if not table.has(*group):
        return {}
    return {tuple(str(row[name] or "") for name in group): row for row in table}


def ratio(a: float | None, b: float | None) -> float | None:
    """B ÷ A."""
    return None if a is None or b is None or a == 0 else round(b / a, 4)
