"""What happened while an experiment ran: every request with its times and outcome, every fault, the conditions.

A failure is *definite* when the service certainly did nothing (`failed`) and *indefinite* when it may have acted
(`unknown`: a time-out, a connection that broke after the request was sent, a gateway's answer). Clients retry only
where an experiment says so (see `behaviour`), so every other failure is seen.

Times are seconds since the measured part of a run began; what was due earlier was warm-up. Latency counts from the
moment a request was *due*, not from when it was sent, so that a stalled client cannot hide a slow service (no
coordinated omission).
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from cluster.cutoff_records import Cutoff
from cluster.node_metrics import NodeCounts

Outcome = Literal["ok", "failed", "unknown"]
Endpoint = Literal["global", "regional"]

INDEFINITE_STATUSES = frozenset({500, 502, 504})


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request. `region` is the regional endpoint that was called, empty for the global one; `served_by` is the
    region that answered, empty for none; `error` is the status and code or the name of what broke. With retries, all
    but the times are those of the last of its `attempts`.
    """

    location: str
    endpoint: Endpoint
    region: str
    operation: str
    due_at: float
    sent_at: float
    ended_at: float
    outcome: Outcome
    served_by: str = ""
    error: str = ""
    attempts: int = 1
    added_ms: float | None = None
    """What the latency model put on top, as a good answer tells; None where nothing was."""

    @property
    def latency_ms(self) -> float:
        """Milliseconds from when the request was due until its answer was complete."""
        return (self.ended_at - self.due_at) * 1000

    @property
    def lag_ms(self) -> float:
        """Milliseconds by which the generator was late."""
        return (self.sent_at - self.due_at) * 1000


@dataclass(frozen=True, slots=True)
class Event:
    """One fault: when its execution began and when it was done. `name` is the experiment's word for it, if any."""

    action: str
    region: str
    began_at: float
    done_at: float
    name: str = ""


@dataclass(frozen=True, slots=True)
class Revocation:
    """One session and its revocation in region `origin`. `acked_at` is None without a good answer.

    `accepted_after_ack` says whether the origin's region, asked after the answer, still accepted the session;
    `refused_at` says when another region refused first, `refused_in_the_end` whether each region refuses in the end.
    None is for a region that did not tell.
    """

    origin: str
    due_at: float
    sent_at: float | None
    acked_at: float | None
    outcome: Outcome
    accepted_after_ack: bool | None
    refused_at: Mapping[str, float]
    refused_in_the_end: Mapping[str, bool | None]


@dataclass(frozen=True, slots=True)
class Untouched:
    """A session that nobody revoked, and whether each region refuses it in the end; None for one that did not tell."""

    origin: str
    refused_in_the_end: Mapping[str, bool | None]


@dataclass(frozen=True, slots=True)
class PairDelay:
    """One-way delays between a place and a region, or from a region's node to another's: how many, how long they were
    to be and how long they were at the mean, and the p99 of how much longer they took than asked (milliseconds)."""

    location: str
    region: str
    messages: int
    asked_ms_mean: float
    achieved_ms_mean: float
    error_ms_p99: float


@dataclass(frozen=True, slots=True)
class Sample:
    """How many requests all nodes together had answered by then, by operation."""

    at_s: float
    answered: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Reaction:
    """What a moment set off among many verifiers: calls and those answered with no, seconds until the last one was
    answered, and how many workers asked for keys how often."""

    name: str
    at_s: float
    calls: int
    refused: int
    answered_s: float
    fetches: Mapping[int, int]


@dataclass(frozen=True, slots=True)
class Crowd:
    """Many verifiers: what moments set off, and what nodes answered."""

    workers: int
    reactions: Sequence[Reaction] = ()
    samples: Sequence[Sample] = ()
    silent: Mapping[str, int] = field(default_factory=dict)
    """How often a region's node did not tell what it had answered."""


@dataclass(frozen=True, slots=True)
class Conditions:
    """Whether the machine could do it: share of idle CPU, and the p99 error of the added delay in milliseconds, of
    clients and of messages between nodes.

    None is what could not be measured.
    """

    idle_cpu: float | None = None
    delay_error_ms_p99: float | None = None
    delays: tuple[PairDelay, ...] = ()
    link_error_ms_p99: float | None = None
    link_delays: tuple[PairDelay, ...] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """What a region's node, the router and the links told of a region at one moment.

    `origin` is the node's log, empty where the node did not answer; `staleness_s` is by the region of each other
    origin; `healthy` is the router's view; `received` are bytes that came from other regions since the start; `unknown`
    are revocations of a later version that the node has told of, None where it tells nothing of that.
    """

    at: float
    region: str
    ready: bool
    origin: str
    staleness_s: Mapping[str, float]
    healthy: bool | None
    received: int | None
    unknown: int | None


@dataclass(frozen=True, slots=True)
class Run:
    """One cluster under one load: a policy, a seed, and what was recorded. `ended_at` is when the load ended; `variant`
    is empty where an experiment compares none."""

    policy: str
    seed: int
    exchanges: Sequence[Exchange]
    events: Sequence[Event] = ()
    conditions: Conditions = field(default_factory=Conditions)
    ended_at: float = 0.0
    revocations: Sequence[Revocation] = ()
    untouched: Sequence[Untouched] = ()
    cutoffs: Sequence[Cutoff] = ()
    nodes: Mapping[str, NodeCounts] = field(default_factory=dict)
    """What each region's node had counted in the end."""
    variant: str = ""
    crowd: Crowd | None = None
    samples: Sequence[Look] = ()
    """What was looked at twice a second, where a check needs it."""
    journal_bytes: Mapping[str, int] = field(default_factory=dict)
    """How much the batches in each region's journal are in the end."""
    hedges: float | None = None
    """How many calls the router sent to a second region before the first had answered; None: it did not tell."""

    @property
    def label(self) -> str:
        """What tables call it: the router's policy, and the variant if there are several."""
        return labelled(self.policy, self.variant)

    @property
    def measured(self) -> list[Exchange]:
        """All exchanges but the warm-up."""
        return [exchange for exchange in self.exchanges if exchange.due_at >= 0]

    def event(self, action: str) -> Event | None:
        """The first event of that name, or action."""
        return next((event for event in self.events if action in (event.name, event.action)), None)

    def all_called(self, name: str) -> list[Event]:
        """Every event of that name; of that action, if none has it for a name."""
        return [e for e in self.events if e.name == name] or [e for e in self.events if e.action == name]


def labelled(policy: str, variant: str) -> str:
    """What tables call the runs of a policy and a variant."""
    return f"{policy}, {variant}" if variant else policy


def outcome(status: int) -> Outcome:
    """What an HTTP status says: 200 is ok, a gateway's doubt is indefinite, any other answer is a definite failure."""
    if status == 200:
        return "ok"
    return "unknown" if status in INDEFINITE_STATUSES else "failed"


def finite(value: float | None) -> float | None:
    """The value, None for one beyond every bound: JSON has no infinity."""
    return value if value is not None and math.isfinite(value) else None


ROUNDING = 1e-9
"""0.07 of 100 is 7 values, although the product of floats is a little more."""


def percentile(values: Iterable[float], share: float) -> float:
    """The smallest of `values` that a `share` of them does not exceed: the nearest rank. Raises ValueError for none."""
    ordered = sorted(values)
    if not ordered:
        raise ValueError("no values")
    rank = math.ceil(share * len(ordered) - ROUNDING)
    return ordered[max(rank, 1) - 1]
