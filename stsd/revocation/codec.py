"""Replica messages and batches ↔ bytes: JSON, versioned, strict. What is of an unknown version or shape is refused
with a reason word; what entries mean is not asked here.

A message belongs to one kind of log. That of the revocations has no name on the wire; every other has.
"""

from __future__ import annotations

import math
from base64 import b64encode
from binascii import a2b_base64
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, get_args

import orjson

from stsd.revocation.identity import CHAIN_BYTES, KEY_BYTES, PROOF_BYTES, SIGNATURE_BYTES
from stsd.revocation.messages import (
    MAX_BATCH_BYTES,
    MAX_FETCH_ENTRIES,
    MAX_KEPT_RANGES,
    Ack,
    Announcement,
    Batch,
    Checkpoint,
    ClockReading,
    Delta,
    Digest,
    Fetch,
    Floor,
    Head,
    Heads,
    Heartbeat,
    Message,
    Origin,
    Part,
    PeerNews,
    Sent,
    Sequences,
)
from stsd.revocation.peer_set import DIGEST_BYTES, MAX_RECORDS

_Read = TypeVar("_Read")

VERSION = 2
"""Of messages and of batches, since they are signed."""
MAX_MESSAGE_BYTES = 2 * MAX_BATCH_BYTES
"""A delta of one full batch with its envelope, and a digest of some three thousand origins, fit in."""
MAX_ORIGINS = 3_000
MAX_SEQUENCE = 2**53
LATER = frozenset({"unknown_type", "unknown_log"})
"""Reasons of a refusal that say: a node of a later version sent this, and means others."""


class CodecError(ValueError):
    """Bytes that are not a message; `reason` is `too_large`, `not_json`, `unknown_version`, `unknown_log`,
    `unknown_type` or `bad_shape`. The text never repeats what was received."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def encode_message(message: Sent, log: str = "") -> bytes:
    """A message of one kind of log, in its one form."""
    name, write, _ = _BY_TYPE[type(message)]
    named = {"log": log} if log else {}
    return orjson.dumps({"v": VERSION, "type": name, **named, "epoch": message.epoch, **write(message)})


def decode_message(content: bytes, log: str = "") -> Message:
    """Read a message of the replica's, of this kind of log. Raises CodecError."""
    sent = decode_sent(content, log)
    if isinstance(sent, PeerNews | ClockReading):
        raise CodecError("unknown_type")
    return sent


def decode_sent(content: bytes, log: str = "") -> Sent:
    """Read any message. Raises CodecError."""
    members = _members(content, MAX_MESSAGE_BYTES)
    if members.pop("log", "") != log:
        raise CodecError("unknown_log")
    read = _READERS.get(_text(members.pop("type", None)))
    if read is None:
        raise CodecError("unknown_type")
    return _checked(lambda: read(_count(members.pop("epoch")), members))


def encode_batch(batch: Batch) -> bytes:
    """A batch as the journal keeps it, under its origin and first sequence."""
    return orjson.dumps({"v": VERSION, **_write_batch(batch)})


def decode_batch(content: bytes) -> Batch:
    """Read a batch. Raises CodecError."""
    members = _members(content, MAX_BATCH_BYTES)
    return _checked(lambda: _read_batch(members))


def encode_checkpoint(checkpoint: Checkpoint) -> bytes:
    """A checkpoint as it is kept; its signature is its checksum."""
    return encode_message(checkpoint)


def decode_checkpoint(content: bytes) -> Checkpoint:
    """Read a checkpoint. Raises CodecError."""
    message = decode_message(content)
    if not isinstance(message, Checkpoint):
        raise CodecError("unknown_type")
    return message


def _members(content: bytes, max_bytes: int) -> dict[str, Any]:
    """The members of a versioned JSON object, without the version."""
    if len(content) > max_bytes:
        raise CodecError("too_large")
    try:
        members = orjson.loads(content)
    except orjson.JSONDecodeError:
        raise CodecError("not_json") from None
    if not isinstance(members, dict):
        raise CodecError("bad_shape")
    version = members.pop("v", None)
    if type(version) is not int or version != VERSION:
        raise CodecError("unknown_version")
    return members


def _checked(read: Callable[[], _Read]) -> _Read:
    """Every way in which a reader can stumble over a wrong shape is one refusal."""
    try:
        return read()
    except (KeyError, TypeError, ValueError, AttributeError):
        raise CodecError("bad_shape") from None


# The parts of a message. Readers raise any of the errors that `_checked` turns into one.


def _take(members: dict[str, Any], *names: str) -> list[Any]:
    """The values of exactly these members."""
    if len(members) != len(names):
        raise ValueError("members")
    return [members[name] for name in names]


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise CodecError("bad_shape")
    return value


