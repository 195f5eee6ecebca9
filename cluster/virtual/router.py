"""The failover router in virtual time; what it decides is decided by `choice`, `outlier`, `retry`, `hedging`,
`shedding` and `admission`. A deep check asks for a token and then for its verification, as `canary` does."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from random import Random

from cluster import admission, canary, dns, latency, retry, shedding
from cluster.admission import Gate
from cluster.choice import Chooser
from cluster.forwarder import GATEWAY_STATUSES
from cluster.health_checks import FIRST_INTERVAL_S, INTERVAL_S, JITTER, TIMEOUT_S
from cluster.hedging import HedgeBudget, Usual
from cluster.history import Endpoint
from cluster.outlier import CallClass, RegionHealth
from cluster.shedding import Shedding
from cluster.sim.scheduler import Scheduler
from cluster.spare import Demand
from cluster.topology import Topology
from cluster.virtual.service import BROKEN, OK, Refusal, Service, direct_s, handling_s
from cluster.virtual.tasks import Later, Steps, Wait, spawn

ANSWER_TIMEOUT_S = 5.0
"""As RouterConfig has it."""
UNAVAILABLE = 503
POLL_S = 0.002
"""How often a call that waits for its turn asks."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request. `region` is empty at the global endpoint; `deadline` is the one that the client told, in virtual
    seconds, or None."""

    location: str
    endpoint: Endpoint
    region: str
    operation: str
    deadline: float | None = None


@dataclass(frozen=True, slots=True)
class Answered:
    """What a client gets. `region` is empty when no region answered; `definite` says that nothing happened."""

    status: int
    region: str = ""
    definite: bool = False
    added_s: float = 0.0
    """What the latency model put on top."""

    full: bool = False
    """The region may have no more calls in flight, and was not asked."""
    refused: bool = False
    """The region has too much to do, says so and did nothing."""

    @property
    def broken(self) -> bool:
        """Whether there was no answer."""
        return self.status == BROKEN


class VirtualRouter:
    """One router in front of `services`."""

    def __init__(
        self,
        topology: Topology,
        policy: str,
        services: Mapping[str, Service],
        scheduler: Scheduler,
        seed: int,
        without: Collection[str] = (),
        dns_ttl_s: float = dns.TTL_S,
    ) -> None:
        self._topology, self._services, self._scheduler = topology, services, scheduler
        self.health = {region: RegionHealth() for region in topology.regions}
        self._rng = Random(seed)  # noqa: S311  chance, not secret
        self._demand = {region: Demand(topology.capacity.get(region)) for region in topology.regions}
        self._chooser = Chooser(topology, policy, self.health, self._rng, self._spare, dns_ttl_s)
        self._gates = {region: Gate(demand) for region, demand in self._demand.items()}
        self._shedding = {region: Shedding() for region in topology.regions}
        self._without = frozenset(without)
        self._links = {(a, b): latency.link(trip, local=a == b) for (a, b), trip in topology.rtt.items()}
        self._chances = {pair: Random(f"{seed}/{pair[0]}/{pair[1]}") for pair in self._links}  # noqa: S311
        pairs = [*topology.rtt, *((b, a) for a, b in topology.rtt)] if topology.path_shifts else ()
        self._shifts = latency.shifts(pairs, seed)
        self._budget = retry.RetryBudget()
        self._hedges = HedgeBudget()
        self.hedges = 0
        """How many calls were sent to a second region before the first had answered."""
        self._usual: dict[tuple[str, str], Usual] = {}
        self._in_flight = 0
        for region in topology.regions:
            spawn(scheduler, self._check(region))
            if "deep-checks" not in self._without:
                spawn(scheduler, self._check_deeply(region))
        spawn(scheduler, self._judge())

    def respond(self, call: Call) -> Steps:
        """One request, as `Forwarder.respond` has it; returns Answered."""
        self._in_flight += 1
        region = call.region
        if call.endpoint == "global":
            region, _ = self._chooser.first(call.location, _class(call.operation), self._scheduler.now)
        asked, result = {region}, Answered(BROKEN)
        if self._may_hedge(call):
            result = yield from self._hedged(call, region, asked)
        else:
            result = yield from self._attempt(call, region)
        may = self._may_retry(result, call.operation) and (result.full or self._budget.has_room(self._in_flight))
        other = self._next(call, asked) if may else None
        if other is not None and self._is_in_time(call, other):
            if not result.full:
                self._budget.take(self._in_flight)
            yield retry.pause_s(self._rng, definite=result.definite or result.refused)
            second: Answered = yield from self._attempt(call, other)
            if not result.full:
                self._budget.done()
            if not second.broken or result.broken:
                result = replace(second, added_s=result.added_s + second.added_s)
        self._in_flight -= 1
        if result.broken:
            return Answered(UNAVAILABLE)
        if result.status < 500:
            self._budget.succeeded()
        return result

    def _may_hedge(self, call: Call) -> bool:
        if not self._chooser.policy.hedges or call.endpoint == "regional":
            return False
        self._hedges.called()
        return retry.hedgeable(*_asks(call.operation))

    def _hedged(self, call: Call, region: str, asked: set[str]) -> Steps:
        """Asks `region`, and another one when it takes unusually long; the first good answer counts."""
        began, usual = self._scheduler.now, self._usual.setdefault((call.location, region), Usual())
        first, race = spawn(self._scheduler, self._attempt(call, region)), Later()
        tasks = [first]
        result = None if usual.p95_s is None else (yield Wait(first, usual.p95_s))
        if usual.p95_s is not None and result is None:
            other = self._next(call, asked) if self._hedges.has_room else None
            if other is not None:
                self._hedges.take()
                asked.add(other)
                self.hedges += 1
                tasks.append(spawn(self._scheduler, self._attempt(call, other)))
        for task in tasks:
            task.when_given(partial(_judge, race, tasks))
        won: Answered = yield Wait(race, 2 * ANSWER_TIMEOUT_S)
        usual.add(self._scheduler.now - began)
        return won

    def _next(self, call: Call, asked: Collection[str]) -> str | None:
        if call.endpoint == "regional":
            return None
        return self._chooser.next(call.location, _class(call.operation), self._scheduler.now, asked)[0]

    def _is_in_time(self, call: Call, region: str) -> bool:
        left_s = None if call.deadline is None else call.deadline - self._scheduler.now
        needs_s = self._topology.rtt[call.location, region].p50_ms / 1000 + self._shedding[region].usual_s
        return retry.in_time(left_s, needs_s)

    def _spare(self) -> Mapping[str, tuple[float, float]]:
        now = self._scheduler.now
        return {region: demand.spare(now, self.health[region].share) for region, demand in self._demand.items()}

    def _attempt(self, call: Call, region: str) -> Steps:
        there_s = self._one_way_s(call.location, region)
        yield there_s
        let_in = True if "admission" in self._without else (yield from self._is_let_in(call, region))
        result: Answered = Answered(BROKEN, definite=True, full=True)
        if let_in:
            result = yield from self._timed(call, region)
        back_s = self._one_way_s(call.location, region, back=True)
        yield back_s
        return replace(result, added_s=there_s + back_s)

    def _is_let_in(self, call: Call, region: str) -> Steps:
        """Whether the call may begin now; waits a moment where it is one of the region's own clients."""
        own = call.endpoint == "regional" or region == self._chooser.order(call.location)[0]
        gate, until = self._gates[region], self._scheduler.now + (admission.QUEUE_S if own else 0.0)
        while not gate.is_open(own=own):
            if self._scheduler.now >= until:
                return False
            yield POLL_S
        return True

    def _timed(self, call: Call, region: str) -> Steps:
        """One exchange, counted and noted."""
        began = self._scheduler.now
        self._demand[region].begins(began)
        result: Answered = yield from self._exchange(call, region)
        self._demand[region].ends()
        took_s = None if result.broken or result.refused else self._scheduler.now - began
        self._gates[region].refused += result.refused and call.operation != "verify"
        self._gates[region].ended(took_s)
        if took_s is not None:
            failed = call.operation != "verify" and result.status >= 500
            self._shedding[region].add(took_s, self._scheduler.now, failed=failed)
        if "breakers" not in self._without:
            self._note(region, call.operation, result)
        return result

    def _exchange(self, call: Call, region: str) -> Steps:
        yield handling_s(self._rng)
        left_s = None if call.deadline is None else call.deadline - self._scheduler.now
        answer = self._services[region].ask(call.operation, left_s)
        if answer is None:
            return Answered(BROKEN, definite=True)
        status = yield Wait(answer, ANSWER_TIMEOUT_S)
        return Answered(status or BROKEN, region if status else "", refused=isinstance(status, Refusal))

    def _note(self, region: str, operation: str, result: Answered) -> None:
        health, now = self.health[region], self._scheduler.now
        if result.broken:
            health.request(now, _class(operation), gateway=True, silent=result.definite)
        elif operation == "verify":
            health.request(now, "v1")
        else:
            failed = result.status >= 500 and not result.refused
            health.request(now, failed=failed, gateway=failed and result.status in GATEWAY_STATUSES)

    def _may_retry(self, result: Answered, operation: str) -> bool:
        if "retries" in self._without:
            return False
        repeatable = retry.repeatable(*_asks(operation))
        if result.broken:
            return result.definite or repeatable
        return operation != "verify" and result.status in GATEWAY_STATUSES and repeatable

    def _one_way_s(self, location: str, region: str, *, back: bool = False) -> float:
        pair = location, region
        shift = self._shifts.get((region, location) if back else pair)
        shifted_ms = 0.0 if shift is None else shift.ms(self._scheduler.now)
        return (latency.one_way_ms(self._links[pair], self._chances[pair]) + shifted_ms) / 1000

    def _check(self, region: str) -> Steps:
        """Active checks, for ever."""
        health = self.health[region]
        while True:
            answer = self._services[region].ask("readyz")
            status = None if answer is None else (yield Wait(answer, TIMEOUT_S))
            if "active-checks" not in self._without or not health.ever_good:
                health.check("good" if status == 200 else "bad" if status else "silent", self._scheduler.now)
            interval_s = INTERVAL_S if health.ever_good else FIRST_INTERVAL_S
            yield interval_s * (1 + JITTER * (2 * self._rng.random() - 1))

    def _check_deeply(self, region: str) -> Steps:
        """Deep checks, for ever: one in ten seconds, or one a second of a region that failed one or gets a share."""
        health, share, next_at = self.health[region], self._shedding[region], canary.EVERY_S * self._rng.random()
        while True:
            yield canary.AGAIN_S * (1 + JITTER * (2 * self._rng.random() - 1))
            if self._scheduler.now < next_at and share.share >= 1.0:
                continue
            good, took_s = yield from self._issue_and_verify(region)
            if good is not None:
                health.deep_check(good, self._scheduler.now)
                for each_s in took_s:
                    share.add(each_s, self._scheduler.now, failed=not good)
            next_at = self._scheduler.now + (0.0 if good is False else canary.EVERY_S)

    def _issue_and_verify(self, region: str) -> Steps:
        """Whether a region issues and verifies, None where nobody can tell; and what its answers took."""
        took_s: list[float] = []
        until = self._scheduler.now + canary.TIMEOUT_S
        for operation in ("GetSessionToken", "verify"):
            began = self._scheduler.now
            yield direct_s(self._rng)
            answer = self._services[region].ask(operation)
            status = None if answer is None else (yield Wait(answer, max(0.0, until - self._scheduler.now)))
            if status:
                took_s.append(self._scheduler.now - began)
            if status != OK:
                return None if isinstance(status, Refusal) else False, took_s
        return True, took_s

    def _judge(self) -> Steps:
        """Limits and shares, for ever."""
        while True:
            yield admission.EVERY_S
            for gate in self._gates.values():
                gate.tick()
            if "shedding" not in self._without:
                shedding.judge(self._shedding, self._scheduler.now)
                for region, one in self._shedding.items():
                    self.health[region].shed(one.share)


def _class(operation: str) -> CallClass:
    return "v1" if operation == "verify" else "sts"


def _asks(operation: str) -> tuple[str, str, str, bytes]:
    """What `retry` decides by."""
    if operation == "verify":
        return "POST", "/v1/verify", "", b""
    return "POST", "/", "", f"Action={operation}".encode()


def _judge(race: Later, tasks: Sequence[Later]) -> None:
    """The first good answer counts; where none is good, the last one."""
    ended: list[Answered] = [task.value for task in tasks if task.given]
    good = [one for one in ended if not one.broken and one.status < 500]
    if good or len(ended) == len(tasks):
        race.give((good or ended)[0])
