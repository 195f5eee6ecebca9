"""Active health checks: `GET /readyz` of every region, each second, on a fresh connection; and the deep ones (see
`canary`) beside them (multiregion 3.3). (I/O)"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from random import Random
from time import monotonic

from cluster import canary
from cluster.canary import ReadKey
from cluster.outlier import Check, RegionHealth
from cluster.shedding import Shedding
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


async def check_forever(upstream: Upstream, health: RegionHealth, rng: Random, *, counts: bool) -> None:
    """Checks one region until cancelled. Unless it `counts`, only the first result is taken: it was seen."""
    while True:
        result = await check(upstream)
        if counts or not health.ever_good:
            health.check(result, monotonic())
        interval_s = INTERVAL_S if health.ever_good else FIRST_INTERVAL_S
        await asyncio.sleep(interval_s * (1 + JITTER * (2 * rng.random() - 1)))


async def check_deeply_forever(
    upstream: Upstream,
    region: str,
    health: RegionHealth,
    shares: Mapping[str, Shedding],
    rng: Random,
    read_key: ReadKey,
) -> None:
    """The deep checks of one region until cancelled; the first one comes at a random moment of the interval."""
    next_at = monotonic() + canary.EVERY_S * rng.random()
    while True:
        await asyncio.sleep(canary.AGAIN_S * (1 + JITTER * (2 * rng.random() - 1)))
        if monotonic() < next_at and shares[region].share >= 1.0:
            continue
        found, now = await canary.check(upstream, region, read_key), monotonic()
        if found.good is not None:
            health.deep_check(found.good, now)
            for took_s in found.took_s:
                shares[region].add(took_s, now, failed=not found.good)
        next_at = now + (0.0 if found.good is False else canary.EVERY_S)


def begin(
    upstreams: Mapping[str, Upstream],
    healths: Mapping[str, RegionHealth],
    shares: Mapping[str, Shedding],
    rng: Random,
    read_key: ReadKey | None,
    without: frozenset[str],
) -> list[asyncio.Task[None]]:
    """The tasks of all regions; the caller cancels them."""
    counts = "active-checks" not in without
    deep = read_key if "deep-checks" not in without else None
    tasks = []
    for region, upstream in upstreams.items():
        active = check_forever(upstream, healths[region], rng, counts=counts)
        tasks.append(asyncio.create_task(active, name=f"check {region}"))
        if deep is not None:
            deeply = check_deeply_forever(upstream, region, healths[region], shares, rng, deep)
            tasks.append(asyncio.create_task(deeply, name=f"deep check {region}"))
    return tasks
