"""The calls of nodes to each other, over the links of `cluster.faults`, as the embedded backbone makes them.

At most CALLS_AT_ONCE to one peer; what waits meanwhile goes together with the next one, and a call that is not answered
holds its place for CALL_TIMEOUT_S. A cut is a black hole: what is on its way is held, and arrives when the cut ends
unless it was held for longer than the link process holds anything.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field

from cluster.faults import Links
from cluster.link_process import GIVE_UP_S
from cluster.sim.network import Deliver, Network
from cluster.sim.scheduler import Scheduler
from stsd.revocation.messages import Delta, Digest, PeerNews, Sent

CALLS_AT_ONCE = 4
CALL_TIMEOUT_S = 2.0
MAX_QUEUED_MESSAGES = 1_000
"""As the HTTP backbone of a node has them."""
ENVELOPE_S = 0.0015
"""To seal a call, open it, and take in what it holds."""

ANSWER_S = 0.003
"""From the arrival of a call until its answer leaves: what came is stored before it is confirmed."""

Pair = tuple[str, str]


@dataclass(slots=True, eq=False)
class _Call:
    """One call and what it is answered."""

    pair: Pair
    messages: tuple[Sent, ...]
    answers: list[Sent] = field(default_factory=list)
    over: bool = False


class Calls(Network):
    """The network of an experiment: a message of A to B is in a call of A, or in the answer to one of B."""

    def __init__(self, scheduler: Scheduler, deliver: Deliver, links: Links) -> None:
        super().__init__(scheduler, deliver, lambda *_: None, encoded=False)
        self.links = links
        self.made = 0
        """Calls that left a node."""
        self._waiting: defaultdict[Pair, list[Sent]] = defaultdict(list)
        self._calling: defaultdict[Pair, int] = defaultdict(int)
        self._answering: dict[Pair, _Call] = {}
        """By who answers whom: the call whose answer has not left yet."""
        self._ending = False
        self._held: defaultdict[Pair, list[tuple[float, Callable[[], None]]]] = defaultdict(list)

    def send(self, sender: str, receiver: str, message: Sent) -> None:
        """Queue a message for a peer; a full queue takes nothing more."""
        pair = sender, receiver
        if pair in self._answering and _answers(message):
            self._answering[pair].answers.append(message)
        elif len(waiting := self._waiting[pair]) < MAX_QUEUED_MESSAGES:
            waiting.append(message)
            self._next(pair)

    def answer(self, sender: str, receiver: str, message: Sent) -> None:
        """Say something in the answer to the call that is being taken in; nothing where there is none."""
        if not self._ending and (sender, receiver) in self._answering:
            self._answering[sender, receiver].answers.append(message)

    def forget(self, sender: str) -> None:
        """A node was killed: what it had not sent is gone."""
        for pair, waiting in self._waiting.items():
            if pair[0] == sender:
                waiting.clear()

    def release(self) -> None:
        """Lets what was held arrive on every link that is no longer cut."""
        for pair in [pair for pair in self._held if not self.links.of(*pair).cut]:
            for since, arrive in self._held.pop(pair):
                if self._scheduler.now - since < GIVE_UP_S:
                    arrive()

    def _next(self, pair: Pair) -> None:
        """One call with all that waits, if there is a place for it."""
        waiting = self._waiting[pair]
        if not waiting or self._calling[pair] >= CALLS_AT_ONCE:
            return
        call = _Call(pair, tuple(waiting))
        waiting.clear()
        self._calling[pair] += 1
        self.made += 1
        self._carry(pair, lambda: self._arrived(call))
        self._scheduler.after(CALL_TIMEOUT_S, lambda: self._end(call, answered=False))

    def _arrived(self, call: _Call) -> None:
        back = call.pair[1], call.pair[0]
        self._answering[back] = call
        for message in call.messages:
            self._deliver(*call.pair, message)
        self._scheduler.after(ANSWER_S, lambda: self._answer(back, call))

    def _answer(self, back: Pair, call: _Call) -> None:
        if self._answering.get(back) is call:
            del self._answering[back]
        self._carry(back, lambda: self._end(call))

    def _end(self, call: _Call, *, answered: bool = True) -> None:
        """The answer is there, or nobody waits for it any more."""
        if call.over:
            return
        call.over = True
        self._ending = True  # what comes in an answer is not answered again
        for message in call.answers if answered else ():
            self._deliver(call.pair[1], call.pair[0], message)
        self._ending = False
        self._calling[call.pair] -= 1
        self._next(call.pair)

    def _carry(self, pair: Pair, then: Callable[[], None]) -> None:
        delay_s = ENVELOPE_S + self.links.delay_ms(*pair, self._scheduler.random, self._scheduler.now) / 1000
        self._scheduler.after(delay_s, lambda: self._land(pair, then))

    def _land(self, pair: Pair, then: Callable[[], None]) -> None:
        if self.links.of(*pair).cut:
            self._held[pair].append((self._scheduler.now, then))
        else:
            then()


def _answers(message: Sent) -> bool:
    """Whether it is said because of what came; pushes, and the heads and digests of each second, are not."""
    each_second = isinstance(message, Digest) or (isinstance(message, PeerNews) and not message.records)
    return not each_second and not (isinstance(message, Delta) and message.part == "push")
