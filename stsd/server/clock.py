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


def entropy(count: int) -> bytes:
    """`count` bytes from the operating system."""
    return os.urandom(count)


def request_id() -> str:
    """A fresh random UUID (RFC 9562 version 4), without the cost of uuid.UUID."""
    digits = os.urandom(16).hex()
    variant = "89ab"[int(digits[16], 16) & 3]
    return f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{variant}{digits[17:20]}-{digits[20:]}"
