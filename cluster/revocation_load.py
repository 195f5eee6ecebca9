"""Revokes sessions in every region and watches every region learn of it. (I/O)

In each region sessions are made and each is made to revoke itself, at Poisson moments; every tenth is left alone, to
show that nothing is refused which nobody revoked. Nodes are called directly, without added latency, so that times are
those of the regions. From when a revocation is sent the other regions are asked every 20 ms (after a second, every
200 ms) whether they accept the session; in its own region it is asked about once as soon as it is acknowledged. When
the load is over and has settled, every region is asked about every session.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import aiohttp
import orjson

from cluster.beside import beside
from cluster.experiment import Revoking
from cluster.history import outcome
from cluster.watched import Watched
from loadtest.places import Key, RoleProfile
from loadtest.signer import Signer, assume_role_body, key_of

PATH = "/v1/revocations"
POLL_S = 0.02
SLOW_POLL_S = 0.2
TOKENS_AT_ONCE = 100
"""So that neither this process nor a node is busy with one question for more than some milliseconds."""
LEFT_ALONE = 10
"""One session in so many is not revoked."""


@dataclass(slots=True)
class Session(Watched):
    """One session and its token."""

    token: str = field(repr=False, kw_only=True)


class Revoker:
    """The revocations of one run; `sessions` are all so far. `urls` are the nodes by region, `now` seconds since the
    measured part began."""

    def __init__(
        self,
        urls: Mapping[str, str],
        role: RoleProfile,
        settings: Revoking,
        session: aiohttp.ClientSession,
        now: Callable[[], float],
    ) -> None:
        self._urls = urls
        self._role = role
        self._settings = settings
        self._session = session
        self._now = now
        self.sessions: list[Session] = []
        self._watched: dict[str, list[Session]] = {region: [] for region in urls}

    async def run(self, duration_s: float, seed: int) -> None:
        """Revokes until `duration_s`, settles, and asks about everything."""
        async with beside(*(self._watch(region) for region in self._urls)):
            async with asyncio.TaskGroup() as tasks:
                for index, region in enumerate(self._urls):
                    tasks.create_task(self._revoke_all(region, duration_s, Random(seed * 1000 + index)))  # noqa: S311
            await asyncio.sleep(max(0.0, duration_s - self._now()) + self._settings.settle_s)
        await asyncio.gather(*(self._audit(region) for region in self._urls))

    # -- revoking ----------------------------------------------------------------------------------------------------

    async def _revoke_all(self, region: str, duration_s: float, rng: Random) -> None:
        due_at, number = rng.expovariate(self._settings.per_s), 0
        async with asyncio.TaskGroup() as tasks:
            while due_at < duration_s:
                await asyncio.sleep(max(0.0, due_at - self._now()))
                number += 1
                tasks.create_task(self._one(region, due_at, revoked=number % LEFT_ALONE != 0))
                due_at += rng.expovariate(self._settings.per_s)

    async def _one(self, region: str, due_at: float, *, revoked: bool) -> None:
        """A session, its revocation, and one question. Where the region gives no session there is nothing to revoke."""
        url, body = self._urls[region], assume_role_body(self._role, "experiment")
        try:
            async with self._session.post(
                url, data=body, headers=Signer(self._role.key, region, url).headers(body)
            ) as a:
                key = key_of(await a.read())
        except (aiohttp.ClientError, TimeoutError):
            return
        if key is None:
            return
        one = Session(region, due_at, token=key.session_token or "")
        self.sessions.append(one)
        if revoked:
            await self._revoke(one, key)

    async def _revoke(self, one: Session, key: Key) -> None:
        body = orjson.dumps({"token": one.token})
        headers = Signer(key, one.origin, self._urls[one.origin]).json_headers(PATH, body)
        one.sent_at = self._now()
        for region in self._urls:
            if region != one.origin:
                self._watched[region].append(one)
        try:
            async with self._session.post(self._urls[one.origin] + PATH, data=body, headers=headers) as answer:
                await answer.read()
                one.outcome = outcome(answer.status)
        except aiohttp.ClientConnectorError:
            one.outcome = "failed"
        except (aiohttp.ClientError, TimeoutError):
            one.outcome = "unknown"
        if one.outcome == "ok":
            one.acked_at = self._now()
            [refused] = await self._refusals(one.origin, [one])
            one.accepted_after_ack = None if refused is None else not refused

    # -- watching ----------------------------------------------------------------------------------------------------

    async def _watch(self, region: str) -> None:
        """Asks about every session that is not refused yet: young ones each time, older ones now and then."""
        tick = 0
        while True:
            await asyncio.sleep(POLL_S)
            tick += 1
            slow, now = tick % round(SLOW_POLL_S / POLL_S) == 0, self._now()
            due = [s for s in self._watched[region] if slow or s.is_young(now)]
            for some in _chunks(due):
                answers = await self._refusals(region, some)
                for one, refused in zip(some, answers, strict=True):
                    if refused:
                        one.refused_at[region] = self._now()
            self._watched[region] = [s for s in self._watched[region] if region not in s.refused_at and s.is_awaited]

    async def _audit(self, region: str) -> None:
        for some in _chunks(self.sessions):
            for one, refused in zip(some, await self._refusals(region, some), strict=True):
                one.refused_in_the_end[region] = refused

    async def _refusals(self, region: str, sessions: Sequence[Session]) -> Sequence[bool | None]:
        """Whether the region refuses each session now; None where it does not answer."""
        silence = [None] * len(sessions)
        body = orjson.dumps({"tokens": [one.token for one in sessions]})
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(f"{self._urls[region]}/v1/verify", data=body, headers=headers) as answer:
                content = orjson.loads(await answer.read())
        except (aiohttp.ClientError, TimeoutError, ValueError):
            return silence
        return [not result["active"] for result in content["results"]] if answer.status == 200 else silence


def _chunks(sessions: Sequence[Session]) -> Iterable[Sequence[Session]]:
    return (sessions[i : i + TOKENS_AT_ONCE] for i in range(0, len(sessions), TOKENS_AT_ONCE))
