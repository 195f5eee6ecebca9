"""A region's node as requests see it: one queue, one worker, and whatever is wrong with it.

How long a request takes of the worker is the CPU time that the README's benchmark measures; how long handling takes on
top (a client's library, the router, HTTP on both sides) is what a run on real processes adds to the table's round trip.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Literal

from cluster.sim.scheduler import Scheduler
from cluster.virtual.tasks import Later
from stsd.capacity import Capacity

SERVICE_S: Mapping[str, float] = {
    "AssumeRole": 0.00013,
    "GetCallerIdentity": 0.00005,
    "GetSessionToken": 0.00013,
    "verify": 0.00012,
    "readyz": 0.0001,
}
HANDLING_S_MIN = 0.0013
HANDLING_S_MEAN = 0.0006
"""Handling takes the first and, exponentially, the second on top. With the worker's time that is 1.8, 2.8 and 4.2 ms at
p50, p90 and p99. On processes (`service` in the results of docs/results.md, every well group that a percentile is
given for) the medians are 1.9, 2.8 and 4.3 ms."""
DIRECT_S_MIN = 0.001
DIRECT_S_MEAN = 0.0005
"""The same for a call that goes to a node and not through the router."""
BROKEN = 0
"""The status of a request whose connection broke."""
OK = 200


class Refusal(int):
    """The status of a node that did nothing because it has too much to do, and says when to come again."""


OVERLOADED = Refusal(503)
State = Literal["up", "killed", "paused"]


def handling_s(rng: Random) -> float:
    """What one request costs outside of the node's worker, in seconds."""
    return HANDLING_S_MIN + rng.expovariate(1 / HANDLING_S_MEAN)


def direct_s(rng: Random) -> float:
    """The same for a direct call."""
    return DIRECT_S_MIN + rng.expovariate(1 / DIRECT_S_MEAN)


@dataclass(frozen=True, slots=True)
class Illness:
    """What is wrong with a node inside, as its test hook `faults` has it."""

    error_share: float = 0.0
    error_status: int = 503
    grey_status: int = 0
    """Of whatever makes a session; 0 for a well node."""
    times: float = 1.0
    late_s: float = 0.0
    stall_s: float = 0.0
    """CPU time that each call burns before."""


WELL = Illness()
ISSUING = frozenset({"AssumeRole", "GetSessionToken"})


@dataclass(slots=True)
class Service:
    """One region's node."""

    scheduler: Scheduler
    state: State = "up"
    illness: Illness = WELL
    capacity: Capacity | None = None
    _queue: deque[tuple[str, Later]] = field(default_factory=deque)
    _turns: list[Later] = field(default_factory=list)
    _working: bool = False
    _generation: int = 0

    def ask(self, operation: str, left_s: float | None = None) -> Later | None:
        """The status to come; None when nothing listens. `left_s` is the time until the caller's deadline, if it told
        one."""
        if self.state == "killed":
            return None
        answer = Later()
        if self.capacity is None or operation == "readyz":
            self._admit(operation, answer)
            return answer
        done_in_s = self.capacity.turn(self.scheduler.now, left_s)
        if done_in_s is None:
            answer.give(OVERLOADED)
        else:
            self._turns.append(answer)
            self.scheduler.after(done_in_s, lambda: self._turn(operation, answer))
        return answer

    def _turn(self, operation: str, answer: Later) -> None:
        if answer in self._turns:
            self._turns.remove(answer)
            self._admit(operation, answer)

    def _admit(self, operation: str, answer: Later) -> None:
        self._queue.append((operation, answer))
        self._work()

    def kill(self) -> None:
        """Every connection breaks."""
        self.state, self._working = "killed", False
        self._generation += 1
        broken, self._queue = self._queue, deque()
        turns, self._turns = self._turns, []
        for answer in (*turns, *(answer for _, answer in broken)):
            answer.give(BROKEN)

    def start(self) -> None:
        """An empty queue, and nothing wrong inside."""
        self.state, self.illness, self.capacity = "up", WELL, None

    def pause(self) -> None:
        """Whatever arrives waits."""
        self.state = "paused"

    def resume(self) -> None:
        """Works off what waits."""
        self.state = "up"
        self._work()

    def _work(self) -> None:
        if self._working or not self._queue or self.state != "up":
            return
        self._working = True
        operation = self._queue[0][0]
        stall_s = 0.0 if operation == "readyz" else self.illness.stall_s
        generation = self._generation
        self.scheduler.after(SERVICE_S[operation] + stall_s, lambda: self._done(generation))

    def _done(self, generation: int) -> None:
        if generation != self._generation:
            return
        if self.state == "paused":
            self._working = False  # begins anew when it goes on: what it had done is not worth a model
            return
        self._working = False
        operation, answer = self._queue.popleft()
        status = self._status(operation)
        late_s = self._late_s(operation) if status == OK else 0.0
        if late_s:
            self.scheduler.after(late_s, lambda: answer.give(status if generation == self._generation else BROKEN))
        else:
            answer.give(status)
        self._work()

    def _late_s(self, operation: str) -> float:
        """How much longer the node waits before it answers."""
        if operation == "readyz":
            return 0.0
        return SERVICE_S[operation] * (self.illness.times - 1) + self.illness.late_s

    def _status(self, operation: str) -> int:
        illness = self.illness
        if operation == "readyz":
            return OK
        if illness.grey_status and operation in ISSUING:
            return illness.grey_status
        failed = illness.error_share > 0 and self.scheduler.random.random() < illness.error_share
        return illness.error_status if failed else OK
