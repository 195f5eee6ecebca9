"""What replicas say to each other, as plain values: digest, fetch, delta, ack, checkpoint. Nodes also tell each other
of the peer set, and what their clocks say.

A *log* belongs to one origin and holds sequences 1, 2, 3, … without gaps. It travels in *batches*: whatever an origin
stored in one commit. A batch is never split or joined on its way, so two copies of it are equal or one is a forgery.
The entries of a batch are bytes that only their reader understands.

Each batch carries the chain hash of everything before it, its own, and its origin's signature; see identity.

A *head* is the last sequence of a log that a node holds durably and without a gap, with the chain hash there, so heads
say exactly who lacks what, and whether two nodes hold the same.

A *floor* is the place up to which a node has pruned a log: of what is at or below it, the node keeps the batches with
an entry that is not over yet. A *checkpoint* is a node's signed list of its floors and of what it keeps below them.
Checkpoint and batches together are a snapshot: who lacks what was pruned takes the checkpoint, and goes on from there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Literal, NamedTuple

MAX_BATCH_BYTES = 1 << 20
"""A batch in its encoded form (design 2.4)."""
MAX_FETCH_ENTRIES = 1 << 16
"""Entries in the answer to one fetch (design 2.4)."""
MAX_FETCH_BYTES = 4 << 20
"""Bytes in the answer to one fetch; it comes in several deltas of at most a batch's size each. The envelope between
peers has to hold it."""

MAX_KEPT_RANGES = 20_000
"""In one checkpoint; a log that would need more is pruned no further."""

_ORIGIN = re.compile(r"([a-z0-9-]{1,64})/([A-Za-z0-9_.-]{1,64})/([0-9a-f]{16})", re.ASCII)
_BATCH_OVERHEAD_BYTES = 560
_ENTRY_OVERHEAD_BYTES = 8


@dataclass(frozen=True, slots=True, order=True)
class Origin:
    """Who wrote a log. `incarnation` is fresh whenever a node starts without its journal: an emptied disk can never
    use a sequence twice."""

    region: str
    node: str
    incarnation: str

    def __str__(self) -> str:
        return f"{self.region}/{self.node}/{self.incarnation}"

    @classmethod
    def parse(cls, text: str) -> Origin:
        """Read `region/node/incarnation`. Raises ValueError."""
        return _origin(text)


@lru_cache(maxsize=4096)  # a journal names few origins, and each of them very often
def _origin(text: str) -> Origin:
    match = _ORIGIN.fullmatch(text)
    if match is None:
        raise ValueError("not an origin")
    return Origin(*match.groups())


def new_incarnation(entropy: Callable[[int], bytes]) -> str:
    """64 random bits as 16 hexadecimal digits; `entropy(n)` gives n random bytes."""
    return entropy(8).hex()


class Head(NamedTuple):
    """A place in a log: the last sequence, and the chain hash of everything up to it."""

    sequence: int
    chain: bytes


FORKED = b"\xff" * 32
"""In a head that is told, instead of the chain hash: the teller has stopped this log and has the proof. No history has
this hash, so it differs from everybody's, also for nodes of a version that does not know it."""
UNKNOWN = bytes(32)
"""Instead of the chain hash where a log ends that was pruned beyond what its author is believed: the batch that ended
there is gone. It agrees with every hash."""

Sequences = Mapping[Origin, int]
Heads = Mapping[Origin, Head]
Part = Literal["push", "page", "last"]


class Heartbeat(NamedTuple):
    """Everything that `origin` acknowledged before `at` (its clock, Unix seconds) has a sequence of at most `head`,
    where its chain hash is `chain`. Signed by the origin."""

    at: float
    head: int
    chain: bytes = bytes(32)
    signature: bytes = bytes(64)


