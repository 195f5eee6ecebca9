"""GetFederationToken, AssumeRoot, DecodeAuthorizationMessage, GetDelegatedAccessToken (spec 3.5, 3.6, 3.9, 3.10)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stsd.authz import authorize, context, denial_messages
from stsd.authz.evaluate import Decision, Match
from stsd.errors import (
    AccessDenied,
    InvalidAuthorizationMessageException,
    MalformedPolicyDocument,
    RegionDisabledException,
    ValidationError,
)
from stsd.operations.sts import (
    assume_role,
    assume_root,
    decode_authorization_message,
    get_access_key_info,
    get_delegated_access_token,
    get_federation_token,
    get_session_token,
)
from stsd.principal import Caller
from stsd.view import View
from tests.operations import acting
from tests.world.worlds import ACME, GLOBEX, account, allow, deny, key, role, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
DAVE = f"arn:aws:iam::{ACME}:user/dave"
TASK = "arn:aws:iam::aws:policy/root-task/"
S3 = json.dumps(allow("s3:GetObject"))


@pytest.fixture
def view(entropy):
    organization = {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement"]}
    people = [user("bob", Policies={"all": allow("*")}), user("dave")]
    document = world(account(Users=people, Roles=[role(principal=BOB)], RootAccessKeys=[key()]), account(GLOBEX))
    return acting.view_of({**document, "Organization": organization}, entropy)


def root(view: View) -> Caller:
    return acting.user(view, f"arn:aws:iam::{ACME}:root")


def federate(view: View, caller: Caller, **parameters: str) -> get_federation_token.Result:
    call = acting.call("GetFederationToken", **{"Name": "ann", **parameters})
    return get_federation_token.run(call, caller, acting.request(), view, acting.NOW)


def may(view: View, token: str, action: str) -> bool:
    caller = acting.session(view, token)
    keys = context.build(acting.request(), caller, view, acting.NOW)
    return authorize.decide(caller, action, "*", keys, view).allowed


def test_a_federated_user_may_what_its_maker_and_its_session_policy_allow(view):
    result = federate(view, acting.user(view, BOB), Policy=S3)
    assert result.members()[1:] == (
        ("FederatedUser", (("FederatedUserId", f"{ACME}:ann"), ("Arn", f"arn:aws:sts::{ACME}:federated-user/ann"))),
        ("PackedPolicySize", 4),
    )
    token = result.credentials.session_token
    assert may(view, token, "s3:GetObject")
    assert not may(view, token, "s3:PutObject")
    caller = acting.session(view, token)
    assert (caller.principal.arn, caller.principal.user_id) == (
        f"arn:aws:sts::{ACME}:federated-user/ann",
        f"{ACME}:ann",
    )
    keys = context.build(acting.request(), caller, view, acting.NOW)
    assert (keys["aws:principaltype"], keys["aws:multifactorauthpresent"]) == ("FederatedUser", "false")
    assert "aws:username" not in keys


def test_without_a_session_policy_a_federated_user_may_nothing(view):
    result = federate(view, acting.user(view, BOB))
    assert result.packed_policy_size == 0
    assert not may(view, result.credentials.session_token, "s3:GetObject")


def test_the_root_user_federates_for_an_hour_at_most(view):
    result = federate(view, root(view), DurationSeconds="7200", Policy=S3)
    assert result.credentials.expiration == int(acting.NOW) + 3600
    assert may(view, result.credentials.session_token, "s3:GetObject")
    assert not may(view, result.credentials.session_token, "s3:PutObject")


def test_who_may_not_federate_is_told_the_federated_user(view):
    said = rf"perform: sts:GetFederationToken on resource: arn:aws:sts::{ACME}:federated-user/ann because no identity"
    with pytest.raises(AccessDenied, match=said):
        federate(view, acting.user(view, DAVE))


def test_temporary_credentials_do_not_federate(view):
    issued = get_session_token.run(
        acting.call("GetSessionToken"), acting.user(view, BOB), acting.request(), view, acting.NOW
    )
    with pytest.raises(AccessDenied, match=r"^Cannot call GetFederationToken with session credentials$"):
        federate(view, acting.session(view, issued.credentials.session_token))


def test_tags_of_a_federated_user_need_tag_session(entropy):
    policies = {"federate": allow("sts:GetFederationToken"), "not": deny("sts:TagSession")}
    view = acting.view_of(world(account(Users=[user("bob", Policies=policies)])), entropy)
    caller = acting.user(view, BOB)
    with pytest.raises(
        AccessDenied, match=r"sts:TagSession on resource: .* with an explicit deny in an identity-based"
    ):
        federate(view, caller, Tags__member__1__Key="a", Tags__member__1__Value="b")
    federate(view, caller)


def test_a_federated_user_has_the_tags_that_were_passed_and_not_those_of_its_maker(entropy):
    condition = {"StringEquals": {"aws:RequestTag/Dept": "eng"}, "ForAllValues:StringEquals": {"aws:TagKeys": ["Dept"]}}
    policy = allow("sts:*")
    policy["Statement"][0]["Condition"] = condition
    view = acting.view_of(
        world(account(Users=[user("bob", Tags={"Dept": "hr", "Cost": "1"}, Policies={"tagged": policy})])), entropy
    )
    bob = acting.user(view, BOB)
    tagged = {"Tags__member__1__Key": "Dept", "Tags__member__1__Value": "eng"}
    result = federate(view, bob, **tagged)
    assert result.packed_policy_size == 2
    keys = context.build(acting.request(), acting.session(view, result.credentials.session_token), view, acting.NOW)
    assert {key: value for key, value in keys.items() if "tag" in key} == {"aws:principaltag/dept": "eng"}
    for wrong in ({}, tagged | {"Tags__member__1__Value": "hr"}, tagged | {"Tags__member__1__Key": "dept"}):
        with pytest.raises(AccessDenied):
            federate(view, bob, **wrong)


def test_managed_session_policies_of_a_federated_user_are_known_and_limit(view):
    bob = acting.user(view, BOB)
    task = TASK + "S3UnlockBucketPolicy"
    token = federate(view, bob, PolicyArns__member__1__arn=task).credentials.session_token
    assert may(view, token, "s3:GetBucketPolicy")
    assert not may(view, token, "s3:GetObject")
    unknown = f"arn:aws:iam::{ACME}:policy/None"
    with pytest.raises(MalformedPolicyDocument, match=rf"^Policy {unknown} does not exist or is not attachable\.$"):
        federate(view, bob, PolicyArns__member__1__arn=unknown)


@pytest.mark.parametrize(("who", "sent", "lasts_s"), [
    ("bob", {}, 43_200), ("bob", {"DurationSeconds": "129600"}, 129_600), ("root", {}, 3_600),
    ("root", {"DurationSeconds": "129600"}, 3_600), ("root", {"DurationSeconds": "900"}, 900),
])  # fmt: skip
def test_how_long_the_sessions_of_users_and_root_users_last(view, who, sent, lasts_s):
    caller = root(view) if who == "root" else acting.user(view, BOB)
    call = acting.call("GetSessionToken", **sent)
    issued = get_session_token.run(call, caller, acting.request(), view, acting.NOW)
    for credentials in (federate(view, caller, **sent).credentials, issued.credentials):
        assert credentials.expiration == int(acting.NOW) + lasts_s


def test_a_federated_user_may_call_nothing_but_get_caller_identity(view):
    caller = acting.session(
        view, federate(view, acting.user(view, BOB), Policy=json.dumps(allow("*"))).credentials.session_token
    )
    with pytest.raises(
        AccessDenied, match=rf"is not authorized to perform: sts:AssumeRole on resource: arn:aws:iam::{ACME}"
    ):
        assume_role.run(
            acting.call("AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/deploy", RoleSessionName="s1"),
            caller, acting.request(), view, acting.NOW,
        )  # fmt: skip
    ask = acting.call("GetAccessKeyInfo", AccessKeyId="AKIARTX3GSDSQAAAAAAA")
    with pytest.raises(AccessDenied):
        get_access_key_info.run(ask, caller, acting.request(), view, acting.NOW)


def test_a_federated_user_assumes_no_role_not_even_one_that_names_it(entropy):
    ann = f"arn:aws:sts::{ACME}:federated-user/ann"
    roles = [role("of-account"), role("of-ann", ann), role("of-all", "*")]
    view = acting.view_of(world(account(Users=[user("bob", Policies={"all": allow("*")})], Roles=roles)), entropy)
    issued = federate(view, acting.user(view, BOB), Policy=json.dumps(allow("*"))).credentials
    for name in ("of-account", "of-ann", "of-all"):
        call = acting.call("AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/{name}", RoleSessionName="s1")
        with pytest.raises(AccessDenied, match=r"is not authorized to perform: sts:AssumeRole on resource"):
            assume_role.run(call, acting.session(view, issued.session_token), acting.request(), view, acting.NOW)


def as_root(view: View, caller: Caller, target: str = GLOBEX, task: str = "IAMAuditRootUserCredentials", **more: str):
    sent = {"TargetPrincipal": target, "TaskPolicyArn.arn": TASK + task, **more}
    return assume_root.run(acting.call("AssumeRoot", **sent), caller, acting.request(), view, acting.NOW)


@pytest.mark.parametrize("target", [GLOBEX, f"arn:aws:iam::{GLOBEX}:root"])
def test_the_root_user_of_a_member_may_what_the_task_allows(view, target):
    token = as_root(view, acting.user(view, BOB), target).credentials.session_token
    caller = acting.session(view, token)
    assert (caller.principal.arn, caller.principal.user_id) == (f"arn:aws:iam::{GLOBEX}:root", GLOBEX)
    assert view.holder(caller.principal) is view.directory.root_users[GLOBEX]
    assert context.build(acting.request(), caller, view, acting.NOW)["aws:assumedroot"] == "true"
    assert may(view, token, "iam:ListAccessKeys")
    assert not may(view, token, "iam:DeleteAccessKey")
    assert not may(view, token, "s3:GetObject")


def test_a_session_of_assume_root_lasts_a_quarter_of_an_hour_at_most(view):
    bob = acting.user(view, BOB)
    assert as_root(view, bob).credentials.expiration == int(acting.NOW) + 900
    assert as_root(view, bob, DurationSeconds="0").credentials.expiration == int(acting.NOW)
    with pytest.raises(ValidationError, match=r"less than or equal to 900"):
        as_root(view, bob, DurationSeconds="901")


@pytest.mark.parametrize(
    ("target", "task", "said"),
    [
        ("alice in accounting", "IAMAuditRootUserCredentials", "^Request must contain a valid target principal$"),
        (f"arn:aws:iam::{GLOBEX}:user/x", "S3UnlockBucketPolicy", "^Request must contain a valid target principal$"),
        (f"{GLOBEX}:root", "S3UnlockBucketPolicy", "^Request must contain a valid target principal$"),
        (GLOBEX, "Everything", "^Request must contain valid AWS managed task policy ARN$"),
    ],
)
def test_what_is_no_target_or_no_task_is_told(view, target, task, said):
    with pytest.raises(ValidationError, match=said):
        as_root(view, acting.user(view, BOB), target, task)


def test_who_is_not_let_be_root_hears_the_same_whatever_the_reason(view):
    bob, session = acting.user(view, BOB), None
    issued = get_session_token.run(acting.call("GetSessionToken"), bob, acting.request(), view, acting.NOW)
    session = acting.session(view, issued.credentials.session_token)
    refusals = [
        (root(view), GLOBEX, "IAMAuditRootUserCredentials"),
        (session, GLOBEX, "IAMAuditRootUserCredentials"),
        (acting.user(view, DAVE), GLOBEX, "IAMAuditRootUserCredentials"),
        (bob, ACME, "IAMAuditRootUserCredentials"),
        (bob, "999999999999", "IAMAuditRootUserCredentials"),
        (bob, GLOBEX, "S3UnlockBucketPolicy"),
    ]
    for caller, target, task in refusals:
        said = f"is not authorized to perform: sts:AssumeRoot on resource: arn:aws:iam::{target}:root$"
        with pytest.raises(AccessDenied, match=said):
            as_root(view, caller, target, task)


def test_only_the_management_account_and_its_delegates_are_root_elsewhere(entropy):
    third = "777788889999"
    erin, fred = (f"arn:aws:iam::{account_id}:user/erin" for account_id in (GLOBEX, third))
    organization = {
        "ManagementAccount": ACME,
        "DelegatedAdministrators": [{"Account": GLOBEX, "Service": "iam.amazonaws.com"}],
        "CentralizedRootAccess": ["RootCredentialsManagement"],
    }
    members = (account(each, Users=[user("erin", Policies={"all": allow("*")})]) for each in (GLOBEX, third))
    view = acting.view_of({**world(account(), *members), "Organization": organization}, entropy)
    as_root(view, acting.user(view, erin), third)
    for caller, target in ((fred, GLOBEX), (fred, third), (erin, ACME)):
        with pytest.raises(AccessDenied, match=rf"sts:AssumeRoot on resource: arn:aws:iam::{target}:root$"):
            as_root(view, acting.user(view, caller), target)


def test_policies_can_tell_the_task_and_the_account_of_a_root_session(entropy):
    organization = {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement", "RootSessions"]}
    policy = allow("sts:AssumeRoot")
    policy["Statement"][0]["Condition"] = {
        "StringEquals": {"sts:TaskPolicyArn": TASK + "S3UnlockBucketPolicy", "aws:ResourceAccount": GLOBEX}
    }
    people = [user("bob", Policies={"audit": policy})]
    members = account(Users=people), account(GLOBEX), account("777788889999")
    view = acting.view_of({**world(*members), "Organization": organization}, entropy)
    bob = acting.user(view, BOB)
    as_root(view, bob, task="S3UnlockBucketPolicy")
    for target, task in ((GLOBEX, "IAMAuditRootUserCredentials"), ("777788889999", "S3UnlockBucketPolicy")):
        with pytest.raises(AccessDenied):
            as_root(view, bob, target, task)


def test_a_root_session_goes_on_under_the_source_identity_of_who_asked(entropy):
    trusting = role(principal=BOB, Policies={"all": allow("*")})
    trusting["AssumeRolePolicyDocument"]["Statement"][0]["Action"] = ["sts:AssumeRole", "sts:SetSourceIdentity"]
    organization = {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement"]}
    made = world(account(Users=[user("bob")], Roles=[trusting]), account(GLOBEX))
    view = acting.view_of({**made, "Organization": organization}, entropy)
    call = acting.call(
        "AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/deploy", RoleSessionName="s1", SourceIdentity="bob"
    )
    issued = assume_role.run(call, acting.user(view, BOB), acting.request(), view, acting.NOW)
    assert isinstance(issued, assume_role.Result)
    result = as_root(view, acting.session(view, issued.credentials.session_token))
    assert result.members()[1:] == (("SourceIdentity", "bob"),)
    session = acting.session(view, result.credentials.session_token).session
    assert session is not None
    assert session.source_identity == "bob"


def test_without_an_organization_nobody_is_root_elsewhere(entropy):
    view = acting.view_of(world(account(Users=[user("bob", Administrator=True)]), account(GLOBEX)), entropy)
    with pytest.raises(AccessDenied):
        as_root(view, acting.user(view, BOB))


def decode(view: View, caller: Caller, message: str) -> str:
    call = acting.call("DecodeAuthorizationMessage", EncodedMessage=message)
    return decode_authorization_message.run(call, caller, acting.request(), view, acting.NOW).document


def test_a_message_opens_for_the_account_whose_request_was_denied(view, entropy):
    view.message_key = b"k" * 32
    bob = acting.user(view, BOB)
    decision = Decision("explicit_deny", "explicit_deny_identity", (Match("no", "Stop", "Deny"),))
    keys: context.Context = {"aws:requestedregion": "us-east-1", "aws:tagkeys": ("a", "b")}
    text = denial_messages.document(decision, bob.principal, "ec2:RunInstances", "*", keys)
    told = json.loads(decode(view, bob, denial_messages.seal(view.message_key, ACME, text, entropy)))
    assert (told["allowed"], told["explicitDeny"]) == (False, True)
    assert told["matchedStatements"]["items"][0]["statementId"] == "Stop"
    assert told["context"]["principal"] == {"id": bob.principal.user_id, "name": "bob", "arn": BOB}
    assert told["context"]["conditions"]["items"][1]["values"]["items"] == [{"value": "a"}, {"value": "b"}]

    foreign = denial_messages.seal(view.message_key, GLOBEX, text, entropy)
    changed = denial_messages.seal(view.message_key, ACME, text, entropy)[:-4] + "AAAA"
    for message in (foreign, changed, "nonsense", "äöü", "A"):
        with pytest.raises(InvalidAuthorizationMessageException, match=r"^Message is not valid$"):
            decode(view, bob, message)
    with pytest.raises(
        AccessDenied, match=r"because no identity-based policy allows the sts:DecodeAuthorizationMessage"
    ):
        decode(view, acting.user(view, DAVE), foreign)


@pytest.mark.parametrize("inserted", ["!", " ", "\n", "=", "+", "/"], ids=repr)
def test_a_message_with_something_else_inserted_is_another_message(view, entropy, inserted):
    view.message_key = b"k" * 32
    message, bob = denial_messages.seal(view.message_key, ACME, "{}", entropy), acting.user(view, BOB)
    assert decode(view, bob, message) == "{}"
    for at in (0, 9, len(message)):
        with pytest.raises(InvalidAuthorizationMessageException):
            decode(view, bob, message[:at] + inserted + message[at:])


def test_a_message_is_written_in_one_way_only(view, entropy):
    view.message_key = b"k" * 32
    message = denial_messages.seal(view.message_key, ACME, "{ }", entropy)
    # The bits of the last character that belong to no byte are zero (RFC 4648 section 3.5).
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    assert len(message) % 4
    with pytest.raises(InvalidAuthorizationMessageException):
        decode(view, acting.user(view, BOB), message[:-1] + alphabet[alphabet.index(message[-1]) + 1])


def test_no_trade_in_token_is_valid(view):
    call = acting.call("GetDelegatedAccessToken", TradeInToken="t")
    with pytest.raises(AccessDenied, match=r"because no identity-based policy allows the sts:GetDelegatedAccessToken"):
        get_delegated_access_token.run(call, acting.user(view, DAVE), acting.request(), view, acting.NOW)
    with pytest.raises(AccessDenied, match=r"trade-in token"):
        get_delegated_access_token.run(call, acting.user(view, BOB), acting.request(), view, acting.NOW)


def test_an_account_gets_no_sessions_in_a_region_that_it_has_not_enabled(view):
    view.region = "af-south-1"
    bob = acting.user(view, BOB)
    with pytest.raises(RegionDisabledException, match=rf"STS is not activated in this region for account:{ACME}"):
        federate(view, bob)
    through_the_global_endpoint = replace(acting.request(), endpoint="global")
    call = acting.call("GetSessionToken")
    issued = get_session_token.run(call, bob, through_the_global_endpoint, view, acting.NOW)
    session = acting.session(view, issued.credentials.session_token).session
    assert session is not None
    assert session.token_version == 1
