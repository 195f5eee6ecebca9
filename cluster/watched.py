"""Sessions whose revocations are watched while a run goes on, on processes and in virtual time. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from cluster.history import Outcome, Revocation, Untouched

YOUNG_S = 1.0
"""So long after a revocation was sent other regions are asked often."""


@dataclass(slots=True)
class Watched:
    """One session: what came of its revocation so far (see `history.Revocation`). One left alone has no `sent_at`, and
    one whose answer may still come no `outcome`."""

    origin: str
    due_at: float
    sent_at: float | None = None
    acked_at: float | None = None
    outcome: Outcome | None = None
    accepted_after_ack: bool | None = None
    refused_at: dict[str, float] = field(default_factory=dict)
    refused_in_the_end: dict[str, bool | None] = field(default_factory=dict)

    def is_young(self, now: float) -> bool:
        """Whether its revocation was sent a moment ago."""
        return self.sent_at is not None and now - self.sent_at < YOUNG_S

    @property
    def is_awaited(self) -> bool:
        """Whether other regions are to refuse it: its revocation was acknowledged, or still may be."""
        return self.outcome in ("ok", None)


def revocations(sessions: Iterable[Watched]) -> list[Revocation]:
    """Every session that was asked to be revoked."""
    return [
        Revocation(
            origin=one.origin,
            due_at=one.due_at,
            sent_at=one.sent_at,
            acked_at=one.acked_at,
            outcome=one.outcome or "unknown",
            accepted_after_ack=one.accepted_after_ack,
            refused_at=dict(one.refused_at),
            refused_in_the_end=dict(one.refused_in_the_end),
        )
        for one in sessions
        if one.sent_at is not None
    ]


def untouched(sessions: Iterable[Watched]) -> list[Untouched]:
    """Every session that was left alone."""
    return [Untouched(one.origin, dict(one.refused_in_the_end)) for one in sessions if one.sent_at is None]
