"""Keeps the keys of identity providers fresh, in the background: no request fetches, and few wait.

| when | what |
|---|---|
| the node starts | the keys of all providers of the directory are fetched |
| keys are no longer fresh (`Cache-Control`, within bounds) | they are fetched anew, and used meanwhile |
| that fails | it is tried again after RETRY_S, then twice as long each time up to MAX_RETRY_S; the old keys are used until they are STALE_S old |
| a request needs keys that are not here | one fetch for all who ask, who wait KEYS_WAIT_S at most, or MAX_PATIENT of them PATIENCE_S where the last one failed; none if the last one began less than FLOOR_S ago, or EMPTY_FLOOR_S while there are no keys at all |

Fetching goes by real time, whatever the test hooks do to the clock. Two providers share a fetch only if they share all
that it depends on (`Source`).
"""  # noqa: E501  a table

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stsd.directory import OpenIDConnectProvider
from stsd.oidc.known_keys import KEYS_WAIT_S, Source, source_of
from stsd.server.keeper import Report
from stsd.server.provider_documents import Fetch, FetchError
from stsd.view import View

RETRY_S, MAX_RETRY_S = 10.0, 300.0
STALE_S = 86_400.0
FLOOR_S, EMPTY_FLOOR_S = 10.0, 1.0
PATIENCE_S, MAX_PATIENT = 1.0, 32
"""How long requests wait for a provider whose last fetch failed, and how many do: one that hangs holds nobody for long
again, and does not fill the waiting room of a router."""
MAX_WAITING = 1_000
"""Requests that wait for one fetch; more are judged at once by what is here."""
MAX_FETCHES = 16
"""Fetches at once; and as many again of providers whose last one failed: who hangs delays only others of that kind."""
JITTER = 0.1
"""The share by which a wait may be longer, so that nodes do not ask at one moment."""


@dataclass(slots=True)
class _Kept:
    """One source: when it was asked last and is due next, until when its keys may be used, and what is under way. Times
    are of a steady clock."""

    source: Source
    asked_at: float = -math.inf
    due_at: float = 0.0
    usable_until: float = -math.inf
    failures: int = 0
    told: str = ""
    waiting: int = 0
    flight: asyncio.Task[None] | None = None


class ProviderKeys:
    """Of one node. `chance` gives numbers from 0 to 1."""

    def __init__(
        self,
        view: View,
        fetch: Fetch,
        report: Report,
        *,
        steady: Callable[[], float],
        chance: Callable[[], float],
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._view, self._fetch, self._report = view, fetch, report
        self._steady, self._chance, self._sleep = steady, chance, sleep
        self._kept: dict[Source, _Kept] = {}
        self._loops: set[asyncio.Task[None]] = set()
        self._slots, self._doubtful_slots = asyncio.Semaphore(MAX_FETCHES), asyncio.Semaphore(MAX_FETCHES)

    def start(self) -> None:
        """Begin to keep the keys of every provider."""
        for source in self._wanted():
            self._keep(source)

    async def stop(self) -> None:
        """Fetch nothing any more."""
        tasks = [*self._loops, *(kept.flight for kept in self._kept.values() if kept.flight is not None)]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def refresh(self, provider: OpenIDConnectProvider) -> None:
        """Wait until the keys of a provider have been fetched, or cannot be, or were just now."""
        source = source_of(provider)
        if source is None:
            return
        kept = self._kept.get(source) or self._keep(source)
        held = self._view.provider_keys.fetched.get(source)
        floor_s = EMPTY_FLOOR_S if held is None or isinstance(held, str) else FLOOR_S
        if kept.flight is None and self._steady() - kept.asked_at < floor_s:
            return
        flight = self._begin(kept)
        most, wait_s = (MAX_PATIENT, PATIENCE_S) if kept.failures else (MAX_WAITING, KEYS_WAIT_S)
        if kept.waiting >= most:
            return
        kept.waiting += 1
        try:
            await asyncio.wait((flight,), timeout=wait_s)
        finally:
            kept.waiting -= 1

    def _wanted(self) -> set[Source]:
        sources = map(source_of, self._view.directory.oidc_providers.values())
        return {source for source in sources if source is not None}

    def _keep(self, source: Source) -> _Kept:
        kept = self._kept[source] = _Kept(source, due_at=self._steady())
        loop = asyncio.create_task(self._keep_fresh(kept))
        self._loops.add(loop)
        loop.add_done_callback(self._loops.discard)
        return kept

    async def _keep_fresh(self, kept: _Kept) -> None:
        """Fetch whenever it is due, as long as the directory has the provider."""
        while kept.source in self._wanted():
            wait_s = kept.due_at - self._steady()
            if wait_s > 0:
                await self._sleep(wait_s)
            else:
                await asyncio.wait((self._begin(kept),))
        del self._kept[kept.source]
        self._view.provider_keys.fetched.pop(kept.source, None)

    def _begin(self, kept: _Kept) -> asyncio.Task[None]:
        """The fetch that is under way, or a new one."""
        if kept.flight is None:
            kept.asked_at = self._steady()
            kept.flight = asyncio.create_task(self._fly(kept))
        return kept.flight

    async def _fly(self, kept: _Kept) -> None:
        try:
            async with self._doubtful_slots if kept.failures else self._slots:
                fetched = await self._fetch(kept.source)
        except FetchError as error:
            self._failed(kept, error)
        except Exception as error:
            self._failed(kept, FetchError("content", type(error).__name__))
        else:
            self._view.provider_keys.fetched[kept.source] = fetched.keys
            now = self._steady()
            kept.due_at, kept.usable_until = now + self._spread(fetched.fresh_s), now + STALE_S
            kept.failures = 0
            self._tell(kept, "fetched", "")
        finally:
            kept.flight = None

    def _failed(self, kept: _Kept, error: FetchError) -> None:
        """Old keys stay as long as they may; without any, requests are told why."""
        now = self._steady()
        kept.failures += 1
        retry_s = min(RETRY_S * 2 ** min(kept.failures - 1, 16), MAX_RETRY_S)
        kept.due_at = now + self._spread(retry_s)
        if now >= kept.usable_until:
            self._view.provider_keys.fetched[kept.source] = error.failure
        else:
            kept.due_at = min(kept.due_at, kept.usable_until)
        self._tell(kept, error.failure, str(error))

    def _spread(self, seconds: float) -> float:
        return seconds * (1 + JITTER * self._chance())

    def _tell(self, kept: _Kept, outcome: str, detail: str) -> None:
        """Changes reach the log, repetitions do not."""
        if kept.told == outcome:
            return
        kept.told = outcome
        if outcome == "fetched":
            self._report("provider_keys_fetched", issuer=kept.source.url)
        else:
            self._report("provider_keys_failed", issuer=kept.source.url, failure=outcome, detail=detail)
