"""Calls that a region answers late because of others, and the room where they wait. (I/O)

A node answers AssumeRoleWithWebIdentity after KEYS_WAIT_S at the latest, when the keys of the issuer are not there and
it sends none. Anyone may make such calls, without a signature. A revocation that waits for all regions takes as long as
it asks for, when one of them is away; whoever has a session may revoke it. So such calls have to harm nobody else:

* The router gives the region that much more time, so that it is the region that says what is wrong. A region that is
  silent even then is ill like any other.
* They come in by the gate of their region (see `admission`), where ARRIVING_SHARE of the places are the most that they
  get. Whichever is not answered in SOON_S goes into the waiting room, and its place is free again.
* While ROOM calls wait there, no other one of their kind is let in. So a region has at most that many of them and what
  its gate lets in.
* How long they take says nothing about the region.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass

from cluster.admission import Gate
from stsd.oidc.known_keys import KEYS_WAIT_S

SOON_S = 0.25
"""Longer than calls queue in a region whose gate keeps it from having too much to do, so that such a queue is not taken
for waiting and let in more."""
ARRIVING_SHARE = 0.75
ROOM = 256
"""Higher lets more callers wait for slow issuers, and costs a region that many connections."""

ACTION = b"AssumeRoleWithWebIdentity"
_ESCAPED_LETTER = re.compile(rb"%(?:[46][1-9A-Fa-f]|[57][0-9Aa])")
"""No client escapes letters; who would hide the action does."""


def keys_wait_s(path: str, query: str, body: bytes) -> float:
    """How many seconds the region may wait for keys before it answers. A call that only looks as if it had an ID token
    is taken for one that has: it loses nothing by that."""
    if path != "/":
        return 0.0
    for text in (body, query.encode("utf-8", "surrogateescape")):
        if ACTION in text or (b"%" in text and _ESCAPED_LETTER.search(text)):
            return KEYS_WAIT_S
    return 0.0


@dataclass(slots=True)
class Room:
    """The waiting room of one region, behind its gate."""

    gate: Gate
    arriving: int = 0
    """Calls that have not been answered and do not wait here yet."""
    waiting: int = 0

    @property
    def is_full(self) -> bool:
        """Whether no other call of this kind may come in."""
        return self.waiting >= ROOM or self.arriving >= ARRIVING_SHARE * self.gate.demand.limit


class Stay:
    """One call from its beginning, in flight, to its end; `Demand` counts it until it waits."""

    def __init__(self, room: Room, now: float) -> None:
        self._room, self._waits = room, False
        room.arriving += 1
        room.gate.demand.begins(now)
        self._timer = asyncio.get_running_loop().call_later(SOON_S, self._wait)

    def ends(self) -> None:
        """It is answered, or given up."""
        self._timer.cancel()
        if self._waits:
            self._room.waiting -= 1
        else:
            self._leave_gate()

    def _wait(self) -> None:
        self._waits = True
        self._room.waiting += 1
        self._leave_gate()

    def _leave_gate(self) -> None:
        self._room.arriving -= 1
        self._room.gate.demand.ends()
        self._room.gate.ended(None)
