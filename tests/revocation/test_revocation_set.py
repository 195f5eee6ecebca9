"""What each kind of revocation refuses, and what it does not (contract 6 and 10)."""

from dataclasses import replace
from itertools import permutations

import pytest

from stsd.principal import Ancestor, Principal, Session
from stsd.revocation.revocation_set import (
    DESCENDANTS_LIVE_S,
    EPSILON_MS,
    FORGET_AFTER_S,
    Revocation,
    RevocationSet,
)

NOW = 1_795_435_200.0
NOW_MS = 1_795_435_200_000
HOME, AWAY = "eu-west-1", "us-east-1"
ACCOUNT = "111122223333"
USER = f"arn:aws:iam::{ACCOUNT}:user/ana"
ROLE = f"arn:aws:iam::{ACCOUNT}:role/deep/build"
SESSION = f"arn:aws:sts::{ACCOUNT}:assumed-role/build/ci"
KEY = "AKIAEXAMPLE0000000000"

ROLE_PRINCIPAL = Principal("assumed_role", ACCOUNT, SESSION, "AROAX:ci", ROLE, "AROAX", "build")
USER_PRINCIPAL = Principal("user", ACCOUNT, USER, "AIDAX", USER, "AIDAX", "ana")


def role_session(issued_at_ms: int = NOW_MS - 1, region: str = HOME, **changes) -> Session:
    session = Session(
        access_key_id="ASIAROLE",
        principal=ROLE_PRINCIPAL,
        token_id="t",
        key_id="k",
        issuer="i",
        region=region,
        issued_at_ms=issued_at_ms,
        expires_at=int(NOW) + 3600,
        ancestors=(Ancestor(KEY, USER, 0, ""), Ancestor("ASIAUSER", USER, NOW_MS - 5_000, HOME)),
        source_identity="ana",
    )
    return replace(session, **changes)


def user_session(issued_at_ms: int = NOW_MS - 1, region: str = HOME) -> Session:
    return role_session(
        issued_at_ms,
        region,
        access_key_id="ASIAUSER",
        principal=USER_PRINCIPAL,
        ancestors=(Ancestor(KEY, USER, 0, ""),),
    )


def revoked(kind: str, subject: str, issued_before_ms: int = NOW_MS, until: int | None = int(NOW) + 36 * 3600):
    revocations = RevocationSet()
    revocations.add(Revocation(kind, subject, issued_before_ms, until), HOME, NOW)
    return revocations


def refusal(revocations: RevocationSet, session: Session, now: float = NOW) -> str | None:
    denial = revocations.check(session, now)
    return denial and denial.error


def test_an_empty_set_refuses_nothing():
    assert RevocationSet().check(role_session(), NOW) is None
    assert RevocationSet().check_key(KEY, NOW) is None


@pytest.mark.parametrize("origin", [HOME, AWAY])
def test_a_cut_off_with_a_home_is_exact_there_whoever_says_it(origin):
    revocations = RevocationSet()
    revocations.add(Revocation("role", ROLE, NOW_MS, None, home=HOME), origin, NOW)
    assert refusal(revocations, role_session(NOW_MS - 1)) == "ExpiredToken"
    assert refusal(revocations, role_session(NOW_MS)) is None
    assert refusal(revocations, role_session(NOW_MS + EPSILON_MS - 1, AWAY)) == "ExpiredToken"
    assert refusal(revocations, role_session(NOW_MS + EPSILON_MS, AWAY)) is None
    again = RevocationSet()
    for revocation, region in revocations.joined():
        again.add(revocation, region, NOW)
    assert refusal(again, role_session(NOW_MS)) is None
    assert refusal(again, role_session(NOW_MS + EPSILON_MS - 1, AWAY)) == "ExpiredToken"


def test_a_named_access_key_is_refused_whenever_it_was_issued():
    revocations = revoked("access_key", "ASIAROLE", 0)
    assert refusal(revocations, role_session(NOW_MS + 10_000)) == "InvalidClientTokenId"
    assert refusal(revocations, role_session(access_key_id="ASIAOTHER")) is None


@pytest.mark.parametrize("ancestor", [KEY, "ASIAUSER"])
def test_every_session_chained_from_a_named_access_key_is_refused(ancestor):
    assert refusal(revoked("access_key", ancestor, 0), role_session()) == "InvalidClientTokenId"


