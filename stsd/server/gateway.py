"""From an HTTP request to the node and back: one plain function for everything that changes nothing.

What must be stored or sent elsewhere (a revocation, a peer's message, a test hook) has its own coroutine in `routes`.
Every answer carries the request id, the region and the staleness (contract 4), and `x-stsd-degraded` when that is
too high; it is counted and is logged once.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Awaitable, Callable
from time import perf_counter

from stsd.node import Node
from stsd.server.clock import Clock, request_id
from stsd.server.connection import Head
from stsd.server.http import Streamed, http_date, render, render_start
from stsd.server.log import EventLog
from stsd.server.metrics import Metrics
from stsd.wire.messages import Request, Response

AsyncRoute = Callable[[Request], Awaitable[Response]]


class Gateway:
    """Answers requests of one listener. `secure` says whether it speaks TLS."""

    def __init__(
        self,
        node: Node,
        clock: Clock,
        metrics: Metrics,
        log: EventLog,
        *,
        secure: bool,
    ) -> None:
        self._node, self._clock, self._metrics, self._log = node, clock, metrics, log
        self._secure = secure
        self.routes: dict[tuple[str, str], AsyncRoute] = {}

    def at_once(self, head: Head, body: Callable[[], bytes]) -> bytes | None:
        """Answer a request that changes nothing; None for those that wait for something (`routes`)."""
        started = perf_counter()
        path, _, query = head.target.partition("?")
        if (head.method, path) in self.routes:
            return None
        request = self._request(head, path, query, body())
        response = self._node.respond(request, self._clock.service(), self._clock.wall())
        return self._finish(head, request, response, started)

    async def in_time(self, head: Head, body: bytes) -> bytes | Streamed:
        """Answer any request."""
        started = perf_counter()
        path, _, query = head.target.partition("?")
        route = self.routes.get((head.method, path))
        request = self._request(head, path, query, body)
        if route is None:
            response = self._node.respond(request, self._clock.service(), self._clock.wall())
        else:
            response = await route(request)
        if response.parts is None:
            return self._finish(head, request, response, started)
        start = render_start(response.status, self._lines(request, response))
        self._account(request, response, perf_counter() - started)
        return Streamed(start + response.body, response.parts)

    def _request(self, head: Head, path: str, query: str, body: bytes) -> Request:
        return Request(head.method, path, query, head.headers, body, request_id(), head.remote, self._secure)

    def _finish(self, head: Head, request: Request, response: Response, started: float) -> bytes:
        answer = self._answer(head, request, response)
        self._account(request, response, perf_counter() - started)
        return answer

    def _answer(self, told: Head, request: Request, response: Response) -> bytes:
        return render(
            response.status,
            self._lines(request, response),
            response.body,
            keep_alive=told.keep_alive,
            body_allowed=request.method != "HEAD" and response.status != 304,
        )

    def _lines(self, request: Request, response: Response) -> str:
        view = self._node.view
        view.look(self._clock.wall())
        head = (
            f"Content-Type: {response.content_type}\r\nDate: {http_date()}\r\nx-amzn-RequestId: {request.id}\r\n"
            f"x-stsd-region: {view.region}\r\nx-stsd-staleness-ms: {int(view.staleness_s * 1000)}\r\n"
        )
        if view.degraded:
            head += f"x-stsd-degraded: {view.degraded}\r\n"
        if request.path == "/":
            head += f"x-amz-sts-extended-request-id: {self._extended_request_id(request.id)}\r\n"
            if "Origin" in request.headers:
                head += CORS
        for name, value in response.headers:
            head += f"{name}: {value}\r\n"
        return head

    def _extended_request_id(self, request_id: str) -> str:
        """Region, instant and eight alphanumerics, in base64 (spec 1.2); the request id is random enough for them."""
        text = f"1:{self._node.view.region}:S:{int(self._clock.wall() * 1000)}:R:{request_id[-8:]}"
        return b2a_base64(text.encode(), newline=False).decode()

    def _account(self, request: Request, response: Response, seconds: float) -> None:
        operation = response.operation or "unknown"
        self._metrics.request(operation, response.code or "OK", seconds)
        if "tokens" in response.event:
            self._metrics.verifications(response.event["tokens"])
        if operation in UNLOGGED and not response.code:
            return
        self._log.emit(
            self._clock.wall(),
            {
                "event": "request",
                "request_id": request.id,
                "operation": operation,
                "status": response.status,
                "code": response.code,
                "ms": round(seconds * 1000, 3),
                "source_ip": request.source_ip,
                "endpoint": request.endpoint,
                **response.event,
            },
        )


UNLOGGED = frozenset({"healthz", "readyz", "metrics", "peer_messages"})
"""What comes every second by itself is counted; it is logged only when something is wrong with it."""

CORS = (
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Expose-Headers: x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date\r\n"
)
"""Browsers may call STS (spec 1.1): nothing is decided by cookies, every call is signed."""
