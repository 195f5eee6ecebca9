"""What each peer is known to hold, what to ask whom for, and the answer to who asks.

Whoever lacks something asks one peer for it at a time, and another one when that is silent. A peer whose chain hash
differs from ours is asked for its batches, which prove who is wrong. One that has stopped a log has the proof.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from math import inf
from typing import Any

from stsd.revocation.bounds import Bounds
from stsd.revocation.log import Log
from stsd.revocation.messages import (
    FORKED,
    Batch,
    Delta,
    Head,
    Heads,
    Origin,
    Part,
    Sequences,
)

FETCH_TIMEOUT_S = 1.0
"""After this long without a delta, the same entries may be asked for again."""


class Repair:
    """Of one node; `log` gives its log of an origin, `limit` says how far an origin is believed, None for no limit."""

    def __init__(self, log: Callable[[Origin], Log], limit: Callable[[Origin], int | None]) -> None:
        self._log, self._limit = log, limit
        self._senders: dict[str, Origin] = {}
        self._heads: dict[str, dict[Origin, int]] = {}
        self._stopped: dict[str, dict[Origin, int]] = {}
        """How far peers hold logs that they have stopped, of whichever history: no copies, but worth asking."""
        self._goals: dict[str, Sequences] = {}
        self._doubted: dict[str, dict[Origin, int]] = {}
        self.asked: dict[Origin, tuple[str, float]] = {}
        """Whom a log was asked of, and since when."""

    def regroup(self, peers: Iterable[str]) -> None:
        """From now on these are the peers."""
        of_peers: tuple[dict[str, Any], ...] = (self._senders, self._heads, self._stopped, self._goals, self._doubted)
        for by_peer in of_peers:
            for gone in by_peer.keys() - set(peers):
                del by_peer[gone]

    def meet(self, peer: str, sender: Origin) -> None:
        """A peer speaks as this incarnation. Another one is another disk: what its predecessor held is no copy any
        more."""
        if self._senders.get(peer) != sender:
            self._senders[peer] = sender
            self._heads.pop(peer, None)
            self._stopped.pop(peer, None)
            self._goals.pop(peer, None)

    def forget_left(self, peer: str) -> None:
        """A peer tells all its heads now. Those of who left may be lower than before: it cuts a log when it hears that
        the author left."""
        for known in (self._heads.get(peer, {}), self._stopped.get(peer, {})):
            for origin in [origin for origin in known if self._limit(origin) is not None]:
                del known[origin]

    def learn(self, peer: str, heads: Heads) -> None:
        """A peer's heads only grow while its incarnation lasts, so a late message takes nothing back."""
        known = self._heads.setdefault(peer, {})
        stopped = self._stopped.setdefault(peer, {})
        doubted = self._doubted.setdefault(peer, {})
        for origin, head in heads.items():
            if head.chain == FORKED:
                stopped[origin] = max(stopped.get(origin, 0), head.sequence)
                doubted[origin] = self._log(origin).applied
            elif self._log(origin).differs(head):
                doubted[origin] = head.sequence - 1
            else:
                known[origin] = max(known.get(origin, 0), head.sequence)

    def held(self, peer: str, origin: Origin) -> int:
        """How far a peer holds a log durably."""
        return self._heads.get(peer, {}).get(origin, 0)

    def furthest(self, own: Sequences) -> dict[Origin, int]:
        """How far each log is held durably by anybody; `own` is how far by us."""
        furthest = dict(own)
        for heads in self._heads.values():
            for origin, head in heads.items():
                furthest[origin] = max(furthest.get(origin, 0), head)
        return furthest

    # Asking.

    def lacking(self, peer: str, now: float) -> dict[Origin, int]:
        """What a peer is known to have and we lack, unless somebody has just been asked: after which sequences."""
        lacking = {}
        doubted = self._doubted.pop(peer, {})
        for origin in (*self._heads.get(peer, {}), *self._stopped.get(peer, {})):
            if self._has_more(peer, origin) and not self._waits(origin, now):
                lacking[origin] = self._lacks_after(peer, origin)
                self.asked[origin] = (peer, now)
        for origin, sequence in doubted.items():
            if self._log(origin).fork is None:
                lacking[origin] = sequence
        return lacking

    def again(self, origin: Origin, now: float) -> tuple[str, dict[Origin, int]] | None:
        """Whom to ask for a log now, whoever was asked before, and after which sequence; None when nobody is known to
        have what we lack. The node that writes it comes last: it may be what we do not hear."""
        able = [peer for peer in {**self._heads, **self._stopped} if self._has_more(peer, origin)]
        if not able:
            return None
        peer = min(able, key=lambda peer: peer.partition("/")[0] == origin.region)
        self.asked[origin] = (peer, now)
        return peer, {origin: self._lacks_after(peer, origin)}

    def nobody_has_more(self, origin: Origin, peers: Iterable[str]) -> bool:
        """Whether all of these have told their heads, and none holds more of a log than is applied here."""
        return all(peer in self._goals and not self._has_more(peer, origin) for peer in peers)

    def heir(self, origin: Origin) -> Origin | None:
        """The later incarnation of a stopped log's author, if it knows of the fork, and all that it has told of its
        other logs is applied here; None until then."""
        for peer, sender in self._senders.items():
            if sender == origin or not _same_node(sender, origin) or origin not in self._stopped.get(peer, {}):
                continue
            others = [each for each in self._heads.get(peer, {}) if _same_node(each, origin)]
            return None if any(self._has_more(peer, each) for each in others) else sender
        return None

    def answered(self, peer: str, part: Part, now: float) -> None:
        """From a peer that we asked: while pages come nobody else is asked, after the last one anybody may be. A page
        that the last one has overtaken makes nobody wait again."""
        if part == "push":
            return
        for origin, (asked, since) in self.asked.items():
            if asked == peer and since > -inf:
                self.asked[origin] = (peer, now if part == "page" else -inf)

    def _has_more(self, peer: str, origin: Origin) -> bool:
        """Whether a peer is known to have what we lack."""
        return self._told(peer, origin) > self._log(origin).applied

    def _lacks_after(self, peer: str, origin: Origin) -> int:
        """From where to ask a peer. Who does not hold what others keep, of what they have pruned, may hold what they
        have not kept."""
        log = self._log(origin)
        after = log.lacks_after()
        return after if after < self._told(peer, origin) else log.applied

    def _told(self, peer: str, origin: Origin) -> int:
        """How much of a log can be had from a peer."""
        return self.believed(origin, max(self.held(peer, origin), self._stopped.get(peer, {}).get(origin, 0)))

    def _waits(self, origin: Origin, now: float) -> bool:
        """Whether somebody has just been asked. A clock that stepped back makes nobody wait until it is there again."""
        _, since = self.asked.get(origin, ("", -inf))
        return since <= now < since + FETCH_TIMEOUT_S

    # Catching up once.

    def aim(self, peer: str, heads: Heads) -> None:
        """What a peer told first is what this node has to hold before it has joined."""
        self._goals.setdefault(peer, {origin: head.sequence for origin, head in heads.items()})

    def caught_up(self) -> bool:
        """Whether all that one peer told first is held durably here."""
        return any(map(self._reached, self._goals.values()))

    def _reached(self, goal: Mapping[Origin, int]) -> bool:
        return all(self._log(origin).head >= self.believed(origin, head) for origin, head in goal.items())

    def believed(self, origin: Origin, head: int) -> int:
        """As much of a told head as its origin is believed, and as can be had."""
        limit, certain = self._limit(origin), self._log(origin).certain(head)
        return certain if limit is None else min(certain, limit)


