"""Structured log events, one per request and one per noteworthy change, written away from the request path.

An event is a flat mapping; a session is told by its access key id, tokens never appear. Events are collected and handed
to a writer thread every FLUSH_S seconds, so that a slow terminal or disk never holds up a request; when it falls far
behind, events are dropped and their number is logged.
"""

from __future__ import annotations

import asyncio
import queue
import sys
import threading
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import lru_cache
from typing import BinaryIO, Literal, NamedTuple

import orjson

Format = Literal["text", "json"]
FLUSH_S = 0.1
MAX_WAITING_CHUNKS = 200


class Answered(NamedTuple):
    """One answered request: what its event holds. Put together by the writer, not where the request is answered."""

    request_id: str
    operation: str
    status: int
    code: str
    seconds: float
    source_ip: str
    endpoint: str
    more: Mapping[str, object]

    def event(self) -> dict[str, object]:
        """The event's members in their order."""
        return {
            "event": "request",
            "request_id": self.request_id,
            "operation": self.operation,
            "status": self.status,
            "code": self.code,
            "ms": round(self.seconds * 1000, 3),
            "source_ip": self.source_ip,
            "endpoint": self.endpoint,
            **self.more,
        }

    def text(self) -> str | None:
        """The members as text, several times faster than from the event; None where a value has to be quoted."""
        code = f" code={self.code}" if self.code else ""
        more = "".join(
            [f" {name}={_counts(value) if name == 'tokens' else value}" for name, value in self.more.items()]
        )
        text = (
            f"request_id={self.request_id} operation={self.operation} status={self.status}{code}"
            f" ms={round(self.seconds * 1000, 3)} source_ip={self.source_ip} endpoint={self.endpoint}{more}"
        )
        plain = text.isprintable() and text.count(" ") == 5 + len(self.more) + bool(code)
        return text if plain and "= " not in text and text[-1] != "=" else None


Event = Mapping[str, object] | Answered


class EventLog:
    """Writes events to `stream` (default: standard error) as JSON lines or as readable text."""

    def __init__(self, region: str, form: Format, stream: BinaryIO | None = None) -> None:
        self._region = region
        self._render = _json if form == "json" else _text
        self._stream = stream if stream is not None else sys.stderr.buffer
        self._pending: list[tuple[float, Event]] = []
        self._chunks: queue.Queue[list[tuple[float, Event]] | None] = queue.Queue(MAX_WAITING_CHUNKS)
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None
        self._thread = threading.Thread(target=self._write, name="event-log", daemon=True)
        self._thread.start()

    def emit(self, at: float, event: Event) -> None:
        """Record an event that happened at `at` (Unix seconds). Call from the event loop."""
        self._pending.append((at, event))
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_S, self._flush)

    def close(self) -> None:
        """Write what is left and end the writer."""
        self._flush()
        self._chunks.put(None)
        self._thread.join(timeout=5)

    def _flush(self) -> None:
        self._timer = None
        pending, self._pending = self._pending, []
        if not pending:
            return
        if self._dropped:
            pending.append((pending[-1][0], {"event": "log_dropped", "count": self._dropped}))
        try:
            self._chunks.put_nowait(pending)
            self._dropped = 0
        except queue.Full:
            self._dropped += len(pending)

    def _write(self) -> None:
        while (chunk := self._chunks.get()) is not None:
            try:
                self._stream.write(b"".join(map(self._line, chunk)))
                self._stream.flush()
            except (OSError, ValueError):
                continue  # a closed terminal must not end the service

    def _line(self, told: tuple[float, Event]) -> bytes:
        """One event; one that cannot be written as it is must not end the log of the others."""
        at, event = told
        try:
            return self._render(at, self._region, event)
        except (ValueError, TypeError, OverflowError):
            return self._render(0.0, self._region, {"event": "unwritable_event"})


def _json(at: float, region: str, event: Event) -> bytes:
    members = event.event() if isinstance(event, Answered) else event
    told = {"at": _instant(at), "region": region, **members}
    return orjson.dumps(told, option=orjson.OPT_APPEND_NEWLINE, default=str)


def _text(at: float, region: str, event: Event) -> bytes:
    if isinstance(event, Answered):
        text = event.text()
        if text is not None:
            return f"{_instant(at)} {region} request {text}\n".encode("utf-8", "backslashreplace")
        event = event.event()
    members = {name: _counts(value) if name == "tokens" else value for name, value in event.items() if value != ""}
    words = [f"{name}={_word(value)}" for name, value in members.items() if name != "event"]
    return (
        " ".join((_instant(at), region, str(event.get("event", "-")), *words)).encode("utf-8", "backslashreplace")
        + b"\n"
    )


def _counts(tokens: object) -> object:
    """How many tokens were judged how, as one word."""
    return (
        ",".join([f"{result}:{count}" for result, count in tokens.items()]) if isinstance(tokens, Mapping) else tokens
    )


def _word(value: object) -> str:
    """A value on one line: quoted when it holds white space or control characters, so that lines cannot be forged."""
    text = str(value)
    return text if text.isprintable() and " " not in text else orjson.dumps(text, default=str).decode()


def _instant(at: float) -> str:
    seconds = int(at)
    return f"{_second(seconds)}.{int((at - seconds) * 1000):03d}Z"


@lru_cache(maxsize=8)
def _second(at: int) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S")
