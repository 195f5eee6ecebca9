"""Open-loop load: requests arrive when the schedule says, whether or not earlier ones are answered. (I/O)

A schedule is drawn before the run: Poisson arrivals, each with an operation. A request that could not be sent when it
was due still counts from then, so a stall of the service, or of the generator, is seen in full (see `history`).
Clients keep their connections, sign every request for itself and call again as their behaviour says (see `behaviour`);
all calls of one group are one client's. What was due counts once, however often it was tried.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import NamedTuple

import aiohttp

from cluster.behaviour import BEHAVIOURS, Behaviour, Client, Failure, retry_after_s
from cluster.checks import nearest_region
from cluster.experiment import Load
from cluster.history import Endpoint, Exchange, Outcome, outcome
from cluster.topology import Topology
from loadtest.client import loopback_target
from loadtest.places import GLOBAL_REGION, Place, RoleProfile
from loadtest.signer import (
    Signer,
    assume_role_body,
    get_caller_identity_body,
    session_token_of,
    verify_body,
)

IDLE_CONNECTION_S = 300.0


class Group(NamedTuple):
    """Clients at one place that call one endpoint. `region` is the regional endpoint's, empty for the global one."""

    location: str
    endpoint: Endpoint
    region: str


class Arrival(NamedTuple):
    """One request that is due, in seconds since the measured part began; below zero it is warm-up."""

    due_at: float
    group: Group
    operation: str


def groups(topology: Topology, regional: str) -> list[Group]:
    """Every place at the global endpoint, and at its nearest regional endpoint, at all of them or at none."""
    found = []
    for place in topology.locations:
        near = {"none": (), "own": (nearest_region(place, topology.rtt),), "all": topology.regions}[regional]
        found += [Group(place, "global", ""), *(Group(place, "regional", region) for region in near)]
    return found


def schedule(load: Load, clients: Sequence[Group], seed: int) -> list[Arrival]:
    """All arrivals of one run, in order; the same for the same seed. Of arrivals at the highest rate each stays with
    the chance that the rate of its moment is of it (thinning of a Poisson process)."""
    arrivals: list[Arrival] = []
    if not load.arrivals_per_s:
        return arrivals
    most = max((1.0, *(step.times for step in load.steps)))
    for index, group in enumerate(clients):
        rng = Random(seed * 1000 + index)  # noqa: S311  load is random, not secret
        due_at = -load.warm_up_s + rng.expovariate(load.arrivals_per_s * most)
        while due_at < load.duration_s:
            if rng.random() * most < load.times(due_at):
                arrivals.append(Arrival(due_at, group, rng.choice(load.operations)))
            due_at += rng.expovariate(load.arrivals_per_s * most)
    return sorted(arrivals)


class Tried(NamedTuple):
    """What came of one attempt; see `history.Exchange`."""

    outcome: Outcome
    served_by: str = ""
    error: str = ""
    failure: Failure | None = None
    added_ms: float | None = None


def exchange(arrival: Arrival, sent_at: float, ended_at: float, attempts: int, last: Tried) -> Exchange:
    """What came of a request after all its attempts."""
    return Exchange(
        location=arrival.group.location,
        endpoint=arrival.group.endpoint,
        region=arrival.group.region,
        operation=arrival.operation,
        due_at=arrival.due_at,
        sent_at=sent_at,
        ended_at=ended_at,
        outcome=last.outcome,
        served_by=last.served_by,
        error=last.error,
        attempts=attempts,
        added_ms=last.added_ms,
    )


