"""The failover router: HTTP in front of routing and outlier detection, with the latency of places added. (I/O)

    client ─▶ listener ─▶ order of regions ─▶ [delay] ─▶ region ─▶ [delay] ─▶ client
                            ▲                             │
                            └── health, budget ◀── failure ┘

It listens on one port for the global endpoint without added latency, and for each place of clients on one port for
the global endpoint and one per region. A regional port never moves a request: its signature names the region.
The file composes and acts; every decision is in `routing`, `outlier`, `retry`, `latency` and `forwarding`.
"""

from __future__ import annotations

import asyncio
import json
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from random import Random
from time import monotonic

from aiohttp.web_request import BaseRequest

from cluster import forwarding, health_checks, hooks, latency, outlier, retry, routing
from cluster.delay import Path
from cluster.listener import Listener, Reply, plain
from cluster.metrics import CONTENT_TYPE, RouterMetrics
from cluster.outlier import RegionHealth
from cluster.topology import Ports, Topology
from cluster.upstream import Answer, Upstream, UpstreamError
from stsd.errors import ServiceUnavailable
from stsd.wire import forwarded, xml
from stsd.wire.messages import Endpoint

GATEWAY_STATUSES = frozenset({502, 503, 504})
NO_REGION = "No region can be reached."
JSON_TYPE = "application/json"
DIRECT = "direct"
"""The `location` label of the port that adds no latency."""


@dataclass(frozen=True, slots=True)
class RouterConfig:
    """Settings of one router.

    `upstreams` maps regions to (host, port). `answer_timeout_s` bounds every wait for a region's bytes, on top of what
    the caller asks for (`forwarding.asked_wait_s`): higher lets a slow region answer, and lets a hanging one hold its
    callers as long. `seed` decides jitter and all other chance.
    """

    topology: Topology
    upstreams: Mapping[str, tuple[str, int]]
    ports: Ports
    cluster_key: bytes = field(repr=False)
    policy: str = routing.DEFAULT_POLICY
    host: str = "127.0.0.1"
    seed: int | None = None
    connect_timeout_s: float = 1.0
    answer_timeout_s: float = 5.0
    unsafe_test_hooks: bool = False


@dataclass(slots=True)
class View:
    """One port: whose view it is, which regions it may send to, and the paths there (none without latency)."""

    endpoint: Endpoint
    location: str
    order: tuple[str, ...]
    paths: Mapping[str, Path]


