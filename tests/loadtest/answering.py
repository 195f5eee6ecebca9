"""A real HTTP server on loopback that says what it is told to say."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


@dataclass
class Answering:
    """`answer` goes out for each request, `pieces` at a time if given; `requests` are the bytes that came in."""

    answer: bytes = OK
    pieces: int = 0
    hang_up: bool = False
    url: str = ""
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while data := await reader.read(65_536):
                self.requests.append(data)
                if self.hang_up:
                    break
                for start in range(0, len(self.answer), self.pieces or len(self.answer)):
                    writer.write(self.answer[start : start + (self.pieces or len(self.answer))])
                    await asyncio.sleep(0.001 if self.pieces else 0)
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def answering(**settings: object) -> AsyncIterator[Answering]:
    """The server, for as long as the block lasts."""
    double = Answering(**settings)  # type: ignore[arg-type]
    server = await asyncio.start_server(double.serve, "127.0.0.1", 0)
    double.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield double
    finally:
        server.close()
