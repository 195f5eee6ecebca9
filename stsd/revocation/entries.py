"""Revocations and used MFA steps ↔ the entries of a log, and when an entry may be dropped.

A log's machinery (replica, log, codec) does not know what its entries mean; this module does. A revocation that this
version cannot read is not refused: its log must stay whole, so it becomes one of kind `unknown`, which is kept, relayed
and counted, and never dropped.

What a node that left had said beyond its limit is said anew by others (replica rule 9). A cut-off is an instant of one
region's clock, and all other regions allow for the difference of theirs; so an entry that is said anew in another
region names its `home`. Without it, tokens of the new region would escape that were refused, and tokens of the old one
be refused that were not. What a node writes anew of its own former logs is of its region still, and stays as it was.

A used MFA step (spec 3.2.9) is the other kind of entry. It is in the same logs and no log of its own: like a revocation
it only forbids and only grows, has to be on disk before the answer and everywhere at once, and so takes part in the
same commits, pushes, repairs, joins and resets, where a second log would double the syncs and the digests of each
second. It is not listed: the feed, its cursors and the counters of revocations pass it over. A node of a version that
does not know the kind keeps it, passes it on and refuses nothing because of it.
"""

from __future__ import annotations

from hashlib import blake2b
from math import inf
from operator import itemgetter
from sys import intern
from typing import Any

import orjson

from stsd.mfa import UsedStep
from stsd.revocation.revocation_set import DESCENDANTS_LIVE_S, FORGET_AFTER_S, RULES, Revocation, over_at

VERSION = 1
UNKNOWN = "unknown"
LONGEST_SESSION_S = 36 * 3600
TAIL_S = LONGEST_SESSION_S + DESCENDANTS_LIVE_S + FORGET_AFTER_S + 3600
"""How long a log keeps all its batches: the longest life of a revocation that ends, and an hour. Design 2.2 says 37
hours; what was chained from a revoked session may live 27 hours longer than that."""
_MEMBERS = itemgetter("v", "kind", "subject", "issued_before_ms", "applies_until", "reason")
_MEMBERS_COUNT = 6
_STEP = b'{"v":1,"mfa":'
"""How the entry of an MFA step begins; that of a revocation begins otherwise, so nothing has to be parsed to tell."""
_STEP_MEMBERS = {"v", "mfa", "step", "at"}
_MAX_REGION_CHARACTERS = 64
_MAX_INSTANT = 2**53


def encode_revocation(revocation: Revocation) -> bytes:
    """A revocation as the entry of a log."""
    members = {
        "v": VERSION,
        "kind": revocation.kind,
        "subject": revocation.subject,
        "issued_before_ms": revocation.issued_before_ms,
        "applies_until": revocation.applies_until,
        "reason": revocation.reason,
    }
    return orjson.dumps(members | {"home": revocation.home} if revocation.home else members)


def said_anew(entry: bytes, said_in: str, now_in: str) -> bytes:
    """What a node of region `now_in` says of an entry whose origin was of region `said_in`. One that this version
    cannot read stays as it is."""
    revocation = decode_revocation(entry)
    if revocation.kind == UNKNOWN or not revocation.issued_before_ms or (revocation.home or said_in) == now_in:
        return entry
    return encode_revocation(revocation._replace(home=revocation.home or said_in))


def decode_revocation(entry: bytes) -> Revocation:
    """Read the entry of a log; what this version cannot read is of kind `unknown`, its subject a hash."""
    try:
        revocation = _read(orjson.loads(entry))
    except (ValueError, TypeError, KeyError):
        revocation = None
    if revocation is None:
        return Revocation(UNKNOWN, blake2b(entry, digest_size=16).hexdigest(), 0, None)
    return revocation


def encode_step(used: UsedStep) -> bytes:
    """A used MFA step as the entry of a log."""
    return orjson.dumps({"v": VERSION, "mfa": used.device, "step": used.step, "at": used.at})


def is_listed(entry: bytes) -> bool:
    """Whether an entry shows where revocations are told and counted."""
    return not entry.startswith(_STEP)


def decode_step(entry: bytes) -> UsedStep | None:
    """The MFA step of an entry; None for another kind, or for what this version cannot read."""
    if is_listed(entry):
        return None
    try:
        members = orjson.loads(entry)
    except ValueError:
        return None
    if type(members) is not dict or members.keys() != _STEP_MEMBERS or type(members["mfa"]) is not str:
        return None
    step, at = members["step"], members["at"]
    return UsedStep(members["mfa"], step, at) if _is_count(step) and _is_count(at) else None


def entry_over_at(entry: bytes) -> float:
    """When an entry refuses nothing any more and may be dropped (Unix seconds); infinity for never."""
    used = decode_step(entry)
    if used is not None:
        return used.over_at
    revocation = decode_revocation(entry)
    return over_at(revocation) if revocation.kind in RULES else inf


def _read(members: Any) -> Revocation | None:
    """What an entry says; None for what this version cannot read. Raises KeyError where a member is missing. A start
    reads all that a journal holds, so it looks at nothing twice."""
    if type(members) is not dict:
        return None
    version, kind, subject, cutoff_ms, until, reason = _MEMBERS(members)
    home = ""
    if len(members) != _MEMBERS_COUNT:
        home = members["home"]
        if len(members) != _MEMBERS_COUNT + 1 or type(home) is not str or not 0 < len(home) <= _MAX_REGION_CHARACTERS:
            return None
    if type(version) is not int or version != VERSION:
        return None
    if not (type(kind) is type(subject) is type(reason) is str):
        return None
    if type(cutoff_ms) is not int or not 0 <= cutoff_ms <= _MAX_INSTANT:
        return None
    if until is not None and (type(until) is not int or not 0 <= until <= _MAX_INSTANT):
        return None
    return Revocation(intern(kind), subject, cutoff_ms, until, reason, home)


def _is_count(value: Any) -> bool:
    return type(value) is int and 0 <= value <= _MAX_INSTANT
