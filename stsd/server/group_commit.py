"""Entries of the log that wait together are stored together: one sync for all of them (group commit)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from stsd.errors import ServiceUnavailable
from stsd.revocation.messages import MAX_BATCH_BYTES

MAX_GROUP = 1_000
MAX_GROUP_BYTES = MAX_BATCH_BYTES // 2
"""Entries of one commit, before base64; one more of the largest still fits into a batch."""


def groups(entries: Iterable[bytes]) -> Iterator[tuple[bytes, ...]]:
    """Entries that are there already, in groups of which each is one commit."""
    group: list[bytes] = []
    size = 0
    for entry in entries:
        group.append(entry)
        size += len(entry)
        if len(group) == MAX_GROUP or size >= MAX_GROUP_BYTES:
            yield tuple(group)
            group, size = [], 0
    if group:
        yield tuple(group)


@dataclass(slots=True)
class _Waiting:
    """An entry that waits for its commit."""

    entry: bytes
    done: asyncio.Future[int]


class GroupCommit:
    """`commit` stores a group and returns the sequence of its first entry; `failed` is told why it did not."""

    def __init__(
        self, commit: Callable[[Sequence[bytes]], Awaitable[int]], failed: Callable[[Exception], None]
    ) -> None:
        self._commit, self._failed = commit, failed
        self._wanted: asyncio.Queue[_Waiting] = asyncio.Queue()

    async def store(self, entry: bytes) -> int:
        """The entry's sequence, once it is on disk. Raises ServiceUnavailable: nothing changed."""
        waiting = _Waiting(entry, asyncio.get_running_loop().create_future())
        self._wanted.put_nowait(waiting)
        return await waiting.done

    async def run(self) -> None:
        """Store group after group."""
        while True:
            group = await self._next_group()
            try:
                first = await self._commit([waiting.entry for waiting in group])
            except Exception as error:
                self._failed(error)
                refusal = ServiceUnavailable("The change could not be stored: nothing was changed", reason="journal")
                _settle(group, refusal)
            else:
                for number, waiting in enumerate(group):
                    if not waiting.done.done():
                        waiting.done.set_result(first + number)

    async def _next_group(self) -> list[_Waiting]:
        """What waits now, as much as one batch holds."""
        group = [await self._wanted.get()]
        size = len(group[0].entry)
        while len(group) < MAX_GROUP and size < MAX_GROUP_BYTES and not self._wanted.empty():
            group.append(self._wanted.get_nowait())
            size += len(group[-1].entry)
        return group


def _settle(group: Iterable[_Waiting], error: Exception) -> None:
    for waiting in group:
        if not waiting.done.done():
            waiting.done.set_exception(error)
