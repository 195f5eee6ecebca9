"""Windows of checks that can never be measured: from or until what does not happen, or without any time in them. Pure.

A word of `since` or `until` means the first event of that name or action (see `history.Run.event`). Events are what
faults do (a crash is a `kill` and a `start`), steps of the load and moments of verifiers; `begin` and `end` are the
load's own. A window begins when its first event was done and ends when its last one begins.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cluster.fault_records import done

BEGIN, END = "begin", "end"
_SINCE_AN_EVENT = ("p99_ratio", "recovery_s", "switch_s", "caught_up_s")
"""Kinds that compare with what was before, or count from the event itself: the load's beginning is none."""
_SINCE_A_MOMENT = ("fetches_per_worker", "refused_calls")


class _Event(NamedTuple):
    """What happens once or again: its words, and when it comes first, at the earliest and at the latest."""

    words: tuple[str, ...]
    earliest_s: float
    latest_s: float
    variants: tuple[str, ...] = ()
    is_moment: bool = False


def unmeasurable(document: Mapping[str, Any]) -> Iterable[str]:
    """A line for each such window of a document whose times are right, in the full form and in the quick one."""
    variants = [variant["name"] for variant in document.get("variants", [{"name": ""}])]
    left = [name for name in variants if name in document["quick"].get("variants", variants)]
    for form, there, events in (("", variants, _full(document)), ("quick: ", left, _quick(document))):
        for index, check in enumerate(document["checks"]):
            if form and not check.get("quick", True):
                continue
            judged = {*check.get("variants", there), check.get("than")} & {*there}
            for variant in (name for name in there if name in judged):
                happening = [event for event in events if not event.variants or variant in event.variants]
                yield from _faults(f"{form}checks[{index}]", check, happening, variant)


def _full(document: Mapping[str, Any]) -> list[_Event]:
    faults, steps = document.get("faults", []), document["load"].get("steps", [])
    moments = document.get("verifiers", {}).get("moments", [])
    return _events(faults, [one["at_s"] for one in faults], steps, [one["at_s"] for one in steps], moments)


def _quick(document: Mapping[str, Any]) -> list[_Event]:
    quick, faults, steps = document["quick"], document.get("faults", []), document["load"].get("steps", [])
    at_s = quick.get("at_s", [one["at_s"] for one in faults])
    steps_at_s = quick.get("steps_at_s", [one["at_s"] for one in steps])
    return _events(faults, at_s, steps, steps_at_s, moments_of_quick(document))


def moments_of_quick(document: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    """When the verifiers of the quick form are called: at times of its own, or at those of the full form."""
    verifiers: Mapping[str, Any] = document.get("verifiers", {}) | document["quick"].get("verifiers", {})
    found: Sequence[Mapping[str, Any]] = verifiers.get("moments", [])
    return found


def _events(
    faults: Iterable[Mapping[str, Any]],
    at_s: Iterable[float],
    steps: Iterable[Mapping[str, Any]],
    steps_at_s: Iterable[float],
    moments: Iterable[Mapping[str, Any]],
) -> list[_Event]:
    found = [_of_fault(fault, begin) for fault, begin in zip(faults, at_s, strict=True)]
    found += (_Event((step["name"],), begin, begin) for step, begin in zip(steps, steps_at_s, strict=True))
    found += (_Event((one["name"],), one["at_s"], one["at_s"], is_moment=True) for one in moments)
    return sorted(found, key=lambda event: event.earliest_s)


def _of_fault(fault: Mapping[str, Any], at_s: float) -> _Event:
    words = dict.fromkeys((fault.get("name", ""), *done(fault["action"])))
    latest_s = at_s + fault.get("every_s", 0.0) / 2
    return _Event(tuple(filter(None, words)), at_s, latest_s, tuple(fault.get("variants", ())))


def _faults(where: str, check: Mapping[str, Any], events: Sequence[_Event], variant: str) -> Iterable[str]:
    kind, since, until = check["kind"], check.get("since", BEGIN), check.get("until", END)
    begins = [event for event in events if event.is_moment or kind not in _SINCE_A_MOMENT]
    first = [] if kind in (*_SINCE_AN_EVENT, *_SINCE_A_MOMENT) else [BEGIN]
    known = True
    for member, word, allowed in (
        ("since", since, [*first, *_words(begins)]),
        ("until", until, [*_words(events), END]),
    ):
        if member in check and word not in allowed:
            known = False
            there = f" with {variant}" if variant else ""
            verb = "begin" if member == "since" else "end"
            told = ", ".join(allowed) or "none"
            yield f"{where}.{member}: no window can {verb} at {word}{there}; allowed are {told}"
    if known and "until" in check and until != END:
        yield from _empty(where, since, until, events)


def _words(events: Iterable[_Event]) -> list[str]:
    return [*dict.fromkeys(word for event in events for word in event.words)]


def _empty(where: str, since: str, until: str, events: Sequence[_Event]) -> Iterable[str]:
    begin = None if since == BEGIN else _first(since, events)
    earliest_s = 0.0 if begin is None else begin.earliest_s
    later = [word for word in _words(events) if _is_later(_first(word, events), begin, earliest_s)]
    if until not in later:
        yield f"{where}.until: {until} does not come after {since}; allowed are {', '.join([*later, END])}"


def _first(word: str, events: Sequence[_Event]) -> _Event:
    return next(event for event in events if word in event.words)


def _is_later(event: _Event, begin: _Event | None, earliest_s: float) -> bool:
    return event is not begin and event.latest_s > earliest_s
