"""Revocations, and the set that answers: does this credential still hold? (contract 6)

| kind            | subject          | what is refused                                                      |
|-----------------|------------------|----------------------------------------------------------------------|
| access_key      | access key id    | that credential and every session chained from it                    |
| session         | assumed-role ARN | sessions with it issued until the cut-off, and all chained from them |
| source_identity | `ACCOUNT/value`  | sessions with it in that account, issued before the cut-off          |
| role            | role ARN         | role sessions of it issued before the cut-off                        |
| principal       | user ARN         | sessions of it issued before the cut-off                             |
| account         | account id       | sessions in it issued before the cut-off                             |

The first two name a credential (InvalidClientTokenId), the others are cut-offs (ExpiredToken).

1. The set only grows: two revocations of one subject join to the later cut-off and the later end, in any order and
   any number of times. Nothing is un-revoked.
2. Cut-offs are whole milliseconds. Clocks of two regions may differ, so for tokens of another region than the
   revocation's origin the cut-off is EPSILON_MS later (contract 10); in its own region it is exact. A cut-off that
   another region's node says anew (replica rule 9) names the region whose clock told it, its `home`, and so refuses
   what it refused before, and nothing else.
3. A revocation is forgotten when no token that it refuses can be alive. Sessions chained from a revoked credential may
   outlive it, so the kinds that reach descendants are kept longer.
4. A kind that this version does not know refuses nothing here; it is counted, so that somebody is told.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import heappop, heappush
from math import inf
from typing import Literal, NamedTuple

from stsd.principal import Session

Kind = Literal["access_key", "session", "source_identity", "role", "principal", "account"]

EPSILON_MS = 2_000
"""The greatest difference between two nodes' clocks that revocations allow for (design 2.1)."""
FORGET_AFTER_S = 2 * EPSILON_MS // 1000
DESCENDANTS_LIVE_S = (12 + 15) * 3600
"""From the last moment of a credential to the last of what was chained from it: a role session of 12 hours, then at
most 15 more links (contract 6) of one hour each (spec 3.2, role chaining)."""


class Revocation(NamedTuple):
    """One decision that something no longer holds; subjects are in the table above. A start makes one of each entry of
    a journal, and a tuple takes a third of the time of a frozen dataclass.

    `issued_before_ms` is the cut-off in Unix milliseconds, 0 for `access_key`. `applies_until` (Unix seconds) is when
    the last token it refuses has expired, None for ever. `kind` is a Kind, or a word of a later version. `home` is the
    region whose clock told the cut-off, empty for that of the revocation's origin.
    """

    kind: str
    subject: str
    issued_before_ms: int
    applies_until: int | None
    reason: str = ""
    home: str = ""


@dataclass(frozen=True, slots=True)
class Denial:
    """A credential is refused: with which error code, and because of which revocation."""

    error: Literal["InvalidClientTokenId", "ExpiredToken"]
    revocation: Revocation


Subjects = Iterable[tuple[str, float, str]]
"""Subjects by which a session can be revoked, each with the instant of issue that a cut-off compares with (ms) and the
region whose clock told it."""


@dataclass(frozen=True, slots=True)
class Rule:
    """How a kind is enforced. `limit_ms`: credentials issued before it are refused."""

    error: Literal["InvalidClientTokenId", "ExpiredToken"]
    subjects: Callable[[Session], Subjects]
    limit_ms: Callable[[int], float]
    kept_after_s: int


def _access_keys(session: Session) -> Subjects:
    yield session.access_key_id, session.issued_at_ms, session.region
    for ancestor in session.ancestors:
        yield ancestor.access_key_id, ancestor.issued_at_ms, ancestor.region


def _session_arns(session: Session) -> Subjects:
    if session.principal.kind == "assumed_role":
        yield session.principal.arn, session.issued_at_ms, session.region
    for ancestor in session.ancestors:
        yield ancestor.arn, ancestor.issued_at_ms, ancestor.region


def _source_identities(session: Session) -> Subjects:
    if session.source_identity:
        yield f"{session.principal.account}/{session.source_identity}", session.issued_at_ms, session.region


def _roles(session: Session) -> Subjects:
    if session.principal.kind == "assumed_role":
        yield session.principal.policy_arn, session.issued_at_ms, session.region


def _principals(session: Session) -> Subjects:
    if session.principal.kind != "assumed_role":
        yield session.principal.arn, session.issued_at_ms, session.region


def _accounts(session: Session) -> Subjects:
    yield session.principal.account, session.issued_at_ms, session.region


def _always(cutoff_ms: int) -> float:
    return inf


def _until(cutoff_ms: int) -> float:
    return cutoff_ms + 1


def _before(cutoff_ms: int) -> float:
    return cutoff_ms


_NAMED_S = FORGET_AFTER_S + DESCENDANTS_LIVE_S

RULES: dict[str, Rule] = {
    "access_key": Rule("InvalidClientTokenId", _access_keys, _always, _NAMED_S),
    "session": Rule("InvalidClientTokenId", _session_arns, _until, _NAMED_S),
    "source_identity": Rule("ExpiredToken", _source_identities, _before, FORGET_AFTER_S),
    "role": Rule("ExpiredToken", _roles, _before, FORGET_AFTER_S),
    "principal": Rule("ExpiredToken", _principals, _before, FORGET_AFTER_S),
    "account": Rule("ExpiredToken", _accounts, _before, FORGET_AFTER_S),
}