class Router:
    """All ports of one cluster. `start` binds them, `stop` finishes what is in flight."""

    def __init__(self, config: RouterConfig) -> None:
        order = routing.find(config.policy)
        self.config = config
        self.health = {region: RegionHealth() for region in config.topology.regions}
        self.metrics = RouterMetrics(self._healthy)
        self.ports: dict[tuple[Endpoint, str, str], int] = {}
        """(endpoint, location, region or empty) to the port, once started."""
        self._order = partial(order, config.topology)
        self._rng = Random(config.seed)  # noqa: S311 chance, not secrets
        self._key = forwarded.router_key(config.cluster_key)
        self._budget = retry.RetryBudget()
        self._in_flight = 0
        self._listeners: list[Listener] = []
        self._checks: list[asyncio.Task[None]] = []
        self._upstreams = {
            region: Upstream(
                host, port, connect_timeout_s=config.connect_timeout_s, answer_timeout_s=config.answer_timeout_s
            )
            for region, (host, port) in config.upstreams.items()
        }

    async def start(self) -> None:
        """Binds every port and begins to check. Raises OSError for a port that is not to be had."""
        ports, topology = self.config.ports, self.config.topology
        first = topology.regions[0]
        await self._listen(ports.router, View("global", DIRECT, self._order(first), {}))
        for place, seen in ports.locations.items():
            paths = {region: self._path(place, region) for region in topology.regions}
            await self._listen(seen.global_port, View("global", place, self._order(place), paths))
            for region, port in seen.regional.items():
                await self._listen(port, View("regional", place, (region,), paths))
        self._checks = health_checks.begin(self._upstreams, self.health, self._rng)

    async def stop(self) -> None:
        """Stops accepting, finishes what is in flight, closes."""
        for task in self._checks:
            task.cancel()
        await asyncio.gather(*self._checks, return_exceptions=True)
        await asyncio.gather(*(listener.stop() for listener in self._listeners))
        for upstream in self._upstreams.values():
            upstream.close()

    async def _listen(self, port: int, view: View) -> None:
        listener = Listener(partial(self._respond, view))
        await listener.start(self.config.host, port)
        self._listeners.append(listener)
        region = view.order[0] if view.endpoint == "regional" else ""
        self.ports[view.endpoint, view.location, region] = listener.port

    def _path(self, place: str, region: str) -> Path:
        trip = self.config.topology.rtt[place, region]
        # A generator per pair: what one place asks does not change what another one draws.
        seed = None if self.config.seed is None else f"{self.config.seed}/{place}/{region}"
        rng = Random(seed)  # noqa: S311 chance, not secrets
        requested = self.metrics.delay_requested.labels(place, region)
        error = self.metrics.delay_error.labels(place, region)
        return Path(latency.link(trip, local=place == region), rng, requested, error)

    # -- one request ---------------------------------------------------------------------------------------------

    async def _respond(self, view: View, request: BaseRequest, body: bytes) -> Reply:
        arrived = monotonic()
        target = forwarding.origin_form(request.raw_path)
        path, _, query = target.partition("?")
        if self.config.unsafe_test_hooks and path in hooks.PATHS:
            return await self._hook(request, path, body)
        if view.endpoint == "global" and path in OWN_PATHS:
            return self._own(request, path)
        self._in_flight += 1
        region, outcome = "none", "disconnected"
        try:
            region, outcome, reply = await self._forward(view, request, target, query, body, arrived)
            return reply
        finally:
            self._in_flight -= 1
            self.metrics.requests.labels(view.endpoint, region, outcome).inc()
            self.metrics.seconds.labels(view.endpoint, view.location).observe(monotonic() - arrived)

    async def _forward(
        self, view: View, request: BaseRequest, target: str, query: str, body: bytes, arrived: float
    ) -> tuple[str, str, Reply]:
        """The region that answered, the outcome for the metric, and the answer."""
        binding = request.headers.get("Authorization") or query
        regions, _ = outlier.candidates(view.order, self.health, monotonic(), self._rng)
        attempt = Attempt(request, target, body, binding, view, arrived)
        result = await self._attempt(attempt, regions[0])
        outcome = "ok"
        if self._may_retry(result, request, target, body) and len(regions) > 1 and self._budget.take(self._in_flight):
            self.metrics.retries.labels("definite" if _is_definite(result) else "indefinite").inc()
            try:
                second = await self._attempt(attempt, regions[1])
            finally:
                self._budget.done()
            # A region that answers 503 is still a better answer than no answer.
            if isinstance(second, Answer) or isinstance(result, UpstreamError):
                result, regions, outcome = second, regions[1:], "retried"
        if isinstance(result, UpstreamError):
            return "none", "unavailable", self._unavailable(request)
        self._budget.succeeded()
        return regions[0], "error" if result.status >= 500 else outcome, _reply(request.method, result, attempt.added_s)

    async def _attempt(self, attempt: Attempt, region: str) -> Answer | UpstreamError:
        """One exchange with one region, latency both ways; the outcome goes into the region's health."""
        path = attempt.view.paths.get(region)
        await attempt.travel(path)
        result = await self._exchange(attempt, region)
        self._note(region, attempt.target, result)
        await attempt.travel(path)
        return result

    async def _exchange(self, attempt: Attempt, region: str) -> Answer | UpstreamError:
        request, view = attempt.request, attempt.view
        client_ip = request.remote or "unknown"
        mark = forwarded.mark(self._key, view.endpoint, client_ip, request.secure, time.time(), attempt.binding)
        head = forwarding.request_head(
            request.method, attempt.target, request.raw_headers, len(attempt.body), (forwarded.HEADER, mark)
        )
        try:
            wait_s = forwarding.asked_wait_s(request.method, attempt.target.partition("?")[0], attempt.body)
            upstream = self._upstreams[region]
            return await upstream.send(head, attempt.body, bodiless=request.method == "HEAD", more_s=wait_s)
        except UpstreamError as error:
            return error

    def _note(self, region: str, target: str, result: Answer | UpstreamError) -> None:
        """Passive detection. Only the Query API's errors count: a 503 under /v1/ may be what the caller asked for."""
        health, now = self.health[region], monotonic()
        if isinstance(result, UpstreamError):
            health.request(now, gateway=True, silent=result.definite)
        elif target == "/" or target.startswith("/?"):
            health.request(now, failed=result.status >= 500, gateway=result.status in GATEWAY_STATUSES)
        else:
            health.request(now)

    def _may_retry(self, result: Answer | UpstreamError, request: BaseRequest, target: str, body: bytes) -> bool:
        path, _, query = target.partition("?")
        if isinstance(result, Answer):
            overloaded = path == "/" and result.status in GATEWAY_STATUSES
            return overloaded and retry.repeatable(request.method, path, query, body)
        return result.definite or retry.repeatable(request.method, path, query, body)

    def _unavailable(self, request: BaseRequest) -> Reply:
        request_id = new_request_id()
        error = ServiceUnavailable(NO_REGION, reason="no_region")
        fields = f"x-amzn-RequestId: {request_id}\r\nRetry-After: 1\r\n"
        if xml.wants_json(request.headers):
            return plain(503, xml.render_error_json(error, request_id), JSON_TYPE, fields=fields)
        return plain(503, xml.render_error(error, request_id), "text/xml", fields=fields)

    # -- the router's own pages ----------------------------------------------------------------------------------

    def _own(self, request: BaseRequest, path: str) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return plain(405, fields=f"Allow: GET, HEAD\r\nx-amzn-RequestId: {new_request_id()}\r\n")
        status, body, content_type = OWN_PATHS[path](self, request)
        fields = f"x-amzn-RequestId: {new_request_id()}\r\n"
        return plain(status, body, content_type, fields=fields, bodiless=request.method == "HEAD")

    def _healthz(self, request: BaseRequest) -> tuple[int, bytes, str]:
        return 200, b'{"status":"ok"}\n', JSON_TYPE

    def _readyz(self, request: BaseRequest) -> tuple[int, bytes, str]:
        """Ready when each region was seen to answer once or fail once (contract 4)."""
        seen = all(health.seen for health in self.health.values())
        healthy = self._healthy()
        words = {r: "unknown" if not h.seen else "up" if healthy[r] else "down" for r, h in self.health.items()}
        content = {"ready": seen, "policy": self.config.policy, "regions": words}
        return 200 if seen else 503, json.dumps(content).encode() + b"\n", JSON_TYPE

    def _metrics(self, request: BaseRequest) -> tuple[int, bytes, str]:
        if not hooks.is_loopback(request.remote):
            return 403, b"", ""
        return 200, self.metrics.render(), CONTENT_TYPE

    def _ui(self, request: BaseRequest) -> tuple[int, bytes, str]:
        return 404, b"", ""

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
            status, content = await hooks.tell_all(self._upstreams, path, order)
        except hooks.HookError as error:
            status, content = error.status, {"error": {"code": error.code, "message": str(error)}}
        request_id = new_request_id()
        if "error" in content:
            content["error"]["request_id"] = request_id
        return plain(status, json.dumps(content).encode(), JSON_TYPE, fields=f"x-amzn-RequestId: {request_id}\r\n")