def _count(value: Any, least: int = 0) -> int:
    if type(value) is not int or not least <= value <= MAX_SEQUENCE:
        raise ValueError("count")
    return value


def _instant(value: Any) -> float:
    if type(value) not in (int, float) or not math.isfinite(value) or value < 0:
        raise ValueError("instant")
    return float(value)


def _bytes(value: Any, size: int) -> bytes:
    content = a2b_base64(value, strict_mode=True)
    if len(content) != size:
        raise ValueError("size")
    return content


def _write_bytes(content: bytes) -> str:
    return b64encode(content).decode("ascii")


def _read_sequences(value: dict[str, Any]) -> Sequences:
    if len(value) > MAX_ORIGINS:
        raise ValueError("origins")
    return {Origin.parse(origin): _count(sequence) for origin, sequence in value.items()}


def _write_sequences(sequences: Sequences) -> dict[str, int]:
    return {str(origin): sequence for origin, sequence in sequences.items()}


def _read_heads(value: dict[str, Any]) -> Heads:
    if len(value) > MAX_ORIGINS:
        raise ValueError("origins")
    return {
        Origin.parse(origin): Head(_count(sequence), _bytes(chain, CHAIN_BYTES))
        for origin, (sequence, chain) in value.items()
    }


def _write_heads(heads: Heads) -> dict[str, list[int | str]]:
    return {str(origin): [sequence, _write_bytes(chain)] for origin, (sequence, chain) in heads.items()}


def _read_heartbeats(value: dict[str, Any]) -> Mapping[Origin, Heartbeat]:
    if len(value) > MAX_ORIGINS:
        raise ValueError("origins")
    return {
        Origin.parse(origin): Heartbeat(
            _instant(at), _count(head), _bytes(chain, CHAIN_BYTES), _bytes(signature, SIGNATURE_BYTES)
        )
        for origin, (at, head, chain, signature) in value.items()
    }


def _write_heartbeats(heartbeats: Mapping[Origin, Heartbeat]) -> dict[str, list[Any]]:
    return {
        str(origin): [heartbeat.at, heartbeat.head, _write_bytes(heartbeat.chain), _write_bytes(heartbeat.signature)]
        for origin, heartbeat in heartbeats.items()
    }


def _read_announcements(value: dict[str, Any]) -> tuple[Announcement, ...]:
    if len(value) > MAX_ORIGINS:
        raise ValueError("origins")
    return tuple(
        Announcement(Origin.parse(origin), _bytes(public_key, KEY_BYTES), _bytes(proof, PROOF_BYTES))
        for origin, (public_key, proof) in value.items()
    )


def _write_announcements(announced: tuple[Announcement, ...]) -> dict[str, list[str]]:
    return {str(each.origin): [_write_bytes(each.public_key), _write_bytes(each.proof)] for each in announced}


def _read_batch(members: dict[str, Any]) -> Batch:
    origin, first, made_at, entries, previous, chain, signature = _take(
        members, "origin", "first", "made_at", "entries", "previous", "chain", "signature"
    )
    if not isinstance(entries, list) or not 1 <= len(entries) <= MAX_FETCH_ENTRIES:
        raise ValueError("entries")
    decoded = tuple(a2b_base64(entry, strict_mode=True) for entry in entries)
    return Batch(
        Origin.parse(origin),
        _count(first, least=1),
        decoded,
        _instant(made_at),
        _bytes(previous, CHAIN_BYTES),
        _bytes(chain, CHAIN_BYTES),
        _bytes(signature, SIGNATURE_BYTES),
    )


def _write_batch(batch: Batch) -> dict[str, Any]:
    return {
        "origin": str(batch.origin),
        "first": batch.first,
        "made_at": batch.made_at,
        "entries": [_write_bytes(entry) for entry in batch.entries],
        "previous": _write_bytes(batch.previous),
        "chain": _write_bytes(batch.chain),
        "signature": _write_bytes(batch.signature),
    }


# One reader and one writer per type of message; the envelope holds version, type and epoch.


def _read_digest(epoch: int, members: dict[str, Any]) -> Digest:
    sender, heads, heartbeats, announced = _take(members, "sender", "heads", "heartbeats", "identities")
    return Digest(
        epoch,
        Origin.parse(sender),
        _read_heads(heads),
        _read_heartbeats(heartbeats),
        _read_announcements(announced),
    )


def _write_digest(digest: Digest) -> dict[str, Any]:
    return {
        "sender": str(digest.sender),
        "heads": _write_heads(digest.heads),
        "heartbeats": _write_heartbeats(digest.heartbeats),
        "identities": _write_announcements(digest.identities),
    }


