"""How old this node's knowledge of each origin is (design 2.3).

1. A heartbeat counts only when its head is applied here, with its chain hash: until then it promises more than this
   node knows. Whoever calls `note` has checked its signature.
2. It counts whoever carried it, so knowledge that comes through a third region is as fresh as it is.
3. A stored batch is a heartbeat too: its origin acknowledged nothing but the batches before it until it was made.
4. An incarnation that a later one replaced is silent for ever. It is left out once every peer has said, after the
   change, that it holds no more of that log than this node; before that it counts, since something may be missing.
5. An origin of which nothing counts yet is as old as this node's start; a peer that came later, as its coming.
6. An origin whose node left the cluster does not count: nobody waits for what will not be said.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence

from stsd.revocation.bounds import SERVED
from stsd.revocation.log import Log
from stsd.revocation.messages import Heads, Heartbeat, Origin


class Freshness:
    """The heartbeats that this node has heard. Instants are Unix seconds of the origins' clocks. `has_left` says
    whether an origin's node left the cluster; at most `waiting` heartbeats of one origin are ahead of its log."""

    def __init__(
        self,
        peers: Sequence[str],
        now: float,
        has_left: Callable[[Origin], bool],
        waiting: int = SERVED.waiting_heartbeats,
    ) -> None:
        self._peers = dict.fromkeys(peers, now)
        self._started_at = now
        self._has_left, self._max_waiting = has_left, waiting
        self._counted_at: dict[Origin, float] = {}
        self._newest: dict[Origin, Heartbeat] = {}
        self._waiting: dict[Origin, deque[Heartbeat]] = {}
        self._settled: dict[Origin, set[str]] = {}

    def regroup(self, peers: Sequence[str], now: float) -> None:
        """From now on these are the peers; one whose node left and was followed by another came now."""
        followed = self._names(self._has_left) - self._names(lambda origin: not self._has_left(origin))
        self._peers = {peer: now if peer in followed else self._peers.get(peer, now) for peer in peers}

    def is_news(self, origin: Origin, heartbeat: Heartbeat) -> bool:
        """Whether a heartbeat is later than all heard of its origin."""
        newest = self._newest.get(origin)
        return newest is None or heartbeat.at > newest.at

    def note(self, origin: Origin, heartbeat: Heartbeat, log: Log) -> None:
        """A heartbeat was heard; an older one than the newest says nothing."""
        if not self.is_news(origin, heartbeat):
            return
        self._newest[origin] = heartbeat
        waiting = self._waiting.setdefault(origin, deque())
        if len(waiting) >= self._max_waiting:
            waiting.pop()  # keep the early ones: they count first
        waiting.append(heartbeat)
        self.advance(log)

    def advance(self, log: Log) -> None:
        """Count what is now true: rule 1 for heartbeats that waited, rule 3 for the batches themselves."""
        counted_at = max(self._counted_at.get(log.origin, 0.0), log.applied_at)
        waiting = self._waiting.get(log.origin, ())
        while waiting and waiting[0].head <= log.applied:
            heartbeat = waiting.popleft()
            if log.fork is None and log.chain_at(heartbeat.head) == heartbeat.chain:
                counted_at = max(counted_at, heartbeat.at)
        self._counted_at[log.origin] = counted_at

    def settle(self, peer: str, told: Heads, logs: Mapping[Origin, Log]) -> None:
        """A peer told its heads; see rule 4."""
        for origin in self._replaced():
            log = logs.get(origin)
            head = told.get(origin)
            applied, sequence = (log.applied if log else 0), (head.sequence if head else 0)
            if (log.certain(sequence) if log else sequence) <= applied:
                self._settled.setdefault(origin, set()).add(peer)

    def latest_of(self, region: str) -> float:
        """The latest heartbeat of a region's origins; 0 where none was heard."""
        return max((newest.at for origin, newest in self._newest.items() if origin.region == region), default=0.0)

    def heartbeats(self) -> dict[Origin, Heartbeat]:
        """The newest heartbeats of living origins, to be passed on."""
        over = {*self._replaced(), *filter(self._has_left, self._newest)}
        return {origin: heartbeat for origin, heartbeat in self._newest.items() if origin not in over}

    def staleness(self, now: float) -> dict[Origin, float]:
        """Seconds per origin, by the rules above."""
        over = {origin for origin in self._replaced() if self._settled.get(origin, set()) >= self._peers.keys()}
        over.update(filter(self._has_left, self._counted_at))
        return {
            origin: max(0.0, now - (at or self._started_at))
            for origin, at in self._counted_at.items()
            if origin not in over
        }

    def oldest(self, now: float, own: Origin) -> float:
        """The staleness of the other origin known worst. A peer never heard of counts from this node's start."""
        known = {origin: age for origin, age in self.staleness(now).items() if origin != own}
        return max([0.0, *known.values(), *self.unheard(now).values()])

    def unheard(self, now: float) -> dict[str, float]:
        """Peers of which nothing was ever heard, and the seconds since this node's start, or since they came."""
        heard = self._names(lambda origin: not self._has_left(origin))
        return {peer: max(0.0, now - since) for peer, since in sorted(self._peers.items()) if peer not in heard}

    def _names(self, wanted: Callable[[Origin], bool]) -> set[str]:
        """The names of peers of which such origins were heard."""
        origins = filter(wanted, self._counted_at)
        return {name for origin in origins for name in (origin.region, f"{origin.region}/{origin.node}")}

    def _replaced(self) -> Iterable[Origin]:
        """Origins of whose node a later incarnation has been heard."""
        latest: dict[tuple[str, str], tuple[float, Origin]] = {}
        for origin, at in self._counted_at.items():
            newest = self._newest.get(origin)
            lived_until = (max(at, newest.at if newest else 0.0), origin)
            name = (origin.region, origin.node)
            latest[name] = max(latest.get(name, lived_until), lived_until)
        return [origin for origin in self._counted_at if latest[(origin.region, origin.node)][1] != origin]