@dataclass(slots=True)
class _Revoked:
    """All revocations of one subject, joined; `revocation` is the strictest, to explain a denial.

    Nearly all come from one region, whose limit is held without a dictionary: there are as many of these as there are
    revocations.
    """

    revocation: Revocation
    region: str
    limit_ms: float
    ends_at: float
    elsewhere_ms: dict[str, float] | None = None
    """Limits of the other regions."""

    def limits_ms(self) -> Mapping[str, float]:
        """Of each region that revoked it."""
        return {self.region: self.limit_ms} | (self.elsewhere_ms or {})

    def join(self, revocation: Revocation, origin_region: str, limit_ms: float) -> bool:
        """Whether this changed anything."""
        before = (self.revocation, self.limits_ms(), self.ends_at)
        self.revocation = max(self.revocation, revocation, key=_strictness)
        if origin_region == self.region:
            self.limit_ms = max(self.limit_ms, limit_ms)
        else:
            others = self.elsewhere_ms or {}
            self.elsewhere_ms = others | {origin_region: max(others.get(origin_region, 0), limit_ms)}
        self.ends_at = max(self.ends_at, _ends_at(revocation))
        return before != (self.revocation, self.limits_ms(), self.ends_at)

    def refuses(self, issued_at_ms: float, region: str) -> bool:
        """Whether a token issued then by a node of `region` is refused (rule 2)."""
        return any(
            issued_at_ms < limit_ms + (0 if origin_region == region else EPSILON_MS)
            for origin_region, limit_ms in self.limits_ms().items()
        )


class RevocationSet:
    """All that is revoked, as one node knows it. `now` is Unix seconds.

    `generation` changes whenever an answer may have changed, so that an answer can be remembered with it.
    """

    def __init__(self, rules: Mapping[str, Rule] = RULES) -> None:
        self.generation = 0
        self._rules = rules
        self._revoked: dict[str, dict[str, _Revoked]] = {kind: {} for kind in rules}
        self._ends: list[tuple[float, str, str]] = []
        self._unknown: set[Revocation] = set()

    def __len__(self) -> int:
        """Subjects that are revoked."""
        return sum(map(len, self._revoked.values()))

    @property
    def unknown(self) -> int:
        """Revocations of kinds that this version does not know and therefore does not enforce."""
        return len(self._unknown)

    def add(self, revocation: Revocation, origin_region: str, now: float) -> None:
        """Enforce a revocation that `origin_region` accepted; again and in any order is the same."""
        rule = self._rules.get(revocation.kind)
        if rule is None:
            self._unknown.add(revocation)
            return
        ends, ends_at = self._ends, _ends_at(revocation)
        if ends and ends[0][0] <= now:
            self.forget(now)
        if ends_at + rule.kept_after_s <= now:
            return
        subjects, region = self._revoked[revocation.kind], revocation.home or origin_region
        limit_ms = rule.limit_ms(revocation.issued_before_ms)
        revoked = subjects.get(revocation.subject)
        if revoked is None:
            subjects[revocation.subject] = _Revoked(revocation, region, limit_ms, ends_at)
            self.generation += 1
        else:
            before = revoked.ends_at
            self.generation += revoked.join(revocation, region, limit_ms)
            if revoked.ends_at == before:
                return
        if ends_at < inf:
            heappush(ends, (ends_at + rule.kept_after_s, revocation.kind, revocation.subject))

    def check(self, session: Session, now: float) -> Denial | None:
        """Why this session is refused, or None. Kinds without a revocation cost nothing."""
        for kind, subjects in self._revoked.items():
            if not subjects:
                continue
            rule = self._rules[kind]
            for subject, issued_at_ms, region in rule.subjects(session):
                revoked = subjects.get(subject)
                if revoked is None or revoked.ends_at + rule.kept_after_s <= now:
                    continue
                if revoked.refuses(issued_at_ms, region):
                    return Denial(rule.error, revoked.revocation)
        return None

    def check_key(self, access_key_id: str, now: float) -> Denial | None:
        """Why this long-term access key is refused, or None."""
        rule = self._rules["access_key"]
        revoked = self._revoked["access_key"].get(access_key_id)
        if revoked is None or revoked.ends_at + rule.kept_after_s <= now:
            return None
        return Denial(rule.error, revoked.revocation)

    def subjects(self, kind: Kind) -> list[str]:
        """What of this kind is revoked."""
        return list(self._revoked[kind])

    def joined(self, but: Kind | None = None) -> Iterator[tuple[Revocation, str]]:
        """All that is revoked, one kind left out, joined by subject and region of the origin: a set to which these are
        added answers as this one does. Kinds that this version does not know come with no region."""
        for kind, subjects in self._revoked.items():
            earliest_ms = self._rules[kind].limit_ms(0)
            for subject, revoked in () if kind == but else subjects.items():
                until = None if revoked.ends_at == inf else int(revoked.ends_at)
                for region, limit_ms in revoked.limits_ms().items():
                    cutoff_ms = 0 if limit_ms == inf else int(limit_ms - earliest_ms)
                    yield Revocation(kind, subject, cutoff_ms, until), region
        for revocation in self._unknown:
            yield revocation, ""

    def forget(self, now: float) -> None:
        """Drop what has ended (rule 3). Cheap when there is nothing to drop."""
        while self._ends and self._ends[0][0] <= now:
            _, kind, subject = heappop(self._ends)
            revoked = self._revoked[kind].get(subject)
            if revoked is not None and revoked.ends_at + self._rules[kind].kept_after_s <= now:
                del self._revoked[kind][subject]
                self.generation += 1


def over_at(revocation: Revocation, rules: Mapping[str, Rule] = RULES) -> float:
    """When a revocation of a known kind refuses nothing any more (rule 3), Unix seconds."""
    return _ends_at(revocation) + rules[revocation.kind].kept_after_s


def _ends_at(revocation: Revocation) -> float:
    return inf if revocation.applies_until is None else revocation.applies_until


def _strictness(revocation: Revocation) -> tuple[float, float, str]:
    return revocation.issued_before_ms, _ends_at(revocation), revocation.reason