OWN_PATHS = {
    "/healthz": Router._healthz,
    "/readyz": Router._readyz,
    "/metrics": Router._metrics,
    "/ui": Router._ui,
    "/ui/": Router._ui,
}


@dataclass(slots=True)
class Attempt:
    """A request on its way: when it arrived (monotonic seconds), the latency added so far, and how late it runs."""

    request: BaseRequest
    target: str
    body: bytes
    binding: str
    view: View
    began: float
    added_s: float = 0.0
    late_s: float = 0.0

    async def travel(self, path: Path | None) -> None:
        """One way between the client's place and the region; without a path no time passes."""
        if path is None:
            return
        # The first leg counts from the arrival, so that reading the body does not come on top.
        since = self.began if not self.added_s else monotonic() - self.late_s
        started = monotonic()
        self.late_s = await path.hold(since)
        self.added_s += monotonic() - started


def _is_definite(result: Answer | UpstreamError) -> bool:
    return isinstance(result, UpstreamError) and result.definite


def _reply(method: str, answer: Answer, added_s: float) -> Reply:
    """The region's answer for the client; `x-stsd-added-ms` tells a measurement what the latency model put on top."""
    fields = forwarding.response_fields(answer.headers)
    if added_s:
        fields += b"x-stsd-added-ms: %.3f\r\n" % (added_s * 1000)
    length = None
    if method == "HEAD" or answer.status == 304:
        length = next((value for name, value in answer.headers if name.lower() == b"content-length"), None)
    return Reply(answer.status, fields, answer.body, reason=answer.reason, length=length)


def new_request_id() -> str:
    """A fresh random UUID (RFC 9562 version 4)."""
    digits = os.urandom(16).hex()
    return (
        f"{digits[:8]}-{digits[8:12]}-4{digits[13:16]}-{'89ab'[int(digits[16], 16) & 3]}{digits[17:20]}-{digits[20:]}"
    )
