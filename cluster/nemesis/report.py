"""What many histories come to, as JSON with stable members and as a line for who watches. Pure.

| member | |
|---|---|
| `seed`, `minutes`, `topology`, `backbone`, `commit`, `started_at` | what was run, with seeds from `seed` on |
| `histories`, `seconds` | how many were recorded and checked, and how long they took together |
| `faults` | how many of each kind |
| `operations` | by action and outcome (`ok`, `fail`: surely nothing happened, `info`: nobody knows) |
| `sessions`, `acknowledged`, `copies` | sessions made; revocations acknowledged, and by copies when they were |
| `lost`, `unsafe`, `resurrected`, `false_denials` | violations of invariants 1, 4, 6 and 7; zero in a sound system |
| `agreed_after_s` | from the last fault's end to equal heads everywhere: median and longest |
| `broken` | every violation: `invariant`, `seed`, `text`, and `replay`, the command that does it again |
| `aborted` | why the run ended early, null if it did not |
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from statistics import median
from typing import Any

from cluster.nemesis.checker import Violation
from cluster.nemesis.history import History

NUMBERS = {"lost": 1, "unsafe": 4, "resurrected": 6, "false_denials": 7}


@dataclass(slots=True)
class Totals:
    """Grows by one history after the other."""

    histories: int = 0
    seconds: float = 0.0
    faults: Counter[str] = field(default_factory=Counter)
    operations: dict[str, Counter[str]] = field(default_factory=dict)
    copies: Counter[int] = field(default_factory=Counter)
    sessions: int = 0
    agreed_after_s: list[float] = field(default_factory=list)
    broken: list[dict[str, Any]] = field(default_factory=list)
    aborted: str | None = None

    def add(self, history: History, violations: Sequence[Violation], replay: str) -> None:
        """One history and what is wrong with it."""
        self.histories += 1
        self.seconds += max((one.ended_at for one in history.operations), default=0.0)
        self.faults.update(fault.verb for fault in history.faults)
        for one in history.operations:
            self.operations.setdefault(one.action, Counter())[one.outcome] += 1
        self.copies.update(one.copies for one in history.operations if one.action == "revoke" and one.outcome == "ok")
        self.sessions += len(history.sessions)
        if history.agreed_after_s is not None:
            self.agreed_after_s.append(history.agreed_after_s)
        for broken in violations:
            where = {"invariant": broken.invariant, "seed": history.seed}
            self.broken.append(where | {"text": broken.text, "replay": replay})

    @property
    def sound(self) -> bool:
        """Whether everything held, and something was checked."""
        return self.histories > 0 and not self.broken and self.aborted is None

    def told(self, **about: Any) -> dict[str, Any]:
        """As JSON; `about` says what was run."""
        counts = Counter(one["invariant"] for one in self.broken)
        agreed = self.agreed_after_s
        return {
            **about,
            "histories": self.histories,
            "seconds": round(self.seconds, 1),
            "faults": dict(sorted(self.faults.items())),
            "operations": {action: dict(sorted(found.items())) for action, found in sorted(self.operations.items())},
            "sessions": self.sessions,
            "acknowledged": sum(self.copies.values()),
            "copies": {str(copies): count for copies, count in sorted(self.copies.items())},
            **{name: counts[number] for name, number in NUMBERS.items()},
            "agreed_after_s": {"p50": round(median(agreed), 3), "max": round(max(agreed), 3)} if agreed else None,
            "broken": self.broken,
            "aborted": self.aborted,
        }


def line(history: History, violations: Sequence[Violation]) -> str:
    """One history in a line."""
    acked = sum(one.action == "revoke" and one.outcome == "ok" for one in history.operations)
    answers = sum(one.action != "revoke" and one.outcome == "ok" for one in history.operations)
    faults = ", ".join(f"{count} {verb}" for verb, count in sorted(Counter(f.verb for f in history.faults).items()))
    verdict = f"{len(violations)} VIOLATIONS" if violations else "every invariant holds"
    return f"seed {history.seed}: {faults}; {acked} revocations, {answers} answers: {verdict}"
