"""POST /v1/revocations: which subjects are understood. Nothing is accepted that would revoke nothing."""

from __future__ import annotations

import json

import pytest

from stsd.errors import ValidationError
from stsd.operations.v1 import revoke
from tests.operations import acting
from tests.world.worlds import ACME, account, user, world

ADMIN = f"arn:aws:iam::{ACME}:user/ann"


@pytest.fixture
def view(entropy):
    return acting.view_of(world(account(Users=[user("ann", Administrator=True)])), entropy)


def decide(view, content: str | dict[str, object]):
    body = (content if isinstance(content, str) else json.dumps(content)).encode()
    return revoke.run(acting.request(body), acting.user(view, ADMIN), view, acting.NOW).revocation


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
