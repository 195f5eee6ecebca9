"""One request on its way through the router: to a region, perhaps to a second one, and back. (I/O)

Every decision is in `choice`, `outlier`, `retry`, `hedging`, `waiting`, `latency` and `forwarding`; here they are
carried out in order.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from random import Random
from time import monotonic

from aiohttp.web_request import BaseRequest

from cluster import admission, forwarding, health_checks, retry, route, shedding
from cluster.admission import Gate
from cluster.attempt import Attempt, Full, Result
from cluster.choice import Chooser
from cluster.hedging import HedgeBudget, Usual
from cluster.listener import Reply, new_request_id, plain
from cluster.metrics import RouterMetrics
from cluster.outlier import RegionHealth, Skipped
from cluster.router_config import RouterConfig, View
from cluster.shedding import Shedding
from cluster.spare import Demand
from cluster.upstream import Answer, Upstream, UpstreamError
from cluster.waiting import Room, Stay
from stsd.errors import ServiceUnavailable
from stsd.wire import deadline, forwarded, xml

GATEWAY_STATUSES = frozenset({502, 503, 504})
NO_REGION = "No region can be reached."
FULL = "More requests than can be served."
TIMED = frozenset({"/", "/v1/verify"})
"""Calls whose times tell how a region does; others may be asked to wait."""
JSON_TYPE = "application/json"


class Forwarder:
    """Sends requests to regions. `chooser.use` changes the policy while it runs."""

    def __init__(self, config: RouterConfig, metrics: RouterMetrics) -> None:
        self.rng = Random(config.seed)  # noqa: S311 chance, not secrets
        self.health = {region: RegionHealth() for region in config.topology.regions}
        self.chooser = Chooser(
            config.topology, config.policy, self.health, self.rng, self._spare, ttl_s=config.dns_ttl_s
        )
        self.upstreams = {
            region: Upstream(
                host, port, connect_timeout_s=config.connect_timeout_s, answer_timeout_s=config.answer_timeout_s
            )
            for region, (host, port) in config.upstreams.items()
        }
        self.demand = {region: Demand(config.topology.capacity.get(region)) for region in config.topology.regions}
        self.gates = {region: Gate(demand) for region, demand in self.demand.items()}
        self.rooms = {region: Room(gate) for region, gate in self.gates.items()}
        self.chosen = dict.fromkeys(config.topology.regions, 0)
        """Calls in flight that the policy sent to a region; a regional endpoint's are not among them."""
        self.shedding = {region: Shedding() for region in config.topology.regions}
        self._config = config
        self._limits, self._breaks, self._retries, self._sheds = (
            part not in config.without for part in ("admission", "breakers", "retries", "shedding")
        )
        self._metrics = metrics
        self._key = forwarded.router_key(config.cluster_key)
        self._budget = retry.RetryBudget()
        self._hedges = HedgeBudget()
        self._usual: dict[tuple[str, str], Usual] = {}
        self._all_in_flight = 0

    def begin(self) -> list[asyncio.Task[None]]:
        """Begins to check the regions and to judge what their calls took; the caller cancels the tasks."""
        config = self._config
        tasks = health_checks.begin(
            self.upstreams, self.health, self.shedding, self.rng, config.read_key, config.without
        )
        return [*tasks, asyncio.create_task(self._judge_forever(), name="judge")]

    async def _judge_forever(self) -> None:
        while True:
            await asyncio.sleep(admission.EVERY_S)
            for gate in self.gates.values():
                gate.tick()
            if self._sheds:
                shedding.judge(self.shedding, monotonic())
                for region, one in self.shedding.items():
                    self.health[region].shed(one.share)

    def forget(self) -> None:
        """What regions did until now is no evidence any more: each is as good as new, until it shows otherwise. What
        is in flight goes on."""
        for region, health in self.health.items():
            health.forget()
            self.gates[region].forget()
            self.shedding[region] = Shedding()
        self.chooser.use(self.chooser.policy.name)  # without what places were told by DNS
        self._budget.forget()
        self._hedges, self._usual = HedgeBudget(), {}

    async def respond(self, view: View, request: BaseRequest, target: str, body: bytes, arrived: float) -> Reply:
        """The answer for the client, counted."""
        self._all_in_flight += 1
        region, outcome = "none", "disconnected"
        try:
            region, outcome, reply = await self._forward(Attempt.of(view, request, target, body, arrived))
            return reply
        finally:
            self._all_in_flight -= 1
            self._metrics.count(view.endpoint, view.location, region, outcome, monotonic() - arrived)

    async def _forward(self, attempt: Attempt) -> tuple[str, str, Reply]:
        """The region that answered, the outcome for the metric, and the answer."""
        attempt.policy = self.chooser.policy.name  # it may be another one when the answer is there
        region, skipped = self._first(attempt)
        attempt.steps += skipped
        if self._may_hedge(attempt):
            region, result, outcome = await self._hedged(attempt, region)
        else:
            result, outcome = await self._attempt(attempt, region), "ok"
            attempt.came(region, result)
        if self._may_retry(result, attempt) and (other := self._next(attempt, result)):
            region, result, outcome = await self._again(attempt, region, result, other)
        if isinstance(result, UpstreamError):
            full = isinstance(result, Full)
            return "none", "refused" if full else "unavailable", self._unavailable(attempt, FULL if full else NO_REGION)
        if result.status < 500:
            self._budget.succeeded()
        return region, "error" if result.status >= 500 else outcome, self._reply(attempt, result)

    def _first(self, attempt: Attempt) -> tuple[str, Skipped]:
        view = attempt.view
        if view.region:
            return view.region, []
        return self.chooser.first(view.place, attempt.call, attempt.began)

    def _next(self, attempt: Attempt, result: Result) -> str | None:
        """Where the request may go after a result, if there is such a place and budget, which `_again` gives back.
        A region that was full was spared, so going on from there costs nothing."""
        if attempt.view.region:
            return None
        free = isinstance(result, Full)
        if not (free or self._budget.has_room(self._all_in_flight)):
            return None  # before anybody's probe is taken for nothing
        other, skipped = self.chooser.next(attempt.view.place, attempt.call, monotonic(), attempt.asked)
        if other is None or not retry.in_time(attempt.left_s(monotonic()), self._needs_s(attempt, other)):
            return None
        if not free:
            self._budget.take(self._all_in_flight)
        attempt.leave_out(skipped)
        return other

    def _needs_s(self, attempt: Attempt, region: str) -> float:
        """How long a call to a region usually takes, distance and service; the latter is nothing until it is known."""
        view = attempt.view
        far_ms = self._config.topology.rtt[view.place, region].p50_ms if region in view.paths else 0.0
        return far_ms / 1000 + self.shedding[region].usual_s

    async def _again(self, attempt: Attempt, region: str, result: Result, other: str) -> tuple[str, Result, str]:
        """The second try. A region that answers 503 is still a better answer than no answer."""
        self._metrics.retries.labels("definite" if _is_definite(result) else "indefinite").inc()
        try:
            await asyncio.sleep(retry.pause_s(self.rng, definite=_is_definite(result)))
            second = await self._attempt(attempt, other)
        finally:
            if not isinstance(result, Full):
                self._budget.done()
        attempt.came(other, second, "retry")
        if isinstance(second, Answer) or isinstance(result, UpstreamError):
            return other, second, "retried"
        return region, result, "ok"

    # -- hedging -----------------------------------------------------------------------------------------------------

    def _may_hedge(self, attempt: Attempt) -> bool:
        if not self.chooser.policy.hedges or attempt.view.region:
            return False
        self._hedges.called()
        return retry.hedgeable(*attempt.asks)

    async def _hedged(self, attempt: Attempt, region: str) -> tuple[str, Result, str]:
        """Asks `region`, and another one when it takes unusually long; the first good answer counts."""
        usual = self._usual_of(attempt, region)
        first = asyncio.create_task(self._attempt(attempt, region))
        tasks, second = {first: region}, attempt
        try:
            done, _ = await asyncio.wait(tasks, timeout=usual.p95_s)
            if not done and (other := self._hedge(attempt, region)):
                second = attempt.copy()
                tasks[asyncio.create_task(self._attempt(second, other))] = other
            region, result, outcome = await self._race(attempt, tasks, first)
            if outcome == "hedged":
                attempt.added_s, attempt.late_s = second.added_s, second.late_s
            return region, result, outcome
        finally:
            usual.add(monotonic() - attempt.began)
            for task in tasks:
                task.cancel()

    def _hedge(self, attempt: Attempt, region: str) -> str | None:
        if not self._hedges.has_room:
            return None
        other, _ = self.chooser.next(attempt.view.place, attempt.call, monotonic(), {region})
        if other is None:
            return None
        self._hedges.take()
        self._metrics.hedges.inc()
        return other

    async def _race(
        self, attempt: Attempt, tasks: Mapping[asyncio.Task[Result], str], first: asyncio.Task[Result]
    ) -> tuple[str, Result, str]:
        """The first good answer, or else the best of what came."""
        left = set(tasks)
        best: asyncio.Task[Result] | None = None
        while left and not (best and _is_good(best.result())):
            done, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)
            ended = [one for one in tasks if one in done]
            for task in ended:
                attempt.came(tasks[task], task.result(), _role(task, first))
            best = max([best, *ended] if best else ended, key=lambda one: _worth(one.result()))
        assert best is not None
        for late in left:
            attempt.gave_up(tasks[late], _role(late, first))
        return tasks[best], best.result(), "ok" if best is first else "hedged"

    def _usual_of(self, attempt: Attempt, region: str) -> Usual:
        key = attempt.view.location, region
        if key not in self._usual:
            self._usual[key] = Usual()
        return self._usual[key]

    # -- one exchange ------------------------------------------------------------------------------------------------

    async def _attempt(self, attempt: Attempt, region: str) -> Result:
        """One exchange with one region, latency both ways; the outcome goes into the region's health."""
        attempt.asked.add(region)
        view = attempt.view
        path, chosen = view.paths.get(region), not view.region
        self.chosen[region] += chosen
        try:
            if path is not None:
                await attempt.travel(path.there)
            result = await self._answer(attempt, region)
            if path is not None:
                await attempt.travel(path.back)
        finally:
            self.chosen[region] -= chosen
        return result

    async def _answer(self, attempt: Attempt, region: str) -> Result:
        """What the region says, or that it is full."""
        if self._limits and not await self._is_let_in(attempt, region):
            return Full(region)
        if attempt.wait_s:
            return await self._untimed(attempt, region)
        return await self._timed(attempt, region)

    async def _is_let_in(self, attempt: Attempt, region: str) -> bool:
        """Whether the request may begin now; waits a moment where it is one of the region's own clients."""
        view, gate = attempt.view, self.gates[region]
        if attempt.wait_s and self.rooms[region].is_full:
            return False
        own = view.endpoint == "regional" or region == self.chooser.order(view.place)[0]
        return gate.is_open(own=own) or (own and await gate.turn())

    async def _timed(self, attempt: Attempt, region: str) -> Result:
        """One exchange, counted and noted."""
        demand, gate = self.demand[region], self.gates[region]
        began, took_s = monotonic(), None
        demand.begins(began)
        try:
            result = await self._exchange(attempt, region)
            if isinstance(result, Answer) and result.refuses:
                gate.refused += attempt.call == "sts"
            elif attempt.path in TIMED and isinstance(result, Answer):
                took_s = monotonic() - began
        finally:
            demand.ends()
            gate.ended(took_s)
        if took_s is not None:
            self.shedding[region].add(took_s, monotonic(), failed=attempt.call == "sts" and _status(result) >= 500)
        if self._breaks:
            self._note(region, attempt, result)
        return result

    async def _untimed(self, attempt: Attempt, region: str) -> Result:
        """One exchange that may last long because of others than the region (see `waiting`)."""
        stay = Stay(self.rooms[region], monotonic())
        try:
            result = await self._exchange(attempt, region)
            self.gates[region].refused += isinstance(result, Answer) and result.refuses
        finally:
            stay.ends()
        if self._breaks:
            self._note(region, attempt, result)
        return result

    async def _exchange(self, attempt: Attempt, region: str) -> Result:
        request = attempt.request
        client_ip, binding = request.remote or "unknown", attempt.binding
        mark = forwarded.mark(self._key, attempt.view.endpoint, client_ip, request.secure, time.time(), binding)
        ours = [(forwarded.HEADER, mark)]
        if (left_s := attempt.left_s(monotonic())) is not None:
            ours.append((deadline.REMAINING_HEADER, str(max(0, int(left_s * 1000)))))
        head = forwarding.request_head(request.method, attempt.target, request.raw_headers, len(attempt.body), *ours)
        try:
            bodiless, upstream = request.method == "HEAD", self.upstreams[region]
            return await upstream.send(head, attempt.body, bodiless=bodiless, more_s=attempt.wait_s)
        except UpstreamError as error:
            return error

    def _note(self, region: str, attempt: Attempt, result: Result) -> None:
        """Passive detection. Only the Query API's errors count: a 503 under /v1/ may be what the caller asked for. Who
        refuses because there is too much to do is well (see `admission`)."""
        health, now = self.health[region], monotonic()
        if isinstance(result, UpstreamError):
            health.request(now, attempt.call, gateway=True, silent=result.definite)
        elif attempt.call == "sts":
            failed = result.status >= 500 and not result.refuses
            health.request(now, failed=failed, gateway=failed and result.status in GATEWAY_STATUSES)
        else:
            health.request(now, "v1")

    def _may_retry(self, result: Result, attempt: Attempt) -> bool:
        if not self._retries:
            return False
        if isinstance(result, Answer):
            overloaded = attempt.call == "sts" and result.status in GATEWAY_STATUSES
            return overloaded and retry.repeatable(*attempt.asks)
        return result.definite or retry.repeatable(*attempt.asks)

    def _spare(self) -> Mapping[str, tuple[float, float]]:
        now = monotonic()
        return {region: demand.spare(now, self.health[region].share) for region, demand in self.demand.items()}

    # -- answers -----------------------------------------------------------------------------------------------------

    def _route(self, attempt: Attempt) -> bytes:
        view = attempt.view
        named = attempt.policy if not view.region else "regional" if view.endpoint == "regional" else "pinned"
        return route.line(named, tuple(attempt.steps))

    def _reply(self, attempt: Attempt, answer: Answer) -> Reply:
        """The region's answer for the client; `x-stsd-added-ms` is what the latency model put on top."""
        fields = forwarding.response_fields(answer.headers) + self._route(attempt)
        if attempt.added_s:
            fields += b"x-stsd-added-ms: %.3f\r\n" % (attempt.added_s * 1000)
        length = None
        if answer.status == 304 or attempt.request.method == "HEAD":
            length = next((value for name, value in answer.headers if name.lower() == b"content-length"), None)
        return Reply(answer.status, fields, answer.body, reason=answer.reason, length=length)

    def _unavailable(self, attempt: Attempt, message: str) -> Reply:
        request_id = new_request_id()
        error = ServiceUnavailable(message, reason="no_region")
        fields = f"x-amzn-RequestId: {request_id}\r\nRetry-After: 1\r\n{self._route(attempt).decode()}"
        bodiless = attempt.request.method == "HEAD"
        if xml.wants_json(attempt.request.headers):
            return plain(503, xml.render_error_json(error, request_id), JSON_TYPE, fields=fields, bodiless=bodiless)
        return plain(503, xml.render_error(error, request_id), "text/xml", fields=fields, bodiless=bodiless)


def _is_definite(result: Result) -> bool:
    return result.definite if isinstance(result, UpstreamError) else result.refuses


def _status(result: Result) -> int:
    return result.status if isinstance(result, Answer) else 0


def _is_good(result: Result) -> bool:
    return isinstance(result, Answer) and result.status < 500


def _worth(result: Result) -> int:
    """A region that answers 503 is still a better answer than no answer."""
    return _is_good(result) + isinstance(result, Answer)


def _role(task: asyncio.Task[Result], first: asyncio.Task[Result]) -> str:
    return "" if task is first else "hedge"