@dataclass(slots=True)
class Generator:
    """Sends a schedule to one cluster. `begin` is when the measured part begins, in monotonic seconds; `timeout_s` is
    for one attempt, or for all of them where clients carry a deadline."""

    places: Mapping[str, Place]
    role: RoleProfile
    timeout_s: float
    behaviour: Behaviour = BEHAVIOURS["plain"]
    seed: int = 0
    begin: float = 0.0
    exchanges: list[Exchange] = field(default_factory=list, repr=False)
    _clients: dict[Group, Client] = field(default_factory=dict, repr=False)
    token: str = field(default="", repr=False)

    def now(self) -> float:
        """Seconds since the measured part began."""
        return time.monotonic() - self.begin

    async def prepare(self, session: aiohttp.ClientSession) -> None:
        """Fetches a session token to verify. Raises aiohttp.ClientError or ValueError when the cluster gives none."""
        place = next(iter(self.places.values()))
        region, url = next(iter(place.regional.items()))
        body = assume_role_body(self.role, "experiment")
        async with session.post(url, data=body, headers=Signer(self.role.key, region, url).headers(body)) as answer:
            self.token = session_token_of(await answer.read())

    async def run(self, arrivals: Iterable[Arrival], session: aiohttp.ClientSession) -> None:
        """Sends every arrival when it is due and waits for all answers."""
        async with asyncio.TaskGroup() as tasks:
            for arrival in arrivals:
                if (left := arrival.due_at - self.now()) > 0:
                    await asyncio.sleep(left)
                tasks.create_task(self._send(arrival, session))

    async def _send(self, arrival: Arrival, session: aiohttp.ClientSession) -> None:
        sent_at = self.now()
        attempts, tried = await self._try(arrival, session, sent_at + self.timeout_s)
        self.exchanges.append(exchange(arrival, sent_at, self.now(), attempts, tried))

    async def _try(self, arrival: Arrival, session: aiohttp.ClientSession, deadline: float) -> tuple[int, Tried]:
        """How many attempts were made, and what came of the last one."""
        client = self._client(arrival.group)
        client.begins()
        attempt = 1
        while True:
            tried = await self._attempt(arrival, session, client, attempt, deadline)
            if tried.failure is None:
                return attempt, tried
            pause_s = client.pause_s(attempt, tried.failure, deadline - self.now())
            if pause_s is None:
                return attempt, tried
            await asyncio.sleep(pause_s)
            attempt += 1

    async def _attempt(
        self, arrival: Arrival, session: aiohttp.ClientSession, client: Client, attempt: int, deadline: float
    ) -> Tried:
        """One request; see `history` for definite and indefinite failures."""
        url, headers, body = self._request(arrival)
        left_s = deadline - self.now()
        headers |= client.headers(attempt, time.time() + left_s)
        timeout = aiohttp.ClientTimeout(total=client.timeout_s(self.timeout_s, left_s))
        try:
            async with session.post(url, data=body, headers=headers, timeout=timeout) as answer:
                await answer.read()
                return _tried(answer)
        except aiohttp.ClientConnectorError as error:
            return Tried("failed", "", type(error).__name__, Failure())
        except (aiohttp.ClientError, TimeoutError) as error:
            return Tried("unknown", "", type(error).__name__, Failure())

    def _client(self, group: Group) -> Client:
        if group not in self._clients:
            rng = Random(f"{self.seed}/{group}")  # noqa: S311  chance, not secret
            self._clients[group] = Client(self.behaviour, rng)
        return self._clients[group]

    def _request(self, arrival: Arrival) -> tuple[str, dict[str, str], bytes]:
        place, group = self.places[arrival.group.location], arrival.group
        url = place.global_url if group.endpoint == "global" else place.regional[group.region]
        if arrival.operation == "verify":
            return f"{url}/v1/verify", {"content-type": "application/json"}, verify_body(self.token)
        body = _BODIES[arrival.operation](self.role)
        return url, Signer(self.role.key, group.region or GLOBAL_REGION, url).headers(body), body


def _tried(answer: aiohttp.ClientResponse) -> Tried:
    served_by = answer.headers.get("x-stsd-region", "")
    if answer.status == 200:
        added_ms = answer.headers.get("x-stsd-added-ms")
        return Tried("ok", served_by, added_ms=None if added_ms is None else float(added_ms))
    failure = Failure(answer.status, retry_after_s(answer.headers.get("Retry-After")))
    return Tried(outcome(answer.status), served_by, str(answer.status), failure)


_BODIES: Mapping[str, Callable[[RoleProfile], bytes]] = {
    "AssumeRole": lambda role: assume_role_body(role, "experiment"),
    "GetCallerIdentity": lambda role: get_caller_identity_body(),
}


def open_session(timeout_s: float) -> aiohttp.ClientSession:
    """A client that keeps its connections and opens as many as are needed."""
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=IDLE_CONNECTION_S)
    return aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=timeout_s))


def check_targets(places: Iterable[Place]) -> None:
    """Raises LoadError when a URL is not on this machine."""
    for place in places:
        for url in (place.global_url, *place.regional.values()):
            loopback_target(url)
