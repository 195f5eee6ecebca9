"""Revocations of an experiment in virtual time, asked for and watched as `revocation_load` does it."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from cluster.experiment import Revoking
from cluster.history import Outcome
from cluster.revocation_load import LEFT_ALONE, POLL_S, SLOW_POLL_S
from cluster.sim.client import Request
from cluster.virtual.replication import Replication
from cluster.virtual.service import Service, direct_s
from cluster.virtual.tasks import Later, Steps, Wait, spawn
from cluster.watched import Watched
from stsd.principal import Session


@dataclass(slots=True)
class _Session(Watched):
    session: Session = field(kw_only=True)


class VirtualRevoker:
    """The revocations of one run; `sessions` are all so far. `begin` is when the measured part begins, in virtual
    seconds."""

    def __init__(
        self,
        world: Replication,
        services: dict[str, Service],
        settings: Revoking,
        begin: float,
        seed: int,
        timeout_s: float,
    ) -> None:
        self._world, self._services, self._settings = world, services, settings
        self._begin, self._timeout_s = begin, timeout_s
        self._rng = Random(f"{seed}/revocations")  # noqa: S311  chance, not secret
        self._seed = seed
        self.sessions: list[_Session] = []
        self._watching: dict[str, list[_Session]] = {region: [] for region in services}
        self._asked: dict[bytes, Later] = {}
        world.answered = self._answered

    def plan(self, duration_s: float) -> None:
        """Poisson moments in every region until `duration_s`, and the questions of watchers."""
        for index, region in enumerate(self._services):
            rng = Random(self._seed * 1000 + index)  # noqa: S311  as the load on processes draws them
            due_at, number = rng.expovariate(self._settings.per_s), 0
            while due_at < duration_s:
                number += 1
                self._at(due_at, self._one(region, due_at, revoked=number % LEFT_ALONE != 0))
                due_at += rng.expovariate(self._settings.per_s)
            self._at(POLL_S * self._rng.random(), self._watch(region))

    def audit(self) -> None:
        """Every region is asked about every session."""
        for region in self._services:
            for one in self.sessions:
                one.refused_in_the_end[region] = self._refuses(region, one)

    def _now(self) -> float:
        return self._world.scheduler.now - self._begin

    def _at(self, moment: float, steps: Steps) -> None:
        self._world.scheduler.after(moment - self._now(), lambda: void(spawn(self._world.scheduler, steps)))

    def _answered(self, asked: Request, outcome: Outcome) -> None:
        if asked.entry in self._asked:
            self._asked.pop(asked.entry).give(outcome)

    # -- revoking ----------------------------------------------------------------------------------------------------

    def _one(self, region: str, due_at: float, *, revoked: bool) -> Steps:
        """A session, its revocation, and one question. Where the region gives no session there is nothing to revoke."""
        status = yield from self._call(region, "AssumeRole")
        if status != 200 or self._world.node(region).serving is None:
            return
        one = _Session(region, due_at, session=self._world.session(region, len(self.sessions)))
        self.sessions.append(one)
        if revoked:
            yield from self._revoke(one)

    def _call(self, region: str, operation: str) -> Steps:
        """The status of a call to a node, directly; None when nothing listens or it did not answer in time."""
        yield direct_s(self._rng)
        answer = self._services[region].ask(operation)
        return None if answer is None else (yield Wait(answer, self._timeout_s))

    def _revoke(self, one: _Session) -> Steps:
        one.sent_at = self._now()
        for region, watching in self._watching.items():
            if region != one.origin:
                watching.append(one)
        status = yield from self._call(one.origin, "AssumeRole")
        if status != 200:
            refused = status is None and self._services[one.origin].state == "killed"
            one.outcome = "failed" if refused else "unknown"
            return
        asked = self._world.revoke(one.origin, one.session)
        self._asked[asked.entry] = answered = Later()
        outcome: Outcome | None = yield Wait(answered, self._timeout_s)
        one.outcome = outcome or "unknown"
        if one.outcome == "ok":
            one.acked_at = self._now()
            refuses = self._refuses(one.origin, one)
            one.accepted_after_ack = None if refuses is None else not refuses

    # -- watching ----------------------------------------------------------------------------------------------------

    def _watch(self, region: str) -> Steps:
        """Asks about every session that is not refused yet: young ones each time, older ones now and then."""
        tick = 0
        while True:
            tick += 1
            slow, now = tick % round(SLOW_POLL_S / POLL_S) == 0, self._now()
            left = []
            for one in self._watching[region]:
                if (slow or one.is_young(now)) and self._refuses(region, one):
                    one.refused_at[region] = now
                elif one.is_awaited:
                    left.append(one)
            self._watching[region] = left
            yield from self._pause(region)

    def _pause(self, region: str) -> Steps:
        """A question is asked POLL_S after the answer to the one before."""
        yield POLL_S
        yield from self._call(region, "verify")

    def _refuses(self, region: str, one: _Session) -> bool | None:
        """Whether a region refuses a session now; None when it does not answer."""
        node = self._world.node(region)
        if node.serving is None or node.paused:
            return None
        return node.verify(one.session) is not None


def void(_: object) -> None:
    """Drops a result that a callback has no use for."""
