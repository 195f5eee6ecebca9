"""POST /v1/revocations: which subjects are understood. Nothing is accepted that would revoke nothing."""

from __future__ import annotations

import json

import pytest

from stsd.errors import ValidationError
from stsd.operations.v1 import revoke
from stsd.revocation.revocation_set import FORGET_AFTER_S
from stsd.tokens.credentials import Grant
from tests.operations import acting
from tests.world.worlds import ACME, account, user, world

ADMIN = f"arn:aws:iam::{ACME}:user/ann"


@pytest.fixture
def view(entropy):
    return acting.view_of(world(account(Users=[user("ann", Administrator=True)])), entropy)


def decide(view, content: str | dict[str, object]):
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    return revoke.run(acting.request(body), acting.user(view, ADMIN), view, acting.NOW, acting.NOW).revocation


@pytest.mark.parametrize(
    ("member", "value", "kind"),
    [
        ("role_arn", f"arn:aws:iam::{ACME}:role/deploy", "role"),
        ("role_arn", f"arn:aws:iam::{ACME}:role/team:a/*/deploy", "role"),
        ("principal_arn", f"arn:aws:iam::{ACME}:role/deploy", "role"),
        ("principal_arn", f"arn:aws:iam::{ACME}:user/team/bob", "principal"),
        ("principal_arn", f"arn:aws:iam::{ACME}:root", "principal"),
        ("principal_arn", f"arn:aws:sts::{ACME}:federated-user/bob", "principal"),
        ("session_arn", f"arn:aws:sts::{ACME}:assumed-role/deploy/bob@home", "session"),
        ("account_id", ACME, "account"),
    ],
)
def test_every_form_of_a_subject_is_understood(view, member, value, kind):
    decided = decide(view, {member: value})
    assert (decided.kind, decided.subject) == (kind, value)


@pytest.mark.parametrize(
    ("member", "value"),
    [
        ("role_arn", f"arn:aws:iam::{ACME}:role/*"),
        ("role_arn", f"arn:aws:iam::{ACME}:role/team/deplo?"),
        ("role_arn", f"arn:aws:iam::{ACME}:role/"),
        ("role_arn", f"arn:aws:iam::{ACME}:role/deploy\n"),
        ("principal_arn", f"arn:aws:iam::{ACME}:user/*"),
        ("principal_arn", f"arn:aws:iam::{ACME}:user/team/"),
        ("principal_arn", f"arn:aws:iam::{ACME}:root/x"),
        ("principal_arn", f"arn:aws:sts::{ACME}:federation"),
        ("session_arn", f"arn:aws:sts::{ACME}:assumed-role/deploy/*"),
        ("session_arn", f"arn:aws:sts::{ACME}:assumed-role/team/deploy/bob"),
        ("role_arn", f"arn:aws:iam::{ACME}:role/{'r' * 2_048}"),
    ],
)
def test_a_subject_that_names_nobody_is_refused(view, member, value):
    with pytest.raises(ValidationError, match=f"^{member}"):
        decide(view, {member: value})


def test_a_subject_given_twice_is_refused(view):
    one, other = (f'"role_arn": "arn:aws:iam::{ACME}:role/{name}"' for name in ("a", "b"))
    with pytest.raises(ValidationError, match=r"^Member 'role_arn' is given twice$"):
        decide(view, f"{{{one}, {other}}}")


ROLE = f"arn:aws:iam::{ACME}:role/deploy"
SET_BACK_S = 5


def decide_at(view, now: float, content: dict[str, object], wall_now: float | None = None):
    request = acting.request(json.dumps(content).encode())
    return revoke.run(request, acting.user(view, ADMIN), view, now, now if wall_now is None else wall_now)


@pytest.mark.parametrize(
    ("subject", "own"),
    [({"account_id": ACME}, ACME), ({"principal_arn": ADMIN}, ADMIN)],
)
def test_a_clock_that_is_set_back_between_issue_and_cut_off_lets_nothing_escape(view, subject, own):
    caller = acting.user(view, ADMIN)
    before = acting.session(view, view.issue(Grant(caller.principal, 36 * 3600), caller, acting.NOW).session_token)
    wanted = decide_at(view, acting.NOW - SET_BACK_S, subject)
    view.revocations.add(wanted.revocation, view.region, acting.NOW)
    assert view.revocations.check(before.session, acting.NOW) is not None
    assert wanted.clock_behind_s == pytest.approx(SET_BACK_S, abs=0.01)
    # It refuses them as long as they live, and by then spares what is issued.
    assert wanted.revocation.applies_until + FORGET_AFTER_S >= before.session.expires_at
    later = acting.session(view, view.issue(Grant(caller.principal, 900), caller, acting.NOW + 1).session_token)
    assert view.revocations.check(later.session, acting.NOW + 1) is None


@pytest.mark.parametrize("content", [{"account_id": ACME}, {"role_arn": ROLE}])
def test_a_session_of_the_same_millisecond_is_judged_by_the_order(view, content):
    caller = acting.user(view, ADMIN)
    grant = Grant(caller.principal, 900)
    before = view.tokens.open(view.issue(grant, caller, acting.NOW).session_token).session
    cutoff_ms = decide_at(view, acting.NOW, content).revocation.issued_before_ms
    after = view.tokens.open(view.issue(grant, caller, acting.NOW).session_token).session
    assert before.issued_at_ms < cutoff_ms <= after.issued_at_ms


def test_a_session_arn_is_refused_until_now_and_not_afterwards(view):
    caller = acting.user(view, ADMIN)
    before = view.issue(Grant(caller.principal, 900), caller, acting.NOW)
    session_arn = f"arn:aws:sts::{ACME}:assumed-role/deploy/bob"
    limit_ms = decide_at(view, acting.NOW - 1, {"session_arn": session_arn}).revocation.issued_before_ms
    after = view.issue(Grant(caller.principal, 900), caller, acting.NOW - 1)
    issued = [view.tokens.open(each.session_token).session.issued_at_ms for each in (before, after)]
    assert issued[0] <= limit_ms < issued[1]


def test_what_peers_and_journal_know_of_the_regions_clock_counts_after_a_restart(view):
    view.replica.committed(view.replica.append((b"entry",), acting.NOW + SET_BACK_S), acting.NOW)
    wanted = decide_at(view, acting.NOW, {"role_arn": ROLE})
    assert wanted.revocation.issued_before_ms == (acting.NOW + SET_BACK_S) * 1000
    assert wanted.clock_behind_s == SET_BACK_S
    moved = decide_at(view, acting.NOW + 60, {"role_arn": ROLE}, wall_now=acting.NOW)  # service time is not real time
    assert moved.revocation.issued_before_ms == (acting.NOW + 60 + SET_BACK_S) * 1000


def test_an_instant_that_was_given_is_taken_as_it_is(view):
    caller = acting.user(view, ADMIN)
    view.issue(Grant(caller.principal, 900), caller, acting.NOW)
    wanted = decide_at(view, acting.NOW - SET_BACK_S, {"role_arn": ROLE, "issued_before": acting.NOW - 60})
    assert wanted.revocation.issued_before_ms == (acting.NOW - 60) * 1000
