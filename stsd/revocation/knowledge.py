"""What a node knows of all logs, as its shell asks it. Nothing here changes anything.

`now` is Unix seconds of this node's wall clock. A peer's name is its region, or `region/node`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from stsd.revocation import revocation_token
from stsd.revocation.bounds import SERVED, Bounds
from stsd.revocation.freshness import Freshness
from stsd.revocation.identity import Identities
from stsd.revocation.listing import Listed, Listing
from stsd.revocation.log import Log
from stsd.revocation.messages import Batch, Digest, Fork, Head, Heads, Origin, Sequences
from stsd.revocation.repair import Repair
from stsd.revocation.revocation_token import RevocationToken


class Knowledge:
    """The logs of all origins at one node.

    `joined`: whether this node has caught up once. A node that starts with its journal has; one that lost it has
    when it holds everything that a peer reported in one digest (contract 4).
    """

    def __init__(
        self,
        origin: Origin,
        peers: Sequence[str],
        now: float,
        *,
        identities: Identities,
        epoch: int,
        joined: bool,
        is_listed: Callable[[bytes], bool],
        bounds: Bounds,
    ) -> None:
        self.origin = origin
        self.identities = identities
        self.epoch = epoch
        self.peers = tuple(peers)
        self.joined = joined or not peers
        self._started_at = now
        self._echoed_at = 0.0
        self._logs: dict[Origin, Log] = {}
        self._is_listed, self._bounds = is_listed, bounds
        self._listings: dict[Origin, Listing] = {}
        self._freshness = Freshness(peers, now, identities.has_left, bounds.waiting_heartbeats)
        self._repair = Repair(self._log, identities.limit)

    def has(self, batch: Batch) -> bool:
        """Whether exactly this batch is applied here."""
        log = self._logs.get(batch.origin)
        return log is not None and log.has(batch)

    def seen(self) -> Iterator[Batch]:
        """Every batch that is applied here, to build what is applied anew."""
        for log in self._logs.values():
            yield from log.seen()

    def forks(self) -> tuple[Fork, ...]:
        """The origins of which nothing more is applied, each with its proof."""
        return tuple(log.fork for log in self._logs.values() if log.fork is not None)

    def heads(self) -> dict[Origin, int]:
        """How far each log is held durably and without a gap."""
        return {origin: log.head for origin, log in self._logs.items() if log.head}

    def listed(self) -> dict[Origin, Listed]:
        """The same, of the entries that are listed; logs without any are left out."""
        found = {origin: self._listings[origin].listed() for origin, log in self._logs.items() if log.head}
        return {origin: listed for origin, listed in found.items() if listed.last}

    def chained_heads(self) -> dict[Origin, Head]:
        """The same, each with its chain hash."""
        return {origin: log.chained_head() for origin, log in self._logs.items() if log.head}

    def applied(self, origin: Origin) -> tuple[int, float]:
        """How far a log is applied here without a gap, and when its origin made the last batch of that."""
        log = self._logs.get(origin)
        return (0, 0.0) if log is None else (log.applied, log.applied_at)

    def obtainable(self, told: Heads) -> dict[Origin, int]:
        """As much of what others tell of as this node can ever apply: of who left, up to its limit, and of a stopped
        log, what is before the fork."""
        return {origin: self._repair.believed(origin, head.sequence) for origin, head in told.items()}

    @property
    def all_told(self) -> bool:
        """Whether everything that is applied here without a gap is on disk too, so that `after` tells it."""
        return all(log.head == log.applied for log in self._logs.values())

    def after(self, heads: Sequences, max_entries: int = SERVED.fetch_entries) -> Iterator[Batch]:
        """Whole batches that follow `heads` in the logs it names, up to the first that reaches `max_entries`."""
        left = max_entries
        for origin in sorted(heads):
            log = self._logs.get(origin)
            for batch in log.after(heads[origin]) if log else ():
                if left <= 0:
                    return
                left -= len(batch.entries)
                yield batch

    def digest(self) -> Digest:
        """How far this node is, as of the last tick; the shell also answers a peer's digest with it. Of an origin that
        is not believed at all nothing is told, since its key is not either."""
        announced = self.identities.told()
        told = ((origin, log.told_head()) for origin, log in self._logs.items() if log.head or log.fork is not None)
        heads = {origin: head for origin, head in told if self.identities.limit(origin) != 0}
        return Digest(self.epoch, self.origin, heads, self._freshness.heartbeats(), announced)

    # Copies.

    def holders(self, sequence: int, origin: Origin | None = None) -> tuple[str, ...]:
        """The peers that hold a log, by default our own, durably up to `sequence`."""
        log = origin or self.origin
        return tuple(peer for peer in self.peers if self._repair.held(peer, log) >= sequence)

    def furthest(self) -> dict[Origin, int]:
        """How far each log is known to be held durably by anybody."""
        return self._repair.furthest(self.heads())

    def copies(self, sequence: int) -> int:
        """How many disks hold our own log up to `sequence`, ours included (contract 6)."""
        return 1 + len(self.holders(sequence))

    # Freshness.

    def staleness(self, now: float) -> dict[Origin, float]:
        """Seconds since what this node knows of each origin was all there was; see freshness."""
        return {**self._freshness.staleness(now), self.origin: 0.0}

    def oldest_staleness(self, now: float) -> float:
        """The worst of `staleness`; a peer never heard of counts from this node's start."""
        return self._freshness.oldest(now, self.origin)

    def unheard(self, now: float) -> dict[str, float]:
        """Peers never heard of, with the seconds since this node's start."""
        return self._freshness.unheard(now)

    def latest_of_region(self) -> float:
        """The latest instant that a node of our region is known to have said, Unix seconds of its clock."""
        logs = (log.applied_at for origin, log in self._logs.items() if origin.region == self.origin.region)
        return max(self._started_at, self._freshness.latest_of(self.origin.region), self._echoed_at, *logs)

    def token(self, sequence: int) -> str:
        """The token that names an entry of our own log."""
        return revocation_token.encode(RevocationToken(self.origin, sequence, self.epoch))

    def fresh_enough(self, text: str) -> bool:
        """Whether all up to the named entry is applied here and in no doubt. What an earlier epoch held is gone, and
        so is the wait. What one that left said beyond its limit is never there: it is in other logs, whatever was
        pruned of its own.

        Raises TokenShapeError.
        """
        token = revocation_token.decode(text)
        if token.epoch != self.epoch:
            return token.epoch < self.epoch
        log, limit = self._logs.get(token.origin), self.identities.limit(token.origin)
        if log is None or log.certain(token.sequence) < token.sequence:
            return False
        return log.applied >= token.sequence and (limit is None or token.sequence <= limit)

    def _log(self, origin: Origin) -> Log:
        if origin not in self._logs:
            log = self._logs[origin] = Log(origin, self.identities.genesis(origin))
            self._listings[origin] = Listing(log, self._is_listed)
        return self._logs[origin]