@dataclass(frozen=True, slots=True)
class Batch:
    """Entries `first`, `first + 1`, … of one origin, stored in one commit that began at `made_at` (its clock).

    `previous` is the chain hash before it and `chain` the one that ends it; `signature` is its origin's.
    """

    origin: Origin
    first: int
    entries: tuple[bytes, ...]
    made_at: float
    previous: bytes = bytes(32)
    chain: bytes = bytes(32)
    signature: bytes = bytes(64)

    @property
    def last(self) -> int:
        """The sequence of the last entry."""
        return self.first + len(self.entries) - 1

    @property
    def encoded_bytes(self) -> int:
        """At least the bytes of the encoded form: entries in base64, and an allowance for the rest."""
        return _BATCH_OVERHEAD_BYTES + sum((len(entry) + 2) // 3 * 4 + _ENTRY_OVERHEAD_BYTES for entry in self.entries)


@dataclass(frozen=True, slots=True)
class Announcement:
    """`origin` signs with `public_key`; `proof` is the cluster's authentication of that."""

    origin: Origin
    public_key: bytes
    proof: bytes


@dataclass(frozen=True, slots=True)
class Digest:
    """How far the sender holds each log, the newest heartbeat of each origin that it has heard, itself included, and
    which key each origin signs with."""

    epoch: int
    sender: Origin
    heads: Heads
    heartbeats: Mapping[Origin, Heartbeat]
    identities: tuple[Announcement, ...] = ()


@dataclass(frozen=True, slots=True)
class Fetch:
    """Please send what follows `after` in these logs."""

    epoch: int
    after: Sequences


@dataclass(frozen=True, slots=True)
class Delta:
    """Batches: pushed by their origin, or a page of the answer to a fetch, which ends with the `last` one."""

    epoch: int
    batches: tuple[Batch, ...]
    part: Part = "push"
    identities: tuple[Announcement, ...] = ()
    """With a push, the key of its origin: it may be the first that the receiver hears of it."""


@dataclass(frozen=True, slots=True)
class Ack:
    """The receipt for a delta: how far the receiver holds its logs durably."""

    epoch: int
    heads: Heads


@dataclass(frozen=True, slots=True)
class PeerNews:
    """What the sender knows of the peer set: its digest and, for one who knows something else, all records.

    No business of the replica: the shell takes it. `epoch` is the sender's; the peer set outlives epochs, so nobody
    compares it.
    """

    epoch: int
    digest: bytes
    records: tuple[bytes, ...] = ()


@dataclass(frozen=True, slots=True)
class ClockReading:
    """The sender's service time was `sent_at`. A question when nothing was `asked`; else the answer to one: the instant
    that the question told, and when it came, by the sender's clock. All are Unix seconds.

    No business of the replica either. `epoch` is the sender's; clocks outlive epochs, so nobody compares it.
    """

    epoch: int
    sent_at: float
    asked: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Floor:
    """Of what is at or below `head`, everything is over but the batches that fill `kept`: ascending pairs of first and
    last sequence. The batches are signed by their origin; that there are no others, only by the checkpoint's maker."""

    head: Head
    kept: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Where the logs begin at the node that was `maker`; it goes before the answer to a fetch from below a floor."""

    epoch: int
    maker: Origin
    made_at: float
    floors: Mapping[Origin, Floor]
    signature: bytes = bytes(64)


Message = Digest | Fetch | Delta | Ack | Checkpoint
Sent = Message | PeerNews | ClockReading
"""All that nodes say to each other."""


@dataclass(frozen=True, slots=True)
class Fork:
    """Proof that an origin, or whoever has its key, wrote two histories: signed batches that exclude each other."""

    origin: Origin
    held: Batch
    other: Batch

    @property
    def place(self) -> int:
        """The first sequence in doubt: both histories agree before it, as far as the proof goes."""
        return min(self.held.first, self.other.first)

    @property
    def last(self) -> int:
        """The last sequence that the proof speaks of."""
        return max(self.held.last, self.other.last)


@dataclass(frozen=True, slots=True)
class Ready:
    """What to do, in this order: apply at once, then save, then tell the replica (`saved`), then send.

    `applied` are batches seen for the first time. `send` pairs a peer with a message. `answer_to` is the peer that
    gets a receipt once `save` is stored. `newer_epoch` is an epoch above our own that a peer already lives in.
    `identities` are keys heard of for the first time, to be kept. `forks` are to be kept and to be told to somebody;
    each is handed out once. `refused` says why something changed nothing, and of which origin it claimed to be. With
    `adopted`, logs that go on from a peer's floor, the replica's present checkpoint is saved too.
    """

    save: tuple[Batch, ...] = ()
    send: tuple[tuple[str, Message], ...] = ()
    applied: tuple[Batch, ...] = ()
    answer_to: str = ""
    newer_epoch: int | None = None
    identities: tuple[Announcement, ...] = ()
    forks: tuple[Fork, ...] = ()
    refused: tuple[tuple[str, Origin], ...] = ()
    adopted: Sequences = field(default_factory=dict)

    @property
    def stores(self) -> bool:
        """Whether there is anything to save before the replica is told."""
        return bool(self.save or self.adopted)
