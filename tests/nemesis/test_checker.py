"""The checker against histories with one planted fault each: every invariant is seen to be broken, and by name."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cluster.nemesis.checker import check
from cluster.nemesis.history import Entry, Fault, History, Link, Operation, Session

REGIONS = ("east", "west", "south")
EAST, WEST = "east/1/aa", "west/1/bb"
ROLE, ARN = "arn:aws:iam::1:role/r", "arn:aws:sts::1:assumed-role/r/s"
SESSION = Session("KEY", ARN, ROLE, "east", 1_000_000, 0.5)
OTHER = Session("OTHER", "arn:aws:sts::1:assumed-role/q/s", "arn:aws:iam::1:role/q", "west", 1_000_000, 0.5)


def revoke(at: float = 2.0, kind: str = "access_key", subject: str = "KEY", **members: object) -> Operation:
    given: dict = {"entry": (EAST, 1), "copies": 2, "revocation_token": "t1"} | members
    region = given.pop("region", "east")
    return Operation("revoke", 1, region, at, at + 0.1, given.pop("outcome", "ok"), kind, subject, **given)


def asked(at: float, region: str = "east", accepted: bool = False, **members: object) -> Operation:
    given: dict = {"session": "KEY", "reason": "" if accepted else "revoked"} | members
    action = given.pop("action", "verify")
    return Operation(action, 2, region, at, at + 0.1, "ok", accepted=accepted, **given)


def entry(kind: str = "access_key", subject: str = "KEY", cutoff_ms: int = 0, **members: object) -> Entry:
    return replace(Entry(EAST, 1, kind, subject, cutoff_ms), **members)  # type: ignore[arg-type]


def history(*operations: Operation, held: tuple[Entry, ...] = (entry(),), **members: object) -> History:
    """Everything as it should be after KEY was revoked, and then what a test changes."""
    good = History(
        REGIONS,
        {one.key: one for one in (SESSION, OTHER)},
        operations or (revoke(),),
        (),
        dict.fromkeys(REGIONS, held),
        dict.fromkeys(REGIONS, frozenset({"KEY"})),
        0.2,
    )
    return replace(good, **members)  # type: ignore[arg-type]


def broken(one: History) -> list[int]:
    return [violation.invariant for violation in check(one)]


def lost_disk(region: str = "east", at: float = 3.0) -> tuple[Fault, ...]:
    return (Fault("lose disk", (region,), at, at + 1.0),)


GOOD = {
    "accepted before and refused after": history(asked(1, accepted=True), revoke(), asked(3)),
    "accepted elsewhere for a while": history(revoke(), asked(2.2, "west", accepted=True), asked(3, "west")),
    "accepted while the answer was on its way": history(revoke(), asked(2.05, accepted=True)),
    "not acknowledged, and in force": history(revoke(outcome="info", entry=("", 0)), asked(3)),
    "not acknowledged, and not in force": history(
        revoke(outcome="info", entry=("", 0)), held=(), refused_in_the_end=dict.fromkeys(REGIONS, frozenset())
    ),
    "refused as stale, then fresh": history(revoke(), asked(3, "west", at_least="t1")),
    "nothing at all": history(asked(1, accepted=True), held=()),
    "used after it was revoked": history(revoke(), asked(3, action="use", reason="InvalidClientTokenId")),
}


@pytest.mark.parametrize("name", GOOD)
def test_a_sound_history_breaks_nothing(name):
    assert check(GOOD[name]) == []


BAD = {
    "an acknowledged revocation is nowhere": (history(held=()), 1),
    "one region lost it": (history(final={"east": (entry(),), "west": (), "south": (entry(),)}), 1),
    "it is held and does not refuse": (
        history(refused_in_the_end=dict.fromkeys(REGIONS, frozenset()) | {"east": frozenset({"KEY"})}), 1,
    ),
    "its name says something else": (history(held=(entry(subject="OTHER"),)), 1),
    "a region is gone": (history(final={"east": (entry(),), "west": (entry(),)}), 1),
    "two copies do not survive one disk": (history(held=(), faults=lost_disk()), 1),
    "heads never agree": (history(agreed_after_s=None), 3),
    "accepted in its region after the answer": (history(revoke(), asked(2.2, accepted=True)), 4),
    "used in its region after the answer": (history(revoke(), asked(2.2, accepted=True, action="use")), 4),
    "accepted elsewhere with its token": (history(revoke(), asked(2.2, "west", accepted=True, at_least="t1")), 4),
    "accepted again": (history(revoke(), asked(2.2, "west"), asked(2.5, "west", accepted=True)), 6),
    "a restart forgets": (
        history(revoke(), asked(2.2, "west"), asked(4.5, "west", accepted=True),
                faults=(Fault("kill", ("west",), 3.0, 4.0),)), 6,
    ),
    "refused, and nobody asked for it": (history(revoke(), asked(3, session="OTHER")), 7),
    "refused before anybody asked for it": (history(asked(1), revoke()), 7),
    "refused for another reason": (history(asked(1, reason="expired"), revoke()), 7),
    "a revocation that was refused is in force": (history(revoke(outcome="fail", entry=("", 0)), asked(3)), 7),
    "an entry that nobody asked for": (history(revoke(), held=(entry(), entry(subject="X", sequence=2))), 8),
    "one name, two contents": (
        history(final={"east": (entry(),), "west": (entry(cutoff_ms=5),), "south": (entry(),)}), 8,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD)
def test_a_planted_fault_is_found(name):
    planted, invariant = BAD[name]
    assert invariant in broken(planted)


def test_the_planted_faults_cover_every_invariant_that_is_checked():
    assert {invariant for _, invariant in BAD.values()} == {1, 3, 4, 6, 7, 8}


def test_the_loss_of_the_only_disk_forgives_one_copy_and_no_more():
    gone = {"held": (), "refused_in_the_end": dict.fromkeys(REGIONS, frozenset())}
    single, double = revoke(copies=1), revoke(copies=2)
    assert broken(history(single, faults=lost_disk(), **gone)) == []
    assert 1 in broken(history(double, faults=lost_disk(), **gone))
    assert 1 in broken(history(single, faults=lost_disk("west"), **gone))
    assert 1 in broken(history(single, faults=lost_disk(at=1.0), **gone)), "lost before it was acknowledged"
    assert broken(history(single, asked(5, accepted=True), faults=lost_disk(), **gone)) == []
    assert broken(history(single, asked(2.5, accepted=True), faults=lost_disk(), **gone)) == [4]


def test_a_node_without_its_disk_promises_nothing_until_it_is_ready_and_everything_after():
    rejoining, ready = asked(3.5, accepted=True), asked(4.5, accepted=True)
    assert broken(history(revoke(), rejoining, faults=lost_disk())) == []
    assert 4 in broken(history(revoke(), ready, faults=lost_disk()))


CUTOFF_MS = 1_000_500
KINDS = {"session": (ARN, CUTOFF_MS), "role": (ROLE, CUTOFF_MS)}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("issued_ms", "region", "covered"),
    [
        (CUTOFF_MS - 1, "east", True),
        (CUTOFF_MS + 1, "east", False),
        (CUTOFF_MS + 1_999, "west", True),
        (CUTOFF_MS + 2_001, "west", False),
    ],
)
def test_a_cutoff_reaches_sessions_of_before_and_two_seconds_more_elsewhere(kind, issued_ms, region, covered):
    subject, cutoff_ms = KINDS[kind]
    session = replace(SESSION, issued_ms=issued_ms, region=region, known_at=9.0)
    revoked = revoke(kind=kind, subject=subject)
    common = {
        "held": (entry(kind, subject, cutoff_ms),),
        "sessions": {"KEY": session},
        "refused_in_the_end": dict.fromkeys(REGIONS, frozenset({"KEY"} if covered else ())),
    }
    assert broken(history(revoked, asked(10, accepted=True), **common)) == ([4] if covered else [])
    assert broken(history(revoked, asked(10, accepted=False), **common)) == ([] if covered else [7])


def test_at_the_cutoff_itself_an_arn_is_refused_and_a_role_is_not():
    session = replace(SESSION, issued_ms=CUTOFF_MS, known_at=9.0)
    for kind, refused in (("session", True), ("role", False)):
        subject, cutoff_ms = KINDS[kind]
        found = history(
            revoke(kind=kind, subject=subject),
            asked(10, accepted=True),
            held=(entry(kind, subject, cutoff_ms),),
            sessions={"KEY": session},
            refused_in_the_end=dict.fromkeys(REGIONS, frozenset({"KEY"})),
        )
        assert (4 in broken(found)) == refused


def test_a_cutoff_that_comes_too_early_is_found_unless_a_clock_was_moved():
    """The session was there before, so a true clock puts it before the cut-off."""
    early = {"held": (entry("role", ROLE, 5),), "refused_in_the_end": dict.fromkeys(REGIONS, frozenset())}
    revoked = revoke(kind="role", subject=ROLE)
    assert broken(history(revoked, asked(3, accepted=True), **early)) == [1, 1, 1, 4]
    moved = (Fault("move clock", ("east",), 0.1, 1.0),)
    assert broken(history(revoked, asked(3, accepted=True), faults=moved, **early)) == []


def test_what_was_chained_from_a_revoked_session_is_refused_too():
    child = replace(OTHER, ancestors=(Link("KEY", ARN, 1_000_000, "east"),))
    chained = history(
        revoke(), asked(3, session="OTHER", accepted=True), sessions={"KEY": SESSION, "OTHER": child},
        refused_in_the_end=dict.fromkeys(REGIONS, frozenset({"KEY", "OTHER"})),
    )  # fmt: skip
    assert broken(chained) == [4]
    refused = replace(chained, operations=(revoke(), asked(3, session="OTHER")))
    assert broken(refused) == []
    spared = replace(refused, refused_in_the_end=dict.fromkeys(REGIONS, frozenset({"KEY"})))
    assert broken(spared) == [1, 1, 1]
