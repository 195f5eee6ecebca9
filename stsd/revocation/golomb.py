"""Golomb-coded sets: which texts are in a set, in 21.6 bits each, with one false positive in 2^20 (design 2.9).

1. A text's fingerprint is 64 bits of BLAKE2b under the set's key. Of a set of N texts its *place* is that fingerprint
   scaled to the range N · 2^20, so that the places of a random set are 2^20 apart on average.
2. The places in ascending order are told by their gaps, each Golomb-Rice coded with 20 bits: gap >> 20 zero bits, a
   one, then the low 20 bits of the gap. The last byte is filled up with zeros.
3. A text that is in the set is always found. One that is not is found once in 2^20: a positive is a question for
   whoever holds the set itself, never an answer.

Encoding is a generator that pauses between steps of about a millisecond, so that a server can do other things.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Generator, Sequence
from hashlib import blake2b

RICE_BITS = 20
KEY_BYTES = 16
MIN_BITS = RICE_BITS + 1
"""Of a gap; what is encoded in fewer bits holds fewer texts."""
_LOW = (1 << RICE_BITS) - 1
_STEP = 1_000
_FLUSH_BITS = 1_024
_READ_BYTES = 128


class GolombSet:
    """A decoded set: 8 bytes of memory for each text, and one binary search for each question."""

    def __init__(self, key: bytes, places: array[int]) -> None:
        self._key = key
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __contains__(self, text: str) -> bool:
        """Whether the text may be in the set; see rule 3."""
        places = self._places
        place = _place(text, self._key, len(places))
        at = bisect_left(places, place)
        return at < len(places) and places[at] == place


EMPTY = GolombSet(b"", array("Q"))


def encoding(texts: Sequence[str], key: bytes) -> Generator[None, None, bytes]:
    """Encode the set in steps; the generator returns the bytes. A text that is given twice counts twice."""
    count = len(texts)
    buckets: list[list[int]] = [[] for _ in range(1 + count // _STEP)]
    for start in range(0, count, _STEP):
        for text in texts[start : start + _STEP]:
            place = _place(text, key, count)
            buckets[place * len(buckets) // (count << RICE_BITS)].append(place)
        yield
    writer = _Writer()
    for bucket in buckets:
        bucket.sort()
        for place in bucket:
            writer.add(place)
        bucket.clear()
        yield
    return writer.end()


def encode(texts: Sequence[str], key: bytes) -> bytes:
    """The encoded set, in one go."""
    steps = encoding(texts, key)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            encoded: bytes = end.value
            return encoded


def decode(content: bytes, count: int, key: bytes) -> GolombSet:
    """The set of `count` texts. Raises ValueError when the bytes do not hold exactly that many."""
    if not 0 <= count * MIN_BITS <= len(content) * 8:
        raise ValueError("count")
    places = array("Q")
    place = acc = bits = at = 0
    end = count << RICE_BITS
    while len(places) < count:
        zeros = bits - acc.bit_length()
        if zeros + MIN_BITS > bits:
            chunk = content[at : at + _READ_BYTES]
            if not chunk:
                raise ValueError("truncated")
            at += len(chunk)
            acc, bits = acc << 8 * len(chunk) | int.from_bytes(chunk, "big"), bits + 8 * len(chunk)
            continue
        bits -= zeros + MIN_BITS
        place += zeros << RICE_BITS | acc >> bits & _LOW
        acc &= (1 << bits) - 1
        if place >= end:
            raise ValueError("range")
        places.append(place)
    if acc or bits >= 8 or at != len(content):
        raise ValueError("padding")
    return GolombSet(key, places)


def _place(text: str, key: bytes, count: int) -> int:
    fingerprint = blake2b(text.encode(), digest_size=8, key=key).digest()
    return int.from_bytes(fingerprint, "big") * (count << RICE_BITS) >> 64


class _Writer:
    """Gaps as bits; what is complete is moved to bytes often, so that the number in hand stays short."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._acc = self._bits = self._last = 0

    def add(self, place: int) -> None:
        gap, self._last = place - self._last, place
        bits = (gap >> RICE_BITS) + MIN_BITS
        self._acc = self._acc << bits | 1 << RICE_BITS | gap & _LOW
        self._bits += bits
        if self._bits >= _FLUSH_BITS:
            self._flush()

    def end(self) -> bytes:
        self._acc, self._bits = self._acc << -self._bits % 8, self._bits + -self._bits % 8
        self._flush()
        return bytes(self._bytes)

    def _flush(self) -> None:
        rest = self._bits % 8
        self._bytes += (self._acc >> rest).to_bytes(self._bits // 8, "big")
        self._acc, self._bits = self._acc & (1 << rest) - 1, rest
