"""What carries the replica's messages between regions, behind one interface (design 2.5).

The replica decides; a backbone delivers: at least once or not at all, in any order, never waited for by a request.
What it loses, the next exchange of heads finds out. It is believed for nothing: batches and heartbeats are signed by
their origins, everything else is authenticated with a key of the cluster.

| backbone | batches travel | kept by |
|---|---|---|
| `http` | from node to node | the journals of the nodes |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stsd.revocation.messages import Delta, Fetch, PeerNews, Sent
from stsd.server.backbone.calls import RemoteCalls

Deliver = Callable[[str, Sent], Awaitable[None]]
"""Has the shell take in a peer's message."""


class BackboneUnavailable(Exception):
    """What was asked of the backbone did not happen; `reason` is a word for the log."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Receipt:
    """Who else keeps a batch by now: names of regions, or of a stream. No copy is counted by it (contract 6): the
    replica counts receipts of peers, whose journals are synced."""

    kept_by: tuple[str, ...]


class Backbone(Protocol):
    """One node's access. `peers` are the other regions of the peer set; `calls` counts what leaves for them."""

    calls: RemoteCalls

    @property
    def peers(self) -> tuple[str, ...]:
        """Their names."""

    def tail(self, deliver: Deliver) -> None:
        """Begin: whatever arrives from now on goes to `deliver`."""

    async def append(self, push: Delta) -> Receipt:
        """Offer a batch of our own log to everybody; returns when one other place keeps it. Raises
        BackboneUnavailable."""

    def fetch(self, peer: str, wanted: Fetch) -> None:
        """Ask for what follows in some logs; `peer` is known to hold it. What comes goes to `deliver`."""

    def tell(self, peers: Sequence[str], message: Sent) -> None:
        """Any other message. It may get lost."""

    def regroup(self, farewell: PeerNews) -> None:
        """The peer set changed, and `peers` with it; who is no peer any more is told `farewell`, which may get lost."""

    @property
    def met(self) -> bool:
        """Whether every peer that answers has told what it knows."""

    async def meet(self) -> None:
        """Wait until `met`."""

    async def stop(self) -> None:
        """Carry nothing any more."""


def by_message(send: Iterable[tuple[str, Sent]]) -> list[tuple[Sent, list[str]]]:
    """Messages, each with all who are to get it, in their order."""
    found: dict[int, tuple[Sent, list[str]]] = {}
    for peer, message in send:
        found.setdefault(id(message), (message, []))[1].append(peer)
    return list(found.values())
