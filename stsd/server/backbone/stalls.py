"""Which origins a backbone has stopped bringing, though others have told of more: sources of a stream can stall for
hours (design 1, NATS). Pure; `now` is any clock in seconds.

An origin is stalled when what others told of it has not been applied for STALLED_AFTER_S. It is so, whoever else
brings it meanwhile, until nothing is lacking and the backbone has brought the last of what was told, or nothing new was
told for QUIET_S. A backbone that goes on behind a gap has not brought everything.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from stsd.revocation.messages import Origin

STALLED_AFTER_S = 2.0
QUIET_S = 60.0
Sequence = Callable[[Origin], int]


@dataclass(slots=True)
class _Lag:
    """What is to be reached, and since when."""

    goal: int
    since: float
    stalled: bool = False


class Stalls:
    """The lag of every origin: `applied` says how far its log is applied here, `brought` how far the backbone itself
    has brought it."""

    def __init__(self, applied: Sequence, brought: Sequence) -> None:
        self._applied, self._brought = applied, brought
        self._lags: dict[Origin, _Lag] = {}

    def look(self, told: Mapping[Origin, int], now: float) -> tuple[list[Origin], list[Origin]]:
        """The origins that have just stalled, and those that are stalled no more; `told` says how far others have each
        log, as much of it as can be had."""
        began, ended = [], []
        for origin in [origin for origin in self._lags if origin not in told]:  # a reset took it away
            del self._lags[origin]
        for origin, place in told.items():
            lag = self._lags.get(origin)
            if lag is not None and lag.stalled:
                if self._is_over(origin, lag, place, now):
                    del self._lags[origin]
                    ended.append(origin)
            elif self._begins(origin, lag, place, now):
                began.append(origin)
        return began, ended

    def _begins(self, origin: Origin, lag: _Lag | None, told: int, now: float) -> bool:
        applied = self._applied(origin)
        if applied >= told:
            self._lags.pop(origin, None)
        elif lag is None or applied >= lag.goal:
            self._lags[origin] = _Lag(told, now)
        elif now - lag.since >= STALLED_AFTER_S:
            self._lags[origin] = _Lag(told, now, stalled=True)
            return True
        return False

    def _is_over(self, origin: Origin, lag: _Lag, told: int, now: float) -> bool:
        lacks = self._applied(origin) < told
        if not lacks and self._brought(origin) >= told:
            return True
        if told > lag.goal or lacks:
            lag.goal, lag.since = told, now
        return now - lag.since >= QUIET_S

    @property
    def stalled(self) -> list[Origin]:
        """The origins that are stalled now."""
        return [origin for origin, lag in self._lags.items() if lag.stalled]

    def is_stalled(self, origin: Origin) -> bool:
        """Whether an origin is."""
        lag = self._lags.get(origin)
        return lag is not None and lag.stalled
