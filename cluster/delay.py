"""Holds a message back as long as the latency model says, and measures how well that went. (I/O)

Deadlines are absolute, so that what comes before a wait does not lengthen it, and what one wait lost the next one of
the same request makes good. uvloop's timers count in whole milliseconds and may fire early: waits are rounded up and
looked at again.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import ceil
from random import Random
from time import monotonic
from typing import NamedTuple

from prometheus_client import Histogram

from cluster import latency


async def sleep_until(deadline: float) -> None:
    """Returns at `deadline` (monotonic seconds) or up to some two milliseconds later, never before."""
    while (left_s := deadline - monotonic()) > 0:  # noqa: ASYNC110 what is awaited is time itself
        await asyncio.sleep(ceil(left_s * 1000) / 1000)


@dataclass(slots=True)
class Path:
    """One direction between a place of clients and a region."""

    link: latency.Link
    rng: Random
    requested: Histogram
    error: Histogram
    shift: latency.PathShift | None = None

    async def hold(self, since: float) -> float:
        """Waits for one message that began at `since`; how many seconds too late it woke up."""
        delay_s = latency.one_way_ms(self.link, self.rng) / 1000
        if self.shift is not None:
            delay_s += self.shift.ms(since) / 1000
        await sleep_until(since + delay_s)
        late_s = max(0.0, monotonic() - since - delay_s)
        self.requested.observe(delay_s)
        self.error.observe(late_s)
        return late_s


class Paths(NamedTuple):
    """What a request and its answer take."""

    there: Path
    back: Path
