"""Liveness, readiness and metrics (contract 4). None of them asks another region anything."""

from __future__ import annotations

from collections.abc import Callable

from stsd.node import is_loopback
from stsd.server.clock import Clock, request_id
from stsd.server.connection import Head
from stsd.server.http import http_date, render
from stsd.server.membership import Membership
from stsd.server.metrics import CONTENT_TYPE, Metrics
from stsd.view import View
from stsd.wire import json_api
from stsd.wire.messages import Request, Response

NOT_READY = 503
NOT_FOUND = Response(404, b"<UnknownOperationException/>", operation="metrics", code="NotFound")


class Probes:
    """Answers of one node. `draining` is set when it is told to stop: not ready, but still serving. Nor is one ready
    that was removed from its cluster, or whose clock is wrong."""

    def __init__(
        self,
        view: View,
        metrics: Metrics,
        staleness: Callable[[], dict[str, float]],
        clock: Clock,
        membership: Membership,
    ) -> None:
        self._view, self._metrics, self._staleness, self._clock = view, metrics, staleness, clock
        self._membership = membership
        self.draining = False

    def _degraded(self) -> str | None:
        self._view.look(self._clock.wall())
        return self._view.degraded or None

    async def healthz(self, request: Request) -> Response:
        """The process answers."""
        return json_api.answer({"status": "ok"}, "healthz")

    async def readyz(self, request: Request) -> Response:
        """Whether requests should come here: joined, not on the way out, and the clock is not known to be wrong, which
        takes others that say so and never their absence. Staleness is told, never judged."""
        replica, wrong_by_s = self._view.replica, self._view.clock_wrong_by_s
        ready = replica.joined and not self.draining and not self._membership.left and wrong_by_s is None
        content = {
            "ready": ready,
            "region": self._view.region,
            "joined": replica.joined,
            "removed": self._membership.left,
            "draining": self.draining,
            "origin": str(replica.origin),
            "epoch": replica.epoch,
            "keys": [{"kid": key.kid, "state": key.state} for key in self._view.keys.keys],
            "staleness": self._staleness(),
            "degraded": self._degraded(),
            "clock_wrong_by_s": wrong_by_s if wrong_by_s is None else round(wrong_by_s, 3),
        }
        response = json_api.answer(content, "readyz")
        if not ready:
            response.status, response.code = NOT_READY, "NotReady"
        return response

    async def metrics(self, request: Request) -> Response:
        """The exposition, for clients on loopback; others use the extra listener."""
        if not is_loopback(request.source_ip):
            return NOT_FOUND
        return Response(200, self._metrics.render(), CONTENT_TYPE, operation="metrics")


class MetricsListener:
    """Answers on the --metrics-listen address: /metrics and nothing else."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def at_once(self, head: Head, body: bytes) -> bytes:
        """The exposition, or 404."""
        found = head.method == "GET" and head.target == "/metrics"
        response = Response(200, self._metrics.render(), CONTENT_TYPE) if found else NOT_FOUND
        lines = f"Content-Type: {response.content_type}\r\nDate: {http_date()}\r\nx-amzn-RequestId: {request_id()}\r\n"
        return render(response.status, lines, response.body, keep_alive=head.keep_alive)

    async def in_time(self, head: Head, body: bytes) -> bytes:
        """The same, on aiohttp's way."""
        return self.at_once(head, body)
