"""One HTTP connection: aiohttp's, with a straight path for requests that are whole when they arrive.

aiohttp starts a task for every request. Most of ours arrive in one piece, are answered by a plain function and leave
the connection open: those are answered without it, in the turn of the event loop in which they arrived, which costs
less than half. Everything else goes aiohttp's way: bodies that are still coming, answers that must wait for the
journal, clients that do not read, `Connection: close`, all while the server drains, upgrades, malformed requests.
Order is kept, because the
straight path is taken only while none that the task was given is unanswered.

The straight path relies on private members of aiohttp's RequestHandler; `STRAIGHT` is false when one of them is
missing, and then every request goes aiohttp's way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import EMPTY_PAYLOAD, StreamReader
from aiohttp.web_protocol import RequestHandler
from aiohttp.web_request import BaseRequest

from stsd.server.turn import Turn
from stsd.wire.messages import Headers

RELIED_ON = (
    "_buffer_paused", "_current_request", "_keepalive", "_keepalive_handle", "_keepalive_timeout", "_messages",
    "_next_keepalive_close_time", "_parser", "_paused", "_process_keepalive", "_reading_paused", "_task_handler",
    "_upgraded", "_waiter", "data_received", "finish_response", "peername",
)  # fmt: skip
RELIED_ON_OF_BODIES = ("_buffer", "is_eof")
STRAIGHT = all(hasattr(RequestHandler, name) for name in RELIED_ON) and all(
    hasattr(StreamReader, name) for name in RELIED_ON_OF_BODIES
)


class Head(NamedTuple):
    """The start of a request as it arrived; `target` is the raw request target, `remote` the peer's address."""

    method: str
    target: str
    headers: Headers
    remote: str
    keep_alive: bool


AtOnce = Callable[[Head, bytes], bytes | None]
"""Answers a request, given with its body, in one go, as the bytes of the whole answer; None when the answer has to wait
for something."""


class Connection(RequestHandler):
    """aiohttp's connection. `at_once` answers on the straight path, in the server's `turn`; `failure` makes answers to
    what is malformed."""

    __slots__ = ("_at_once", "_failure", "_first_head", "_given", "_head_timeout_s", "_in_turn", "_remote", "_turn")

    def __init__(
        self,
        *arguments: Any,
        at_once: AtOnce,
        failure: Callable[[int], Any],
        head_timeout_s: float,
        turn: Turn,
        **options: Any,
    ) -> None:
        super().__init__(*arguments, **options)
        self._at_once, self._failure, self._head_timeout_s = at_once, failure, head_timeout_s
        self._turn, self._in_turn = turn, False
        self._given = 0
        """Requests that the task was given and has not answered; after one that ends the connection, for ever."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        peer = self.peername
        self._remote = str(peer[0]) if isinstance(peer, tuple) else ""
        self._first_head = self._loop.call_later(self._head_timeout_s, self._close_if_silent, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._first_head.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Have what arrived answered in this turn, as far as that is possible at once; give the rest to the task that
        waits for requests."""
        messages = self._messages
        if self._given or (messages and not self._in_turn) or not STRAIGHT:
            waiting = len(messages)
            super().data_received(data)
            self._given += len(messages) - waiting
            return
        waiter, self._waiter = self._waiter, None  # so that parsing wakes nobody
        try:
            super().data_received(data)
        finally:
            self._waiter = waiter
        if not messages or self._in_turn:
            return
        if waiter is None:
            self.answer()  # the task has not begun, and would take what it finds
        else:
            self._in_turn = True
            self._turn.wait(self)

    def answer(self) -> None:
        """Answer what was read, as far as that is possible at once; the task gets the rest."""
        self._in_turn = False
        messages, waiter = self._messages, self._waiter
        while messages and self._straight(*messages[0]):
            messages.popleft()
        if messages:
            self._given = len(messages)
            if waiter is not None and not waiter.done():
                waiter.set_result(None)

    def abort(self) -> None:
        """End the connection at once, as the event loop does when `data_received` fails."""
        if self.transport is not None:
            self.transport.abort()

    def finish(self) -> asyncio.Task[None] | None:
        """End when what was read is answered. A request of which the body is still arriving is answered, too: then the
        task that ends with the connection, if the server drains."""
        if STRAIGHT and self._body_arrives():
            return self._task_handler
        if self._given or self._messages:
            self.close()
        else:
            self.force_close()
        return None

    def _body_arrives(self) -> bool:
        if self._messages:
            return not self._messages[-1][1].is_eof()
        return self._current_request is not None and not self._current_request.content.is_eof()

    async def finish_response(self, request: BaseRequest, resp: Any, start_time: float | None) -> tuple[Any, bool]:
        """The task's answer is written; unless it is the last one, the next request may go straight again. After an
        upgrade was asked for none does: aiohttp then parses what waits behind it by itself."""
        upgraded = self._upgraded
        finished = await super().finish_response(request, resp, start_time)
        if resp.keep_alive and not upgraded:
            self._given -= 1
        return finished

    def _straight(self, message: Any, payload: StreamReader) -> bool:
        """Answer the request that is first in line; whether that was possible."""
        if (
            self.transport is None
            or self._parser is None
            or self._paused
            or self._buffer_paused
            or self._reading_paused
            or self._turn.draining
            or type(message) is not RawRequestMessage
            or message.should_close
            or message.upgrade
            or not payload.is_eof()
        ):
            return False
        head = Head(message.method, message.path, message.headers, self._remote, True)
        answer = self._at_once(head, _whole_body(payload))
        if answer is None:
            return False
        self._parser.message_consumed()
        self._turn.put(self.transport, answer)
        self._stay_open()
        return True

    def _stay_open(self) -> None:
        """Begin the time after which an idle connection is closed anew, as aiohttp does after its answers."""
        self._keepalive = True
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(self._next_keepalive_close_time, self._process_keepalive)

    def _close_if_silent(self, transport: asyncio.BaseTransport) -> None:
        if self._request_count == 0:
            transport.close()

    def handle_error(
        self, request: BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> Any:
        """An empty body whatever happened (spec 1.1): the details are nobody's business on the wire."""
        if status >= 500 and exc is not None:
            self.log_exception("Error handling request", exc_info=exc)
        return self._failure(status)


def _whole_body(payload: StreamReader) -> bytes:
    """What a body that has ended holds. Reading it as a stream would have the connection parse once more, to go on
    with what flow control held back; nothing was held back of this one."""
    if payload is EMPTY_PAYLOAD:
        return b""
    pieces = payload._buffer
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)
