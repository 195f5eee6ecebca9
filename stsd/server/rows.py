"""Batches, keys and forks ↔ rows of the journal."""

from __future__ import annotations

from collections.abc import Iterable

from stsd.revocation import codec
from stsd.revocation.messages import Announcement, Batch, Fork, Origin
from stsd.revocation.replica import whole
from stsd.server.journal import Identity, Row


def of_batch(batch: Batch) -> Row:
    """A batch under its origin and first sequence: the same bytes each time, because rows are compared."""
    return str(batch.origin), batch.first, codec.encode_batch(batch)


def of_announcement(announced: Announcement) -> Identity:
    """Which key an origin signs with."""
    return str(announced.origin), announced.public_key, announced.proof


def of_fork(fork: Fork) -> tuple[str, bytes, bytes]:
    """The proof of a fork."""
    return str(fork.origin), codec.encode_batch(fork.held), codec.encode_batch(fork.other)


def announcement(row: Identity) -> Announcement:
    """What `of_announcement` wrote."""
    origin, public_key, proof = row
    return Announcement(Origin.parse(origin), public_key, proof)


def fork(row: tuple[bytes, bytes]) -> Fork:
    """The two batches of a fork."""
    held, other = map(codec.decode_batch, row)
    return Fork(held.origin, held, other)


def batches(rows: Iterable[Row]) -> tuple[list[Batch], list[tuple[str, int]]]:
    """The whole batches, and the places of damaged ones."""
    whole_ones, damaged = [], []
    for origin, first, body in rows:
        try:
            batch = codec.decode_batch(body)
        except codec.CodecError:
            batch = None
        if batch is not None and (str(batch.origin), batch.first) == (origin, first) and whole(batch):
            whole_ones.append(batch)
        else:
            damaged.append((origin, first))
    return whole_ones, damaged