def test_sessions_of_a_named_long_term_key_are_refused_and_so_is_the_key():
    revocations = revoked("access_key", KEY, 0, None)
    assert refusal(revocations, user_session()) == "InvalidClientTokenId"
    assert revocations.check_key(KEY, NOW + 1e9).error == "InvalidClientTokenId"
    assert revocations.check_key("AKIAOTHER", NOW) is None


def test_a_long_term_key_is_not_refused_by_a_cut_off_of_its_user():
    assert revoked("principal", USER).check_key(KEY, NOW) is None


def test_a_named_session_is_refused_when_issued_until_the_cut_off_that_instant_included():
    revocations = revoked("session", SESSION)
    assert refusal(revocations, role_session(NOW_MS)) == "InvalidClientTokenId"
    assert refusal(revocations, role_session(NOW_MS + 1)) is None


def test_what_was_chained_from_a_named_session_is_refused():
    chained = role_session(
        NOW_MS + 60_000,
        principal=replace(ROLE_PRINCIPAL, arn=f"arn:aws:sts::{ACCOUNT}:assumed-role/other/ci", policy_arn="other"),
        ancestors=(Ancestor(KEY, USER, 0, ""), Ancestor("ASIAROLE", SESSION, NOW_MS, HOME)),
    )
    assert refusal(revoked("session", SESSION), chained) == "InvalidClientTokenId"
    later = replace(chained, ancestors=(Ancestor("ASIAROLE", SESSION, NOW_MS + 1, HOME),))
    assert refusal(revoked("session", SESSION), later) is None


CUT_OFFS = [
    ("source_identity", f"{ACCOUNT}/ana", role_session),
    ("role", ROLE, role_session),
    ("principal", USER, user_session),
    ("account", ACCOUNT, role_session),
    ("account", ACCOUNT, user_session),
]


@pytest.mark.parametrize(("kind", "subject", "session"), CUT_OFFS)
def test_a_cut_off_refuses_what_was_issued_before_it_that_instant_excluded(kind, subject, session):
    revocations = revoked(kind, subject)
    assert refusal(revocations, session(NOW_MS - 1)) == "ExpiredToken"
    assert refusal(revocations, session(NOW_MS)) is None


@pytest.mark.parametrize(("kind", "subject", "session"), CUT_OFFS)
def test_a_token_of_another_region_is_refused_up_to_the_skew_allowance(kind, subject, session):
    revocations = revoked(kind, subject)
    assert refusal(revocations, session(NOW_MS + EPSILON_MS - 1, AWAY)) == "ExpiredToken"
    assert refusal(revocations, session(NOW_MS + EPSILON_MS, AWAY)) is None


def test_a_named_session_of_another_region_gets_the_skew_allowance_too():
    revocations = revoked("session", SESSION)
    assert refusal(revocations, role_session(NOW_MS + EPSILON_MS, AWAY)) == "InvalidClientTokenId"
    assert refusal(revocations, role_session(NOW_MS + EPSILON_MS + 1, AWAY)) is None


@pytest.mark.parametrize(
    ("kind", "subject", "session"),
    [
        ("source_identity", f"{ACCOUNT}/bob", role_session()),
        ("source_identity", "444455556666/ana", role_session()),
        ("source_identity", f"{ACCOUNT}/", role_session(source_identity="")),
        ("role", f"arn:aws:iam::{ACCOUNT}:role/build", role_session()),
        ("role", USER, user_session()),
        ("principal", ROLE, role_session()),
        ("principal", SESSION, role_session()),
        ("principal", USER, role_session()),
        ("account", "444455556666", role_session()),
    ],
)
def test_a_revocation_of_something_else_refuses_nothing(kind, subject, session):
    assert refusal(revoked(kind, subject), session) is None


def test_revocations_of_one_subject_join_to_the_latest_in_any_order_and_number():
    parts = [
        (Revocation("role", ROLE, NOW_MS - 5_000, int(NOW) + 900, "first"), HOME),
        (Revocation("role", ROLE, NOW_MS, int(NOW) + 100, "second"), AWAY),
        (Revocation("role", ROLE, NOW_MS - 1_000, int(NOW) + 500, "third"), HOME),
    ]
    sessions = [role_session(NOW_MS + ms, region) for ms in range(-6_000, 3_000, 499) for region in (HOME, AWAY, "x")]
    answers = set()
    for order in permutations((*parts, parts[0])):
        revocations = RevocationSet()
        for revocation, origin_region in order:
            revocations.add(revocation, origin_region, NOW)
        assert len(revocations) == 1
        answers.add(tuple(revocations.check(session, at) for session in sessions for at in (NOW, NOW + 901)))
    assert len(answers) == 1


