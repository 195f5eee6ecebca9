"""When a way from one region to another was open again after a cut, as the events of a run tell. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from cluster.history import Event


def heals(events: Iterable[Event], first: str, second: str) -> Iterator[float]:
    """When each heal began that ended a cut of the way from `first` to `second`."""
    is_cut = False
    for event in sorted(events, key=lambda event: event.began_at):
        if _cuts(event, first, second):
            is_cut = True
        elif is_cut and _heals(event, first, second):
            yield event.began_at
            is_cut = False


def _cuts(event: Event, first: str, second: str) -> bool:
    if event.action == "partition":
        return event.region in (f"{first} to {second}", *_both_ways(first, second))
    return event.action == "isolate" and event.region in ("", first, second)


def _heals(event: Event, first: str, second: str) -> bool:
    """A heal of one region ends what is wrong inside it, and no cut (see `fault_records`)."""
    return event.action == "heal" and event.region in ("", *_both_ways(first, second))


def _both_ways(first: str, second: str) -> tuple[str, str]:
    return f"{first} and {second}", f"{second} and {first}"
