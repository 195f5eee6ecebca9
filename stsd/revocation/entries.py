"""Revocations ↔ the entries of a log, and when an entry may be dropped.

A log's machinery (replica, log, codec) does not know what its entries mean; this module does. A revocation that this
version cannot read is not refused: its log must stay whole, so it becomes one of kind `unknown`, which is kept, relayed
and counted, and never dropped.
"""

from __future__ import annotations

from dataclasses import asdict
from hashlib import blake2b
from math import inf
from typing import Any

import orjson

from stsd.revocation.revocation_set import DESCENDANTS_LIVE_S, FORGET_AFTER_S, RULES, Revocation, over_at

VERSION = 1
UNKNOWN = "unknown"
LONGEST_SESSION_S = 36 * 3600
TAIL_S = LONGEST_SESSION_S + DESCENDANTS_LIVE_S + FORGET_AFTER_S + 3600
"""How long a log keeps all its batches: the longest life of a revocation that ends, and an hour. Design 2.2 says 37
hours; what was chained from a revoked session may live 27 hours longer than that."""
_MEMBERS = {"v", "kind", "subject", "issued_before_ms", "applies_until", "reason"}
_MAX_INSTANT = 2**53


def encode_revocation(revocation: Revocation) -> bytes:
    """A revocation as the entry of a log."""
    return orjson.dumps({"v": VERSION, **asdict(revocation)})


def decode_revocation(entry: bytes) -> Revocation:
    """Read the entry of a log; what this version cannot read is of kind `unknown`, its subject a hash."""
    try:
        revocation = _read(orjson.loads(entry))
    except (ValueError, TypeError, KeyError):
        revocation = None
    if revocation is None:
        return Revocation(UNKNOWN, blake2b(entry, digest_size=16).hexdigest(), 0, None)
    return revocation


def entry_over_at(entry: bytes) -> float:
    """When an entry refuses nothing any more and may be dropped (Unix seconds); infinity for never."""
    revocation = decode_revocation(entry)
    return over_at(revocation) if revocation.kind in RULES else inf


def _read(members: Any) -> Revocation | None:
    if (
        type(members) is not dict
        or members.keys() != _MEMBERS
        or not _is_count(members["v"])
        or members["v"] != VERSION
    ):
        return None
    kind, subject, reason = members["kind"], members["subject"], members["reason"]
    cutoff_ms, until = members["issued_before_ms"], members["applies_until"]
    if not (type(kind) is type(subject) is type(reason) is str and _is_count(cutoff_ms)):
        return None
    if not (until is None or _is_count(until)):
        return None
    return Revocation(kind, subject, cutoff_ms, until, reason)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MAX_INSTANT
