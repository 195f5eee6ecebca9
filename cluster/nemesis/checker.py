"""Which invariants a history breaks. Pure, and written from the promises alone: it imports nothing of a node.

The invariants, by their numbers in design 5:

1. Durability: every acknowledged revocation is in every region in the end and refuses what it covers. One with a single
   copy may be gone if the disk of its region was lost.
3. Convergence: all regions have the same heads and tell the same entries.
4. Safety: after the answer to a revocation its region accepts no session that it covers, and no region does that was
   asked with its revocation token.
6. No resurrection: a region that refused a session as revoked never accepts it again, the loss of its disk apart.
7. No false denial: every refusal is explained by a revocation that was asked for before, in scope and cut-off.
8. Monotone sequence: an origin and a sequence name one entry everywhere, and no entry comes from nowhere.

A revocation covers sessions by their key, ARN or role, and with a key or an ARN all that were chained from them. ARNs
and roles have a cut-off: sessions issued until it (ARN) or before it (role), and EPSILON_MS later if another region
issued them (contract 10). The loss of a disk is the only loss that is forgiven, and one a history at most is made.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import inf

from cluster.nemesis.history import Entry, Fault, History, Link, Operation, Session

EPSILON_MS = 2_000
CUTOFF_SLACK_S = 10.0
"""How much later than a revocation a session may have reached its client and still be within a cut-off that nobody
told: the allowance, clocks apart by no more than that, and a slow answer."""
REVOKED = frozenset({"revoked", "InvalidClientTokenId", "ExpiredToken"})
"""How verify, and calls with the credentials, say that something was revoked."""
DISK_LOST = "lose disk"
CLOCK_MOVED = "move clock"


@dataclass(frozen=True, slots=True)
class Violation:
    """An invariant that does not hold, and where to look."""

    invariant: int
    text: str


def check(history: History) -> list[Violation]:
    """Everything that is wrong, in the order of the invariants."""
    facts = _Facts(history)
    rules = (_durability, _convergence, _safety, _resurrection, _false_denials, _sequences)
    return [violation for rule in rules for violation in rule(facts)]


class _Facts:
    """A history with the indexes that its checks need."""

    def __init__(self, history: History) -> None:
        self.history = history
        self.acked = [one for one in history.operations if one.action == "revoke" and one.outcome == "ok"]
        self.asked = [one for one in history.operations if one.action == "revoke" and one.outcome != "fail"]
        self.answers = [one for one in history.operations if one.action != "revoke" and one.outcome == "ok"]
        self.entries = {entry.name: entry for entries in history.final.values() for entry in entries}
        self.entries_of: defaultdict[tuple[str, str, str], list[Entry]] = defaultdict(list)
        for entry in self.entries.values():
            self.entries_of[entry.kind, entry.subject, entry.region].append(entry)
        self.by_subject: defaultdict[tuple[str, str], list[Session]] = defaultdict(list)
        for session in history.sessions.values():
            for subject in _subjects(session):
                self.by_subject[subject].append(session)
        self.by_session: defaultdict[str, list[Operation]] = defaultdict(list)
        for one in sorted(self.answers, key=lambda answer: answer.began_at):
            self.by_session[one.session].append(one)

    def covered(self, revoke: Operation) -> Iterator[Session]:
        """The sessions that an acknowledged revocation has to refuse."""
        for session in self.by_subject[revoke.kind, revoke.subject]:
            if self._covered_by_entry(revoke, session) or self._older(revoke, session):
                yield session

    def _covered_by_entry(self, revoke: Operation, session: Session) -> bool:
        return revoke.entry in self.entries and covers(self.entries[revoke.entry], session)

    def _older(self, revoke: Operation, session: Session) -> bool:
        """Whether a session was there before the revocation was asked for, and clocks can tell."""
        return session.known_at <= revoke.began_at and not self._clock_moved(revoke, session)

    def _clock_moved(self, revoke: Operation, session: Session) -> bool:
        """Whether the clocks that tell before from after were ever moved; a key has no before."""
        regions = {revoke.region, session.region, *(link.region for link in session.ancestors)}
        moved = any(fault.verb == CLOCK_MOVED and regions & {*fault.where} for fault in self.history.faults)
        return revoke.kind != "access_key" and moved

    def disk_lost(self, region: str, after: float, before: float = inf) -> bool:
        """Whether the region's disk was lost between two moments."""
        return any(_lost(fault, region) and after <= fault.began_at <= before for fault in self.history.faults)

    def forgiven(self, revoke: Operation, before: float = inf) -> bool:
        """Whether the only disk that surely had a revocation was lost by then (design 2.3)."""
        return revoke.copies < 2 and self.disk_lost(revoke.region, revoke.began_at, before)

    def rejoining(self, region: str, began_at: float, ended_at: float) -> bool:
        """Whether a node without its disk had not said yet that it was ready: its answers promise nothing."""
        faults = self.history.faults
        return any(_lost(f, region) and f.began_at <= ended_at and began_at <= f.ended_at for f in faults)


def covers(entry: Entry, session: Session) -> bool:
    """Whether a revocation refuses a session."""
    issued = _subjects(session).get((entry.kind, entry.subject), ())
    return any(_within(entry, issued_ms, region) for issued_ms, region in issued)


def _subjects(session: Session) -> Mapping[tuple[str, str], list[tuple[int, str]]]:
    """What a session can be revoked by, and when and where each was issued."""
    found: defaultdict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    found["role", session.role].append((session.issued_ms, session.region))
    for key, arn, issued_ms, region in (
        Link(session.key, session.arn, session.issued_ms, session.region),
        *session.ancestors,
    ):
        found["access_key", key].append((issued_ms, region))
        found["session", arn].append((issued_ms, region))
    return found


