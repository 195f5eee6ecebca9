"""What an experiment requires of cut-offs while a clock is wrong, judged over the history alone. Pure.

| kind | measured |
|---|---|
| `escapes` | sessions made before a cut-off that a region accepted when it had to know, or in the end |
| `false_denials` | sessions asked for more than twice the allowance after a cut-off and refused somewhere |
| `refused_until_s` | the latest that a session was asked for after a cut-off and refused somewhere |
| `issued_beyond` | sessions that `region` gave from two heartbeats after `since` on |
| `declined_within` | sessions declined by others at any time, and by `region` from two heartbeats after `since` on |
| `cutoffs_undone` | rounds that cannot be judged because something in them had no good answer |

`since` and `until` bound the window. A round counts when all of it lies there and no clock was moved meanwhile; without
such a round there is nothing to judge, and the check does not hold.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cluster.cutoff_records import ACROSS, CLOCK, Cutoff, Made
from cluster.cutoff_subjects import ALLOWANCE_S
from cluster.history import Run
from cluster.revocation_checks import bounds

if TYPE_CHECKING:
    from cluster.checks import Check, Measure
    from cluster.topology import RttTable

REFUSES_WITHIN_S = 2.0
"""Two heartbeats: so soon a node refuses to issue when its clock is off, and issues when it is right again (E9)."""
COLUMNS = (
    "policy seed clock revoked_in made_in rounds before escapes soon soon_refused later later_refused not_yet_valid"
    " refused_until_s declined"
)
SUBJECT_COLUMNS = "policy seed clock subject rounds before escapes later later_refused"
Row = list[Any]


def phase(run: Run, one: Cutoff) -> str:
    """The name of the clock's last move before a round, `begin` before the first, ACROSS where one came meanwhile."""
    name = "begin"
    for event in run.events:
        if event.action == CLOCK and event.began_at <= one.ended_at:
            if event.done_at > one.began_at:
                return ACROSS
            name = event.name or event.action
    return name


def _rounds(check: Check, run: Run) -> list[Cutoff]:
    begin, end = bounds(check, run)
    return [
        one
        for one in run.cutoffs
        if one.whole and begin <= one.began_at and one.ended_at < end and phase(run, one) != ACROSS
    ]


def _escapes(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    rounds = [one for run in runs for one in _rounds(check, run)]
    yield "", float(sum(len(one.escapes) for one in rounds)) if rounds else None


def _late(one: Cutoff) -> list[Made]:
    """Sessions that the allowance, taken twice, cannot reach."""
    return [made for made in one.after if one.after_s(made) > 2 * ALLOWANCE_S]


def _false_denials(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    late = [made for run in runs for one in _rounds(check, run) for made in _late(one)]
    yield "", float(sum(bool(made.reasons) for made in late)) if late else None


def _refused_until_s(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    rounds = [one for run in runs for one in _rounds(check, run)]
    times = [one.after_s(made) for one in rounds for made in one.after if made.reasons]
    yield "", max(times, default=0.0) if rounds else None


def _issued_beyond(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    issued, asked = 0, False
    for run in runs:
        begin, end = bounds(check, run)
        begin += REFUSES_WITHIN_S
        asked = asked or any(begin <= one.began_at < end for one in run.cutoffs)
        made = [made for one in run.cutoffs for made in (*one.before, *one.after)]
        issued += sum(made.region == check.region and begin <= made.sent_at and made.made_at < end for made in made)
    yield "", float(issued) if asked else None


def _declined_within(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    declined, asked = 0, False
    for run in runs:
        begin, end = bounds(check, run)
        begin += REFUSES_WITHIN_S
        asked = asked or any(begin <= one.began_at < end for one in run.cutoffs)
        told = [one for cutoff in run.cutoffs for one in cutoff.declined]
        declined += sum(one.region != check.region or begin <= one.sent_at < end for one in told)
    yield "", float(declined) if asked else None


def _cutoffs_undone(check: Check, runs: Sequence[Run], table: RttTable) -> Iterable[tuple[str, float | None]]:
    rounds = [one for run in runs for one in run.cutoffs]
    yield "", float(sum(not one.whole for one in rounds)) if rounds else None


def rows(runs: Iterable[Run]) -> Iterable[Row]:
    """Of every position of the clock, who revoked and who had made the session: how many escaped, how many made at most
    twice the allowance later (`soon`) and after that (`later`) were refused, how many as not yet valid; and how many
    were declined."""
    for run in runs:
        for name, here in _by_phase(run):
            for origin in sorted({one.origin for one in here}):
                rounds = [one for one in here if one.origin == origin]
                for region in rounds[0].regions:
                    yield [run.label, run.seed, name, origin, region, len(rounds), *_counts(rounds, region)]


def subject_rows(runs: Iterable[Run]) -> Iterable[Row]:
    """The same by what was cut off: a session ARN, a role or a user (`principal`)."""
    for run in runs:
        for name, here in _by_phase(run):
            for kind in sorted({one.kind for one in here}):
                rounds = [one for one in here if one.kind == kind]
                before, escaped = sum(len(one.before) for one in rounds), sum(len(one.escapes) for one in rounds)
                late = [made for one in rounds for made in _late(one)]
                refused = sum(bool(made.reasons) for made in late)
                yield [run.label, run.seed, name, kind, len(rounds), before, escaped, len(late), refused]


def _by_phase(run: Run) -> Iterable[tuple[str, list[Cutoff]]]:
    """Whole rounds by how the clock stood, in the order of time."""
    told = [(phase(run, one), one) for one in run.cutoffs if one.whole]
    for name in sorted({name for name, _ in told}, key=lambda name: _place(run, name)):
        yield name, [one for said, one in told if said == name]


def _place(run: Run, name: str) -> float:
    """The order of phases: by when they began, those across a step last."""
    event = run.event(name)
    return float("inf") if name == ACROSS else -1.0 if event is None else event.began_at


def _counts(rounds: Sequence[Cutoff], region: str) -> Row:
    before = sum(made.region == region for one in rounds for made in one.before)
    escaped = sum(made.region == region for one in rounds for made in one.escapes)
    after = [(one.after_s(made), made) for one in rounds for made in one.after if made.region == region]
    soon = [made for after_s, made in after if after_s <= 2 * ALLOWANCE_S]
    late = [made for after_s, made in after if after_s > 2 * ALLOWANCE_S]
    refused = [sum(bool(made.reasons) for made in some) for some in (soon, late)]
    early = sum("not_yet_valid" in made.reasons for _, made in after)
    until_s = max((after_s for after_s, made in after if made.reasons), default=None)
    declined = sum(no.region == region for one in rounds for no in one.declined)
    return [before, escaped, len(soon), refused[0], len(late), refused[1], early, until_s, declined]


_WINDOW = ("since", "until")
MEASURES: Mapping[str, tuple[Measure, tuple[str, ...], tuple[str, ...]]] = {
    "escapes": (_escapes, (), _WINDOW),
    "false_denials": (_false_denials, (), _WINDOW),
    "refused_until_s": (_refused_until_s, (), _WINDOW),
    "issued_beyond": (_issued_beyond, ("region", "since"), ("until",)),
    "declined_within": (_declined_within, ("region", "since"), ("until",)),
    "cutoffs_undone": (_cutoffs_undone, (), ()),
}
"""How each kind measures, and which members it needs and allows beside the bounds."""
