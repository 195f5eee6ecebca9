"""IP packets between regions, each region a subnet of its own: how long each one takes, or whether it is lost. Pure.

Region number i (from 1) has the address 10.77.i.1. Packets of one direction stay in order, as on one route. A cut loses
them, and so does a lossy link: TCP sends again by itself here, what else is modelled as a stall.
"""

from __future__ import annotations

from collections.abc import Sequence
from heapq import heappop, heappush
from itertools import count, permutations
from random import Random

from cluster.faults import Links, Pair
from cluster.lateness import Delays

PREFIX = (10, 77)
BITS = 16
IPV4 = 4
HEADER_BYTES = 20


def address(number: int) -> str:
    """The address of region number `number`, from 1 to 254."""
    return f"{PREFIX[0]}.{PREFIX[1]}.{number}.1"


class Packets:
    """What is on its way between the regions of `links`."""

    def __init__(self, links: Links, rng: Random) -> None:
        self.links, self._rng = links, rng
        self.lost = 0
        self.delays = {pair: Delays() for pair in permutations(links.regions, 2)}
        """How long packets were to take, and how much later they arrived."""
        self._last: dict[Pair, float] = {}
        self._heap: list[tuple[float, int, float, Pair, bytes]] = []
        self._numbers = count()

    def offer(self, packet: bytes, now: float) -> None:
        """A packet leaves its region; one that is not from a region to another one is lost."""
        pair = self._pair(packet)
        fault = None if pair is None else self.links.of(*pair)
        if pair is None or fault is None or fault.cut or (fault.loss and self._rng.random() < fault.loss):
            self.lost += 1
            return
        due = max(now + self.links.way_ms(*pair, self._rng, now) / 1000, self._last.get(pair, 0.0))
        self._last[pair] = due
        heappush(self._heap, (due, next(self._numbers), now, pair, packet))

    def due(self, now: float) -> Sequence[tuple[int, bytes]]:
        """The packets that arrive by `now`, each with the number of its region."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            due, _, came_at, pair, packet = heappop(self._heap)
            self.delays[pair].add(due - came_at, now - due)
            found.append((self._index(pair[1]), packet))
        return found

    @property
    def next_at(self) -> float | None:
        """When the next one arrives; None while nothing is on its way."""
        return self._heap[0][0] if self._heap else None

    def _pair(self, packet: bytes) -> Pair | None:
        if len(packet) < HEADER_BYTES or packet[0] >> 4 != IPV4:
            return None
        regions = [self._region(packet[at : at + 4]) for at in (12, 16)]
        first, second = regions
        return (first, second) if first and second and first != second else None

    def _region(self, raw: bytes) -> str:
        """The region of an address; empty for another one."""
        regions = self.links.regions
        known = tuple(raw[:2]) == PREFIX and raw[3] == 1 and 1 <= raw[2] <= len(regions)
        return regions[raw[2] - 1] if known else ""

    def _index(self, region: str) -> int:
        return self.links.regions.index(region) + 1
