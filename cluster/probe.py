"""One small HTTP GET without a library, so that supervisors and status start quickly. (I/O)"""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import urlsplit

BODY_BYTES_MAX = 1_000_000


async def get(url: str, timeout_s: float) -> tuple[int, bytes] | None:
    """Status and body of a URL, None where nothing answers in time."""
    parts = urlsplit(url)
    head = f"GET {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n"
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_connection(parts.hostname, parts.port)
            try:
                writer.write(head.encode())
                answer = await reader.read(BODY_BYTES_MAX)
                while more := await reader.read(BODY_BYTES_MAX):
                    answer += more
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return None
    top, _, body = answer.partition(b"\r\n\r\n")
    words = top.split(b" ", 2)
    return (int(words[1]), body) if len(words) > 1 and words[1].isdigit() else None


async def readiness(url: str, timeout_s: float = 1.0) -> tuple[bool, dict[str, Any]] | None:
    """Whether what listens at `url` is ready and what it says of itself, None where nothing answers."""
    answer = await get(f"{url}/readyz", timeout_s)
    if answer is None:
        return None
    try:
        said = json.loads(answer[1])
    except ValueError:
        said = {}
    return answer[0] == 200, said if isinstance(said, dict) else {}
