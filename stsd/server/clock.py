"""The clock and the entropy of a running node.

Two readings of time: `wall` is real and judges signatures; `service` is what tokens, policies and revocations go by
and can be moved by a test hook (contract 8). Without the hook they are the same.
"""

from __future__ import annotations

import os
import time


class Clock:
    """Unix seconds; `offset_s` is what the test hook added."""

    def __init__(self) -> None:
        self.offset_s = 0.0

    def wall(self) -> float:
        """Real time."""
        return time.time()

    def service(self) -> float:
        """Real time, moved by the test hook."""
        return time.time() + self.offset_s

    def steady(self) -> float:
        """Seconds since some instant; nobody moves this one, so it tells how old something is."""
        return time.monotonic()

    def read(self) -> tuple[float, float]:
        """Service time and real time of one instant."""
        wall = time.time()
        return wall + self.offset_s, wall


class Entropy:
    """Random bytes from the operating system, drawn POOL_BYTES at a time: a system call for every id and secret costs
    more than the rest of making it. No byte is handed out twice."""

    def __init__(self) -> None:
        self._pool = b""
        self._used = 0

    def __call__(self, count: int) -> bytes:
        """`count` bytes."""
        end = self._used + count
        if end > len(self._pool):
            self._pool, self._used, end = os.urandom(max(POOL_BYTES, count)), 0, count
        taken = self._pool[self._used : end]
        self._used = end
        return taken


POOL_BYTES = 4096
entropy = Entropy()


def request_id() -> str:
    """A fresh random UUID (RFC 9562 version 4), without the cost of uuid.UUID."""
    digits = entropy(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
