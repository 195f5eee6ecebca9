"""Histories of experiments, made up for checks to judge."""

from __future__ import annotations

from typing import Any

from cluster.history import Event, Exchange, Run
from cluster.topology import RoundTrip

TABLE = {
    ("dublin", "dublin"): RoundTrip(4, 4),
    ("dublin", "virginia"): RoundTrip(70, 74),
    ("virginia", "dublin"): RoundTrip(70, 74),
    ("virginia", "virginia"): RoundTrip(6, 6),
}


def exchange(due_at: float, latency_ms: float = 10.0, **members: Any) -> Exchange:
    """A good request of a client in Dublin at the global endpoint."""
    given = {"location": "dublin", "endpoint": "global", "region": "", "operation": "verify", "outcome": "ok"}
    return Exchange(**given | {"due_at": due_at, "sent_at": due_at, "ended_at": due_at + latency_ms / 1000} | members)


def regional(due_at: float, region: str, latency_ms: float = 10.0, **members: Any) -> Exchange:
    """A good request at a regional endpoint."""
    return exchange(due_at, latency_ms, endpoint="regional", region=region, **members)


def run_of(*exchanges: Exchange, kill: tuple[float, float] | None = None, start: float | None = None) -> Run:
    """A run under `home-2011`; Virginia is killed from kill[0] to kill[1] and started at `start`."""
    events = [Event("kill", "virginia", *kill)] if kill else []
    events += [Event("start", "virginia", start, start + 1)] if start is not None else []
    return Run("home-2011", 1, exchanges, events, ended_at=20.0)
