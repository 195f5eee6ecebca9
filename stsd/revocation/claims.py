"""What other nodes say of one log: up to where they have pruned it, and what they keep from before.

A log that lacks what was pruned everywhere cannot be repaired batch by batch. It takes a floor that a node *claims*,
once it holds all that the node keeps below it. Each node's latest word counts, so a claim whose batches have ended
meanwhile is replaced by the next answer of its maker; claims of different makers do not displace each other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

from stsd.revocation.messages import Batch, Floor, Origin

Batches = Mapping[int, Batch]
"""What is held of a log, by first sequence."""


class Claims:
    """The floors claimed of one log, above what is applied of it."""

    def __init__(self) -> None:
        self._claims: dict[Origin, tuple[float, Floor]] = {}

    def __bool__(self) -> bool:
        return bool(self._claims)

    def note(self, maker: Origin, made_at: float, floor: Floor, applied: int) -> None:
        """A checkpoint of `maker` was heard; an older one than the latest says nothing."""
        known = self._claims.get(maker)
        if floor.head.sequence > applied and (known is None or known[0] < made_at):
            self._claims[maker] = made_at, floor

    def complete(self, held: Batches, applied: int, certain: Callable[[Floor], Iterable[Floor]]) -> list[Floor]:
        """What is `certain` of the claims, if everything kept there is held, the furthest first."""
        floors = [each for _, floor in self._claims.values() for each in certain(floor)]
        floors.sort(key=lambda floor: -floor.head.sequence)
        return [floor for floor in floors if next(_missing(floor, held, applied), None) is None]

    def lacks_after(self, held: Batches, applied: int) -> int:
        """From where to ask: the end of what is applied, or of what is held of the latest claim."""
        if not self._claims:
            return applied
        _, floor = max(self._claims.values(), key=lambda claim: claim[0])
        return next(_missing(floor, held, applied), applied + 1) - 1

    def settle(self, applied: int) -> None:
        """Forget what is no news any more."""
        self._claims = {maker: claim for maker, claim in self._claims.items() if claim[1].head.sequence > applied}


def _missing(floor: Floor, held: Batches, applied: int) -> Iterator[int]:
    """Where a batch begins that is kept there and not held here."""
    for first, last in floor.kept:
        at = max(first, applied + 1)
        while at <= last:
            batch = held.get(at)
            if batch is None:
                yield at
                break
            at = batch.last + 1
