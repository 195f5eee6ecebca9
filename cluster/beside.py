"""Work without an end of its own that goes on beside other work: watchers, tickers. (I/O)"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Coroutine
from typing import Any


@contextlib.asynccontextmanager
async def beside(*work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """All of `work` goes on until the body ends, and is cancelled then. When one fails, so does the body at once: what
    it should have seen would be missing, and nobody would know. Raises ExceptionGroup."""
    async with asyncio.TaskGroup() as tasks:
        begun = [tasks.create_task(one) for one in work]
        yield
        for task in begun:
            task.cancel()
