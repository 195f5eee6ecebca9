"""Cuts sessions off in one region after the other, and asks every region about sessions of before and after. (I/O)

A round: every region gives a session of one subject; one region cuts them off; at some moments after its answer every
region gives another one, and all regions are asked at once whether they accept it. When the round is over they are
asked about those of before, and once more when the load has settled: what was not valid yet may be so by then. Nodes
are called directly, without added latency. What has no good answer is left out, and the round counts as undone.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp

from cluster.cutoff_records import ACTIVE, Cutoff, Declined, Made
from cluster.cutoff_subjects import Clock, Subject, Subjects
from cluster.data_dir import DataDir
from cluster.errors import Refused
from cluster.experiment import Cutoffs
from loadtest.places import Key, read_key, read_keys, read_roles
from loadtest.signer import Signer, session_token_of
from stsd import arn, key_ids

PATH = "/v1/revocations"
SLACK_S = 1.0
"""How long the calls of a round may take, beside its waiting."""
ERRORS = (aiohttp.ClientError, TimeoutError, ValueError)


@dataclass(slots=True)
class _Session:
    """One session, and what was said of it so far."""

    region: str
    token: str = field(repr=False)
    sent_at: float
    made_at: float
    asked: dict[str, str] = field(default_factory=dict)
    in_the_end: dict[str, str] = field(default_factory=dict)

    def record(self) -> Made:
        return Made(self.region, self.sent_at, self.made_at, dict(self.asked), dict(self.in_the_end))


@dataclass(slots=True)
class _Round:
    """One round so far."""

    origin: str
    kind: str
    began_at: float
    before: list[_Session] = field(default_factory=list)
    after: list[_Session] = field(default_factory=list)
    declined: list[Declined] = field(default_factory=list)
    sent_at: float | None = None
    acked_at: float | None = None
    ended_at: float | None = None


class Cutter:
    """The rounds of one run. `moves` are those of a region's clock (see `cutoff_subjects`), `now` is seconds since the
    measured part began."""

    def __init__(
        self,
        data: DataDir,
        settings: Cutoffs,
        moves: Iterable[tuple[float, float]],
        session: aiohttp.ClientSession,
        now: Callable[[], float],
    ) -> None:
        """Raises Refused or loadtest's DataDirError when there is nobody to cut off."""
        self._urls = {region: data.url(region) for region in data.topology.regions}
        self._admin = read_key(data.path, "admin")
        round_s = max(settings.after_s) + SLACK_S
        self._subjects = _subjects(data.path, self._admin, Clock(moves), round_s)
        self._settings, self._session, self._now = settings, session, now
        self._rounds: list[_Round] = []

    async def run(self, duration_s: float) -> None:
        """Begins rounds until `duration_s`, settles, and asks about what was made before each cut-off."""
        regions = [*self._urls]
        async with asyncio.TaskGroup() as tasks:
            number, due_at = 0, 0.0
            while due_at < duration_s:
                await asyncio.sleep(max(0.0, due_at - self._now()))
                subject = self._subjects.next(number, self._now())
                tasks.create_task(self._round(regions[number % len(regions)], subject))
                number += 1
                due_at = number * self._settings.every_s
        await asyncio.sleep(max(0.0, duration_s + self._settings.settle_s - self._now()))
        for one in self._rounds:
            await self._ask(one.before, in_the_end=True)

    @property
    def cutoffs(self) -> list[Cutoff]:
        """Every round that has begun."""
        return [
            Cutoff(
                origin=one.origin,
                kind=one.kind,
                regions=[*self._urls],
                moments=len(self._settings.after_s),
                began_at=one.began_at,
                sent_at=one.began_at if one.sent_at is None else one.sent_at,
                acked_at=one.acked_at,
                ended_at=self._now() if one.ended_at is None else one.ended_at,
                before=[made.record() for made in one.before],
                after=[made.record() for made in one.after],
                declined=list(one.declined),
            )
            for one in self._rounds
        ]

    async def _round(self, origin: str, subject: Subject) -> None:
        one = _Round(origin, subject.kind, self._now())
        self._rounds.append(one)
        one.before = await self._make(one, subject)
        if not one.before:
            return
        acked_at = await self._cut_off(one, subject.cut_off(one.before[0].token))
        if acked_at is not None:
            await self._follow(one, subject, acked_at)
        await self._ask(one.before)
        one.ended_at = self._now()

    async def _follow(self, one: _Round, subject: Subject, acked_at: float) -> None:
        """Sessions after the cut-off, each asked about at once."""
        for after_s in self._settings.after_s:
            await asyncio.sleep(max(0.0, acked_at + after_s - self._now()))
            made = await self._make(one, subject)
            one.after += made
            await self._ask(made)

    async def _make(self, one: _Round, subject: Subject) -> list[_Session]:
        """A session of every region that gives one; who declines is noted."""
        before = one.sent_at is None
        made = await asyncio.gather(*(self._session_of(region, subject, before=before) for region in self._urls))
        one.declined += [answer for answer in made if isinstance(answer, Declined)]
        return [answer for answer in made if isinstance(answer, _Session)]

    async def _session_of(self, region: str, subject: Subject, *, before: bool) -> _Session | Declined | None:
        url, body, sent_at = self._urls[region], subject.body, self._now()
        headers = Signer(subject.key, region, url).headers(body)
        try:
            async with self._session.post(url, data=body, headers=headers) as answer:
                content = await answer.read()
                if answer.status == 503:
                    return Declined(region, sent_at, before)
                token = session_token_of(content)
        except ERRORS:
            return None
        return _Session(region, token, sent_at, self._now())

    async def _cut_off(self, one: _Round, subject: Mapping[str, str]) -> float | None:
        """When it was acknowledged."""
        url, body = self._urls[one.origin], json.dumps(subject).encode()
        headers = Signer(self._admin, one.origin, url).json_headers(PATH, body)
        one.sent_at = self._now()
        try:
            async with self._session.post(url + PATH, data=body, headers=headers) as answer:
                await answer.read()
                one.acked_at = self._now() if answer.status == 200 else None
        except ERRORS:
            return None
        return one.acked_at

    async def _ask(self, made: Sequence[_Session], *, in_the_end: bool = False) -> None:
        """Every region about all of these."""
        answers = await asyncio.gather(*(self._verdicts(region, made) for region in self._urls))
        for region, verdicts in zip(self._urls, answers, strict=True):
            for one, verdict in zip(made, verdicts, strict=False):
                (one.in_the_end if in_the_end else one.asked)[region] = verdict

    async def _verdicts(self, region: str, made: Sequence[_Session]) -> list[str]:
        """What a region says of each; nothing when it does not answer."""
        if not made:
            return []
        body = json.dumps({"tokens": [one.token for one in made]}).encode()
        headers = {"Content-Type": "application/json"}
        try:
            async with self._session.post(f"{self._urls[region]}/v1/verify", data=body, headers=headers) as answer:
                content = json.loads(await answer.read())
        except ERRORS:
            return []
        if answer.status != 200:
            return []
        return [ACTIVE if one["active"] else one["reason"] for one in content["results"]]


def _subjects(path: Path, admin: Key, clock: Clock, round_s: float) -> Subjects:
    """Whom the administrator may cut off: roles and users of the account. Raises Refused."""
    account = key_ids.account_of(admin.access_key_id)
    roles = [role for role in read_roles(path) if arn.parse(role.role_arn).account == account]
    users = [key for key in read_keys(path) if key_ids.account_of(key.access_key_id) == account]
    if not roles:
        raise Refused("no profile assumes a role of the administrator's account: use the default world")
    return Subjects(roles, users, clock, round_s)
