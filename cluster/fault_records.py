"""Faults as small records: what is done, where, and how much. Pure; `disturb` does it to a running cluster.

| action | members | what is wrong from then on | what ends it |
|---|---|---|---|
| `kill` | `region` | SIGKILL of the region's node | `start` |
| `pause` | `region` | SIGSTOP: connections stand, nothing is answered | `resume` |
| `partition` | `region`, `to`, `one_way` | no byte passes between two regions, or none from `region` to `to` | `heal` |
| `isolate` | `region` | no byte passes between a region and the others, or any two | `heal` of all, or of each link |
| `slow` | `region`, `to`, `ms` | every byte between two regions takes longer, each way | the same with 0, `heal` |
| `lose` | `region`, `to`, `share` | messages between two regions come late, as after a lost packet | the same |
| `error-rate` | `region`, `share`, `status` | that share of answers to clients is a 5xx (503) | the same, `start` |
| `brown-out` | `region`, `times`, `ms` | answers take `times` as long and `ms` longer; the node waits | the same |
| `grey` | `region`, `status` | health checks are fine, no session is issued: 5xx (500) | the same |
| `stall` | `region`, `ms` | each call burns so much CPU of its node first | the same |
| `capacity` | `region`, `per_s`, `queue_ms` | the node serves so many calls a second | the same |
| `clock-offset` | `region`, `offset_s` | service time is so far from real time | 0, `heal` |
| `full-disk` | `region` | no write to a file succeeds | `heal`, `start` |
| `empty-disk` | `region`, `journal_only` | SIGKILL, and everything in the region's folder is gone | `start` |
| `heal` | `region`, `to` | ends faults of a link, those in a region, or all, but no kill, pause or empty disk | |
| `upgrade` | `region` | drained by the router, the node ends as it is told to, and starts again, of this version | |
| `later-entry` | `region` | the node records a revocation of a kind that only a later version knows | |
| `crash` | `every_s`, `region`, `until_s` | a kill and a start at a random moment of each such time | |

Faults of different kinds add up, also in one region; one of a kind replaces the one before it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from typing import Any

from cluster import toml_shape
from cluster.faults import EXTRA_MS_MAX
from cluster.toml_shape import POSITIVE, SECONDS, TEXT

CRASH_EVERY_S_MIN = 0.1
"""A process does not end and start again in less."""


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, `at_s` seconds after the beginning."""

    at_s: float
    action: str
    region: str = ""
    to: str = ""
    """The other region of a partition, or of a slow or lossy link."""
    one_way: bool = False
    ms: float = 0.0
    """How much longer something takes: a byte between two regions, each way; an answer; or CPU time before a call."""
    share: float = 0.0
    """Of the messages that a lossy link loses, or of the answers that are errors."""
    name: str = ""
    """What checks call it; its action, unless given."""
    per_s: float = 0.0
    """How many calls a second a node serves whose capacity is lowered; 0 ends it."""
    queue_ms: float | None = None
    """How long a call may wait there before it is refused; None: as long as it takes."""
    variants: tuple[str, ...] = ()
    """In which variants it comes; all of them unless given."""
    every_s: float = 0.0
    """A crash comes again and again, at a random moment of each such time."""
    until_s: float | None = None
    """When crashes end; None for when the load is nearly over."""
    times: float = 1.0
    """How many times as long answers take in a brown-out."""
    status: int | None = None
    """Of wrong answers; None for the usual one of the action."""
    offset_s: float = 0.0
    """Service time minus real time."""
    journal_only: bool = False
    """The journal alone is lost, and with it no identity: the node need not join again."""

    @classmethod
    def of(cls, members: Mapping[str, Any]) -> Fault:
        """The fault of validated members of a file."""
        return cls(**{**members, "variants": tuple(members.get("variants", ()))})

    @property
    def where(self) -> str:
        """Its region or regions in words."""
        return f"{self.region} {'to' if self.one_way else 'and'} {self.to}" if self.to else self.region

    @property
    def needs_hooks(self) -> bool:
        """Whether it happens inside a node, by a test hook."""
        return ACTIONS[self.action].hook


@dataclass(frozen=True, slots=True)
class Action:
    """Which members an action needs and allows, and whether a node must have its test hooks on."""

    required: tuple[str, ...] = ("region",)
    optional: tuple[str, ...] = ()
    hook: bool = False
    limits: Mapping[str, Any] = field(default_factory=dict)
    """Where a member may be less than in general."""