def _read_fetch(epoch: int, members: dict[str, Any]) -> Fetch:
    return Fetch(epoch, _read_sequences(*_take(members, "after")))


def _write_fetch(fetch: Fetch) -> dict[str, Any]:
    return {"after": _write_sequences(fetch.after)}


def _read_delta(epoch: int, members: dict[str, Any]) -> Delta:
    batches, part, announced = _take(members, "batches", "part", "identities")
    if not isinstance(batches, list) or part not in get_args(Part):
        raise ValueError("delta")
    return Delta(epoch, tuple(map(_read_batch, batches)), part, _read_announcements(announced))


def _write_delta(delta: Delta) -> dict[str, Any]:
    return {
        "batches": list(map(_write_batch, delta.batches)),
        "part": delta.part,
        "identities": _write_announcements(delta.identities),
    }


def _read_ack(epoch: int, members: dict[str, Any]) -> Ack:
    return Ack(epoch, _read_heads(*_take(members, "heads")))


def _write_ack(ack: Ack) -> dict[str, Any]:
    return {"heads": _write_heads(ack.heads)}


def _read_checkpoint(epoch: int, members: dict[str, Any]) -> Checkpoint:
    maker, made_at, floors, signature = _take(members, "maker", "made_at", "floors", "signature")
    if len(floors) > MAX_ORIGINS:
        raise ValueError("origins")
    read = {
        Origin.parse(origin): Floor(Head(_count(sequence, 1), _bytes(chain, CHAIN_BYTES)), _read_ranges(kept, sequence))
        for origin, (sequence, chain, kept) in floors.items()
    }
    return Checkpoint(epoch, Origin.parse(maker), _instant(made_at), read, _bytes(signature, SIGNATURE_BYTES))


def _read_ranges(value: Any, floor: int) -> tuple[tuple[int, int], ...]:
    """Ascending ranges of sequences, none above the floor."""
    if not isinstance(value, list) or len(value) > MAX_KEPT_RANGES:
        raise ValueError("ranges")
    ranges = tuple((_count(first, 1), _count(last, 1)) for first, last in value)
    end = 0
    for first, last in ranges:
        if not end < first <= last <= floor:
            raise ValueError("ranges")
        end = last
    return ranges


def _write_checkpoint(checkpoint: Checkpoint) -> dict[str, Any]:
    return {
        "maker": str(checkpoint.maker),
        "made_at": checkpoint.made_at,
        "floors": {
            str(origin): [floor.head.sequence, _write_bytes(floor.head.chain), floor.kept]
            for origin, floor in checkpoint.floors.items()
        },
        "signature": _write_bytes(checkpoint.signature),
    }


def _read_news(epoch: int, members: dict[str, Any]) -> PeerNews:
    digest, records = _take(members, "digest", "records")
    if not isinstance(records, list) or len(records) > MAX_RECORDS:
        raise ValueError("records")
    read = tuple(a2b_base64(record, strict_mode=True) for record in records)
    return PeerNews(epoch, _bytes(digest, DIGEST_BYTES), read)


def _write_news(news: PeerNews) -> dict[str, Any]:
    return {"digest": _write_bytes(news.digest), "records": list(map(_write_bytes, news.records))}


def _read_clock(epoch: int, members: dict[str, Any]) -> ClockReading:
    sent_at, asked = _take(members, "sent_at", "asked")
    if asked is None:
        return ClockReading(epoch, _clock_instant(sent_at))
    told_at, came_at = asked
    return ClockReading(epoch, _clock_instant(sent_at), (_clock_instant(told_at), _clock_instant(came_at)))


def _clock_instant(value: Any) -> float:
    """Instants are added and subtracted: none is so large that the result is no number."""
    if (instant := _instant(value)) > MAX_SEQUENCE:
        raise ValueError("instant")
    return instant


def _write_clock(reading: ClockReading) -> dict[str, Any]:
    return {"sent_at": reading.sent_at, "asked": reading.asked}


_Writer = Callable[[Any], dict[str, Any]]
_Reader = Callable[[int, dict[str, Any]], Sent]

_BY_TYPE: dict[type[Sent], tuple[str, _Writer, _Reader]] = {
    Digest: ("digest", _write_digest, _read_digest),
    Fetch: ("fetch", _write_fetch, _read_fetch),
    Delta: ("delta", _write_delta, _read_delta),
    Ack: ("ack", _write_ack, _read_ack),
    PeerNews: ("peers", _write_news, _read_news),
    Checkpoint: ("checkpoint", _write_checkpoint, _read_checkpoint),
    ClockReading: ("clock", _write_clock, _read_clock),
}
_READERS = {name: read for name, _, read in _BY_TYPE.values()}
