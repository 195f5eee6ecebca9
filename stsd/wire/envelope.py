"""Messages between nodes: authenticated with a key derived from the cluster key, signed by the sender, accepted once.

An envelope is `tag(16) ‖ header ‖ newline ‖ signature(64) ‖ body`. The header is JSON: version, sender, recipient, the
sender's process instance, its message number there and, in an answer, the number that is answered. The keyed BLAKE2b
tag covers all of it, and keeps strangers from costing more; the signature over header and body is the sender's alone,
because a node that was removed from the peer set still has the cluster key. A receiver takes each number of an instance
once, within a sliding window, so a replayed message is dropped; even one that is replayed to a restarted node changes
nothing, because replication is idempotent.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from hmac import compare_digest

import orjson

VERSION = 2
TAG_BYTES = 16
SIGNATURE_BYTES = 64
MAX_BYTES = 8 * 1024 * 1024
WINDOW = 1024
MAX_INSTANCES = 256
MAX_NAME_CHARACTERS = 64
"""Of a sender's name, in the log."""


_CONTEXT = b"stsd envelope"

Sign = Callable[[bytes], bytes]
Verify = Callable[[str, bytes, bytes], bool]
"""Whether a sender signed this content with this signature."""


class EnvelopeError(ValueError):
    """A message that changes nothing; `reason` names it in the log and in the metric. `sender` is who it says it is
    from, of one that has the cluster's key; empty where even that is not known."""

    def __init__(self, reason: str, sender: str = "") -> None:
        super().__init__(reason)
        self.reason, self.sender = reason, sender


@dataclass(frozen=True, slots=True)
class Header:
    """Who says it to whom; `number` counts the messages of one process `instance` from 1, `answers` is 0 or one."""

    sender: str
    recipient: str
    instance: str
    number: int
    answers: int = 0


class UnknownSender(EnvelopeError):
    """`not_a_peer`: sealed with the cluster's key, and signed by nobody whom `verify` knows. `header` and `body` are
    what it says, of which only what proves itself may count."""

    def __init__(self, header: Header, body: bytes) -> None:
        super().__init__("not_a_peer", header.sender)
        self.header, self.body = header, body


def peer_key(cluster_key: bytes) -> bytes:
    """The 32-byte key that authenticates messages between the nodes of one cluster."""
    return blake2b(cluster_key, digest_size=32, person=b"stsd-peer-links").digest()


def seal(key: bytes, header: Header, body: bytes, sign: Sign) -> bytes:
    """The bytes to send."""
    fields = [VERSION, header.sender, header.recipient, header.instance, header.number, header.answers]
    first = orjson.dumps(fields) + b"\n"
    content = first + sign(_CONTEXT + first + body) + body
    return _tag(key, content) + content


def open_(key: bytes, sealed: bytes, recipient: str, verify: Verify) -> tuple[Header, bytes]:
    """Header and body of an authentic message to `recipient`.

    Raises EnvelopeError: oversized, malformed, wrong_cluster (forged or under another key), wrong_version,
    wrong_recipient, or UnknownSender when `verify` does not find it to be its sender's.
    """
    if len(sealed) > MAX_BYTES:
        raise EnvelopeError("oversized")
    tag, content = sealed[:TAG_BYTES], sealed[TAG_BYTES:]
    if not compare_digest(tag, _tag(key, content)):
        raise EnvelopeError("wrong_cluster")
    first, newline, rest = content.partition(b"\n")
    try:
        version, *fields = orjson.loads(first)
    except (ValueError, TypeError):
        raise EnvelopeError("malformed") from None
    sender = _name(fields)
    if version != VERSION:
        raise EnvelopeError("wrong_version", sender)
    try:
        header = Header(*fields)
    except TypeError:
        raise EnvelopeError("malformed", sender) from None
    if not _well_formed(header):
        raise EnvelopeError("malformed", sender)
    if header.recipient != recipient:
        raise EnvelopeError("wrong_recipient", sender)
    signature, body = rest[:SIGNATURE_BYTES], rest[SIGNATURE_BYTES:]
    if not verify(header.sender, _CONTEXT + first + newline + body, signature):
        raise UnknownSender(header, body)
    return header, body


def _name(fields: list[object]) -> str:
    """Who a header says that it is from, in every version; what is no name is none."""
    sender = fields[0] if fields else ""
    return sender[:MAX_NAME_CHARACTERS] if type(sender) is str else ""


def _well_formed(header: Header) -> bool:
    """A peer's JSON is any JSON; `type` and not `isinstance`, because true is no number."""
    texts, numbers = (header.sender, header.recipient, header.instance), (header.number, header.answers)
    return all(type(text) is str for text in texts) and all(type(number) is int for number in numbers)


def _tag(key: bytes, content: bytes) -> bytes:
    return blake2b(content, key=key, digest_size=TAG_BYTES).digest()


class ReplayWindow:
    """Which numbers of which instances were seen; remembers the last MAX_INSTANCES instances."""

    def __init__(self) -> None:
        self._seen: OrderedDict[tuple[str, str], tuple[int, int]] = OrderedDict()

    def accept(self, header: Header) -> None:
        """Take a message. Raises EnvelopeError replayed: seen before, or older than the window."""
        key = (header.sender, header.instance)
        highest, bits = self._seen.get(key, (0, 0))
        if header.number > highest:
            ahead = min(header.number - highest, WINDOW)  # a shift by what a peer wrote could take all memory
            bits = ((bits << ahead) | 1) & ((1 << WINDOW) - 1)
            highest = header.number
        else:
            behind = highest - header.number
            if header.number < 1 or behind >= WINDOW or bits >> behind & 1:
                raise EnvelopeError("replayed", header.sender)
            bits |= 1 << behind
        self._seen[key] = (highest, bits)
        self._seen.move_to_end(key)
        if len(self._seen) > MAX_INSTANCES:
            self._seen.popitem(last=False)
