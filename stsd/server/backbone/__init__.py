"""What carries the replica's messages between regions, behind one interface (design 2.5).

The replica decides; a backbone delivers: at least once or not at all, in any order, never waited for by a request.
What it loses, the next exchange of heads finds out. It is believed for nothing: batches and heartbeats are signed by
their origins, everything else is authenticated with a key of the cluster.

| backbone | batches travel | kept by |
|---|---|---|
| `http` | from node to node | the journals of the nodes |
| `nats` | through streams, one for each region | the journals, and each region's JetStream for 37 h |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from stsd.revocation.messages import Delta, Digest, Fetch, Head, Origin, PeerNews, Sent
from stsd.server.backbone.calls import RemoteCalls

Deliver = Callable[[str, Sent], Awaitable[None]]
"""Has the shell take in a peer's message."""

Refused = Callable[[str, str], None]
"""Told why a message changed nothing, and who it is from: a region, or an address where no region can be believed."""


class BackboneUnavailable(Exception):
    """What was asked of the backbone did not happen; `reason` is a word for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


SNAPSHOTS_KEPT = 3
NOTHING = Head(0, b"")


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who else keeps a batch by now: names of regions, or of a stream. No copy is counted by it (contract 6): the
    replica counts receipts of peers, whose journals are synced."""

    kept_by: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class State:
    """`up`: whether anything answers; `stalls`: how often origins of a region stalled (see `stalls`)."""

    name: str
    up: bool
    stalls: Mapping[str, int] = field(default_factory=dict)


class Backbone(Protocol):
    """One node's access. `peers` are the other regions of the peer set; `calls` counts what leaves for them."""

    calls: RemoteCalls

    @property
    def peers(self) -> tuple[str, ...]:
        """Their names."""

    def tail(self, deliver: Deliver, refused: Refused) -> None:
        """Begin: whatever arrives from now on goes to `deliver`; `refused` is told why something did not."""

    async def append(self, push: Delta) -> Receipt:
        """Offer a batch of our own log to everybody; returns when one other place keeps it. Raises
        BackboneUnavailable."""

    def fetch(self, peer: str, wanted: Fetch) -> None:
        """Ask for what follows in some logs; `peer` is known to hold it. What comes goes to `deliver`."""

    def tell(self, peers: Sequence[str], message: Sent) -> None:
        """Any other message. It may get lost."""

    def regroup(self, farewell: PeerNews) -> None:
        """The peer set changed, and `peers` with it; who is no peer any more is told `farewell`, which may get lost."""

    def heads(self) -> Mapping[Origin, Head]:
        """How far each log goes, as others have told."""

    def state(self) -> State:
        """What metrics say of it."""

    async def snapshot_put(self, snapshot: bytes) -> None:
        """Keep a snapshot for this region, beside the two before it. Raises BackboneUnavailable."""

    async def snapshot_get(self) -> bytes | None:
        """The newest whole snapshot kept for this region, None when there is none. Raises BackboneUnavailable."""

    @property
    def met(self) -> bool:
        """Whether every peer that answers has told what it knows."""

    async def meet(self) -> None:
        """Wait until `met`."""

    async def stop(self) -> None:
        """Carry nothing any more."""


class Heard:
    """How far each log goes, from the digests that passed, all of one epoch."""

    def __init__(self) -> None:
        self.heads: dict[Origin, Head] = {}
        self._epoch = 0

    def note(self, message: Sent) -> None:
        """A message of a peer; only digests count, and a newer epoch begins anew (contract 8)."""
        if not isinstance(message, Digest) or message.epoch < self._epoch:
            return
        if message.epoch > self._epoch:
            self._epoch, self.heads = message.epoch, {}
        for origin, head in message.heads.items():
            if head.sequence > self.heads.get(origin, NOTHING).sequence:
                self.heads[origin] = head


def by_message(send: Iterable[tuple[str, Sent]]) -> list[tuple[Sent, list[str]]]:
    """Messages, each with all who are to get it, in their order."""
    found: dict[int, tuple[Sent, list[str]]] = {}
    for peer, message in send:
        found.setdefault(id(message), (message, []))[1].append(peer)
    return list(found.values())
