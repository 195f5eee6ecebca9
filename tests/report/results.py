"""Results of experiments for reports to show: made-up histories, judged and tabulated by the real code."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from cluster.experiment_console import load_all, numbers
from cluster.history import Conditions, Event, Exchange, Revocation, Run
from cluster.own_cluster import read_topology
from cluster.report.record import Record, parse
from cluster.result import encoded, result

REGIONS = ("us-east-1", "eu-west-1", "ap-southeast-1")
NUMBERS = numbers()
EXPERIMENTS = load_all()
HOSTILE = '<script>alert("$x^2$")</script> & `a|b`'


def exchanges(policy: str, lost_from: float = 6.0, lost_until: float = 14.0) -> list[Exchange]:
    """Ten requests a second for 20 s from every place at the global endpoint and at every regional one; what needs
    Virginia is lost for a while."""
    found = []
    for tick in range(200):
        for place in REGIONS:
            for region in ("", *REGIONS):
                served = region or ("us-east-1" if policy == "home-2011" else place)
                dead = served == "us-east-1" and lost_from <= tick / 10 < lost_until
                due_at, ms = tick / 10, (6 if served == place else 90) + tick % 7
                endpoint = "regional" if region else "global"
                outcome = "failed" if dead else "ok"
                found.append(Exchange(place, endpoint, region, "verify", due_at, due_at, due_at + ms / 1000, outcome))  # type: ignore[arg-type]
    return found


def run(policy: str = "home-2011", **members: Any) -> Run:
    """One run in which Virginia dies and returns."""
    events = [Event("kill", "us-east-1", 6.0, 6.1), Event("start", "us-east-1", 14.0, 14.5)]
    given = {"exchanges": exchanges(policy), "events": events, "conditions": Conditions(0.6, 1.5), "ended_at": 20.0}
    return Run(**{"policy": policy, "seed": 1, **given, **members})


def revoking() -> Run:
    """A run with a partition, a heal and revocations before, in and after it."""
    events = [
        Event("partition", "us-east-1 and eu-west-1", 8.0, 8.0, "cut"),
        Event("heal", "", 12.0, 12.0),
    ]
    revocations = []
    for index in range(300):
        at = index / 15
        seen = 12.1 + index / 3000 if 8 <= at < 12 else at + 0.05 + (index % 10) / 100
        revocations.append(
            Revocation("us-east-1", at, at, at + 0.01, "ok", 0, {"eu-west-1": seen}, dict.fromkeys(REGIONS, True))
        )
    return run("nearest-failover", events=events, revocations=revocations)


def found(name: str = "home-region-dies", runs: list[Run] | None = None, **members: Any) -> dict[str, Any]:
    """A result of an experiment of the laboratory, with `members` in place of what it has."""
    broken = members.pop("broken", None)
    return (_usual(name) if runs is None else _made(name, runs, broken)) | members


@cache
def _usual(name: str) -> dict[str, Any]:
    return _made(name, [run("home-2011"), run("nearest-failover")], None)


def _made(name: str, runs: list[Run], broken: str | None) -> dict[str, Any]:
    one = EXPERIMENTS[name].shortened()
    given = {"seed": 1, "quick": True, "commit": "c0ffee", "started_at": 1_800_000_000}
    return result(one, runs, read_topology(one.topology), broken=broken, **given)  # type: ignore[arg-type]


def record(*args: Any, **members: Any) -> Record:
    """The same, as reports read it."""
    return parse(encoded(found(*args, **members)).decode(), NUMBERS)


def write(where: Path, *made: dict[str, Any]) -> Path:
    """A folder as `experiment run --out` fills it."""
    for one in made:
        (where / one["name"]).mkdir(parents=True)
        (where / one["name"] / "result.json").write_bytes(encoded(one))
    return where
