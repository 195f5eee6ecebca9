"""Calls that leave this node for another region, counted by what made them (design 5, invariant 10).

Answering a request must never need another region. So whatever carries messages between regions runs in tasks that are
declared to be `background`; a call from any other task is counted as made `in a request`, and somebody will see it.
The request path pays nothing: it declares nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from contextvars import ContextVar, copy_context
from typing import Any, Literal

During = Literal["background", "request"]

_during: ContextVar[During] = ContextVar("during", default="request")


class RemoteCalls:
    """The counts of one node."""

    def __init__(self) -> None:
        self.counts: dict[During, int] = {"background": 0, "request": 0}

    def count(self) -> None:
        """A call leaves now."""
        self.counts[_during.get()] += 1


def background(work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
    """A task for work that no request waits for, and all tasks that it makes."""
    context = copy_context()
    context.run(_during.set, "background")
    return asyncio.create_task(work, context=context)