def _within(entry: Entry, issued_ms: int, region: str) -> bool:
    if entry.kind == "access_key":
        return True
    allowance = 0 if region == entry.region else EPSILON_MS
    limit = entry.issued_before_ms + (1 if entry.kind == "session" else 0)
    return issued_ms < limit + allowance


def _lost(fault: Fault, region: str) -> bool:
    return fault.verb == DISK_LOST and region in fault.where


def _durability(facts: _Facts) -> Iterator[Violation]:
    for region, entries in facts.history.final.items():
        held = {entry.name: entry for entry in entries}
        refused = facts.history.refused_in_the_end[region]
        for one in facts.acked:
            if facts.forgiven(one):
                continue
            entry = held.get(one.entry)
            if entry is None or (entry.kind, entry.subject) != (one.kind, one.subject):
                yield Violation(1, f"{region} lost {_told(one)}")
            elif spared := [session.key for session in facts.covered(one) if session.key not in refused]:
                yield Violation(1, f"{region} holds {_told(one)} and accepts {spared[0]} in the end")
    for region in facts.history.regions:
        if region not in facts.history.final:
            yield Violation(1, f"{region} does not tell what it holds in the end")


def _convergence(facts: _Facts) -> Iterator[Violation]:
    if facts.history.agreed_after_s is None:
        yield Violation(3, "the regions never agreed on their heads after the last fault")
    found = {region: {*entries} for region, entries in facts.history.final.items()}
    everything = set().union(*found.values())
    for region, entries in found.items():
        if missing := everything - entries:
            one = min(missing, key=lambda entry: entry.name)
            yield Violation(3, f"{region} lacks {len(missing)} entries of others, {one.origin} {one.sequence} first")


def _safety(facts: _Facts) -> Iterator[Violation]:
    for one in facts.acked:
        for session in facts.covered(one):
            for answer in facts.by_session[session.key]:
                if answer.accepted and _too_late(facts, one, answer):
                    yield Violation(4, f"{answer.region} accepts {session.key} at {_at(answer)} after {_told(one)}")


def _too_late(facts: _Facts, one: Operation, answer: Operation) -> bool:
    """Whether a session that was revoked could not be accepted any more in this answer."""
    if facts.rejoining(answer.region, answer.began_at, answer.ended_at):
        return False
    if answer.at_least and answer.at_least == one.revocation_token:
        return True
    here = answer.region == one.region and answer.began_at >= one.ended_at
    return here and not facts.forgiven(one, before=answer.ended_at)


def _resurrection(facts: _Facts) -> Iterator[Violation]:
    for key, answers in facts.by_session.items():
        refused_at: dict[str, float] = {}
        for answer in answers:
            if not answer.accepted and answer.reason in REVOKED:
                refused_at[answer.region] = min(answer.ended_at, refused_at.get(answer.region, inf))
        for answer in answers:
            since = refused_at.get(answer.region, inf)
            if answer.accepted and answer.began_at >= since and not facts.disk_lost(answer.region, after=since):
                text = f"{answer.region} accepts {key} at {_at(answer)} and had refused it at {since:.3f} s"
                yield Violation(6, text)


def _false_denials(facts: _Facts) -> Iterator[Violation]:
    asked: defaultdict[tuple[str, str], list[Operation]] = defaultdict(list)
    for one in facts.asked:
        asked[one.kind, one.subject].append(one)
    for answer in facts.answers:
        if answer.accepted:
            continue
        session = facts.history.sessions[answer.session]
        reasons = (one for subject in _subjects(session) for one in asked[subject])
        if answer.reason not in REVOKED:
            yield Violation(7, f"{answer.region} refuses {session.key} at {_at(answer)} as {answer.reason}")
        elif not any(_explains(facts, one, session, answer) for one in reasons):
            yield Violation(7, f"{answer.region} refuses {session.key} at {_at(answer)} and nobody revoked it")


def _explains(facts: _Facts, one: Operation, session: Session, answer: Operation) -> bool:
    """Whether a revocation that was asked for can be why a session was refused."""
    if one.began_at > answer.ended_at:
        return False
    if one.entry in facts.entries:
        return covers(facts.entries[one.entry], session)
    candidates = facts.entries_of[one.kind, one.subject, one.region]
    if any(covers(entry, session) for entry in candidates):
        return True
    # Nobody knows its cut-off: it was not acknowledged, or was lost with a disk.
    return one.kind == "access_key" or session.known_at <= one.ended_at + CUTOFF_SLACK_S


def _sequences(facts: _Facts) -> Iterator[Violation]:
    named: dict[tuple[str, int], Entry] = {}
    for region, entries in facts.history.final.items():
        for entry in entries:
            if named.setdefault(entry.name, entry) != entry:
                yield Violation(8, f"{entry.origin} {entry.sequence} is another entry in {region}")
    wanted = Counter((one.kind, one.subject, one.region) for one in facts.asked)
    present = Counter((entry.kind, entry.subject, entry.region) for entry in named.values())
    for (kind, subject, region), count in (present - wanted).items():
        yield Violation(8, f"{region} holds {count} revocations of {kind} {subject} that nobody asked for")


def _told(one: Operation) -> str:
    origin, sequence = one.entry
    name = f"{origin} {sequence}, {one.copies} copies"
    return f"the revocation of {one.kind} {one.subject} acknowledged at {one.ended_at:.3f} s ({name})"


def _at(answer: Operation) -> str:
    return f"{answer.began_at:.3f} s"
