"""The open-loop load of an experiment in virtual time: the schedule of `load`, the behaviour of `behaviour`."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import partial
from random import Random

from cluster.behaviour import Behaviour, Client, Failure
from cluster.history import Exchange, outcome
from cluster.load import Arrival, Group, Tried, exchange
from cluster.sim.scheduler import Scheduler
from cluster.virtual.router import UNAVAILABLE, Answered, Call, VirtualRouter
from cluster.virtual.tasks import Steps, Wait, spawn

RETRY_AFTER_S = 1.0
"""What a 503 asks for: the router's without a region, and an overloaded node's."""


@dataclass(slots=True)
class Clients:
    """All clients of one run. `begin` is when the measured part begins, in virtual seconds."""

    router: VirtualRouter
    scheduler: Scheduler
    timeout_s: float
    behaviour: Behaviour
    seed: int
    begin: float
    exchanges: list[Exchange] = field(default_factory=list)
    _planned: int = 0
    _clients: dict[Group, Client] = field(default_factory=dict)

    def now(self) -> float:
        """Seconds since the measured part began."""
        return self.scheduler.now - self.begin

    @property
    def unanswered(self) -> int:
        """How many requests have not come to their end, those that are still to be sent too."""
        return self._planned - len(self.exchanges)

    @property
    def longest_s(self) -> float:
        """What no request takes longer than: every attempt times out, and every pause is as long as it may be."""
        behaviour = self.behaviour
        attempts_s = (behaviour.retries + 1) * self.timeout_s
        return attempts_s + behaviour.retries * (behaviour.backoff_s_max + RETRY_AFTER_S)

    def plan(self, arrivals: Iterable[Arrival]) -> None:
        """Every arrival happens when it is due."""
        for arrival in arrivals:
            self._planned += 1
            self.scheduler.after(arrival.due_at - self.now(), partial(self._send, arrival))

    def _send(self, arrival: Arrival) -> None:
        spawn(self.scheduler, self._exchange(arrival))

    def _exchange(self, arrival: Arrival) -> Steps:
        attempts, tried = yield from self._try(arrival, arrival.due_at + self.timeout_s)
        self.exchanges.append(exchange(arrival, arrival.due_at, self.now(), attempts, tried))

    def _try(self, arrival: Arrival, deadline: float) -> Steps:
        client = self._client(arrival.group)
        client.begins()
        attempt = 1
        while True:
            tried: Tried = yield from self._attempt(arrival, client, deadline)
            if tried.failure is None:
                return attempt, tried
            pause_s = client.pause_s(attempt, tried.failure, deadline - self.now())
            if pause_s is None:
                return attempt, tried
            yield pause_s
            attempt += 1

    def _attempt(self, arrival: Arrival, client: Client, deadline: float) -> Steps:
        group = arrival.group
        told = deadline + self.begin if self.behaviour.deadline else None
        call = Call(group.location, group.endpoint, group.region, arrival.operation, told)
        timeout_s = client.timeout_s(self.timeout_s, deadline - self.now())
        answered: Answered | None = yield Wait(spawn(self.scheduler, self.router.respond(call)), timeout_s)
        if answered is None:
            return Tried("unknown", "", "TimeoutError", Failure())
        if answered.status == 200:
            return Tried("ok", answered.region, added_ms=answered.added_s * 1000)
        failure = Failure(answered.status, RETRY_AFTER_S if answered.status == UNAVAILABLE else 0.0)
        return Tried(outcome(answered.status), answered.region, str(answered.status), failure)

    def _client(self, group: Group) -> Client:
        if group not in self._clients:
            rng = Random(f"{self.seed}/{group}")  # noqa: S311  chance, not secret
            self._clients[group] = Client(self.behaviour, rng)
        return self._clients[group]
