"""Active health checks: `GET /readyz` of every region, each second, on a fresh connection (multiregion 3.3). (I/O)"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from time import monotonic

from cluster.outlier import Check, RegionHealth
from cluster.upstream import Upstream, UpstreamError

INTERVAL_S = 1.0
TIMEOUT_S = 0.5
JITTER = 0.1
FIRST_INTERVAL_S = 0.1
"""Until a region has answered for the first time: a starting cluster should not wait for a check."""


async def check(upstream: Upstream) -> Check:
    """One check, at most TIMEOUT_S long."""
    head = f"GET /readyz HTTP/1.1\r\nHost: {upstream.host}:{upstream.port}\r\nConnection: close\r\n\r\n".encode()
    try:
        async with asyncio.timeout(TIMEOUT_S):
            answer = await upstream.send(head, b"", fresh=True)
    except (UpstreamError, TimeoutError):
        return "silent"
    return "good" if answer.status == 200 else "bad"


async def check_forever(upstream: Upstream, health: RegionHealth, rng: Random) -> None:
    """Checks one region until cancelled."""
    while True:
        health.check(await check(upstream), monotonic())
        interval_s = INTERVAL_S if health.ever_good else FIRST_INTERVAL_S
        await asyncio.sleep(interval_s * (1 + JITTER * (2 * rng.random() - 1)))


def begin(
    upstreams: Mapping[str, Upstream], healths: Mapping[str, RegionHealth], rng: Random
) -> list[asyncio.Task[None]]:
    """One task per region; the caller cancels them."""
    return [
        asyncio.create_task(check_forever(upstream, healths[region], rng), name=f"check {region}")
        for region, upstream in upstreams.items()
    ]
