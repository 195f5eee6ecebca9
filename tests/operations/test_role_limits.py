"""What bounds a role session whoever asks for it: its trust policy's conditions, durations, chains, managed policies
(spec 3.2.1 to 3.2.5)."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from stsd.authz import authorize, context
from stsd.errors import AccessDenied, MalformedPolicyDocument, StsError, ValidationError
from stsd.operations.sts import assume_role, assume_root, get_session_token
from stsd.principal import Caller
from stsd.tokens.credentials import MAX_CHAIN
from stsd.view import View
from tests.operations import acting
from tests.world.worlds import ACME, GLOBEX, account, allow, trust, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
LOOP = f"arn:aws:iam::{ACME}:role/loop"
OVER_MAXIMUM = r"^The requested DurationSeconds exceeds the MaxSessionDuration set for this role\.$"
OVER_CHAINED = r"^The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining\.$"
CONDITIONS: dict[str, Any] = {
    "external": {"StringEquals": {"sts:ExternalId": "agreed"}},
    "named": {"StringEquals": {"sts:RoleSessionName": "s1"}},
    "owned": {"StringEquals": {"aws:ResourceAccount": ACME}},
    "vouched": {"StringEquals": {"sts:SourceIdentity": "bob"}},
}


def role(name: str, *trusted: str, condition: Any = None, **more: Any) -> dict[str, Any]:
    document = trust("", Principal={"AWS": list(trusted or [BOB])}, Condition=condition or {})
    document["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    return {"RoleName": name, "AssumeRolePolicyDocument": document, "Policies": {"all": allow("*")}, **more}


@pytest.fixture
def view(entropy):
    read = {"ManagedPolicies": [{"PolicyName": "Read", "Document": allow("s3:Get*")}]}
    roles = [
        role("short"),
        role("long", BOB, LOOP, MaxSessionDuration=7200),
        role("loop", BOB, LOOP),
        *(role(name, condition=condition) for name, condition in CONDITIONS.items()),
    ]
    people = [user("bob", Policies={"all": allow("*")})]
    made = world(account(Users=people, Roles=roles, **read), account(GLOBEX, Roles=[role("abroad")], **read))
    organization = {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement"]}
    return acting.view_of({**made, "Organization": organization}, entropy)


def assume(view: View, caller: Caller, name: str, account_id: str = ACME, **more: str) -> Caller:
    sent = {"RoleArn": f"arn:aws:iam::{account_id}:role/{name}", "RoleSessionName": "s1", **more}
    result = assume_role.run(acting.call("AssumeRole", **sent), caller, acting.request(), view, acting.NOW)
    return acting.session(view, result.credentials.session_token)


def as_root(view: View, caller: Caller) -> None:
    task = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
    call = acting.call("AssumeRoot", TargetPrincipal=GLOBEX, TaskPolicyArn__arn=task)
    assume_root.run(call, caller, acting.request(), view, acting.NOW)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("external", {"ExternalId": "agreed"}, [{}, {"ExternalId": "Agreed"}, {"ExternalId": "agreed2"}]),
        ("named", {}, [{"RoleSessionName": "s2"}]),
        ("owned", {}, []),
        ("vouched", {"SourceIdentity": "bob"}, [{}, {"SourceIdentity": "eve"}]),
    ],
)
def test_the_trust_policy_sees_what_is_asked_for(view, name, good, bad):
    bob = acting.user(view, BOB)
    assume(view, bob, name, **good)
    for sent in bad:
        with pytest.raises(AccessDenied, match=rf"perform: sts:AssumeRole on resource: arn:aws:iam::{ACME}:role"):
            assume(view, bob, name, **sent)


def test_temporary_credentials_assume_for_an_hour_at_most_whoever_they_are_of(view):
    bob = acting.user(view, BOB)
    issued = get_session_token.run(acting.call("GetSessionToken"), bob, acting.request(), view, acting.NOW)
    assume(view, bob, "long", DurationSeconds="7200")
    for caller in (assume(view, bob, "loop"), acting.session(view, issued.credentials.session_token)):
        found = assume(view, caller, "long", DurationSeconds="3600").session
        assert found is not None
        assert found.expires_at == int(acting.NOW) + 3600
        with pytest.raises(ValidationError, match=OVER_CHAINED):
            assume(view, caller, "long", DurationSeconds="3601")
        with pytest.raises(ValidationError, match=OVER_MAXIMUM):
            assume(view, caller, "long", DurationSeconds="7201")


def test_a_roles_limits_do_not_show_before_it_lets_in(view):
    for sent in ({"DurationSeconds": "43200"}, {"PolicyArns__member__1__arn": f"arn:aws:iam::{ACME}:policy/None"}):
        with pytest.raises(StsError) as there:
            assume(view, acting.user(view, BOB), "external", **sent)
        with pytest.raises(StsError) as missing:
            assume(view, acting.user(view, BOB), "missing", **sent)
        assert str(there.value).replace("external", "missing") == str(missing.value)
        assert type(there.value) is type(missing.value) is AccessDenied


def test_a_chain_is_as_long_as_a_token_can_tell_and_no_longer(view):
    caller = acting.user(view, BOB)
    for _ in range(MAX_CHAIN + 1):
        as_root(view, caller)
        caller = assume(view, caller, "loop")
    for ask in (lambda: assume(view, caller, "loop"), lambda: as_root(view, caller)):
        with pytest.raises(AccessDenied, match=r"^Roles may not be chained more than 16 deep\.$"):
            ask()


@pytest.mark.parametrize(("owner", "good"), [(GLOBEX, True), (ACME, False)])
def test_managed_policies_are_of_the_account_that_owns_the_role(view, owner, good):
    named = {"PolicyArns__member__1__arn": f"arn:aws:iam::{owner}:policy/Read"}
    bob = acting.user(view, BOB)
    if good:
        assert assume(view, bob, "abroad", GLOBEX, **named).session.session_policy_arns
        return
    with pytest.raises(MalformedPolicyDocument, match=r"does not exist or is not attachable\.$"):
        assume(view, bob, "abroad", GLOBEX, **named)


def test_session_policies_limit_the_chain_even_where_the_trust_policy_names_the_role(view):
    bob = acting.user(view, BOB)
    for policy in (
        {"Policy": json.dumps(allow("s3:*"))},
        {"PolicyArns__member__1__arn": f"arn:aws:iam::{ACME}:policy/Read"},
    ):
        with pytest.raises(AccessDenied):
            assume(view, assume(view, bob, "loop", **policy), "loop")
    free = assume(view, assume(view, bob, "loop", Policy=json.dumps(allow("sts:*"))), "loop")
    assert free.session.session_policies == ()


def test_a_managed_session_policy_that_is_gone_allows_nothing(view):
    read = f"arn:aws:iam::{ACME}:policy/Read"
    limited = assume(view, acting.user(view, BOB), "loop", PolicyArns__member__1__arn=read)
    keys = context.build(acting.request(), limited, view, acting.NOW)
    assert authorize.decide(limited, "s3:GetObject", "*", keys, view).allowed
    view.directory = replace(view.directory, managed_policies={})
    assert authorize.decide(limited, "s3:GetObject", "*", keys, view).reason == "no_session_allow"
    with pytest.raises(AccessDenied):
        assume(view, limited, "loop")
