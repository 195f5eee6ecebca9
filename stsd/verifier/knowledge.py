"""What a verifier knows, and what it says about a token. No I/O: the client brings keys, revocations and heartbeats.

The reasons are those of `/v1/verify` in its order (contract 4): `malformed unknown_key bad_signature not_yet_valid
expired revoked region_not_enabled`, and one more at the end: `stale`, when the verifier was told to be closed and its
knowledge is older than allowed. `now` is Unix seconds; `clock` is a monotonic clock's seconds, by which staleness is
counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from math import inf
from typing import Any

from stsd.principal import Session
from stsd.regions import takes
from stsd.revocation import feed, golomb
from stsd.revocation.revocation_set import RULES, RevocationSet
from stsd.revocation.snapshot import NAMED, Snapshot
from stsd.tokens import session_token
from stsd.tokens.published_keys import PublishedKeys
from stsd.tokens.session_token import TokenError

MAX_CLEARED = 100_000


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a token holds. `reason` is the first against it, empty when it is active; `session` is what the token
    says, as soon as its signature holds. Not `confirmed`: a compact snapshot says that it is revoked, and is wrong
    once in a million; `await Verifier.check(token)` asks."""

    active: bool
    reason: str = ""
    session: Session | None = None
    confirmed: bool = True

    @property
    def principal(self) -> str:
        """The ARN of whoever holds the token; empty when the signature does not hold."""
        return self.session.principal.arn if self.session is not None else ""


class Knowledge:
    """Keys, revocations and how old they are."""

    def __init__(self) -> None:
        self.keys = PublishedKeys()
        self.cursor = ""
        self.region = ""
        """Where tokens are used, as the node says of itself; empty while it has not."""
        self._epoch = -1
        self._begin()
        self._fresh_at = -inf

    @property
    def unknown(self) -> int:
        """Revocations of kinds that this version does not know and therefore does not enforce."""
        return self._revocations.unknown

    def judge(self, token: object, now: float, *, stale: bool) -> Verdict:
        """The verdict on a token. `stale`: whatever else would be active is refused."""
        if not isinstance(token, str) or len(token) > session_token.MAX_TOKEN_CHARACTERS or not token.isascii():
            return Verdict(False, "malformed")
        try:
            session, _ = session_token.verify(token, self.keys)
        except TokenError as error:
            return Verdict(False, error.reason)
        try:
            session_token.check_time(session, now)
        except TokenError as error:
            return Verdict(False, error.reason, session)
        if self._revocations.check(session, now) is not None:
            return Verdict(False, "revoked", session)
        if self._suspects(session):
            return Verdict(False, "revoked", session, confirmed=False)
        if not takes(self.region, session.token_version):
            return Verdict(False, "region_not_enabled", session)
        if stale:
            return Verdict(False, "stale", session)
        return Verdict(True, "", session)

    def take(self, revocations: Iterable[dict[str, Any]], now: float) -> None:
        """Enforce revocations of the feed. Raises ValueError, KeyError or TypeError for what is none."""
        for told in revocations:
            revocation, region = feed.read(told)
            self._revocations.add(revocation, region, now)

    def reach(self, cursor: str) -> None:
        """All that comes before this cursor is known. Raises ValueError."""
        self.meet(cursor)
        self.cursor = cursor

    def meet(self, cursor: str) -> None:
        """What comes next belongs to this cursor's epoch: in another one than before, all that was known is gone
        (contract 8). Raises ValueError."""
        epoch = feed.epoch(cursor)
        if epoch != self._epoch:
            self._epoch, self._fresh_at = epoch, -inf
            self._begin()

    def load(self, snapshot: Snapshot, now: float) -> None:
        """Begin with a compact snapshot. Raises ValueError."""
        self._begin()
        self._epoch, self.cursor, self._named = feed.epoch(snapshot.cursor), snapshot.cursor, snapshot.named
        for revocation, region in snapshot.exact:
            self._revocations.add(revocation, region, now)

    def clear(self, session: Session) -> None:
        """The node said that a suspected session is active: the set was wrong about its keys. A later revocation of
        them comes with the feed."""
        if len(self._cleared) > MAX_CLEARED:
            self._cleared.clear()
        self._cleared.update(key for key in _access_keys(session) if key in self._named)

    def beat(self, staleness_s: float, told_at: float) -> None:
        """A node told at `told_at` that all older than `staleness_s` was told before."""
        self._fresh_at = max(self._fresh_at, told_at - staleness_s)

    def staleness_s(self, clock: float) -> float:
        """How old this knowledge is; infinite before the first heartbeat."""
        return max(clock - self._fresh_at, 0.0)

    def forget(self, now: float) -> None:
        """Drop what has ended."""
        self._revocations.forget(now)

    def _begin(self) -> None:
        self._revocations = RevocationSet()
        self._named = golomb.EMPTY
        self._cleared: set[str] = set()

    def _suspects(self, session: Session) -> bool:
        if not len(self._named):
            return False
        return any(key in self._named and key not in self._cleared for key in _access_keys(session))


def _access_keys(session: Session) -> Iterable[str]:
    return (key for key, _, _ in RULES[NAMED].subjects(session))
