"""Rounds of cut-offs: sessions made before and after one, and what every region said of them. Pure.

Times are seconds of real time since the measured part began, as the client's clock tells: no region's clock, which may
be wrong, has a say in what came before what.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

ACTIVE = "active"
"""What is recorded of a session that is accepted; of one that is refused, the reason of `/v1/verify`."""
ACROSS = "across a step"
CLOCK = "clock-offset"


@dataclass(frozen=True, slots=True)
class Made:
    """One session: the region that gave it, and when it was asked for and had. `asked` is what regions said of it: of
    one made after the cut-off at once, of one made before when the round was over; `in_the_end` when all was over."""

    region: str
    sent_at: float
    made_at: float
    asked: Mapping[str, str] = field(default_factory=dict)
    in_the_end: Mapping[str, str] = field(default_factory=dict)

    @property
    def reasons(self) -> set[str]:
        """Why it was refused when it was asked about; nothing if every region accepted it."""
        return {reason for reason in self.asked.values() if reason != ACTIVE}

    @property
    def accepted(self) -> bool:
        """Whether some region accepted it, then or in the end."""
        return ACTIVE in self.asked.values() or ACTIVE in self.in_the_end.values()


@dataclass(frozen=True, slots=True)
class Declined:
    """A session that a region did not give, with 503: it knows that its clock is wrong. When it was asked for, and
    whether before the cut-off."""

    region: str
    sent_at: float
    before: bool


@dataclass(frozen=True, slots=True)
class Cutoff:
    """One round: sessions of one subject in every region, its cut-off in region `origin`, more sessions at `moments`
    times after its answer, and those that were `declined`. `acked_at` is None without a good one. `kind` is session,
    role or principal."""

    origin: str
    kind: str
    regions: Sequence[str]
    moments: int
    began_at: float
    sent_at: float
    acked_at: float | None
    ended_at: float
    before: Sequence[Made] = ()
    after: Sequence[Made] = ()
    declined: Sequence[Declined] = ()

    @property
    def whole(self) -> bool:
        """Whether all of it was done, so that it can be judged; to decline a session is an answer too."""
        before = sum(one.before for one in self.declined)
        answered = len(self.before) + before, len(self.after) + len(self.declined) - before
        made = answered == (len(self.regions), len(self.regions) * self.moments)
        asked = all(len(one.asked) == len(self.regions) for one in (*self.before, *self.after))
        in_the_end = all(len(one.in_the_end) == len(self.regions) for one in self.before)
        return self.acked_at is not None and made and asked and in_the_end

    @property
    def escapes(self) -> list[Made]:
        """Sessions that were made before the cut-off was sent, and are accepted all the same."""
        return [one for one in self.before if one.made_at <= self.sent_at and one.accepted]

    def after_s(self, one: Made) -> float:
        """Seconds from the answer to the cut-off until a session was asked for; negative for one made before."""
        return one.sent_at - (self.sent_at if self.acked_at is None else self.acked_at)
