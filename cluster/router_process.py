"""The router as a process of its own: settings from the data directory, an event loop, and an orderly end. (I/O)"""

from __future__ import annotations

import asyncio
import signal
import sys

import uvloop

from cluster import control
from cluster.data_dir import HOST, ROUTER, DataDir
from cluster.errors import ClusterError
from cluster.router import Router
from cluster.router_config import RouterConfig


def run(data: DataDir, policy: str, seed: int | None, unsafe_test_hooks: bool, dns_ttl_s: float) -> int:
    """Serves until SIGINT or SIGTERM. Raises ClusterError."""
    config = RouterConfig(
        topology=data.topology,
        upstreams={region: (HOST, port) for region, port in data.ports.regions.items()},
        ports=data.ports,
        cluster_key=data.read_key(),
        policy=policy,
        dns_ttl_s=dns_ttl_s,
        host=HOST,
        seed=seed,
        unsafe_test_hooks=unsafe_test_hooks,
    )
    if unsafe_test_hooks:
        print("router: UNSAFE: the test hooks are on", file=sys.stderr, flush=True)
    uvloop.run(_serve(config, data))
    return 0


async def _serve(config: RouterConfig, data: DataDir) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    router = Router(config)
    try:
        await router.start()
    except OSError as error:
        raise ClusterError(
            f"router: {error.strerror or error}: stop what listens there, or move --base-port"
        ) from error
    try:
        async with control.taking_orders(data.run, control.ROUTER_ORDERS, router.obey):
            print(f"router ready on {data.url(ROUTER)}", flush=True)
            await stop.wait()
    finally:
        await router.stop()
