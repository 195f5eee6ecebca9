"""AssumeRole without a node around it: what is issued can be used."""

from __future__ import annotations

import json
from typing import Any

import pytest

from stsd.errors import AccessDenied, PackedPolicyTooLarge
from stsd.operations.sts import assume_role, assume_root
from stsd.tokens.session_token import MAX_TOKEN_CHARACTERS
from tests.operations import acting
from tests.world.worlds import ACME, GLOBEX, account, allow, role, user, world

NAME = "r" * 64
ROLE = f"arn:aws:iam::{ACME}:role/{NAME}"
BOB = f"arn:aws:iam::{ACME}:user/bob"
TASK = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"


@pytest.fixture
def view(entropy):
    chaining = role(NAME, Policies={"all": allow("*")})
    chaining["AssumeRolePolicyDocument"]["Statement"][0]["Principal"] = {"AWS": [BOB, ROLE]}
    accounts = world(account(Users=[user("bob")], Roles=[chaining]), account(GLOBEX))
    organization = {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement"]}
    return acting.view_of({**accounts, "Organization": organization}, entropy)


def assume(view, caller, **more: str) -> Any:
    call = acting.call("AssumeRole", RoleArn=ROLE, RoleSessionName="s" * 64, **more)
    return assume_role.run(call, caller, acting.request(), view, acting.NOW)


def policy_of(text_bytes: int) -> str:
    """A session policy of so many bytes whose text doubles where it is quoted."""
    statement = {"Sid": "", "Effect": "Allow", "Action": "*", "Resource": "*"}
    empty = json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))
    statement["Sid"] = '"' * ((text_bytes - len(empty)) // 2)
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]}, separators=(",", ":"))


def test_the_largest_session_at_the_end_of_the_longest_chain_fits_into_a_header(view):
    caller = acting.user(view, BOB)
    for _ in range(16):
        caller = acting.session(view, assume(view, caller).credentials.session_token)
    issued = assume(view, caller, Policy=policy_of(3_072))
    assert issued.packed_policy_size == 100
    assert len(issued.credentials.session_token) < MAX_TOKEN_CHARACTERS
    assert acting.session(view, issued.credentials.session_token).session.filtered


def test_no_session_is_made_from_a_chain_of_more_than_sixteen(view):
    caller = acting.user(view, BOB)
    for _ in range(17):
        caller = acting.session(view, assume(view, caller).credentials.session_token)
    with pytest.raises(AccessDenied, match=r"^Roles may not be chained more than 16 deep\.$"):
        assume(view, caller)
    call = acting.call("AssumeRoot", TargetPrincipal=GLOBEX, TaskPolicyArn__arn=TASK)
    with pytest.raises(AccessDenied, match=r"^Roles may not be chained more than 16 deep\.$"):
        assume_root.run(call, caller, acting.request(), view, acting.NOW)


@pytest.mark.parametrize(
    ("document", "percent"),
    [(policy_of(3_200), 105), ("[" * 200_000, 6_511)],
    ids=["too large once read", "too large to be read"],
)
def test_a_policy_that_would_make_the_token_unusable_is_refused(view, document, percent):
    with pytest.raises(PackedPolicyTooLarge, match=f"^Packed policy consumes {percent}% of allotted space"):
        assume(view, acting.user(view, BOB), Policy=document)
