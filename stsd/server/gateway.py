"""From an HTTP request to the node and back: one plain function for everything that changes nothing.

What must be stored or sent elsewhere (a revocation, a peer's message, a test hook) has its own coroutine in `routes`;
a request with an MFA code goes to `present`.
Every answer carries the request id, the region and the staleness (contract 4), and `x-stsd-degraded` when that is
too high; it is counted and is logged once.
"""

from __future__ import annotations

from binascii import b2a_base64
from collections.abc import Callable, Coroutine
from time import perf_counter
from typing import Any

from multidict import CIMultiDict

from stsd.capacity import Capacity
from stsd.directory import OpenIDConnectProvider
from stsd.node import Node
from stsd.server import capacity
from stsd.server.backbone.links import PATH as PEER_PATH
from stsd.server.changes import PEER_OPERATION
from stsd.server.clock import Clock, request_id
from stsd.server.connection import Head
from stsd.server.faults import FaultyAnswers
from stsd.server.http import Streamed, end_head, http_date, status_line
from stsd.server.log import Answered, EventLog
from stsd.server.metrics import Metrics
from stsd.wire.messages import Request, Response

AsyncRoute = Callable[[Request], Coroutine[Any, Any, Response]]
FetchKeys = Callable[[OpenIDConnectProvider], Coroutine[Any, Any, None]]


