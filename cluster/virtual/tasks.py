"""Things that wait, in virtual time: a generator yields seconds to sleep, or a `Wait` for something that comes later.

It reads as a coroutine does, without an event loop whose order of turns a seed could not repeat.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from cluster.sim.scheduler import Scheduler


@dataclass(slots=True, eq=False)
class Later:
    """A value that somebody gives once; whoever gives it again is too late."""

    given: bool = False
    value: Any = None
    _waiting: list[Callable[[], None]] = field(default_factory=list)

    def give(self, value: Any) -> None:
        """Wakes everybody who waits."""
        if self.given:
            return
        self.given, self.value = True, value
        for wake in self._waiting:
            wake()

    def when_given(self, wake: Callable[[], None]) -> None:
        """Calls `wake` once, now if it is there already."""
        if self.given:
            wake()
        else:
            self._waiting.append(wake)


@dataclass(frozen=True, slots=True)
class Wait:
    """For a value, at most so many seconds; whoever waits gets None when it did not come in time."""

    later: Later
    timeout_s: float


Steps = Generator[float | Wait, Any, Any]


def spawn(scheduler: Scheduler, steps: Steps) -> Later:
    """Begins now; what is returned is given what the generator returns."""
    done = Later()
    _go_on(scheduler, steps, done, None)
    return done


def _go_on(scheduler: Scheduler, steps: Steps, done: Later, value: Any) -> None:
    try:
        wanted = steps.send(value)
    except StopIteration as end:
        done.give(end.value)
        return
    if isinstance(wanted, Wait):
        _await(scheduler, steps, done, wanted)
    else:
        scheduler.after(wanted, lambda: _go_on(scheduler, steps, done, None))


def _await(scheduler: Scheduler, steps: Steps, done: Later, wanted: Wait) -> None:
    woken = False

    def wake(value: Any) -> None:
        nonlocal woken
        if not woken:
            woken = True
            _go_on(scheduler, steps, done, value)

    wanted.later.when_given(lambda: wake(wanted.later.value))
    if not woken:
        scheduler.after(wanted.timeout_s, lambda: wake(None))