STALL_MS_MAX = 10_000
OFFSET_S_MAX = 86_400
_PAIR = ("region", "to")
_STATUSES = (500, 502, 503, 504)
_MS = {"type": "number", "minimum": 0, "maximum": EXTRA_MS_MAX}
ACTIONS: Mapping[str, Action] = {
    "kill": Action(),
    "start": Action(),
    "pause": Action(),
    "resume": Action(),
    "partition": Action(_PAIR, ("one_way",)),
    "isolate": Action((), ("region",)),
    "slow": Action((*_PAIR, "ms")),
    "lose": Action((*_PAIR, "share")),
    "error-rate": Action(("region", "share"), ("status",), hook=True, limits={"status": {"enum": [*_STATUSES]}}),
    "brown-out": Action(("region",), ("times", "ms"), hook=True),
    "grey": Action(("region",), ("status",), hook=True),
    "stall": Action(
        ("region", "ms"), hook=True, limits={"ms": {"type": "number", "minimum": 0, "maximum": STALL_MS_MAX}}
    ),
    "capacity": Action(("region", "per_s"), ("queue_ms",), hook=True),
    "clock-offset": Action(("region", "offset_s"), hook=True),
    "full-disk": Action(),
    "empty-disk": Action(("region",), ("journal_only",)),
    "heal": Action((), _PAIR),
    "crash": Action(("every_s",), ("region", "until_s")),
    "upgrade": Action(),
    "later-entry": Action(hook=True),
}
MEMBERS: Mapping[str, Any] = {
    "region": TEXT,
    "to": TEXT,
    "one_way": {"type": "boolean"},
    "ms": _MS,
    "share": {"type": "number", "minimum": 0, "maximum": 1},
    "per_s": SECONDS,
    "queue_ms": POSITIVE,
    "every_s": {"type": "number", "minimum": CRASH_EVERY_S_MIN},
    "until_s": POSITIVE,
    "times": {"type": "number", "minimum": 1, "maximum": 1000},
    "status": {"enum": [0, *_STATUSES]},
    "offset_s": {"type": "number", "minimum": -OFFSET_S_MAX, "maximum": OFFSET_S_MAX},
    "journal_only": {"type": "boolean"},
}
_TIMED = {"at_s": SECONDS, "action": {"enum": [*ACTIONS]}}


def done(action: str) -> tuple[str, ...]:
    """What happens when a fault comes, by what its events are called."""
    return ("kill", "start") if action == "crash" else (action,)


def faults(entries: Any, more: Mapping[str, Any]) -> list[str]:
    """What is wrong with a file's list of faults, a line each; `more` are members that this kind of file adds."""
    if not isinstance(entries, list):
        return [f"faults: {entries!r} has the wrong type; allowed is array"]
    found: list[str] = []
    for index, entry in enumerate(entries):
        found += _faults_of(f"faults[{index}]", entry, more)
    return found


def _faults_of(where: str, entry: Any, more: Mapping[str, Any]) -> Iterable[str]:
    action = ACTIONS.get(str(entry.get("action"))) if isinstance(entry, dict) else None
    if action is None:
        optional = {**MEMBERS, **more}
        return toml_shape.faults(toml_shape.table(_TIMED, optional), entry, where)
    members = {**MEMBERS, **action.limits}
    required = _TIMED | {name: members[name] for name in action.required}
    optional = {name: members[name] for name in action.optional}
    found = [*toml_shape.faults(toml_shape.table(required, {**optional, **more}), entry, where)]
    if entry["action"] == "brown-out" and not {"times", "ms"} & entry.keys():
        found.append(f"{where}: nothing is slower; allowed are times and ms")
    if "to" in entry and "region" not in entry:
        found.append(f"{where}: region is missing; to needs it")
    return found or too_short(where, entry)


def too_short(where: str, entry: Mapping[str, Any]) -> list[str]:
    """A line if crashes end before the first one could come."""
    if "until_s" not in entry or entry["until_s"] >= (least := entry["at_s"] + entry["every_s"]):
        return []
    return [f"{where}.until_s: {entry['until_s']:g} leaves no time for a crash; allowed is at least {least:g}"]


def crashless(where: str, entry: Mapping[str, Any], load_s: float) -> list[str]:
    """A line if a crash comes so seldom that what its file describes is over before the first one could come."""
    every_s, left_s = entry.get("every_s", 0.0), load_s - entry["at_s"]
    if every_s <= left_s or left_s <= 0:
        return []
    return [f"{where}.every_s: {every_s:g} leaves no time for a crash before {load_s:g}; allowed is at most {left_s:g}"]


def check_places(faults: Iterable[Fault], regions: Sequence[str]) -> list[str]:
    """A line for each place of a fault that a cluster has not."""
    found = []
    for index, fault in enumerate(faults):
        for member, name in (("region", fault.region), ("to", fault.to)):
            if name and name not in regions:
                allowed = ", ".join(regions)
                found.append(f"faults[{index}].{member}: {name} is not a region of the cluster; allowed are {allowed}")
        if fault.to and fault.to == fault.region:
            found.append(f"faults[{index}].to: a region has no link to itself; allowed is another region")
    return found


def mistimed(where: str, one: str, times: Sequence[float], load_s: float) -> Iterable[str]:
    """A line if times go back, and one if they go on beyond what they belong to."""
    if [*times] != sorted(times):
        yield f"{where}: times must not go back; allowed are rising at_s"
    if any(at_s >= load_s for at_s in times):
        yield f"{where}: a {one} comes after the load; allowed is at_s below {load_s:g}"


def drawn(faults: Iterable[Fault], seed: int, regions: Sequence[str], duration_s: float) -> list[Fault]:
    """All faults in order, every crash drawn: the same for the same seed."""
    rng, found = Random(seed), []  # noqa: S311  chance, not secret
    for fault in faults:
        if fault.action != "crash":
            found.append(fault)
            continue
        at_s = fault.at_s
        until_s = duration_s if fault.until_s is None else min(fault.until_s, duration_s)
        while at_s + fault.every_s <= until_s:
            region = fault.region or rng.choice(regions)
            found.append(replace(fault, at_s=at_s + rng.uniform(0, fault.every_s / 2), region=region))
            at_s += fault.every_s
    return sorted(found, key=lambda fault: fault.at_s)
