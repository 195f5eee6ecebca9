"""A relay that tampers: what it makes of batches, heartbeats and announcements that pass it.

It has keys of its own and knows everything that was ever said, but neither an origin's key nor the cluster's. Heads,
fetches and receipts go from node to node under the cluster key (stsd.wire.envelope); it cannot touch those.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from random import Random

from stsd.revocation.identity import SIGNATURE_BYTES, Identities, Signer, chain_of
from stsd.revocation.messages import (
    MAX_BATCH_BYTES,
    Announcement,
    Batch,
    Checkpoint,
    Delta,
    Digest,
    Floor,
    Head,
    Origin,
    PeerNews,
    Sent,
)
from stsd.revocation.peer_records import MAX_RECORD_BYTES, Left, sign_left
from stsd.revocation.peer_set import DIGEST_BYTES

OTHER_CLUSTER = Identities(b"another cluster".ljust(32, b"."))
OWN_KEY = Signer(b"the relay's own key".ljust(32, b"."))
OTHER_EPOCH = 0.1

Tamper = Callable[[Random, Identities, Batch], Batch]


def forged(chance: Random, identities: Identities, message: Sent) -> Sent | None:
    """A message made from this one that no node may believe; None if there is nothing in it to tamper with."""
    if isinstance(message, Delta) and chance.random() < OTHER_EPOCH:
        return replace(message, epoch=message.epoch + chance.randint(1, 9))
    if isinstance(message, Delta) and message.batches:
        batch = chance.choice(message.batches)
        return replace(message, batches=(chance.choice(TAMPERS)(chance, identities, batch),), identities=())
    if isinstance(message, Digest):
        if chance.random() < 0.5:
            return replace(message, heartbeats={}, identities=(_announced(chance, message),))
        later = {
            origin: heartbeat._replace(at=heartbeat.at + chance.uniform(0.001, 60.0))
            for origin, heartbeat in message.heartbeats.items()
        }
        return replace(message, heartbeats=later, identities=())
    if isinstance(message, Checkpoint):
        return chance.choice(CHECKPOINT_TAMPERS)(chance, identities, message)
    if isinstance(message, PeerNews) and message.records:
        record = chance.choice(RECORD_TAMPERS)(chance, chance.choice(message.records))
        return replace(message, digest=chance.randbytes(DIGEST_BYTES), records=(record,))
    return None


def _signs_a_record_itself(chance: Random, record: bytes) -> bytes:
    return OWN_KEY.sign(record[SIGNATURE_BYTES:]) + record[SIGNATURE_BYTES:]


def _changes_a_record(chance: Random, record: bytes) -> bytes:
    changed = bytearray(record)
    changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _removes_somebody(chance: Random, record: bytes) -> bytes:
    return sign_left(OWN_KEY, OWN_KEY.public_key, Left({}, 0))


def _pads_a_record(chance: Random, record: bytes) -> bytes:
    return record + bytes(MAX_RECORD_BYTES)


RECORD_TAMPERS = (_signs_a_record_itself, _changes_a_record, _removes_somebody, _pads_a_record)


def _raises_a_floor(chance: Random, identities: Identities, checkpoint: Checkpoint) -> Checkpoint:
    origin = chance.choice(list(checkpoint.floors))
    floor = checkpoint.floors[origin]
    raised = Floor(Head(floor.head.sequence + chance.randint(1, 9), chance.randbytes(32)), floor.kept)
    return replace(
        checkpoint, made_at=checkpoint.made_at + chance.random(), floors={**checkpoint.floors, origin: raised}
    )


def _leaves_out_what_is_kept(chance: Random, identities: Identities, checkpoint: Checkpoint) -> Checkpoint:
    bare = {origin: Floor(floor.head) for origin, floor in checkpoint.floors.items()}
    return replace(checkpoint, made_at=checkpoint.made_at + chance.random(), floors=bare)


def _signs_a_checkpoint_itself(chance: Random, identities: Identities, checkpoint: Checkpoint) -> Checkpoint:
    changed = _leaves_out_what_is_kept(chance, identities, checkpoint)
    return replace(changed, signature=OWN_KEY.sign(identities.checkpoint_content(changed)))


def _announced(chance: Random, digest: Digest) -> Announcement:
    unknown = Origin(digest.sender.region, digest.sender.node, chance.randbytes(8).hex())
    origin = chance.choice((digest.sender, unknown))
    return Announcement(origin, OWN_KEY.public_key, chance.randbytes(16))


def _flips_a_bit(chance: Random, identities: Identities, batch: Batch) -> Batch:
    at = chance.randrange(len(batch.entries))
    entry = bytearray(batch.entries[at])
    entry[chance.randrange(len(entry))] ^= 1 << chance.randrange(8)
    return replace(batch, entries=(*batch.entries[:at], bytes(entry), *batch.entries[at + 1 :]))


def _mends_the_chain(chance: Random, identities: Identities, batch: Batch) -> Batch:
    changed = _flips_a_bit(chance, identities, batch)
    return replace(changed, chain=chain_of(changed))


def _signs_itself(chance: Random, identities: Identities, batch: Batch) -> Batch:
    changed = _mends_the_chain(chance, identities, batch)
    return replace(changed, signature=OWN_KEY.sign(identities.batch_content(changed)))


def _moves_it(chance: Random, identities: Identities, batch: Batch) -> Batch:
    return replace(batch, first=batch.first + chance.randint(1, 9))


def _invents_an_origin(chance: Random, identities: Identities, batch: Batch) -> Batch:
    origin = replace(batch.origin, incarnation=chance.randbytes(8).hex())
    return _signs_itself(chance, identities, replace(batch, origin=origin))


def _swells_it(chance: Random, identities: Identities, batch: Batch) -> Batch:
    return _signs_itself(chance, identities, replace(batch, entries=(*batch.entries, bytes(MAX_BATCH_BYTES))))


def _signs_for_another_cluster(chance: Random, identities: Identities, batch: Batch) -> Batch:
    return _signs_itself(chance, OTHER_CLUSTER, batch)


CHECKPOINT_TAMPERS = (_raises_a_floor, _leaves_out_what_is_kept, _signs_a_checkpoint_itself)
TAMPERS: tuple[Tamper, ...] = (
    _flips_a_bit,
    _mends_the_chain,
    _signs_itself,
    _moves_it,
    _invents_an_origin,
    _swells_it,
    _signs_for_another_cluster,
)