def test_the_allowance_of_a_joined_cut_off_stays_that_of_each_origin():
    revocations = revoked("role", ROLE, NOW_MS)
    revocations.add(Revocation("role", ROLE, NOW_MS - 1_500, None), AWAY, NOW)
    assert refusal(revocations, role_session(NOW_MS + 499, HOME)) == "ExpiredToken"  # -1,500 + allowance
    assert refusal(revocations, role_session(NOW_MS + 500, HOME)) is None
    assert refusal(revocations, role_session(NOW_MS + 1_999, AWAY)) == "ExpiredToken"


def test_a_cut_off_is_forgotten_when_no_token_it_refuses_can_be_alive():
    until = int(NOW) + 100
    revocations = revoked("role", ROLE, NOW_MS, until)
    assert refusal(revocations, role_session(), until + FORGET_AFTER_S - 1) == "ExpiredToken"
    revocations.forget(until + FORGET_AFTER_S - 1)
    assert len(revocations) == 1
    assert refusal(revocations, role_session(), until + FORGET_AFTER_S) is None
    revocations.forget(until + FORGET_AFTER_S)
    assert len(revocations) == 0


def test_a_later_end_keeps_a_revocation_that_would_have_been_forgotten():
    revocations = revoked("role", ROLE, NOW_MS, int(NOW) + 100)
    revocations.add(Revocation("role", ROLE, NOW_MS - 1, int(NOW) + 1_000), HOME, NOW)
    revocations.forget(NOW + 500)
    assert refusal(revocations, role_session(), NOW + 500) == "ExpiredToken"


def test_a_named_credential_is_remembered_for_the_sessions_that_outlive_it():
    until = int(NOW) + 60
    revocations = revoked("access_key", "ASIAUSER", 0, until)
    chained_until = until + DESCENDANTS_LIVE_S
    revocations.forget(chained_until)
    assert refusal(revocations, role_session(expires_at=chained_until), chained_until) == "InvalidClientTokenId"
    revocations.forget(chained_until + FORGET_AFTER_S)
    assert len(revocations) == 0


def test_a_revocation_for_ever_is_never_forgotten():
    revocations = revoked("access_key", KEY, 0, None)
    revocations.forget(NOW + 1e12)
    assert revocations.check_key(KEY, NOW + 1e12) is not None


def test_a_revocation_that_has_ended_is_not_taken_in():
    revocations = revoked("role", ROLE, NOW_MS, int(NOW) - FORGET_AFTER_S)
    assert len(revocations) == 0
    assert revocations.generation == 0


def test_the_generation_changes_with_every_change_and_only_then():
    revocations = revoked("role", ROLE, NOW_MS, int(NOW) + 100)
    assert revocations.generation == 1
    revocations.add(Revocation("role", ROLE, NOW_MS, int(NOW) + 100), HOME, NOW)
    assert revocations.generation == 1
    revocations.add(Revocation("role", ROLE, NOW_MS, int(NOW) + 100), AWAY, NOW)
    assert revocations.generation == 2
    revocations.forget(NOW + 1_000)
    assert revocations.generation == 3


def test_a_kind_of_a_later_version_is_counted_and_refuses_nothing():
    revocations = revoked("device", ACCOUNT)
    revocations.add(Revocation("device", ACCOUNT, NOW_MS, None), HOME, NOW)
    revocations.add(Revocation("device", ACCOUNT, NOW_MS, None), HOME, NOW)
    assert revocations.unknown == 2
    assert refusal(revocations, role_session()) is None


def test_a_named_revocation_is_told_before_a_cut_off():
    revocations = revoked("account", ACCOUNT)
    revocations.add(Revocation("access_key", "ASIAROLE", 0, None, "stolen"), HOME, NOW)
    assert revocations.check(role_session(), NOW).revocation.reason == "stolen"


def test_the_allowance_for_an_ancestor_is_judged_by_the_region_that_issued_it():
    """A parent of a region whose clock runs ahead is refused, and so is what was chained from it here."""
    parent = Ancestor("ASIAROLE", SESSION, NOW_MS + 1_500, AWAY)
    other = replace(ROLE_PRINCIPAL, arn=SESSION + "2")
    chained = role_session(NOW_MS - 200, principal=other, ancestors=(parent,))
    assert refusal(revoked("session", SESSION), chained) == "InvalidClientTokenId"
    at_home = replace(chained, ancestors=(replace(parent, region=HOME),))
    assert refusal(revoked("session", SESSION), at_home) is None
