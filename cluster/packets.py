"""IP packets between regions, each region a subnet of its own: how long each one takes, or whether it is lost. Pure.

Region number i (from 1) has the address 10.77.i.1. Packets of one connection and direction stay in order, those of
others may overtake them: one slow packet does not hold back the whole link, as it does not in the in-process model. A
cut loses packets, and so does a lossy link: TCP sends again by itself here, what else is modelled as a stall.
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
ADDRESSES = slice(12, 20)
"""Of a packet: where from and where to (RFC 791, 3.1)."""
PORTS_BYTES = 4
WORD_BYTES = 4


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
        self._last: dict[bytes, float] = {}
        """When the latest packet on its way arrives, of each connection and direction that has one."""
        self._heap: list[tuple[float, int, float, Pair, bytes]] = []
        self._numbers = count()

    def offer(self, packet: bytes, now: float) -> None:
        """A packet leaves its region; one that is not from a region to another one is lost."""
        pair = self._pair(packet)
        fault = None if pair is None else self.links.of(*pair)
        if pair is None or fault is None or fault.cut or (fault.loss and self._rng.random() < fault.loss):
            self.lost += 1
            return
        flow = _flow(packet)
        due = max(now + self.links.way_ms(*pair, self._rng, now) / 1000, self._last.get(flow, 0.0))
        self._last[flow] = due
        heappush(self._heap, (due, next(self._numbers), now, pair, packet))

    def due(self, now: float) -> Sequence[tuple[int, bytes]]:
        """The packets that arrive by `now`, each with the number of its region."""
        found = []
        while self._heap and self._heap[0][0] <= now:
            due, _, came_at, pair, packet = heappop(self._heap)
            self.delays[pair].add(due - came_at, now - due)
            flow = _flow(packet)
            if self._last.get(flow) == due:
                del self._last[flow]
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


def _flow(packet: bytes) -> bytes:
    """What tells the connection and the direction: protocol, addresses and ports (RFC 9293, 3.1: they come first)."""
    ports = (packet[0] & 0x0F) * WORD_BYTES
    return packet[9:10] + packet[ADDRESSES] + packet[ports : ports + PORTS_BYTES]
