"""What replication costs a node, in bytes and CPU time, from the codec's own messages and times measured once.

The times are CPU times of one core of the reference machine (2 cores, Python 3.11), to decode, check and apply:
`python -m tests.scale.timing` measures them, and most of each is a signature of Ed25519. A batch that comes by itself
is a message and brings its origin's key; one of many in the answer to a fetch is not, and what it takes to store these
together is in its time. Not in them: HTTP around a message, and the commit of what comes alone.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from stsd.revocation.codec import encode_message
from stsd.revocation.entries import encode_revocation
from stsd.revocation.identity import SEED_BYTES, Identities, Signer
from stsd.revocation.messages import Delta, Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import Revocation

PUSH_CPU_S = 78e-6
"""A batch that comes by itself, without its entries."""
PAGE_CPU_S = 59e-6
"""One in the answer to a fetch, likewise."""
ENTRY_CPU_S = 5e-6
CALL_BYTES = 500
"""An HTTP call and its answer around a message: heads, seal, receipt."""
PEER = "us-east-1"


def message_bytes(entries: int) -> int:
    """Bytes of a push of one batch on the wire, its call included."""
    return len(encode_message(_push(entries))) + CALL_BYTES


def entry_bytes() -> float:
    """Bytes of one more entry in a push."""
    return (message_bytes(101) - message_bytes(1)) / 100


def batch_bytes() -> float:
    """Bytes of a batch of one entry in a page with many: what a gap is filled with."""
    one = _push(1)
    two = replace(one, batches=(*one.batches, *one.batches))
    return len(encode_message(two)) - len(encode_message(one))


def _push(entries: int) -> Delta:
    origin = Origin("eu-west-1", "n1", "0" * 16)
    identities = Identities(bytes(32))
    replica = Replica(origin, (PEER,), 0.0, signer=Signer(bytes(SEED_BYTES)), identities=identities, joined=True)
    content = [
        encode_revocation(Revocation("access_key", f"ASIA{number:016d}", 0, 1_795_438_800)) for number in range(entries)
    ]
    ((_, push),) = replica.committed(replica.append(content, 0.0), 0.0).send
    assert isinstance(push, Delta)
    return push


@dataclass(frozen=True, slots=True)
class Cost:
    """Per node and second, at so many revocations a second in the world."""

    per_s: float
    batches_per_s: float
    bytes_per_s: float
    cpu_share: float
    cross_region_bytes_per_s: float
    """All regions together."""


def cost(per_s: float, regions: int, heads: int, window_s: float) -> Cost:
    """With `heads` writers in each region, each of which gathers for `window_s` and commits once for all of it."""
    origins = regions * heads
    each = per_s / origins
    batches_per_s = origins * (each / (1 + each * window_s))
    entries = per_s / batches_per_s
    bytes_per_s = batches_per_s * message_bytes(1) + (per_s - batches_per_s) * entry_bytes()
    cpu_share = batches_per_s * (PUSH_CPU_S + entries * ENTRY_CPU_S)
    return Cost(per_s, batches_per_s, bytes_per_s, cpu_share, bytes_per_s * (regions - 1) * heads)
