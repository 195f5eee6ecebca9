"""Where session tokens are valid: versions 1 and 2, default and opt-in regions (spec 5.3, 5.4, contract 4)."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from stsd.authn.authenticate import authenticate
from stsd.authn.sigv4 import SigningKeys
from stsd.authz import context
from stsd.errors import InvalidClientTokenId, RegionDisabledException, StsError
from stsd.operations import OPERATIONS
from stsd.operations.sts import get_session_token
from stsd.operations.v1 import verify
from stsd.principal import ANYBODY, Caller
from stsd.view import View
from stsd.wire.messages import Endpoint, Request
from tests.authn import requests
from tests.conftest import seeded
from tests.oidc import issuing
from tests.operations import acting
from tests.world.worlds import ACME, GLOBEX, account, allow, role, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
ERIN = f"arn:aws:iam::{GLOBEX}:user/erin"
HOME, THERE = (f"arn:aws:iam::{owner}:role/deploy" for owner in (ACME, GLOBEX))
WEB = f"arn:aws:iam::{GLOBEX}:role/ci/builder"
PROVIDER = issuing.PROVIDER.replace(ACME, GLOBEX)
WORLD = {
    **world(
        account(
            Users=[user("bob", Policies={"all": allow("*")})],
            Roles=[role(principal=GLOBEX)],
            EnabledRegions=["af-south-1"],
        ),
        account(
            GLOBEX,
            Users=[user("erin", Policies={"all": allow("*")})],
            Roles=[
                role(principal=ACME),
                {"RoleName": "builder", "Path": "/ci/", "AssumeRolePolicyDocument": issuing.trust(federated=PROVIDER)},
            ],
            OpenIDConnectProviders=[issuing.provider(Jwks=issuing.jwks(issuing.jwk(issuing.rsa())))],
            GlobalEndpointTokenVersion="v2Token",
        ),
    ),
    "Organization": {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement"]},
}


@pytest.fixture
def view() -> View:
    return acting.view_of(WORLD, seeded(1))


def refusal(request: Request, view: View) -> type[StsError] | None:
    try:
        authenticate(request, view, SigningKeys(), acting.NOW, acting.NOW)
    except StsError as error:
        return type(error)
    return None


@pytest.mark.parametrize(
    ("who", "issued", "region", "used", "refused", "told"),
    [
        (BOB, "global", "eu-west-1", "regional", None, "active"),
        (BOB, "global", "af-south-1", "regional", InvalidClientTokenId, "region_not_enabled"),
        (BOB, "global", "af-south-1", "global", None, "active"),
        (BOB, "regional", "af-south-1", "regional", None, "active"),
        (BOB, "regional", "me-south-1", "regional", RegionDisabledException, "region_not_enabled"),
        (BOB, "regional", "me-south-1", "global", None, "active"),
        (ERIN, "global", "eu-west-1", "regional", None, "active"),
        (ERIN, "global", "af-south-1", "regional", RegionDisabledException, "region_not_enabled"),
        (ERIN, "global", "af-south-1", "global", None, "active"),
    ],
)
def test_where_a_token_is_valid(
    view: View, who: str, issued: Endpoint, region: str, used: Endpoint, refused: type[StsError] | None, told: str
):
    call = acting.call("GetSessionToken")
    asked = replace(acting.request(), endpoint=issued)
    made = get_session_token.run(call, acting.user(view, who), asked, view, acting.NOW).credentials
    view.region = region
    request = requests.signed(
        access_key_id=made.access_key_id, secret_access_key=made.secret_access_key, session_token=made.session_token,
        region="us-east-1" if used == "global" else region,
    )  # fmt: skip
    request.endpoint = used
    assert refusal(request, view) is refused
    assert verdicts(view, used, made.session_token) == [told, told]


def verdicts(view: View, endpoint: Endpoint, token: str) -> list[str]:
    """What /v1/verify says of a token at an endpoint, alone and in a list: `active`, or the reason."""
    answers = []
    for body in ({"token": token}, {"tokens": [token]}):
        asked = replace(acting.request(), path="/v1/verify", body=json.dumps(body).encode(), endpoint=endpoint)
        answer = json.loads(verify.run(asked, view, acting.NOW).body)
        answers += answer.get("results", [answer])
    return [answer.get("reason", "active") for answer in answers]


def issue(view: View, caller: Caller, endpoint: Endpoint, action: str, **sent: str) -> str:
    """The session token that an operation gives."""
    asked = replace(acting.request(), endpoint=endpoint)
    result = OPERATIONS["sts", action].run(acting.call(action, **sent), caller, asked, view, acting.NOW)
    return result.credentials.session_token  # type: ignore[union-attr]


@pytest.mark.parametrize(("who", "role_arn", "version"), [(BOB, THERE, 2), (ERIN, HOME, 1)])
def test_the_account_that_owns_the_role_chooses_the_version_of_global_tokens(view, who, role_arn, version):
    caller, sent = acting.user(view, who), {"RoleArn": role_arn, "RoleSessionName": "s1"}
    for endpoint, expected in (("global", version), ("regional", 2)):
        made = acting.session(view, issue(view, caller, endpoint, "AssumeRole", **sent)).session
        assert made is not None
        assert made.token_version == expected


ROLE_OF_GLOBEX = {"RoleArn": THERE, "RoleSessionName": "s1"}
BY_TOKEN = {"RoleArn": WEB, "RoleSessionName": "s1", "WebIdentityToken": issuing.token()}
TASK = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"


@pytest.mark.parametrize(
    ("action", "who", "sent"),
    [
        ("AssumeRole", BOB, ROLE_OF_GLOBEX),
        ("AssumeRoleWithWebIdentity", None, BY_TOKEN),
        ("AssumeRoot", BOB, {"TargetPrincipal": GLOBEX, "TaskPolicyArn.arn": TASK}),
    ],
)
def test_sessions_are_issued_where_the_account_that_they_are_of_is_enabled(view, action, who, sent):
    caller = ANYBODY if who is None else acting.user(view, who)
    for region in ("eu-west-1", "af-south-1"):
        view.region = region
        if region == "eu-west-1":
            assert issue(view, caller, "regional", action, **sent)
        else:
            with pytest.raises(RegionDisabledException, match=f"for account:{GLOBEX}\\."):
                issue(view, caller, "regional", action, **sent)


def test_a_policy_sees_us_east_1_behind_the_global_endpoint(view):
    view.region = "eu-west-1"
    bob = acting.user(view, BOB)
    for endpoint, region in (("global", "us-east-1"), ("regional", "eu-west-1")):
        keys = context.build(replace(acting.request(), endpoint=endpoint), bob, view, acting.NOW)
        assert keys["aws:requestedregion"] == region
