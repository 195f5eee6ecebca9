"""The failover router: its ports, its own pages, its health checks and the orders it obeys. (I/O)

It listens on one port for the global endpoint without added latency, and for each place of clients on one port for
the global endpoint and one per region. A regional port never moves a request: its signature names the region. Nor does
a pinned port, which is the global endpoint for another proxy: it marks, delays, and leaves the choice to who calls it.
What happens to one request is in `forwarder`.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from functools import partial
from random import Random
from time import monotonic
from typing import Any

from aiohttp.web_request import BaseRequest

from cluster import forwarding, hooks, latency, routing
from cluster.delay import Path, Paths
from cluster.forwarder import JSON_TYPE, Forwarder
from cluster.listener import Listener, Reply, new_request_id, plain
from cluster.metrics import CONTENT_TYPE, RouterMetrics
from cluster.outlier import RegionHealth
from cluster.router_config import DIRECT, RouterConfig, View
from stsd.wire.messages import Endpoint

__all__ = ["Router", "RouterConfig"]

Page = tuple[int, bytes, str]
"""Status, body and content type."""


class Router:
    """All ports of one cluster. `start` binds them, `stop` finishes what is in flight."""

    def __init__(self, config: RouterConfig) -> None:
        self.config = config
        self.metrics = RouterMetrics(self._healthy)
        self.forwarder = Forwarder(config, self.metrics)
        self.ports: dict[tuple[Endpoint, str, str], int] = {}
        """(endpoint, location, region or empty) to the port, once started."""
        self._listeners: list[Listener] = []
        self._tasks: list[asyncio.Task[None]] = []
        self._draining = False
        topology = config.topology
        pairs = [*topology.rtt, *((b, a) for a, b in topology.rtt)] if topology.path_shifts else ()
        self._shifts = latency.shifts(pairs, config.seed)

    @property
    def health(self) -> Mapping[str, RegionHealth]:
        """What is known of each region."""
        return self.forwarder.health

    async def start(self) -> None:
        """Binds every port and begins to check. Raises OSError for a port that is not to be had."""
        ports, topology = self.config.ports, self.config.topology
        await self._listen(ports.router, View("global", DIRECT, topology.regions[0], "", {}))
        for place, seen in ports.locations.items():
            paths = {region: self._paths(place, region) for region in topology.regions}
            await self._listen(seen.global_port, View("global", place, place, "", paths))
            for region, port in seen.regional.items():
                await self._listen(port, View("regional", place, place, region, paths))
            for region in topology.regions if self.config.pinned else ():
                await self._listen(self.config.pinned[place, region], View("global", place, place, region, paths))
        self._tasks = self.forwarder.begin()

    async def drain(self) -> None:
        """Says that it is not ready, and goes on for as long as who asks that needs to notice."""
        self._draining = True
        await asyncio.sleep(self.config.drain_s)

    async def stop(self) -> None:
        """Stops accepting, finishes what is in flight, closes."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        for upstream in self.forwarder.upstreams.values():
            upstream.close()

    def obey(self, order: Mapping[str, Any]) -> dict[str, Any]:
        """An order given over the control socket; one that cannot be followed changes nothing."""
        match order.get("verb"):
            case "policy":
                return self._use(str(order.get("policy")))
            case "drain":
                return self._drain(str(order.get("region")), order.get("draining") is True)
            case verb:
                return {"ok": False, "fault": f"{verb}: not an order for the router"}

    def _use(self, name: str) -> dict[str, Any]:
        before = self.forwarder.chooser.policy.name
        try:
            self.forwarder.chooser.use(name)
        except routing.PolicyError as error:
            return {"ok": False, "fault": str(error)}
        return {"ok": True, "before": before}

    def _drain(self, region: str, draining: bool) -> dict[str, Any]:
        """Keeps new calls of the global endpoint away from a region, or ends that; what it has in flight goes on."""
        if region not in self.health:
            return {
                "ok": False,
                "fault": f"{region}: not a region of this cluster; choose from {', '.join(self.health)}",
            }
        chooser = self.forwarder.chooser
        if draining and (tied := self._tied(region)):
            places, policy = ", ".join(tied), chooser.policy.name
            return {
                "ok": False,
                "fault": f"{region}: {policy} sends calls from {places} there in any case; choose another policy",
            }
        self.health[region].drain(draining, monotonic())
        return {"ok": True, "in_flight": self.forwarder.chosen[region], "told_for_s": chooser.told_for_s}

    def _tied(self, region: str) -> list[str]:
        """Places whose calls the policy sends to a region and to no other."""
        chooser, topology = self.forwarder.chooser, self.config.topology
        if chooser.policy.failover or chooser.policy.resolves:
            return []
        places = dict.fromkeys((*topology.locations, topology.regions[0]))
        return [place for place in places if chooser.order(place)[0] == region]

    async def _listen(self, port: int, view: View) -> None:
        listener = Listener(partial(self._respond, view))
        await listener.start(self.config.host, port)
        self._listeners.append(listener)
        self.ports[view.endpoint, view.location, view.region] = listener.port

    def _paths(self, place: str, region: str) -> Paths:
        trip = self.config.topology.rtt[place, region]
        # A generator per pair: what one place asks does not change what another one draws.
        seed = None if self.config.seed is None else f"{self.config.seed}/{place}/{region}"
        rng = Random(seed)  # noqa: S311 chance, not secrets
        requested = self.metrics.delay_requested.labels(place, region)
        error = self.metrics.delay_error.labels(place, region)
        link, shifts = latency.link(trip, local=place == region), self._shifts
        there, back = (Path(link, rng, requested, error, shifts.get(way)) for way in ((place, region), (region, place)))
        return Paths(there, back)

    # -- one request ---------------------------------------------------------------------------------------------

    async def _respond(self, view: View, request: BaseRequest, body: bytes) -> Reply:
        arrived = monotonic()
        target = forwarding.origin_form(request.raw_path)
        path, _, _ = target.partition("?")
        if self.config.unsafe_test_hooks and path in hooks.PATHS:
            return await self._hook(request, path, body)
        if not view.region and path in OWN_PATHS:
            return self._own(request, path)
        reply = await self.forwarder.respond(view, request, target, body, arrived)
        if self._draining:
            reply.keep_alive = False
        return reply

    # -- the router's own pages ----------------------------------------------------------------------------------

    def _own(self, request: BaseRequest, path: str) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return plain(405, fields=f"Allow: GET, HEAD\r\nx-amzn-RequestId: {new_request_id()}\r\n")
        status, body, content_type = OWN_PATHS[path](self, request)
        fields = f"x-amzn-RequestId: {new_request_id()}\r\n"
        return plain(status, body, content_type, fields=fields, bodiless=request.method == "HEAD")

    def _healthz(self, request: BaseRequest) -> Page:
        return 200, b'{"status":"ok"}\n', JSON_TYPE

    def _readyz(self, request: BaseRequest) -> Page:
        """Ready when each region was seen to answer once or fail once (contract 4)."""
        seen = all(health.seen for health in self.health.values())
        healthy = self._healthy()
        words = {r: "unknown" if not h.seen else _word(h, healthy[r]) for r, h in self.health.items()}
        ready = seen and not self._draining
        content = {"ready": ready, "policy": self.forwarder.chooser.policy.name, "regions": words}
        return 200 if ready else 503, json.dumps(content).encode() + b"\n", JSON_TYPE

    def _metrics(self, request: BaseRequest) -> Page:
        if not hooks.is_loopback(request.remote):
            return 403, b"", ""
        return 200, self.metrics.render(), CONTENT_TYPE

    def _ui(self, request: BaseRequest) -> Page:
        return 404, b"<UnknownOperationException/>", "text/xml"

    def _healthy(self) -> dict[str, bool]:
        now = monotonic()
        return {region: health.available(now) for region, health in self.health.items()}

    async def _hook(self, request: BaseRequest, path: str, body: bytes) -> Reply:
        """The test hooks: this machine only, and not from a web page that a browser here has open."""
        try:
            if not hooks.is_loopback(request.remote) or "Origin" in request.headers:
                raise hooks.HookError(403, "AccessDenied", "test hooks are for this machine only")
            if request.method != "POST":
                raise hooks.HookError(405, "MethodNotAllowed", "POST")
            order = hooks.order(path, body, time.time_ns() // 1000)
            status, content = await hooks.tell_all(self.forwarder.upstreams, path, order)
            if path == hooks.RESET and status == 200:
                self.forwarder.forget()
        except hooks.HookError as error:
            status, content = error.status, {"error": {"code": error.code, "message": str(error)}}
        request_id = new_request_id()
        if "error" in content:
            content["error"]["request_id"] = request_id
        fields, bodiless = f"x-amzn-RequestId: {request_id}\r\n", request.method == "HEAD"
        return plain(status, json.dumps(content).encode(), JSON_TYPE, fields=fields, bodiless=bodiless)


OWN_PATHS = {
    "/healthz": Router._healthz,
    "/readyz": Router._readyz,
    "/metrics": Router._metrics,
    "/ui": Router._ui,
    "/ui/": Router._ui,
}


def _word(health: RegionHealth, available: bool) -> str:
    if not available:
        return "down"
    return "draining" if health.draining else "up"
