"""The feed of revocations for verifiers elsewhere: everything after a cursor, in each origin's order (contract 4).

What is over and pruned is not told any more, so a cursor of any age goes on: after it comes all that is still in force.

A cursor says how far its reader has heard of each origin: base64url of `[epoch, {origin: sequence}]`. After a reset
(contract 8) a cursor of the former epoch reads from the beginning.
"""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from stsd.revocation.codec import MAX_SEQUENCE
from stsd.revocation.entries import decode_revocation, is_listed
from stsd.revocation.messages import Origin
from stsd.revocation.replica import Replica
from stsd.revocation.revocation_set import EPSILON_MS, RULES, Revocation

PAGE_ENTRIES = 10_000
KINDS = {kind: "named" if kind in ("access_key", "session") else "cut-off" for kind in RULES}
"""The feed's words (contract 6): what a subject is shows in its form, an access key id, an ARN or an account."""
MAX_CURSOR_CHARACTERS = 1 << 20


@dataclass(frozen=True, slots=True)
class Page:
    """Revocations as JSON values, the cursor that follows them, and a quoted ETag of both."""

    revocations: list[dict[str, Any]]
    cursor: str
    etag: str


def after(replica: Replica, cursor: str = "", limit: int = PAGE_ENTRIES) -> Page:
    """At most `limit` revocations after `cursor`; an empty page means that the reader has heard all that this node has.

    A cursor may come from a node that knows more: it never goes back. Raises ValueError for what is not a cursor.
    """
    heads = _decode(cursor, replica.epoch) if cursor else {}
    found: list[dict[str, Any]] = []
    for origin, sequence, entry in _entries(replica, heads):
        if len(found) == limit:
            break
        found.append(_as_json(origin, sequence, entry))
        heads[origin] = sequence
    else:  # all is told: what was pruned meanwhile is behind this reader too
        heads |= {origin: max(last, heads.get(origin, 0)) for origin, last in _heads(replica).items()}
    following = _encode(replica.epoch, heads)
    digest = blake2b(f"{cursor} {following} {len(found)}".encode(), digest_size=16).hexdigest()
    return Page(found, following, f'"{digest}"')


def cursor(replica: Replica) -> str:
    """The cursor of a reader that has heard all that this node has."""
    return _encode(replica.epoch, _heads(replica))


def epoch(cursor: str) -> int:
    """Of which epoch a cursor is; another one means that all that was read before is gone. Raises ValueError."""
    return int(_content(cursor)[0])


def check(cursor: str) -> None:
    """Raises ValueError for what is not a cursor."""
    _decode(cursor, epoch(cursor))


def read(told: dict[str, Any]) -> tuple[Revocation, str]:
    """A revocation of the feed, and its origin's region. Raises ValueError, KeyError or TypeError for another shape."""
    until, before = told["applies_until"], told["issued_before"]
    cutoff_ms = 0 if before is None else round(before * 1000)
    subject = str(told["subject"])
    kind = _kind(str(told["kind"]), subject)
    revocation = Revocation(kind, subject, cutoff_ms, None if until is None else int(until))
    return revocation, Origin.parse(told["origin"]).region


def revocation_id(origin: Origin, sequence: int) -> str:
    """The id of a revocation, the same on every node."""
    return f"{origin}-{sequence}"


def _entries(replica: Replica, heads: dict[Origin, int]) -> Iterator[tuple[Origin, int, bytes]]:
    known = {origin: heads.get(origin, 0) for origin, last in _heads(replica).items() if last > heads.get(origin, 0)}
    for batch in replica.after(known, max_entries=MAX_SEQUENCE):
        for sequence, entry in enumerate(batch.entries, batch.first):
            if sequence > known[batch.origin] and is_listed(entry):
                yield batch.origin, sequence, entry


def _heads(replica: Replica) -> dict[Origin, int]:
    """How far each log goes in revocations; other entries move no cursor."""
    return {origin: listed.last for origin, listed in replica.listed().items()}


def _as_json(origin: Origin, sequence: int, entry: bytes) -> dict[str, Any]:
    revocation = decode_revocation(entry)
    return {
        "id": revocation_id(origin, sequence),
        "kind": KINDS.get(revocation.kind, revocation.kind),
        "subject": revocation.subject,
        "issued_before": _seconds(_told_cutoff_ms(origin, revocation)),
        "applies_until": revocation.applies_until,
        "origin": str(origin),
        "sequence": sequence,
    }


def _told_cutoff_ms(origin: Origin, revocation: Revocation) -> int:
    """The feed names one region, the origin's, in which readers take a cut-off for exact. Where its clock did not tell
    it, its tokens have the allowance for clocks, so it is in what is told; those of others have it twice."""
    elsewhere = revocation.issued_before_ms and revocation.home not in ("", origin.region)
    return revocation.issued_before_ms + (EPSILON_MS if elsewhere else 0)


def _kind(word: str, subject: str) -> str:
    """Which kind a word of the feed and the form of the subject mean; a word of a later version stays as it is."""
    if word == "named":
        return "session" if subject.startswith("arn:") else "access_key"
    if word != "cut-off":
        return word
    if subject.startswith("arn:"):
        return "role" if ":role/" in subject else "principal"
    return "source_identity" if "/" in subject else "account"


def _seconds(instant_ms: int) -> int | float | None:
    """Unix seconds with at most three decimals; None for a revocation without a cut-off."""
    if not instant_ms:
        return None
    return instant_ms / 1000 if instant_ms % 1000 else instant_ms // 1000


def _encode(epoch: int, heads: dict[Origin, int]) -> str:
    content = orjson.dumps([epoch, {str(origin): heads[origin] for origin in sorted(heads)}])
    return urlsafe_b64encode(content).rstrip(b"=").decode("ascii")


def _decode(cursor: str, epoch: int) -> dict[Origin, int]:
    made_in, members = _content(cursor)
    heads = {Origin.parse(origin): head for origin, head in members.items()}
    return heads if made_in == epoch else {}


def _content(cursor: str) -> tuple[int, dict[str, int]]:
    if len(cursor) > MAX_CURSOR_CHARACTERS or not cursor.isascii():
        raise ValueError("not a cursor")
    try:
        content = orjson.loads(urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)))
    except ValueError:
        raise ValueError("not a cursor") from None
    match content:
        case [int(made_in), dict(members)] if all(type(head) is int and head > 0 for head in members.values()):
            return made_in, members
    raise ValueError("not a cursor")
