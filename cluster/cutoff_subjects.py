"""Whose sessions a round cuts off: chosen so that no round's cut-off reaches the sessions of another one. Pure.

A cut-off refuses every older session of its subject, and while a clock is wrong, younger ones too. So most rounds cut
off a session ARN of their own, of a role that is itself never cut off; every fifth takes another role or a user of the
world, if an earlier cut-off of the same one cannot reach it any more.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from loadtest.places import Key, RoleProfile
from loadtest.signer import VERSION, assume_role_body
from stsd.revocation.revocation_set import EPSILON_MS

SESSION_S = 3600
ALLOWANCE_S = EPSILON_MS / 1000
NAMED_EVERY = 5
EARLY_S = 1.0
"""By how much a clock may be moved later than planned."""


@dataclass(frozen=True, slots=True)
class Subject:
    """How sessions of one subject are made: `kind` says what of them is cut off, `key` asks, with `body`."""

    kind: str
    key: Key
    body: bytes = field(repr=False)

    def cut_off(self, token: str) -> dict[str, str]:
        """The subject in the words of contract 6, as a session token of it tells."""
        claims = _claims(token)
        return {f"{self.kind}_arn": claims["role"] if self.kind == "role" else claims["sub"]}


def _claims(token: str) -> Any:
    """What a session token says; its own signature is not our business here."""
    return json.loads(base64.urlsafe_b64decode(token.split(".")[1] + "=="))


def of_role(role: RoleProfile, kind: str, name: str) -> Subject:
    """Sessions of a role: all of them, or those of one name."""
    return Subject(kind, role.key, assume_role_body(role, name, SESSION_S))


def of_user(key: Key) -> Subject:
    """Sessions that a user has of itself."""
    form = {"Action": "GetSessionToken", "Version": VERSION, "DurationSeconds": str(SESSION_S)}
    return Subject("principal", key, urlencode(form).encode())


class Clock:
    """How far a clock will be off: `moves` are when it is moved and by how much it is then off, in order."""

    def __init__(self, moves: Iterable[tuple[float, float]]) -> None:
        self._moves = [(-math.inf, 0.0), *moves]

    def offsets_s(self, begin: float, end: float) -> list[float]:
        """Every offset that is in force at some time in between, and none, for the regions whose clocks are right."""
        ends = [at for at, _ in self._moves[1:]] + [math.inf]
        told = zip(self._moves, ends, strict=True)
        return [0.0, *(offset_s for (at, offset_s), until in told if at <= end and until >= begin)]


class Subjects:
    """One after the other. `roles` are at least one; the first is that of the session ARNs. A round takes at most
    `round_s`."""

    def __init__(self, roles: Sequence[RoleProfile], users: Sequence[Key], clock: Clock, round_s: float) -> None:
        self._role, self._clock, self._round_s = roles[0], clock, round_s
        self._named = [*map(of_user, users), *(of_role(role, "role", "cut-off") for role in roles[1:])]
        self._reach = dict.fromkeys(range(len(self._named)), -math.inf)

    def next(self, number: int, at: float) -> Subject:
        """Of the round of that number, which begins at `at` seconds."""
        offsets_s = self._clock.offsets_s(at - EARLY_S, at + self._round_s)
        rested = [index for index, reach in self._reach.items() if reach < at + min(offsets_s)]
        if number % NAMED_EVERY or not rested:
            return of_role(self._role, "session", f"round-{number}")
        index = min(rested, key=self._reach.__getitem__)
        self._reach[index] = at + self._round_s + max(offsets_s) + ALLOWANCE_S
        return self._named[index]
