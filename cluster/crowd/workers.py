"""Thousands of workers with a verifier each, to whom the same happens at the same moment. (I/O)

All begin at the first moment. At every moment each worker is called `calls` times at once, with a good token or with
one that names a key which nobody has published. How often each asked for keys is counted from a moment until all that
it set off is over: `spread_s` and GRACE_S later.
"""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from cluster.crowd.naive import NaiveVerifier
from cluster.history import Reaction
from stsd.tokens.keyset import jws_header
from stsd.verifier import Verifier, VerifierUnavailable

JWKS = "/.well-known/jwks.json"
GRACE_S = 2.0
START_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Orders:
    """What a crowd is to do. `begin` is when its time is zero, in monotonic seconds of this machine."""

    url: str
    kind: str
    count: int
    calls: int
    spread_s: float
    keys_age_s: float
    begin: float
    moments: Sequence[tuple[str, float, str]]
    """Name, seconds, and which key the token names that comes then: a `published` or an `unknown` one."""
    until_s: float
    token: str = field(repr=False, default="")


class Worker(Protocol):
    """One verifier and its requests."""

    @property
    def requests(self) -> Counter[str]: ...
    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    async def call(self, token: str) -> bool: ...


class OfStsd:
    """A worker with `stsd.verifier`: calls are answered from memory."""

    def __init__(self, orders: Orders) -> None:
        self._verifier = Verifier(
            orders.url, spread_s=orders.spread_s, keys_age_s=orders.keys_age_s, start_timeout_s=START_TIMEOUT_S
        )
        self.requests = self._verifier.requests
        self._started = False

    async def start(self) -> None:
        """Until it knows everything, or not within START_TIMEOUT_S."""
        try:
            await self._verifier.__aenter__()
        except VerifierUnavailable:
            return
        self._started = True

    async def stop(self) -> None:
        """Ends it."""
        if self._started:
            await self._verifier.__aexit__(None, None, None)

    async def call(self, token: str) -> bool:
        """Whether the token holds."""
        return self._started and self._verifier.verify(token).active


class Naive:
    """A worker with the naive verifier."""

    def __init__(self, orders: Orders) -> None:
        self._verifier = NaiveVerifier(orders.url, orders.keys_age_s)
        self.requests = self._verifier.requests

    async def start(self) -> None:
        """It begins with the first call."""

    async def stop(self) -> None:
        """Ends it."""
        await self._verifier.close()

    async def call(self, token: str) -> bool:
        """Whether the token holds."""
        return await self._verifier.check(token)


MAKERS: dict[str, Callable[[Orders], Worker]] = {"stsd.verifier": OfStsd, "naive": Naive}


class Crowd:
    """All workers of one run."""

    def __init__(self, orders: Orders) -> None:
        self._orders = orders
        self._workers: list[Worker] = []
        self._reactions: list[Reaction] = []

    async def run(self) -> None:
        """Everything."""
        orders = self._orders
        self._workers = [MAKERS[orders.kind](orders) for _ in range(orders.count)]
        try:
            async with asyncio.TaskGroup() as tasks:
                for number, (name, at_s, key) in enumerate(orders.moments):
                    await self._until(at_s)
                    tasks.create_task(self._react(name, at_s, key, first=number == 0))
                    await asyncio.sleep(0)
                await self._until(orders.until_s)
        finally:
            await asyncio.gather(*(worker.stop() for worker in self._workers))

    def told(self) -> dict[str, Any]:
        """The reactions that are over, in order."""
        return {"reactions": [asdict(reaction) for reaction in sorted(self._reactions, key=lambda one: one.at_s)]}

    async def _react(self, name: str, at_s: float, key: str, *, first: bool) -> None:
        orders = self._orders
        before = [worker.requests[JWKS] for worker in self._workers]
        counting = asyncio.create_task(self._fetches(at_s, before))
        if first:
            await asyncio.gather(*(worker.start() for worker in self._workers))
        shown = orders.token if key == "published" else _of_nobody(orders.token)
        calls = (worker.call(shown) for worker in self._workers for _ in range(orders.calls))
        answers = await asyncio.gather(*calls)
        answered_s = self._now() - at_s
        self._reactions.append(
            Reaction(name, at_s, len(answers), answers.count(False), answered_s, fetches=await counting)
        )

    async def _fetches(self, at_s: float, before: Sequence[int]) -> dict[int, int]:
        """How many workers asked for keys how often, when all that a moment set off is over."""
        await self._until(at_s + self._orders.spread_s + GRACE_S)
        made = (worker.requests[JWKS] - were for worker, were in zip(self._workers, before, strict=True))
        return dict(Counter(made))

    def _now(self) -> float:
        return time.monotonic() - self._orders.begin

    async def _until(self, at_s: float) -> None:
        await asyncio.sleep(max(0.0, at_s - self._now()))


def _of_nobody(token: str) -> str:
    """The token as if a key had signed it that nobody has published."""
    return jws_header("a-key-of-nobody") + token.partition(".")[2]
