"""A router in front of three fake regions, all on loopback."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
import pytest

from cluster import files, namespaces
from cluster.router import Router, RouterConfig
from cluster.topology import LocationPorts, Ports, RoundTrip, Topology
from tests.cluster.fake_regions import Region, eventually

CLUSTER_KEY = bytes(range(32))
THREE = files.parse_topology(*files.topology_source("three_regions"))


def require_namespaces() -> None:
    """Skips a test where this machine can have no network namespaces, and says why. A missing program is a failure
    where all have to be there."""
    if reason := namespaces.why_not():
        if "no `ip`" in reason and os.environ.get("STSD_REQUIRE_ALL"):
            pytest.fail(f"STSD_REQUIRE_ALL is set and {reason}")
        pytest.skip(f"no namespaces: {reason}")


def any_ports(topology: Topology) -> Ports:
    """Ports that the system chooses."""
    free = dict.fromkeys(topology.regions, 0)
    return Ports(0, free, {place: LocationPorts(0, free) for place in topology.locations})


@dataclass
class Setup:
    """A running router, its regions by name, and a client."""

    router: Router
    regions: dict[str, Region]
    client: aiohttp.ClientSession
    topology: Topology = field(default=THREE)

    def port(self, endpoint: str = "global", location: str = "direct", region: str = "") -> int:
        return self.router.ports[endpoint, location, region]  # type: ignore[index]

    def url(self, path: str = "/", **view: str) -> str:
        return f"http://127.0.0.1:{self.port(**view)}{path}"

    async def call(self, action: str = "GetCallerIdentity", more: str = "", **view: str) -> tuple[int, str]:
        """Status and answering region of one STS call (or the body where no region answered)."""
        form = f"Action={action}&Version=2011-06-15{more}"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        async with self.client.post(self.url(**view), data=form, headers=headers) as answer:
            return answer.status, answer.headers.get("x-stsd-region") or await answer.text()

    async def until_ready(self) -> None:
        await eventually(lambda: all(health.seen for health in self.router.health.values()))

    async def answers_from(self, region: str) -> bool:
        """Whether a global call is answered well by that region now."""
        return await self.call() == (200, region)


Start = Callable[..., Any]


@pytest.fixture
async def start() -> AsyncIterator[Start]:
    """Starts regions and a router; keyword arguments are settings of RouterConfig, `far` leaves the real distances."""
    async with AsyncExitStack() as stack:

        async def begin(*, far: bool = False, **settings: Any) -> Setup:
            topology = THREE if far else replace(THREE, rtt={pair: RoundTrip(0, 0) for pair in THREE.rtt})
            regions = {name: await Region(name).start() for name in topology.regions}
            for region in regions.values():
                stack.push_async_callback(region.stop)
            upstreams = {name: ("127.0.0.1", region.port) for name, region in regions.items()}
            config = RouterConfig(topology, upstreams, any_ports(topology), CLUSTER_KEY, seed=1, **settings)
            router = Router(config)
            stack.push_async_callback(router.stop)
            await router.start()
            client = await stack.enter_async_context(aiohttp.ClientSession())
            setup = Setup(router, regions, client, topology)
            await setup.until_ready()
            return setup

        yield begin