class Gateway:
    """Answers requests of one listener. `secure` says whether it speaks TLS."""

    def __init__(
        self,
        node: Node,
        clock: Clock,
        metrics: Metrics,
        log: EventLog,
        *,
        present: AsyncRoute,
        secure: bool,
    ) -> None:
        self._node, self._clock, self._metrics, self._log = node, clock, metrics, log
        self._present, self._secure = present, secure
        self._moment: tuple[int, float, str] | None = None
        self._starts: dict[tuple[int, str], str] = {}
        self.routes: dict[tuple[str, str], AsyncRoute] = {}
        self.fetch_keys: FetchKeys | None = None
        """What a request waits for whose identity provider's keys are not here."""
        self.capacity: Capacity | None = None
        self.faulty: FaultyAnswers | None = None
        """Both set by test hooks."""

    def at_once(self, head: Head, body: bytes) -> bytes | None:
        """Answer a request that changes nothing; None for those that wait for something (`routes`,
        or an MFA code)."""
        started = perf_counter()
        path, _, query = head.target.partition("?")
        method = _method(head, path)
        if (method, path) in self.routes or self.capacity is not None or self.faulty is not None:
            return None
        request = self._request(head, method, path, query, body)
        now, wall_now = self._clock.read()
        response = self._node.respond(request, now, wall_now)
        if response is None or response.keys_wanted is not None:
            return None
        answer = self._answer(head, request, response, wall_now)
        self._account(request, response, perf_counter() - started, wall_now)
        return answer

    async def in_time(self, head: Head, body: bytes) -> bytes | Streamed:
        """Answer any request."""
        started = perf_counter()
        path, _, query = head.target.partition("?")
        method = _method(head, path)
        route = self.routes.get((method, path))
        request = self._request(head, method, path, query, body)
        work = route(request) if route else self._in_turn(request)
        response = await (work if self.faulty is None else self.faulty.around(request, work))
        wall_now = self._clock.wall()
        if response.parts is None or head.method == "HEAD":
            answer: bytes | Streamed = self._answer(head, request, response, wall_now)
        else:
            answer = Streamed(self._head(request, response, wall_now, None) + response.body, response.parts)
        self._account(request, response, perf_counter() - started, wall_now)
        return answer

    def unread(self, path: str, address: str, status: int) -> str:
        """Count and log a request whose body did not arrive as it should, under the id that is returned. No message
        between nodes is so large."""
        operation = PEER_OPERATION if path == PEER_PATH else "unknown"
        if operation == PEER_OPERATION and status == 413:
            self._metrics.peer_message("oversized")
        request = Request("", path, "", CIMultiDict(), b"", request_id(), address, self._secure)
        response = Response(status, b"", operation=operation, code=UNREAD[status])
        self._account(request, response, 0.0, self._clock.wall())
        return request.id

    async def _in_turn(self, request: Request) -> Response:
        """The node's answer, after the wait that a lowered capacity or missing keys of an identity provider bring."""
        limit = self.capacity
        refused = await capacity.admit(limit, request, self._clock.wall()) if limit is not None else None
        response = refused or self._node.respond(request, *self._clock.read())
        if response is None:
            return await self._present(request)
        if response.keys_wanted is None:
            return response
        if self.fetch_keys is not None:
            await self.fetch_keys(response.keys_wanted)
        request.waited_for_keys = True
        return self._node.respond(request, *self._clock.read()) or await self._present(request)

    def _request(self, head: Head, method: str, path: str, query: str, body: bytes) -> Request:
        return Request(method, path, query, head.headers, body, request_id(), head.remote, self._secure)

    def _answer(self, told: Head, request: Request, response: Response, wall_now: float) -> bytes:
        unchanged = response.status == 304  # it has no body, and what the 200 would have is not known here
        length = None if unchanged or response.parts is not None else len(response.body)
        head = self._head(request, response, wall_now, length, keep_alive=told.keep_alive)
        return head if told.method == "HEAD" or unchanged else head + response.body

    def _head(
        self, request: Request, response: Response, wall_now: float, length: int | None, *, keep_alive: bool = False
    ) -> bytes:
        """Everything before the body; one without a `length` ends with its connection, or is none."""
        lines = f"{self._start(response, wall_now)}x-amzn-RequestId: {request.id}\r\n"
        if request.path == "/":
            lines += f"x-amz-sts-extended-request-id: {self._extended_request_id(request.id, wall_now)}\r\n"
            if "Origin" in request.headers:
                lines += CORS
        for name, value in response.headers:
            lines += f"{name}: {value}\r\n"
        return end_head(lines, length, keep_alive=keep_alive)

    def _start(self, response: Response, wall_now: float) -> str:
        """The status line, and what answers of this kind share until the next second or look at the staleness."""
        view = self._node.view
        view.look(wall_now)
        moment = (int(wall_now), view.staleness_s, view.level)
        if moment != self._moment:
            self._moment, self._starts = moment, {}
        kind = (response.status, response.content_type)
        start = self._starts.get(kind)
        if start is None:
            start = self._starts[kind] = (
                f"{status_line(response.status)}Content-Type: {response.content_type}\r\nDate: {http_date()}\r\n"
                f"x-stsd-region: {view.region}\r\nx-stsd-staleness-ms: {int(view.staleness_s * 1000)}\r\n"
                + (f"x-stsd-degraded: {view.degraded}\r\n" if view.degraded else "")
            )
        return start

    def _extended_request_id(self, request_id: str, wall_now: float) -> str:
        """Region, instant and eight alphanumerics, in base64 (spec 1.2); the request id is random enough for them."""
        text = f"1:{self._node.view.region}:S:{int(wall_now * 1000)}:R:{request_id[-8:]}"
        return b2a_base64(text.encode(), newline=False).decode()

    def _account(self, request: Request, response: Response, seconds: float, wall_now: float) -> None:
        operation = response.operation or "unknown"
        self._metrics.request(operation, response.code or "OK", seconds)
        event = response.event
        if "tokens" in event:
            self._metrics.verifications(event["tokens"])
        if response.code or operation not in UNLOGGED:
            answered = Answered(
                request.id,
                operation,
                response.status,
                response.code,
                seconds,
                request.source_ip,
                request.endpoint,
                event,
            )
            self._log.emit(wall_now, answered)


def _method(head: Head, path: str) -> str:
    """HEAD is a GET whose answer has no body (RFC 9110 section 9.3.2), but in the Query API a GET could act."""
    return "GET" if head.method == "HEAD" and path != "/" else head.method


UNLOGGED = frozenset({"healthz", "readyz", "metrics", "peer_messages"})
"""What comes every second by itself is counted; it is logged only when something is wrong with it."""

UNREAD = {400: "BadBody", 408: "BodyTooLate", 413: "BodyTooLarge"}
"""Codes of requests whose body did not arrive as it should."""

CORS = (
    "Access-Control-Allow-Origin: *\r\n"
    "Access-Control-Expose-Headers: x-amzn-RequestId,x-amzn-ErrorType,x-amzn-ErrorMessage,Date\r\n"
)
"""Browsers may call STS (spec 1.1): nothing is decided by cookies, every call is signed."""