def _same_node(one: Origin, other: Origin) -> bool:
    return (one.region, one.node) == (other.region, other.node)


def pages(epoch: int, parts: Iterable[tuple[Batch, ...]], bounds: Bounds) -> Iterator[Delta]:
    """The answer to a fetch, in deltas of at most a page's size; what exceeds the bounds is asked for again. A part is
    in it as a whole: the half of a proof changes nothing, so the same half would be the answer again and again."""
    page: list[Batch] = []
    page_bytes = 0
    for batch in _within(bounds, parts):
        size = batch.encoded_bytes
        if page and page_bytes + size > bounds.page_bytes:
            yield Delta(epoch, tuple(page), "page")
            page, page_bytes = [], 0
        page.append(batch)
        page_bytes += size
    yield Delta(epoch, tuple(page), "last")


def _within(bounds: Bounds, parts: Iterable[tuple[Batch, ...]]) -> Iterator[Batch]:
    """The first part, and more until the entries reach their bound, or the bytes would exceed theirs."""
    entries = total_bytes = 0
    for part in parts:
        part_bytes = sum(batch.encoded_bytes for batch in part)
        if entries and (entries >= bounds.fetch_entries or total_bytes + part_bytes > bounds.fetch_bytes):
            return
        entries += sum(len(batch.entries) for batch in part)
        total_bytes += part_bytes
        yield from part


def heads_of(batches: Sequence[Batch]) -> dict[Origin, Head]:
    """How far somebody is who sends these: a peer sends what it holds durably and without a gap."""
    heads: dict[Origin, Head] = {}
    for batch in batches:
        heads[batch.origin] = max(heads.get(batch.origin, Head(0, b"")), Head(batch.last, batch.chain))
    return heads
