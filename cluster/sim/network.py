"""Links between nodes: delay, loss, duplicates, reordering, and cuts in one direction or both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from random import Random

from cluster.sim.relay import forged
from cluster.sim.scheduler import Scheduler
from stsd.revocation.codec import decode_sent, encode_message
from stsd.revocation.identity import Identities
from stsd.revocation.messages import Checkpoint, Delta, Sent

Deliver = Callable[[str, str, Sent], None]
Forged = Callable[[str, str, Sent, Sent], None]
Delay = Callable[[Random, str, str], float]
"""How long one message takes from one region to another, in seconds, instead of the weather's delay."""
TAMPERED = 0.3
DROPPED = 0.05
STALE = 0.2
SIGNED_FOR = Identities(b"what a relay guesses".ljust(32, b"."))


@dataclass(frozen=True, slots=True)
class Weather:
    """How links behave: a delay of `delay_s` and up to `jitter_s` more, which reorders; shares lost and doubled."""

    delay_s: float
    jitter_s: float
    loss: float = 0.0
    duplicates: float = 0.0


FAIR = Weather(delay_s=0.04, jitter_s=0.02)
USUAL = Weather(delay_s=0.04, jitter_s=0.1, loss=0.01, duplicates=0.02)
STORM = Weather(delay_s=0.1, jitter_s=1.5, loss=0.3, duplicates=0.2)
MAX_ROUND_TRIP_S = 2 * (FAIR.delay_s + FAIR.jitter_s)


class Network:
    """Carries messages; `deliver(sender, receiver, message)` gets what arrives.

    With `encoded`, every message goes through its wire form. While `evil`, a relay sends forgeries beside what is said,
    and repeats what was said before; `forged` gets a message and what the relay makes of it.
    """

    def __init__(
        self, scheduler: Scheduler, deliver: Deliver, forged: Forged, *, encoded: bool, delay_s: Delay | None = None
    ) -> None:
        self._delay_s = delay_s
        self.weather = USUAL
        self.evil = False
        self._forged = forged
        self._said: list[tuple[str, Sent]] = []
        self._checkpoints: list[tuple[str, Sent]] = []
        self.stale_for: list[str] = []
        """Nodes to which somebody repeats checkpoints that were sent before."""
        self._scheduler = scheduler
        self._deliver = deliver
        self._encoded = encoded
        self._cuts: dict[tuple[str, str], int] = {}

    def send(self, sender: str, receiver: str, message: Sent) -> None:
        """Hand a message to the link. Nobody is told if it is lost."""
        chance = self._scheduler.random
        if (sender, receiver) in self._cuts or chance.random() < self.weather.loss:
            return
        if isinstance(message, Checkpoint):
            self._checkpoints.append((sender, message))
        if receiver in self.stale_for and self._checkpoints and chance.random() < STALE:
            self._repeat(receiver, self._checkpoints)
        if self.evil and chance.random() < DROPPED:
            return
        if self.evil and chance.random() < TAMPERED:
            self._tamper(sender, receiver, message)
        carried = decode_sent(encode_message(message)) if self._encoded else message
        for _ in range(1 + (chance.random() < self.weather.duplicates)):
            self._scheduler.after(self._takes_s(sender, receiver), lambda: self._arrive(sender, receiver, carried))

    def carry(self, sender: str, receiver: str, arrive: Callable[[], None]) -> None:
        """A request or an answer that is no message between nodes; whoever waits for it asks again."""
        if (sender, receiver) in self._cuts or self._scheduler.random.random() < self.weather.loss:
            return

        def arrives() -> None:
            if (sender, receiver) not in self._cuts:
                arrive()

        self._scheduler.after(self._takes_s(sender, receiver), arrives)

    def carry_late(self, sender: str, receiver: str, message: Sent) -> None:
        """A message that was long on its way arrives, unless the link is cut."""
        self._scheduler.after(self._takes_s(sender, receiver), lambda: self._arrive(sender, receiver, message))

    def _takes_s(self, sender: str, receiver: str) -> float:
        if self._delay_s is not None:
            return self._delay_s(self._scheduler.random, sender, receiver)
        return self.weather.delay_s + self._scheduler.random.random() * self.weather.jitter_s

    def cut(self, links: Sequence[tuple[str, str]]) -> None:
        """Stop these directions; cuts of the same link add up."""
        for link in links:
            self._cuts[link] = self._cuts.get(link, 0) + 1

    def mend(self, links: Sequence[tuple[str, str]]) -> None:
        """Take one cut of each of these directions away."""
        for link in links:
            left = self._cuts.pop(link, 0) - 1
            if left > 0:
                self._cuts[link] = left

    def heal(self) -> None:
        """All links whole, in fair weather."""
        self._cuts.clear()
        self.weather, self.evil = FAIR, False
        self.stale_for.clear()

    def _tamper(self, sender: str, receiver: str, message: Sent) -> None:
        chance = self._scheduler.random
        forgery = forged(chance, SIGNED_FOR, message)
        if forgery is not None:
            self._scheduler.after(chance.random(), lambda: self._forged(sender, receiver, message, forgery))
        if isinstance(message, Delta):
            self._said.append((sender, replace(message, part="push")))
        if self._said:
            self._repeat(receiver, self._said)

    def _repeat(self, receiver: str, said: list[tuple[str, Sent]]) -> None:
        before, again = self._scheduler.random.choice(said)
        if before != receiver:
            self._scheduler.after(self._scheduler.random.random(), lambda: self._arrive(before, receiver, again))

    def _arrive(self, sender: str, receiver: str, message: Sent) -> None:
        # A cut also loses what is on its way, as a broken connection does.
        if (sender, receiver) not in self._cuts:
            self._deliver(sender, receiver, message)
