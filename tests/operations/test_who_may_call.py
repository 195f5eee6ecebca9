"""Which credential may call which operation, row by row (spec 3.0.1), and what revokes the session it is of."""

from __future__ import annotations

import json

import pytest

from stsd import operations
from stsd.errors import StsError
from stsd.principal import Caller
from stsd.revocation.revocation_set import Revocation, RevocationSet
from stsd.view import View
from tests.operations import acting
from tests.world.worlds import ACME, GLOBEX, KEY_OF_ACME, account, allow, key, role, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
ROOT = f"arn:aws:iam::{ACME}:root"
MEMBER = f"arn:aws:iam::{GLOBEX}:root"
ANN = f"arn:aws:sts::{ACME}:federated-user/ann"
DEPLOYED = f"arn:aws:sts::{ACME}:assumed-role/deploy/s1"
ANYTHING = json.dumps(allow("*"))
CALLS = {
    "AssumeRole": {"RoleArn": f"arn:aws:iam::{ACME}:role/deploy", "RoleSessionName": "s1"},
    "AssumeRoot": {
        "TargetPrincipal": GLOBEX,
        "TaskPolicyArn.arn": "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials",
    },
    "DecodeAuthorizationMessage": {"EncodedMessage": "m"},
    "GetAccessKeyInfo": {"AccessKeyId": KEY_OF_ACME},
    "GetCallerIdentity": {},
    "GetDelegatedAccessToken": {"TradeInToken": "t"},
    "GetFederationToken": {"Name": "ann", "Policy": ANYTHING},
    "GetSessionToken": {},
    "GetWebIdentityToken": {"Audience.member.1": "a", "SigningAlgorithm": "ES384"},
}
"""Every operation that is authenticated."""
REFUSED = "refused"
LETS_IN = {
    "DecodeAuthorizationMessage": (400, "InvalidAuthorizationMessageException", "message_does_not_open"),
    "GetDelegatedAccessToken": (403, "AccessDenied", "invalid_trade_in_token"),
}
"""What those hear who may call: of an encoded message and a trade-in token that nobody made, that they are none."""
ISSUED = "Cannot call {} with session credentials"
NO_ROLES = "Roles may not be assumed by root accounts."
MAY = {
    "user": set(CALLS),
    "root": {"DecodeAuthorizationMessage", "GetAccessKeyInfo", "GetCallerIdentity", "GetDelegatedAccessToken",
             "GetFederationToken", "GetSessionToken"},
    "session of a user": {"AssumeRole", "GetCallerIdentity", "GetWebIdentityToken"},
    "session of root": {"GetCallerIdentity"},
    "role session": set(CALLS) - {"GetFederationToken", "GetSessionToken"},
    "federated user": {"GetCallerIdentity"},
    "federated user of root": {"GetCallerIdentity"},
    "assumed root": {"GetCallerIdentity"},
}  # fmt: skip


def run(view: View, caller: Caller, action: str) -> operations.Result:
    call = acting.call(action, **CALLS[action])
    result = operations.OPERATIONS["sts", action].run(call, caller, acting.request(), view, acting.NOW)
    assert not isinstance(result, operations.Pending)
    return result


def refusal(view: View, caller: Caller, action: str) -> tuple[int, str, str] | None:
    """Status, code and the log's reason, which of those who may not call is only that they may not; None for none."""
    try:
        run(view, caller, action)
    except StsError as error:
        known = [reason for _, _, reason in LETS_IN.values()]
        return error.status, error.code, error.reason if error.reason in known else REFUSED
    return None


@pytest.fixture
def view(entropy):
    features = ["RootCredentialsManagement", "RootSessions"]
    people = [user("bob", Policies={"all": allow("*")})]
    roles = [role("deploy", BOB, Policies={"all": allow("*")})]
    roles[0]["AssumeRolePolicyDocument"]["Statement"][0]["Principal"]["AWS"] = [
        BOB,
        f"arn:aws:iam::{ACME}:role/deploy",
    ]
    acme = account(Users=people, Roles=roles, RootAccessKeys=[key()], OutboundWebIdentityFederation=True)
    globex = account(GLOBEX, OutboundWebIdentityFederation=True)
    organization = {"ManagementAccount": ACME, "CentralizedRootAccess": features}
    return acting.view_of({**world(acme, globex), "Organization": organization}, entropy)


@pytest.fixture
def callers(view):
    """One caller for each kind of credential."""
    bob, root = acting.user(view, BOB), acting.user(view, ROOT)
    made = {
        "session of a user": (bob, "GetSessionToken"),
        "session of root": (root, "GetSessionToken"),
        "role session": (bob, "AssumeRole"),
        "federated user": (bob, "GetFederationToken"),
        "federated user of root": (root, "GetFederationToken"),
        "assumed root": (bob, "AssumeRoot"),
    }
    sessions = {
        name: acting.session(view, run(view, maker, action).credentials.session_token)
        for name, (maker, action) in made.items()
    }
    return {"user": bob, "root": root, **sessions}


@pytest.mark.parametrize("action", CALLS)
@pytest.mark.parametrize("who", MAY)
def test_a_credential_may_call_what_its_row_says_and_nothing_else(view, callers, who, action):
    allowed = action in MAY[who]
    assert refusal(view, callers[who], action) == (LETS_IN.get(action) if allowed else (403, "AccessDenied", REFUSED))


@pytest.mark.parametrize("who", ["root", "session of root", "assumed root"])
def test_root_hears_that_it_assumes_no_roles_whatever_it_sends(view, callers, who):
    with pytest.raises(StsError, match=f"^{NO_ROLES}$") as refused:
        operations.OPERATIONS["sts", "AssumeRole"].run(
            acting.call("AssumeRole", DurationSeconds="x"), callers[who], acting.request(), view, acting.NOW
        )
    assert refused.value.status == 403


@pytest.mark.parametrize("action", ["GetFederationToken", "GetSessionToken"])
@pytest.mark.parametrize("who", [name for name in MAY if name not in ("user", "root")])
def test_a_session_hears_that_it_is_one(view, callers, who, action):
    with pytest.raises(StsError, match=f"^{ISSUED.format(action)}$"):
        run(view, callers[who], action)


@pytest.mark.parametrize(
    ("kind", "subject", "ended"),
    [
        ("access_key", KEY_OF_ACME, {"session of root", "federated user of root"}),
        ("access_key", "key of bob", {"session of a user", "role session", "federated user", "assumed root"}),
        ("session", DEPLOYED, {"role session"}),
        ("principal", ROOT, {"session of root"}),
        ("principal", MEMBER, {"assumed root"}),
        ("principal", BOB, {"session of a user"}),
        ("principal", ANN, {"federated user", "federated user of root"}),
        ("account", GLOBEX, {"assumed root"}),
        ("account", ACME, set(MAY) - {"user", "root", "assumed root"}),
    ],
)
def test_a_revocation_ends_the_sessions_of_its_subject_and_no_other(callers, kind, subject, ended):
    subject = callers["user"].access_key_id if subject == "key of bob" else subject
    cutoff_ms = 0 if kind == "access_key" else int(acting.NOW * 1000) + 1
    revocations = RevocationSet()
    revocations.add(Revocation(kind, subject, cutoff_ms, int(acting.NOW) + 129_600), "us-east-1", acting.NOW)
    sessions = {name: caller.session for name, caller in callers.items() if caller.session is not None}
    assert {name for name, session in sessions.items() if revocations.check(session, acting.NOW)} == ended
