"""The router as a process of its own: settings from the data directory, an event loop, and an orderly end. (I/O)"""

from __future__ import annotations

import asyncio
import signal
import sys
from functools import partial
from pathlib import Path

import uvloop

from cluster import control, dns
from cluster.data_dir import HOST, ROUTER, DataDir
from cluster.errors import ClusterError
from cluster.router import Router
from cluster.router_config import RouterConfig, pinned_ports
from cluster.supervisor import RunFlags
from loadtest.places import DataDirError, Key, read_key

CANARY_PROFILE = "admin"
"""Every cluster has it (contract 3)."""


def run(data: DataDir, policy: str, flags: RunFlags, drain_s: float) -> int:
    """Serves until SIGINT or SIGTERM. Raises ClusterError."""
    config = RouterConfig(
        topology=data.topology,
        upstreams={region: (HOST, port) for region, port in data.ports.regions.items()},
        ports=data.ports,
        cluster_key=data.read_key(),
        policy=policy,
        dns_ttl_s=dns.TTL_S if flags.dns_ttl_s is None else flags.dns_ttl_s,
        pinned={} if flags.pinned_from is None else pinned_ports(data.topology, flags.pinned_from),
        without=frozenset(flags.without),
        read_key=partial(_read_key, data.path),
        drain_s=drain_s,
        host=HOST,
        seed=flags.seed,
        unsafe_test_hooks=flags.unsafe_test_hooks,
    )
    if flags.unsafe_test_hooks:
        print("router: UNSAFE: the test hooks are on", file=sys.stderr, flush=True)
    uvloop.run(_serve(config, data))
    return 0


def _read_key(path: Path) -> Key:
    """Raises ValueError where there is none."""
    try:
        return read_key(path, CANARY_PROFILE)
    except DataDirError as error:
        raise ValueError(str(error)) from error


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
            await router.drain()
    finally:
        await router.stop()
