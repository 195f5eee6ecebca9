"""One origin's log as a node holds it: a durable prefix without gaps, and batches that came ahead of it.

A batch is *seen* when it arrives and *saved* when the disk has it. `applied` counts what was seen without a gap,
`head` what was also saved: only the head is told to others.

Two batches that claim one place, or neighbours of which the second does not follow the first, are a *fork*. From then
on the log takes nothing more but what it lacks from before the fork's place; what it holds stays.

A log begins after its *floor*: what was over is gone from there down, and the chain goes on from the floor's hash. A
log that lacks what nobody has any more goes on from the floor that a peer *claims*, once it holds what that peer keeps.
A floor that is beyond what the origin is believed counts up to there, where its chain hash may be unknown.
The batch that ends at the floor is kept, over or not, so that another history can be proven to be one.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterator
from itertools import islice, takewhile
from math import inf
from typing import Literal

from stsd.revocation.claims import Claims
from stsd.revocation.messages import FORKED, UNKNOWN, Batch, Floor, Fork, Head, Origin

Taken = Literal["new", "known", "pruned", "fork", "stopped", "other_history"]


class Log:
    """The batches of `origin`; `genesis` is the chain hash before the first. Signatures were checked before."""

    def __init__(self, origin: Origin, genesis: bytes) -> None:
        self.origin = origin
        self.head = 0
        self.applied = 0
        self.applied_at = 0.0
        """When the origin began to store the last applied batch: all it acknowledged before is applied here."""
        self.floor = Head(0, genesis)
        self.fork: Fork | None = None
        self._genesis = genesis
        self._saved_floor = 0
        self._chains = {0: genesis}
        self._firsts: list[int] = []
        self._batches: dict[int, Batch] = {}
        self._unsaved: set[int] = set()
        self._claims = Claims()
        self._ends: dict[int, float] = {}
        self._stray: Batch | None = None
        """The last batch that was refused for where it stands: with another one it may prove a fork."""

    def take(self, batch: Batch) -> Taken:
        """Note a batch that arrived. One that makes a `fork`, the first or an earlier one than known, is kept as
        evidence only; one of `other_history` does not follow the floor, without proof of who is wrong."""
        if self.has(batch):
            return "known"
        if self.fork is not None and batch.last >= self.fork.place:
            return "stopped"
        held = self._excludes(batch)
        if held is not None:
            self.fork = Fork(self.origin, held, batch)
            return "fork"
        if batch.last <= self.floor.sequence:
            return "fork" if self._proves_fork(batch) else "pruned"
        if not self._follows(batch, self.floor):
            return "fork" if self._proves_fork(batch) else "other_history"
        if self._firsts and batch.first < self._firsts[-1]:
            insort(self._firsts, batch.first)
        else:
            self._firsts.append(batch.first)
        self._batches[batch.first] = batch
        self._chains[batch.last] = batch.chain
        self._unsaved.add(batch.first)
        self._advance()
        return "new"

    def has(self, batch: Batch) -> bool:
        """Whether exactly this batch was seen before."""
        return self._batches.get(batch.first) == batch

    def cut(self, limit: int) -> tuple[Batch, ...]:
        """Take back all batches that end above `limit` or are in doubt, and return them. A log that was pruned beyond
        has its floor there: what is kept elsewhere, in other words, is not over. What is not believed proves no fork.
        """
        if self.fork is not None and self.fork.last > limit:
            self.fork = None
        if self._stray is not None and self._stray.last > limit:
            self._stray = None
        certain = self.certain(limit)
        beyond = self.take_back(tuple(batch for batch in self.seen() if batch.last > certain))
        if self.floor.sequence > certain:
            self.applied, self.head = certain, min(self.head, certain)
            self._saved_floor = min(self._saved_floor, certain)
            self._set_floor(self._place(certain))
        return beyond

    def take_back(self, batches: tuple[Batch, ...]) -> tuple[Batch, ...]:
        """Hold these no more, which ascend, and return them: the log ends before the first of them that its floor has
        not passed."""
        above = next((batch for batch in batches if batch.last > self.floor.sequence), None)
        if above is not None:
            place = max(above.first - 1, self.floor.sequence)
            self.applied, self.head = min(self.applied, place), min(self.head, place)
        for batch in batches:
            self._firsts.remove(batch.first)
            self._drop(batch.first)
        return batches

    @property
    def has_gap(self) -> bool:
        """Whether something is held that does not follow what is applied."""
        return bool(self._firsts) and self._firsts[-1] > self.applied

    def strand(self) -> tuple[Batch, ...]:
        """Take back what is behind a gap, and return it: nobody fills that any more."""
        return self.take_back(tuple(batch for batch in self.seen() if batch.first > self.applied))

    def chained_head(self) -> Head:
        """The head, with its chain hash."""
        return Head(self.head, self._chains[self.head])

    def told_head(self) -> Head:
        """The head as others are told it: of a stopped log, that it is one."""
        return Head(self.head, FORKED) if self.fork is not None else self.chained_head()

    def certain(self, sequence: int) -> int:
        """As much of a place that others tell as can be had: of a stopped log, what is before the fork."""
        return sequence if self.fork is None else min(sequence, self.fork.place - 1)

    def chain_at(self, sequence: int) -> bytes | None:
        """The chain hash at the end of a batch that was seen."""
        return self._chains.get(sequence)

    def differs(self, head: Head) -> bool:
        """Whether a head says that its teller holds another history than this one. Only batches prove it."""
        known = max(1, self.floor.sequence) <= head.sequence <= self.applied
        return known and not _is_one(self._chains.get(head.sequence), head.chain)

    def saved(self, batch: Batch) -> None:
        """The disk has this batch."""
        self._unsaved.discard(batch.first)
        self._advance_head()

    def after(self, sequence: int) -> Iterator[Batch]:
        """The saved batches that hold sequences above `sequence`, in order, up to the head."""
        at = max(bisect_right(self._firsts, sequence + 1) - 1, 0)
        while at < len(self._firsts) and self._firsts[at] <= self.head:  # a slice would copy a log of any length
            batch = self._batches[self._firsts[at]]
            if batch.last > sequence:
                yield batch
            at += 1

    def answer(self, sequence: int) -> Iterator[tuple[Batch, ...]]:
        """What a peer gets that asks for what is after `sequence`, in parts that are sent as a whole. Of a stopped log
        that is what comes before the fork, batch by batch, then the proof of it: who has that takes nothing else. Below
        the floor, it begins with the last batch that is kept before: who holds another history takes that for what is
        kept, and nothing else would show it the fork. It goes with what is asked for, so that neither is left out."""
        fork = self.fork
        if fork is None:
            following = self.after(sequence)
            if first := (*self._kept_before(sequence), *islice(following, 1)):
                yield first
            yield from ((batch,) for batch in following)
            return
        yield from ((batch,) for batch in takewhile(lambda batch: batch.last < fork.place, self.after(sequence)))
        yield fork.held, fork.other

    def _kept_before(self, sequence: int) -> Iterator[Batch]:
        at = bisect_right(self._firsts, sequence) if sequence < self.floor.sequence else 0
        batch = self._batches[self._firsts[at - 1]] if at else None
        if batch is not None and batch.last <= sequence and batch.first not in self._unsaved:
            yield batch

    def seen(self) -> Iterator[Batch]:
        """Every batch, saved or not, in order."""
        return (self._batches[first] for first in self._firsts)

    def orphans(self) -> tuple[Batch, ...]:
        """What others may never get from this log: what is behind a gap, and all of a forked one, since others may have
        stopped earlier, by another proof."""
        return self._held_from(self.applied + 1 if self.fork is None else 1)

    def in_doubt(self) -> tuple[Batch, ...]:
        """What is held of a stopped log from the fork on: nobody gets that from it."""
        return () if self.fork is None else self._held_from(self.fork.place)

    def _held_from(self, place: int) -> tuple[Batch, ...]:
        at = max(bisect_right(self._firsts, place) - 1, 0)
        return tuple(batch for batch in map(self._batches.__getitem__, self._firsts[at:]) if batch.last >= place)

    # Pruning.

    def prune(self, is_old: Callable[[Batch], bool], limit: int) -> int:
        """Move the floor over at most `limit` old batches, none of them above the head; over how many it went."""
        if self._saved_floor < self.floor.sequence:
            return 0
        passed: list[Batch] = []
        for at in range(bisect_right(self._firsts, self.floor.sequence), len(self._firsts)):
            batch = self._batches[self._firsts[at]]
            if len(passed) == limit or batch.last > self.head or not is_old(batch):
                break
            passed.append(batch)
        if passed:
            self._saved_floor = passed[-1].last
            self._set_floor(Head(passed[-1].last, passed[-1].chain))
        return len(passed)

    def forget(self, over_at: Callable[[Batch], float], now: float, limit: int) -> tuple[Batch, ...]:
        """Drop what is over and below the floor, or behind a gap that nobody may ever fill, to be deleted; at most
        `limit` batches are looked into. The batch at the floor stays: against another history it is the proof."""
        below = bisect_right(self._firsts, self.floor.sequence)
        behind = max(bisect_right(self._firsts, self.applied), below)
        passed = (first for first in self._firsts[:below] if self._batches[first].last != self.floor.sequence)
        loose = [*passed, *self._firsts[behind:]]
        for first in islice((first for first in loose if first not in self._ends), limit):
            self._ends[first] = over_at(self._batches[first])
        over = {first for first in loose if self._ends.get(first, inf) <= now}
        if over:
            self._firsts = [first for first in self._firsts if first not in over]
        dropped = tuple(self._drop(first) for first in sorted(over))
        self._advance_head()  # which waits for none of these to be stored any more
        return dropped

    def kept(self) -> tuple[tuple[int, int], ...]:
        """What is held at or below the floor, as ranges of sequences."""
        ranges: list[tuple[int, int]] = []
        for first in self._firsts[: bisect_right(self._firsts, self.floor.sequence)]:
            last = self._batches[first].last
            if ranges and ranges[-1][1] + 1 == first:
                ranges[-1] = (ranges[-1][0], last)
            else:
                ranges.append((first, last))
        return tuple(ranges)

    def claim(self, maker: Origin, made_at: float, floor: Floor) -> None:
        """A node says that nothing is left below a floor but what it keeps."""
        self._claims.note(maker, made_at, floor, self.applied)

    def adopt(self, limit: float = inf) -> bool:
        """Go on from a claimed floor, as far as its origin is believed, if all is held that is kept below it. It counts
        for the head when it is saved."""
        if not self._claims:
            return False
        floors = self._claims.complete(self._batches, self.applied, lambda floor: self._certain_floors(floor, limit))
        for floor in filter(lambda floor: self._joins(floor.head), floors):
            self._set_floor(floor.head if floor.head.chain != UNKNOWN else self._place(floor.head.sequence))
            self.applied = floor.head.sequence
            self._advance()
            self._claims.settle(self.applied)
            return True
        self._claims.settle(self.applied)
        return False

    def saved_floor(self, sequence: int) -> None:
        """The disk has a checkpoint whose floor is here. If the floor has moved since, that will be saved too."""
        if sequence == self.floor.sequence:
            self._saved_floor = sequence
            self._advance_head()

    def lacks_after(self) -> int:
        """From where to ask for what is lacking."""
        return self._claims.lacks_after(self._batches, self.applied)

    def _certain_floors(self, floor: Floor, limit: float) -> list[Floor]:
        """What a claimed floor says of what is believed and in no doubt: of a stopped log, up to where two histories
        begin, unless that is no news. Nobody lacks a chain hash of one that is believed without a limit."""
        if limit == inf and floor.head.chain == UNKNOWN:
            return []
        end = min(self.certain(floor.head.sequence), int(min(limit, floor.head.sequence)))
        if end == floor.head.sequence:
            return [floor]
        if end <= self.applied:
            return []
        kept = tuple((first, min(last, end)) for first, last in floor.kept if first <= end)
        if self.fork is None or end < self.fork.place - 1:
            return [Floor(Head(end, UNKNOWN), kept)]
        both = (self.fork.held, self.fork.other)
        return [Floor(Head(end, batch.previous), kept) for batch in both if batch.first == end + 1]

    def _joins(self, floor: Head) -> bool:
        """Whether what is held on both sides of a place belongs to the history that has this chain hash there."""
        at = bisect_right(self._firsts, floor.sequence)
        before = self._batches[self._firsts[at - 1]] if at else None
        if before is not None and before.last == floor.sequence and not _is_one(before.chain, floor.chain):
            return False
        if before is not None and before.last > floor.sequence:
            return False
        return at == len(self._firsts) or self._follows(self._batches[self._firsts[at]], floor)

    @staticmethod
    def _follows(batch: Batch, floor: Head) -> bool:
        """Whether a batch can be in one history with a place before it."""
        if batch.first == floor.sequence + 1:
            return _is_one(batch.previous, floor.chain)
        return batch.first > floor.sequence

    def _place(self, sequence: int) -> Head:
        """A place with its chain hash, as far as what is held tells it."""
        following = self._batches.get(sequence + 1)
        if following is not None:
            return Head(sequence, following.previous)
        return Head(sequence, self._chains.get(sequence, UNKNOWN) if sequence else self._genesis)

    def _set_floor(self, floor: Head) -> None:
        before, self.floor = self.floor, floor
        at = bisect_right(self._firsts, before.sequence)
        if at == 0 or self._batches[self._firsts[at - 1]].last != before.sequence:  # the head may yet come by there
            self._forget_chain(before.sequence)
        self._chains[floor.sequence] = floor.chain

    def _drop(self, first: int) -> Batch:
        batch = self._batches.pop(first)
        self._ends.pop(first, None)
        self._unsaved.discard(first)
        self._forget_chain(batch.last)
        return batch

    def _forget_chain(self, sequence: int) -> None:
        """Of a place that is no head, nor can become one."""
        if sequence not in (self.floor.sequence, self._saved_floor, self.head):
            self._chains.pop(sequence, None)

    def _advance(self) -> None:
        while (following := self._batches.get(self.applied + 1)) is not None:
            self.applied, self.applied_at = following.last, max(self.applied_at, following.made_at)

    def _advance_head(self) -> None:
        if self._saved_floor > self.head and all(first > self._saved_floor for first in self._unsaved):
            self._chains.pop(self.head, None)
            self.head = self._saved_floor
        while (following := self._batches.get(self.head + 1)) is not None and following.first not in self._unsaved:
            self.head = following.last

    def _proves_fork(self, batch: Batch) -> bool:
        """Whether a batch whose place says nothing any more excludes the last such one: that proves a fork all the
        same."""
        before, self._stray = self._stray, batch
        if before is None or not _exclude(before, batch):
            return False
        self.fork, self._stray = Fork(self.origin, before, batch), None
        return True

    def _excludes(self, batch: Batch) -> Batch | None:
        """The batch held here that cannot be in one history with this one."""
        at = bisect_left(self._firsts, batch.first)
        if at < len(self._firsts):
            behind = self._batches[self._firsts[at]]
            if behind.first <= batch.last or (behind.first == batch.last + 1 and behind.previous != batch.chain):
                return behind
        before = self._batches[self._firsts[at - 1]] if at > 0 else None
        if before is None:
            return batch if batch.first == 1 and batch.previous != self._genesis else None
        if before.last >= batch.first or (before.last + 1 == batch.first and before.chain != batch.previous):
            return before
        return None


def _is_one(chain: bytes | None, other: bytes | None) -> bool:
    """Whether two chain hashes of one place may be of one history; None where no batch ends."""
    return chain == other or UNKNOWN in (chain, other)


def _exclude(one: Batch, other: Batch) -> bool:
    """Whether two batches of one origin cannot be in one history."""
    first, second = sorted((one, other), key=lambda batch: batch.first)
    gap = second.first - first.last - 1
    return one != other and (gap < 0 or (gap == 0 and second.previous != first.chain))
