"""What a schedule of faults does again and again, so that it is told once. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

TIMES_MIN = 3
"""Less often is told one by one."""
ENTRIES_MAX = 12
"""Longer rounds are not looked for."""
AT_ONCE_S = 0.1
"""Cuts that follow each other so soon are one."""
Entry = tuple[float, str]
"""When, in seconds, and what, in words."""


@dataclass(frozen=True, slots=True)
class Round:
    """What happens `times` times, `every_s` seconds after it began before; `entries` are those of the first time."""

    entries: tuple[Entry, ...]
    times: int = 1
    every_s: float = 0.0

    @property
    def covered(self) -> int:
        """How many entries it tells."""
        return self.times * len(self.entries)


def found(entries: Sequence[Entry]) -> list[Round]:
    """All entries in their order; of those that come in the same way at least TIMES_MIN times the first ones."""
    made: list[Round] = []
    at = 0
    while at < len(entries):
        widths = range(1, 1 + min(ENTRIES_MAX, len(entries) - at))
        made.append(max((_round(entries, at, width) for width in widths), key=lambda one: one.covered))
        at += made[-1].covered
    return made


def _round(entries: Sequence[Entry], at: int, width: int) -> Round:
    """How often the `width` entries from `at` on come again; the first one alone where that is not often enough."""
    first, after = entries[at : at + width], at + width
    every_s = entries[after][0] - first[0][0] if after < len(entries) else 0.0
    times = 1
    while every_s > 0 and _moved(first, times * every_s) == _moved(
        entries[at + times * width : at + (times + 1) * width], 0
    ):
        times += 1
    return Round(tuple(first), times, every_s) if times >= TIMES_MIN else Round((first[0],))


def _moved(entries: Iterable[Entry], seconds: float) -> list[Entry]:
    """Later by so much, to the millisecond."""
    return [(round(at_s + seconds, 3), told) for at_s, told in entries]


def joined(faults: Sequence[Mapping[str, Any]], regions: Sequence[str]) -> list[Mapping[str, Any]]:
    """The faults, with cuts of every link between `regions`, or of every link of one of them, as one `isolate`."""
    made: list[Mapping[str, Any]] = []
    at = 0
    while at < len(faults):
        cuts = _cuts(faults, at)
        pairs = {frozenset((cut.get("region"), cut.get("to"))) for cut in cuts}
        where = next((region for region, links in _links(regions) if pairs == links), None)
        if where is None:
            made += faults[at : at + max(len(cuts), 1)]
        else:
            made.append({"at_s": cuts[0]["at_s"], "action": "isolate", "region": where} | _variants(cuts[0]))
        at += max(len(cuts), 1)
    return made


def _cuts(faults: Sequence[Mapping[str, Any]], at: int) -> list[Mapping[str, Any]]:
    """The cuts of whole links that follow each other at once from `at` on."""
    found: list[Mapping[str, Any]] = []
    for fault in faults[at:]:
        whole = fault.get("action") == "partition" and not fault.get("one_way") and "at_s" in fault
        if not whole or _variants(fault) != _variants(faults[at]) or fault["at_s"] - faults[at]["at_s"] > AT_ONCE_S:
            break
        found.append(fault)
    return found


def _variants(fault: Mapping[str, Any]) -> dict[str, Any]:
    return {"variants": fault.get("variants") or []}


def _links(regions: Sequence[str]) -> Iterable[tuple[str, set[frozenset[str]]]]:
    """All links, and those of each region, where there are more than one."""
    if len(regions) > 2:
        yield "", {frozenset(pair) for pair in combinations(regions, 2)}
        for region in regions:
            yield region, {frozenset((region, other)) for other in regions if other != region}
