"""How much a node takes in unasked, sends at once and remembers for later (design 2.4).

The defaults are those of every server. A simulated world has smaller ones too, so that it comes to them.
"""

from __future__ import annotations

from dataclasses import dataclass

from stsd.revocation.messages import MAX_BATCH_BYTES, MAX_FETCH_BYTES, MAX_FETCH_ENTRIES


@dataclass(frozen=True, slots=True)
class Bounds:
    """Of one node; a fetch is answered with one batch at least, or with one proof of a fork, which is two."""

    pushed_per_s: float = 2_000.0
    """Entries of one origin that are taken in unasked each second, after a burst. What exceeds it is fetched."""
    push_burst: float = 200_000.0
    """Entries; it lets a storm of cut-offs through, such as an incident makes."""
    page_bytes: int = MAX_BATCH_BYTES
    """In one delta of the answer to a fetch; a batch is never split."""
    fetch_entries: int = MAX_FETCH_ENTRIES
    """In the answer to one fetch, rounded up to whole batches and proofs."""
    fetch_bytes: int = MAX_FETCH_BYTES
    """In the answer to one fetch."""
    waiting_heartbeats: int = 128
    """Of one origin, whose heads are not applied here yet."""


SERVED = Bounds()
