"""The client of keys and feed around a verifier's knowledge. (I/O)

1. Keys, the compact snapshot when it is wanted, then the stream: it begins with everything after the cursor, from a
   cursor of nothing with everything there is, and goes on from the cursor after every interruption.
2. Thousands of verifiers do the same at the same moment: they start, their connections break, a key appears that none
   of them knows. So each waits a random time up to `spread_s` first, and reconnecting backs off with jitter.
3. Keys are fetched again in the background when they are between half of `keys_age_s` and all of it old, and when an
   unknown one is met, but never more often than every KEYS_FLOOR_S, and once for everybody in this program who waits.
   Meanwhile those at hand are used.
4. Without the node the verifier goes on, and its staleness grows. It is counted from when the node can have said the
   last heartbeat at the earliest, so it is never told too low.
5. A node holds a bounded number of streams. Who finds no place gets a page, and asks again after POLL_S at most.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import time
from collections import Counter
from contextlib import suppress
from types import TracebackType
from typing import Any

import aiohttp
import orjson

from stsd.revocation import feed, snapshot
from stsd.revocation.snapshot import SnapshotError
from stsd.tokens import published_keys
from stsd.verifier.events import Event, EventParser
from stsd.verifier.knowledge import Knowledge, Verdict

FEED, JWKS, VERIFY = "/v1/revocations", "/.well-known/jwks.json", "/v1/verify"
KEYS_FLOOR_S = 5.0
KEYS_AGE_S = 300.0
POLL_S = 15.0
SILENCE_S = 5.0
"""A heartbeat comes each second; after this long without a byte the connection is given up."""
BACKOFF_S, BACKOFF_MAX_S = 0.2, 5.0
FULL_PAGE_PAUSE_S = 0.01
"""There is more behind a full page."""
STALENESS = "x-stsd-feed-staleness-ms"
REGION = "x-stsd-region"
MAX_ANSWER_BYTES = 256 * 1024 * 1024
MAX_REFUSAL_BYTES = 65_536
EVENTS_OR_PAGE = "text/event-stream, application/json;q=0.5"
STEP = 500
"""Revocations taken in at once, before the program may do something else."""
FAILURES = (aiohttp.ClientError, OSError, TimeoutError, ValueError, KeyError, TypeError)


class VerifierUnavailable(Exception):
    """The node gave no keys and revocations within the time allowed; the text says what happened last."""


class _Refused(aiohttp.ClientError):
    """The node answered with another status than 200."""


class Verifier:
    """Verifies session tokens of one cluster offline.

    `url` is a regional node's; `key` a resource-server key, needed off loopback. `closed_after_s`: when the knowledge
    is older, tokens are refused as `stale`; None: never, the program looks at `staleness_s`. `compact`: begin with the
    compact snapshot, 2.7 MB for a million revoked keys instead of 200 MB; then use `check`, which asks the node about
    one good token in a million. `spread_s`: what every verifier does at the same moment is spread over so
    many seconds; N verifiers ask their node for N ÷ `spread_s` things a second then. `keys_age_s`: keys are never
    used for longer without asking for them again. `tls`: when the node's certificate is not of a public authority.

    Use it in one event loop: `async with Verifier(url) as verifier`. Entering waits until the first heartbeat and
    raises VerifierUnavailable after `start_timeout_s`; a hundred thousand exact revocations take some seconds.
    """

    def __init__(
        self,
        url: str,
        *,
        key: str | None = None,
        closed_after_s: float | None = None,
        compact: bool = False,
        spread_s: float = 0.1,
        keys_age_s: float = KEYS_AGE_S,
        start_timeout_s: float = 10.0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._headers = {} if key is None else {"Authorization": f"Bearer {key}"}
        self._closed_after_s, self._compact = closed_after_s, compact
        self._spread_s, self._start_timeout_s, self._tls = spread_s, start_timeout_s, tls
        self._keys_age_s = keys_age_s
        self.requests: Counter[str] = Counter()
        """How many requests it has made, by path: what its node bears."""
        self._knowledge = Knowledge()
        self._began = False
        self._ready = asyncio.Event()
        self._keys_wanted = asyncio.Event()
        self._wanted_at = -KEYS_FLOOR_S
        self._fetching_keys = asyncio.Lock()
        self._keys_at = -KEYS_FLOOR_S
        self._interruptions = 0
        self._failure = "no answer"
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> Verifier:
        timeout = aiohttp.ClientTimeout(total=None, connect=SILENCE_S, sock_read=SILENCE_S)
        connector = aiohttp.TCPConnector(ssl=self._tls if self._tls is not None else True)
        self._session = aiohttp.ClientSession(timeout=timeout, headers=self._headers, connector=connector)
        self._tasks = [asyncio.create_task(self._follow()), asyncio.create_task(self._keep_keys())]
        try:
            async with asyncio.timeout(self._start_timeout_s + self._spread_s):
                await self._ready.wait()
        except TimeoutError:
            await self._close()
            raise VerifierUnavailable(f"{self._url}: {self._failure}") from None
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._close()

    @property
    def staleness_s(self) -> float:
        """How old the knowledge of revocations is, in seconds: the node's staleness and the time since it told it."""
        return self._knowledge.staleness_s(time.monotonic())

    @property
    def unknown_revocations(self) -> int:
        """Revocations of kinds that this version cannot enforce; when there are some, update."""
        return self._knowledge.unknown

    def verify(self, token: str) -> Verdict:
        """Whether a token holds, from memory. Never raises and never waits."""
        closed_after_s = self._closed_after_s
        stale = closed_after_s is not None and self.staleness_s > closed_after_s
        verdict = self._knowledge.judge(token, time.time(), stale=stale)
        if verdict.reason == "unknown_key":
            self._wanted_at = time.monotonic()
            self._keys_wanted.set()
        return verdict

    async def check(self, token: str) -> Verdict:
        """As `verify`, but asks the node where asking helps: about a key that it may have published since, and about
        a positive of the compact snapshot. When it does not answer, the verdict is that of `verify`."""
        verdict = self.verify(token)
        try:
            if verdict.reason == "unknown_key":
                await self._fetch_keys(unless_younger_s=KEYS_FLOOR_S)
                verdict = self.verify(token)
            if not verdict.confirmed and verdict.session is not None:
                told = await self._introspect(token)
                if told["active"] is not True:
                    return Verdict(False, str(told["reason"]), verdict.session)
                self._knowledge.clear(verdict.session)
                verdict = self.verify(token)
        except FAILURES as error:
            self._failure = _said(error)
        return verdict

    # Following the feed.

    async def _follow(self) -> None:
        await self._spread()
        while True:
            pause_s = 0.0
            try:
                await self._fetch_keys(unless_younger_s=self._keys_age_s)
                if self._compact and not self._began:
                    await self._load()
                    self._began = True
                pause_s = await self._stream()
            except FAILURES as error:
                self._failure = _said(error)
            await asyncio.sleep(pause_s or self._backoff_s())

    async def _spread(self) -> None:
        await asyncio.sleep(random.uniform(0, self._spread_s))  # noqa: S311 - jitter is no secret

    def _backoff_s(self) -> float:
        longest_s = min(BACKOFF_MAX_S, BACKOFF_S * 2 ** min(self._interruptions, 16))
        self._interruptions += 1
        return random.uniform(longest_s / 2, max(longest_s, self._spread_s))  # noqa: S311

    async def _load(self) -> None:
        """Everything until now, compact, so that the stream has little to tell. Raises SnapshotError."""
        content = await self._get(FEED, accept=snapshot.MEDIA_TYPE)
        if snapshot.kid(content) not in self._knowledge.keys.by_kid:
            await self._fetch_keys(unless_younger_s=KEYS_FLOOR_S)
        made = await asyncio.to_thread(snapshot.read, content, self._knowledge.keys.signed)
        self._knowledge.load(made, time.time())

    async def _stream(self) -> float:
        """Everything after the cursor, then everything that comes, until the stream ends. Or a page, when the node has
        no place for one more stream: then how many seconds to wait before the next question, else 0."""
        started = time.monotonic()
        parameters = {"after": self._knowledge.cursor}
        parser = EventParser()
        self.requests[FEED] += 1
        async with self._session.get(
            self._url + FEED, params=parameters, headers={"Accept": EVENTS_OR_PAGE}, allow_redirects=False
        ) as answer:
            if STALENESS in answer.headers:
                return await self._page(answer, started)
            if answer.status != 200:
                raise await _refusal(answer)
            if answer.content_type != "text/event-stream":
                raise _Refused(f"{answer.content_type} instead of a stream")
            async for chunk in answer.content.iter_any():
                for event in parser.feed(chunk):
                    await self._hear(event, started)
        return 0.0

    async def _page(self, answer: aiohttp.ClientResponse, started: float) -> float:
        staleness_s = int(answer.headers[STALENESS]) / 1000
        told = orjson.loads(await _content(answer))
        await self._take(told["revocations"], told["cursor"])
        if len(told["revocations"]) >= feed.PAGE_ENTRIES:
            return FULL_PAGE_PAUSE_S
        self._caught_up(staleness_s, started)
        return random.uniform(POLL_S / 2, POLL_S)  # noqa: S311

    async def _hear(self, event: Event, started: float) -> None:
        told = orjson.loads(event.data)
        if event.name == "revocations":
            await self._take(told["revocations"], event.id)
        elif event.name == "heartbeat":
            self._knowledge.reach(event.id)
            self._caught_up(told["staleness_ms"] / 1000, started + told["elapsed_ms"] / 1000)

    def _caught_up(self, staleness_s: float, told_at: float) -> None:
        """Everything is known that the node knew at `told_at`."""
        self._knowledge.forget(time.time())
        self._knowledge.beat(staleness_s, told_at)
        self._interruptions = 0
        self._ready.set()

    async def _take(self, revocations: list[dict[str, Any]], cursor: str) -> None:
        self._knowledge.meet(cursor)
        for start in range(0, len(revocations), STEP):
            self._knowledge.take(revocations[start : start + STEP], time.time())
            await asyncio.sleep(0)
        self._knowledge.reach(cursor)

    # Keys and questions.

    async def _keep_keys(self) -> None:
        began = time.monotonic()
        while True:
            wanted = await self._are_wanted(began, random.uniform(0.5, 1.0) * self._keys_age_s)  # noqa: S311
            if wanted:
                await self._spread()
            self._keys_wanted.clear()
            if wanted and self._keys_at > self._wanted_at:
                continue  # somebody has fetched them meanwhile
            await asyncio.sleep(max(0.0, self._keys_at + KEYS_FLOOR_S - time.monotonic()))
            try:
                await self._fetch_keys(unless_younger_s=KEYS_FLOOR_S)
            except FAILURES as error:
                self._failure = _said(error)

    async def _are_wanted(self, began: float, old_s: float) -> bool:
        """Waits until keys are wanted, or were fetched `old_s` ago; those of nobody count from the beginning."""
        while (left_s := max(began, self._keys_at) + old_s - time.monotonic()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(left_s):
                    return await self._keys_wanted.wait()
        return False

    async def _fetch_keys(self, unless_younger_s: float) -> None:
        """One fetch at a time. After a failure the floor holds too."""
        async with self._fetching_keys:
            age_s = time.monotonic() - self._keys_at
            if age_s < (unless_younger_s if self._knowledge.keys.by_kid else 0.0):
                return
            self._keys_at = time.monotonic()
            self._knowledge.keys = published_keys.read(orjson.loads(await self._get(JWKS)))

    async def _introspect(self, token: str) -> dict[str, Any]:
        body = orjson.dumps({"token": token})
        self.requests[VERIFY] += 1
        async with self._session.post(self._url + VERIFY, data=body, allow_redirects=False) as answer:
            told: dict[str, Any] = orjson.loads(await _content(answer))
        return told

    async def _get(self, path: str, accept: str = "application/json", **parameters: str) -> bytes:
        self.requests[path] += 1
        async with self._session.get(
            self._url + path, params=parameters, headers={"Accept": accept}, allow_redirects=False
        ) as answer:
            content = await _content(answer)
            self._knowledge.region = answer.headers.get(REGION, self._knowledge.region)
            return content

    async def _close(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._session.close()


async def _content(answer: aiohttp.ClientResponse) -> bytes:
    if answer.status != 200:
        raise await _refusal(answer)
    parts = bytearray()
    async for part in answer.content.iter_any():
        parts += part
        if len(parts) > MAX_ANSWER_BYTES:
            raise _Refused("the answer is too large")
    return bytes(parts)


async def _refusal(answer: aiohttp.ClientResponse) -> _Refused:
    """With what the node says about it, if it is one that answers."""
    said = f"{answer.content_type} and no answer of a node's"
    with suppress(*FAILURES):
        said = str(orjson.loads(await answer.content.read(MAX_REFUSAL_BYTES))["error"]["message"])
    return _Refused(f"status {answer.status}: {said}")


def _said(error: BaseException) -> str:
    kind = "" if isinstance(error, _Refused | SnapshotError) else f"{type(error).__name__}: "
    return f"{kind}{error}" if str(error) else type(error).__name__
