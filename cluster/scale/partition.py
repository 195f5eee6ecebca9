"""A region that hears of nobody for a while, and how it catches up: backlog and staleness as quantities, not as nodes.

It asks one peer for what it lacks as soon as the first exchange of heads arrives; each answer has at most
MAX_FETCH_BYTES, takes a round trip and its bytes' time on the wire, and is applied before the next one is asked for.
New revocations arrive meanwhile, and are pushed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cluster.scale.costs import ENTRY_CPU_S, PAGE_CPU_S, Cost, batch_bytes, entry_bytes
from stsd.revocation.messages import MAX_FETCH_BYTES

WIRE_BYTES_PER_S = 50e6
"""What one connection between regions carries."""
HEARTBEAT_S = 1.0
TIMELINE_S = (0, 1, 10, 60, 300)
"""Moments of the cut that are told, beside its end and every half second after it."""


@dataclass(frozen=True, slots=True)
class Backlog:
    """What a region lacks at the end of a cut."""

    cut_s: float
    cost: Cost
    others: float
    """Share of all revocations that are made elsewhere."""
    round_trip_s: float
    """To the peer that is asked."""

    @property
    def entries(self) -> float:
        """Revocations."""
        return self.cut_s * self.cost.per_s * self.others

    @property
    def batches(self) -> float:
        """Signed batches that they are in."""
        return self.cut_s * self.cost.batches_per_s * self.others

    @property
    def bytes(self) -> float:
        """On the wire."""
        return self.batches * batch_bytes() + (self.entries - self.batches) * entry_bytes()

    @property
    def cpu_s(self) -> float:
        """CPU time to apply and store it, while what is pushed meanwhile is applied by the same core.

        Raises ValueError where more arrives than can be applied.
        """
        pushed = self.cost.cpu_share * self.others
        if pushed >= 1:
            raise ValueError(f"{self.cost.per_s:g} revocations a second are more than one core applies")
        return (self.batches * PAGE_CPU_S + self.entries * ENTRY_CPU_S) / (1 - pushed)

    @property
    def wire_s(self) -> float:
        """What its bytes take on the wire."""
        return self.bytes / WIRE_BYTES_PER_S


@dataclass(frozen=True, slots=True)
class Moment:
    """`staleness_s` is how old the region's knowledge of the others is; `backlog` what it lacks, in entries."""

    at_s: float
    staleness_s: float
    backlog: float


def catch_up(found: Backlog, heard_after_s: float) -> tuple[float, list[Moment]]:
    """Seconds after the heal until nothing is lacking, and the moments when an answer was applied.

    Raises ValueError where more arrives than can be applied.
    """
    now, lacking, moments = heard_after_s, found.entries, []
    busy_s = (found.cpu_s + found.wire_s) / found.entries
    while lacking >= 1:
        entries = min(lacking, MAX_FETCH_BYTES * found.entries / found.bytes)
        now, lacking = now + found.round_trip_s + entries * busy_s, lacking - entries
        share = lacking / found.entries
        moments.append(Moment(found.cut_s + now, share * found.cut_s, lacking))
    return now, moments


def timeline(found: Backlog, heard_after_s: float) -> Iterator[Moment]:
    """From the cut until all is well."""
    for at_s in (*(at for at in TIMELINE_S if at < found.cut_s), found.cut_s):
        yield Moment(at_s, at_s, found.entries * at_s / found.cut_s)
    _, moments = catch_up(found, heard_after_s)
    yield from moments
    yield Moment(moments[-1].at_s + HEARTBEAT_S, HEARTBEAT_S, 0.0)
