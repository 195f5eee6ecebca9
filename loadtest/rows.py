"""The rows of the benchmark, and how a run's slices become them. Pure.

Ours and the reference are measured in turn, round by round, on the same core; a row's ratio is the median over the
rounds of ours ÷ reference in that round, so that a disturbance in one round moves neither much. Rates are medians too,
so `ratio` need not be exactly `ours / reference`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median

EMPTY_POST = "empty aiohttp POST"
RAW_OPEN = "raw crypto_sign_open"

REFERENCES: Mapping[str, str] = {
    "AssumeRole": EMPTY_POST,
    "GetCallerIdentity": EMPTY_POST,
    "verify http uncached": RAW_OPEN,
    "verify http cached": EMPTY_POST,
    "verify in process": RAW_OPEN,
}
TARGETS: Mapping[str, float] = {
    "AssumeRole": 0.30,
    "GetCallerIdentity": 0.60,
    "verify http uncached": 0.38,
    "verify http cached": 0.90,
    "verify in process": 0.82,
}
"""First targets of ours ÷ reference (performance 6); the table shows them, a slower run is not an error."""


@dataclass(frozen=True, slots=True)
class Slice:
    """One measurement: good calls per second, and the CPU time of the server in microseconds per call."""

    rate: float
    cpu_us: float
    client_bound: bool = False


Round = Mapping[str, Slice]
"""What one round measured, by name; an older commit's slices have its revision before the name: `REV AssumeRole`."""


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `runs` are the per-round ratios, `…cpu_us` CPU time per call of the server."""

    name: str
    ours: float
    reference: float
    reference_name: str
    ratio: float
    runs: tuple[float, ...]
    cpu_us: float
    reference_cpu_us: float
    client_bound: bool

    def json(self) -> dict[str, object]:
        """The members that contract 9 lists."""
        return {
            "name": self.name,
            "unit": "calls/s",
            "ours": round(self.ours, 1),
            "reference": round(self.reference, 1),
            "reference_name": self.reference_name,
            "ratio": round(self.ratio, 4),
            "runs": [round(ratio, 4) for ratio in self.runs],
        }


def rows(rounds: Sequence[Round], against: str | None = None) -> list[Row]:
    """The five rows against their references, then, if asked for, the same five against an older revision."""
    found = [_row(name, reference, reference, rounds) for name, reference in REFERENCES.items()]
    if against is not None:
        found += [_row(name, f"{against} {name}", against, rounds) for name in REFERENCES]
    return found


def _row(name: str, reference: str, reference_name: str, rounds: Sequence[Round]) -> Row:
    ours, theirs = [r[name] for r in rounds], [r[reference] for r in rounds]
    ratios = tuple(a.rate / b.rate for a, b in zip(ours, theirs, strict=True))
    return Row(
        name=name,
        ours=median(s.rate for s in ours),
        reference=median(s.rate for s in theirs),
        reference_name=reference_name,
        ratio=median(ratios),
        runs=ratios,
        cpu_us=median(s.cpu_us for s in ours),
        reference_cpu_us=median(s.cpu_us for s in theirs),
        client_bound=any(s.client_bound for s in (*ours, *theirs)),
    )
