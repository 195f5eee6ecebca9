"""Tasks that go on until they are ended, and then do end.

A job that fails in a way that nobody foresaw is told and begun again: without it a node would go on answering, and
write, tell or prune nothing any more.

`asyncio.wait_for` of Python 3.11 swallows a cancellation that comes in the same moment as what it waits for (CPython
issue 86296, mended in 3.12). Libraries wait with it, so a task may go on after its cancellation, and who waits for its
end would wait for ever.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

BEGIN_AGAIN_S = 1.0
AGAIN_S = 1.5
"""Longer than any task here takes to put its things away."""


async def keep_doing(job: Callable[[], Awaitable[None]], failed: Callable[[Exception], None]) -> None:
    """Do a job that has no end, and begin it again after a failure, which `failed` hears of."""
    while True:
        try:
            await job()
        except Exception as error:
            failed(error)
        await asyncio.sleep(BEGIN_AGAIN_S)


async def end(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel tasks, again if need be, until each has ended, however it did."""
    left = set(tasks)
    while left:
        for task in left:
            task.cancel()
        ended, left = await asyncio.wait(left, timeout=AGAIN_S)
        await asyncio.gather(*ended, return_exceptions=True)
