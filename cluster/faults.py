"""What is wrong with the links between regions, one state for each direction of each pair.

| order | members | what it does |
|---|---|---|
| `partition` | `first`, `second`, `one_way` | no byte arrives from `first` at `second`, nor back unless `one_way` |
| `isolate` | `first` | no byte passes between `first` and any other region; without `first`, between any two |
| `slow` | `first`, `second`, `ms` | each byte takes `ms` milliseconds longer, there and back; 0 is the end of it |
| `lose` | `first`, `second`, `share` | that share of messages comes late, there and back, as after a lost packet |
| `heal` | | every link is as at the start; with `first` and `second`, the links between these two |

A direction is about bytes, whoever opened the connection: with A to B cut, a request of B reaches A and A's answer
does not come back. A cut is a black hole, not a refusal: connections stand, new ones too, and stall. What is held when
the cut ends arrives then, as TCP would send it again. Pure; `link_process` obeys.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from itertools import permutations
from random import Random
from typing import Any

from cluster import latency
from cluster.topology import RttTable

LOSS_STALL_MS_MIN = 200.0
"""Linux sends a lost segment again after a round trip, never sooner than this (multiregion 3.2)."""
EXTRA_MS_MAX = 60_000.0


class FaultError(ValueError):
    """An order that cannot be obeyed; the text says what is allowed."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong with one direction; nothing by default. `loss` is a probability."""

    cut: bool = False
    extra_ms: float = 0.0
    loss: float = 0.0

    def told(self) -> str:
        """In words, empty when nothing is wrong."""
        slow = f"{self.extra_ms:g} ms slower" if self.extra_ms else ""
        lossy = f"loses {self.loss:.2%}" if self.loss else ""
        return ", ".join(filter(None, ("cut" if self.cut else "", slow, lossy)))


WELL = Fault()
Pair = tuple[str, str]


class Links:
    """The state of every ordered pair of regions, and the delay of a message on it."""

    def __init__(
        self, regions: Iterable[str], table: RttTable, shifts: Mapping[Pair, latency.PathShift] | None = None
    ) -> None:
        """`shifts` are those of the pairs whose routes change."""
        self._shifts = shifts or {}
        self.regions = tuple(regions)
        self._table = table
        self._models = {pair: latency.link(table[pair], local=False) for pair in permutations(self.regions, 2)}
        self._faults: dict[Pair, Fault] = {}

    def of(self, first: str, second: str) -> Fault:
        """What is wrong with bytes from `first` to `second`."""
        return self._faults.get((first, second), WELL)

    def delay_ms(self, first: str, second: str, rng: Random, now: float = 0.0) -> float:
        """How long one message from `first` to `second` takes that leaves at `now`, a cut apart."""
        pair, loss = (first, second), self.of(first, second).loss
        delay = self.way_ms(first, second, rng, now)
        if loss and rng.random() < loss:
            delay += max(LOSS_STALL_MS_MIN, self._table[pair].p50_ms)
        return delay

    def way_ms(self, first: str, second: str, rng: Random, now: float = 0.0) -> float:
        """The same for one packet: what is lost does not arrive late."""
        pair = first, second
        delay = latency.one_way_ms(self._models[pair], rng) + self.of(*pair).extra_ms
        return delay + (self._shifts[pair].ms(now) if pair in self._shifts else 0.0)

    def obey(self, order: Mapping[str, Any]) -> None:
        """Changes the state. Raises FaultError and changes nothing."""
        match order.get("verb"):
            case "partition":
                for pair in self._pairs(order, one_way=order.get("one_way") is True):
                    self._change(pair, cut=True)
            case "isolate":
                for pair in self._around(order):
                    self._change(pair, cut=True)
            case "slow":
                extra_ms = _number(order, "ms", EXTRA_MS_MAX)
                for pair in self._pairs(order):
                    self._change(pair, extra_ms=extra_ms)
            case "lose":
                loss = _number(order, "share", 1.0)
                for pair in self._pairs(order):
                    self._change(pair, loss=loss)
            case "heal" if "first" in order:
                for pair in self._pairs(order):
                    self._faults.pop(pair, None)
            case "heal":
                self._faults.clear()
            case verb:
                raise FaultError(f"{verb}: not an order; allowed are partition, isolate, slow, lose and heal")

    def told(self) -> list[dict[str, str]]:
        """Every direction that is not well: `from`, `to`, and `fault` in words."""
        faults = sorted(self._faults.items())
        return [{"from": a, "to": b, "fault": fault.told()} for (a, b), fault in faults if fault != WELL]

    def _pairs(self, order: Mapping[str, Any], *, one_way: bool = False) -> tuple[Pair, ...]:
        first, second = str(order.get("first")), str(order.get("second"))
        check_regions(self.regions, first, second)
        return ((first, second),) if one_way else ((first, second), (second, first))

    def _around(self, order: Mapping[str, Any]) -> list[Pair]:
        """Both directions of every link of a region, or of all."""
        if "first" not in order:
            return list(self._models)
        region = str(order["first"])
        check_regions(self.regions, region)
        return [pair for pair in self._models if region in pair]

    def _change(self, pair: Pair, **members: Any) -> None:
        self._faults[pair] = replace(self.of(*pair), **members)


def check_regions(regions: Iterable[str], *names: str) -> None:
    """Raises FaultError for a name that is no region of the cluster, or for a pair that is one region."""
    known = tuple(regions)
    for name in names:
        if name not in known:
            raise FaultError(f"{name}: not a region of this cluster; choose from {', '.join(known)}")
    if len(set(names)) < len(names):
        raise FaultError(f"{names[0]}: a region has no link to itself; give two of {', '.join(known)}")


def _number(order: Mapping[str, Any], member: str, most: float) -> float:
    value = order.get(member)
    if not isinstance(value, int | float) or isinstance(value, bool) or not 0 <= value <= most:
        raise FaultError(f"{member} {value}: give a number from 0 to {most:g}")
    return float(value)
