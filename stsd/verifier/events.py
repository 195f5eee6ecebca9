"""Server-sent events from bytes (WHATWG HTML, 9.2.6), as far as the feed uses them: LF or CRLF line ends, UTF-8."""

from __future__ import annotations

from typing import NamedTuple

MAX_EVENT_BYTES = 16 * 1024 * 1024


class Event(NamedTuple):
    """One event; `id` is the last one that was sent."""

    name: str
    id: str
    data: str


class EventParser:
    """Bytes in, events out; holds at most MAX_EVENT_BYTES of an event that is not complete."""

    def __init__(self) -> None:
        self._rest = b""
        self._lines: list[bytes] = []
        self._size = 0
        self._id = ""

    def feed(self, content: bytes) -> list[Event]:
        """The events that are complete now. Raises ValueError for one that is too large or not UTF-8."""
        *lines, self._rest = (self._rest + content).split(b"\n")
        events = []
        for line in lines:
            self._size += len(line)
            line = line.removesuffix(b"\r")
            if line:
                self._lines.append(line)
            else:
                event = self._dispatch()
                if event is not None:
                    events.append(event)
        if self._size + len(self._rest) > MAX_EVENT_BYTES:
            raise ValueError("an event is too large")
        return events

    def _dispatch(self) -> Event | None:
        name, data = "message", []
        for line in self._lines:
            field, _, value = line.decode().partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                data.append(value)
            elif field == "id":
                self._id = value
        self._lines, self._size = [], 0
        return Event(name, self._id, "\n".join(data)) if data else None
