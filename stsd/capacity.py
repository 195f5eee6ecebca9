"""A server that does so many calls a second, one after the other, and the queue before it. Pure.

A node whose capacity a test hook lowers takes turns by it, and so does its model in virtual time.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(slots=True)
class Capacity:
    """`per_s` calls a second. `queue_s` bounds how long a call may wait: without it everybody is served in the end.
    `free_at` is when whoever comes next is served, in seconds of the caller's clock."""

    per_s: float
    queue_s: float | None = None
    free_at: float = 0.0

    def turn(self, now: float, left_s: float | None) -> float | None:
        """Takes a place in the queue: seconds until the call is done; None when it is refused, which takes none of the
        capacity. `left_s` is the time until the caller's deadline, None for one that told none."""
        service_s = 1 / self.per_s
        wait_s = max(0.0, self.free_at - now)
        too_late = left_s is not None and wait_s + service_s > left_s
        if self.queue_s is not None and (wait_s > self.queue_s or too_late):
            return None
        self.free_at = now + wait_s + service_s
        return wait_s + service_s
