"""Successful answers over HTTP, byte by byte and member by member, and the ways to ask (spec 1.1, 1.2, 2.7.3, 8)."""

from __future__ import annotations

import json
import re
import time
import xml.etree.ElementTree as ET
from base64 import b64decode
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import pytest
import requests
from joserfc import jws

from stsd import key_ids
from stsd.authn import sigv4
from stsd.authz import denial_messages
from tests.oidc import issuing
from tests.oidc.issuing import jwk, jwks, provider, rsa
from tests.running import RunningNode, running_node, sts_with
from tests.world.worlds import ACME, GLOBEX, Entropy, account, allow, deny, key, trust, user, world

pytestmark = pytest.mark.processes
SECRET = "x" * 40
ROOT, BOB, DAVE = (f"AKIARTX3GSDSQ{letter * 7}" for letter in "BCD")
ERIN = "AKIAWO645SY5OAAAAAAA"
OPS = f"arn:aws:iam::{ACME}:role/ops/eu/deploy"
NS = "{https://sts.amazonaws.com/doc/2011-06-15/}"
BY_PATH = {"ArnEquals": {"aws:PrincipalArn": OPS}}
SETS = {"Principal": {"AWS": ACME}, "Effect": "Allow", "Action": ["sts:AssumeRole", "sts:SetSourceIdentity"]}
WORLD = {
    **world(
        account(
            RootAccessKeys=[key(ROOT)],
            OpenIDConnectProviders=[provider(Jwks=jwks(jwk(rsa())))],
            Users=[
                user("bob", Path="/team/", Administrator=True, AccessKeys=[key(BOB)]),
                user("dave", AccessKeys=[key(DAVE)], Policies={"nothing": deny("*")}),
            ],
            Roles=[
                {
                    "RoleName": "deploy",
                    "Path": "/ops/eu/",
                    "MaxSessionDuration": 43_200,
                    "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": SETS},
                    "Policies": {"all": allow("*")},
                },
                {"RoleName": "by-path", "AssumeRolePolicyDocument": trust("*", Condition=BY_PATH)},
                {"RoleName": "builder", "Path": "/ci/", "AssumeRolePolicyDocument": issuing.trust()},
            ],
        ),
        account(GLOBEX, Users=[user("erin", Administrator=True, AccessKeys=[key(ERIN)])]),
    ),
    "Organization": {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement"]},
}


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[RunningNode]:
    folder = tmp_path_factory.mktemp("answers")
    (folder / "world.json").write_text(json.dumps(WORLD))
    with running_node(folder / "data", "--world", str(folder / "world.json")) as started:
        yield started


def client(node: RunningNode, access_key_id: str = BOB) -> Any:
    return sts_with(
        {"AccessKeyId": access_key_id, "SecretAccessKey": SECRET, "SessionToken": None}, node.url, "us-east-1"
    )


def of(node: RunningNode, credentials: dict[str, Any]) -> Any:
    return sts_with(credentials, node.url, "us-east-1")


def ask(
    node: RunningNode, sent: str, method: str = "POST", query: str = "", keys: Any = None, **headers: str
) -> requests.Response:
    """A signed request with exactly this form and query."""
    body = sent.encode()
    given = {"Host": node.url.partition("://")[2], **headers}
    if method == "POST":
        given["Content-Type"] = "application/x-www-form-urlencoded"
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    signer = keys or {"access_key_id": BOB, "secret_access_key": SECRET}
    given |= sigv4.sign(method, "/", query, given, body, region="us-east-1", amz_date=now, **signer)
    url = f"{node.url}/?{query}" if query else node.url
    return requests.request(method, url, data=body, headers=given, timeout=10)


WHO = "Action=GetCallerIdentity&Version=2011-06-15"


def unique_id(node: RunningNode) -> str:
    return client(node).get_caller_identity()["UserId"]


# -- the envelope -----------------------------------------------------------------------------------------------------


def test_an_answer_is_byte_for_byte_that_of_the_specification(node):
    answer = ask(node, WHO)
    request_id = answer.headers["x-amzn-RequestId"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", request_id)
    assert answer.content.decode() == (
        '<GetCallerIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">\n  <GetCallerIdentityResult>\n'
        f"    <Arn>arn:aws:iam::{ACME}:user/team/bob</Arn>\n    <UserId>{unique_id(node)}</UserId>\n"
        f"    <Account>{ACME}</Account>\n  </GetCallerIdentityResult>\n  <ResponseMetadata>\n"
        f"    <RequestId>{request_id}</RequestId>\n  </ResponseMetadata>\n</GetCallerIdentityResponse>\n"
    )


@pytest.mark.parametrize("sent", [WHO, "Action=Nothing"])
def test_the_headers_are_those_of_the_specification_also_of_a_refusal(node, sent):
    headers = ask(node, sent).headers
    assert headers["Content-Type"] == "text/xml"
    assert "Date" in headers
    extended = b64decode(headers["x-amz-sts-extended-request-id"]).decode()
    found = re.fullmatch(r"1:us-east-1:S:([0-9]{13}):R:[0-9A-Za-z]{8}", extended)
    assert found
    assert abs(int(found[1]) / 1000 - time.time()) < 60


def test_json_is_the_same_answer(node):
    answer = ask(node, WHO, Accept="application/json")
    assert answer.headers["Content-Type"] == "application/json"
    bob = {"Account": ACME, "Arn": f"arn:aws:iam::{ACME}:user/team/bob", "UserId": unique_id(node)}
    metadata = {"RequestId": answer.headers["x-amzn-RequestId"]}
    assert answer.json() == {
        "GetCallerIdentityResponse": {"GetCallerIdentityResult": bob, "ResponseMetadata": metadata}
    }
    session = ask(node, "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900", Accept="application/json")
    credentials = session.json()["GetSessionTokenResponse"]["GetSessionTokenResult"]["Credentials"]
    assert abs(credentials["Expiration"] - time.time() - 900) < 60


def members(answer: requests.Response) -> list[str]:
    """The names in the result, in order, of a successful answer."""
    assert answer.status_code == 200, answer.text
    return [element.tag.removeprefix(NS) for element in ET.fromstring(answer.text)[0].iter()][1:]


CREDENTIALS = ["Credentials", "AccessKeyId", "SecretAccessKey", "SessionToken", "Expiration"]
ASSUMED = ["AssumedRoleUser", "AssumedRoleId", "Arn", *CREDENTIALS]
ASSUME = {"Action": "AssumeRole", "RoleArn": OPS, "RoleSessionName": "s1"}
FEDERATE = {"Action": "GetFederationToken", "Name": "ann"}
TASK = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"


@pytest.mark.parametrize(
    ("sent", "names"),
    [
        (ASSUME, ASSUMED),
        ({**ASSUME, "Policy": json.dumps(allow("*"))}, [*ASSUMED, "PackedPolicySize"]),
        ({**ASSUME, "SourceIdentity": "x" * 256}, [*ASSUMED, "SourceIdentity"]),
        (FEDERATE, [*CREDENTIALS, "FederatedUser", "FederatedUserId", "Arn", "PackedPolicySize"]),
        ({"Action": "GetSessionToken"}, CREDENTIALS),
        ({"Action": "GetAccessKeyInfo", "AccessKeyId": BOB}, ["Account"]),
        ({"Action": "AssumeRoot", "TargetPrincipal": GLOBEX, "TaskPolicyArn.arn": TASK}, CREDENTIALS),
    ],
    ids=lambda each: each["Action"] if isinstance(each, dict) else "",
)
def test_members_come_in_the_order_of_the_specification_and_absent_ones_are_left_out(node, sent, names):
    assert members(ask(node, urlencode({"Version": "2011-06-15", **sent}))) == names


# -- ways to ask ------------------------------------------------------------------------------------------------------


def test_get_answers_as_post_does(node):
    session = "Action=GetSessionToken&Version=2011-06-15&DurationSeconds=900"
    assert members(ask(node, "", "GET", session)) == members(ask(node, session)) == CREDENTIALS
    assert ask(node, "", "GET", WHO).status_code == 200


def test_an_unsigned_call_may_be_a_get_too(node):
    now = int(time.time())
    token = issuing.signed(issuing.claims(iat=now, exp=now + 300))
    sent = {"Action": "AssumeRoleWithWebIdentity", "Version": "2011-06-15", "RoleSessionName": "s1"}
    sent |= {"RoleArn": f"arn:aws:iam::{ACME}:role/ci/builder", "WebIdentityToken": token}
    for answer in (requests.get(node.url, sent, timeout=5), requests.post(node.url, sent, timeout=5)):
        assert answer.status_code == 200
    unknown = {"Authorization": "AWS4-HMAC-SHA256 nonsense"}
    assert requests.post(node.url, sent, headers=unknown, timeout=5).status_code == 200


@pytest.mark.parametrize(
    "sent",
    [
        f"AccessKeyId={BOB}&Version=2011-06-15&Action=GetAccessKeyInfo",
        f"Action=GetAccessKeyInfo&Action=Nothing&Version=2011-06-15&Version=1&AccessKeyId={BOB}&AccessKeyId=x",
        f"Action=GetAccessKeyInfo&Version=2011-06-15&AccessKeyId={BOB}&TokenRevokeType=x&Tags.member.1.Color=red&y=",
        f"Action=GetAccessKeyInfo&Version=2011-06-15&accesskeyid=x&AccessKeyId={BOB}",
    ],
    ids=["any order", "the first value", "unknown names", "the case of names"],
)
def test_a_parameter_is_read_by_its_name_wherever_it_stands(node, sent):
    answer = ask(node, sent)
    assert answer.status_code == 200
    assert f"<Account>{ACME}</Account>" in answer.text


def test_unknown_members_of_a_structure_are_ignored(node):
    sent = {"Version": "2011-06-15", **FEDERATE, "Tags.member.1.Key": "a", "Tags.member.1.Value": ""}
    assert ask(node, urlencode({**sent, "Tags.member.01.Color": "red"})).status_code == 200


def test_the_query_fills_in_what_the_form_lacks(node):
    answer = ask(node, f"AccessKeyId={BOB}&Version=2011-06-15", query="Action=GetAccessKeyInfo&AccessKeyId=x")
    assert answer.status_code == 200


@pytest.mark.parametrize("seconds", ["%2B900", "0900", "+900"])
def test_an_integer_may_have_a_plus_and_zeros_but_no_blank(node, seconds):
    answer = ask(node, f"Action=GetSessionToken&Version=2011-06-15&DurationSeconds={seconds}")
    assert answer.status_code == (400 if seconds.startswith("+") else 200)  # a bare plus is a blank


@pytest.mark.parametrize("method", ["PROPFIND", "PUT", "DELETE", "HEAD"])
def test_odd_methods_are_bad_requests(node, method):
    assert requests.request(method, f"{node.url}/?{WHO}", timeout=5).status_code == 400


def test_an_answer_may_be_read_by_a_browser(node):
    headers = ask(node, WHO, Origin="https://app.example").headers
    assert headers["Access-Control-Allow-Origin"] == "*"
    exposed = set(headers["Access-Control-Expose-Headers"].split(","))
    assert exposed == {"x-amzn-RequestId", "x-amzn-ErrorType", "x-amzn-ErrorMessage", "Date"}


# -- who is who -------------------------------------------------------------------------------------------------------


def test_every_kind_of_caller_is_told_its_strings(node):
    bob, root = client(node), client(node, ROOT)
    arn, bob_id = f"arn:aws:iam::{ACME}:user/team/bob", unique_id(node)
    assumed = bob.assume_role(RoleArn=OPS, RoleSessionName="s1")
    role_id = assumed["AssumedRoleUser"]["AssumedRoleId"].partition(":")[0]
    assert re.fullmatch("AIDARTX3GSDS[A-Z2-7]{9}", bob_id)
    assert re.fullmatch("AROARTX3GSDS[A-Z2-7]{9}", role_id)
    assert assumed["AssumedRoleUser"] == {
        "AssumedRoleId": f"{role_id}:s1",
        "Arn": f"arn:aws:sts::{ACME}:assumed-role/deploy/s1",
    }
    as_root = bob.assume_root(TargetPrincipal=GLOBEX, TaskPolicyArn={"arn": TASK})
    callers = [
        (bob, arn, bob_id, ACME),
        (root, f"arn:aws:iam::{ACME}:root", ACME, ACME),
        (of(node, bob.get_session_token()["Credentials"]), arn, bob_id, ACME),
        (of(node, root.get_session_token()["Credentials"]), f"arn:aws:iam::{ACME}:root", ACME, ACME),
        (of(node, assumed["Credentials"]), f"arn:aws:sts::{ACME}:assumed-role/deploy/s1", f"{role_id}:s1", ACME),
        (
            of(node, bob.get_federation_token(Name="ann")["Credentials"]),
            f"arn:aws:sts::{ACME}:federated-user/ann",
            f"{ACME}:ann",
            ACME,
        ),
        (of(node, as_root["Credentials"]), f"arn:aws:iam::{GLOBEX}:root", GLOBEX, GLOBEX),
    ]
    for caller, *strings in callers:
        told = caller.get_caller_identity()
        assert [told[name] for name in ("Arn", "UserId", "Account")] == strings


def test_a_policy_sees_the_role_of_a_session_with_its_path(node):
    by_path = {"RoleArn": f"arn:aws:iam::{ACME}:role/by-path", "RoleSessionName": "s1"}
    session = of(node, client(node).assume_role(RoleArn=OPS, RoleSessionName="s1")["Credentials"])
    assert session.assume_role(**by_path)["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACME}:assumed-role/by-path/s1"
    with pytest.raises(Exception, match="AccessDenied"):
        client(node).assume_role(**by_path)


def test_who_may_nothing_is_told_who_it_is_and_gets_a_session_of_its_own(node):
    dave = client(node, DAVE)
    with pytest.raises(Exception, match="explicit deny"):
        dave.get_access_key_info(AccessKeyId=BOB)
    assert dave.get_caller_identity()["Arn"].endswith(":user/dave")
    session = of(node, dave.get_session_token()["Credentials"])
    assert session.get_caller_identity()["Arn"].endswith(":user/dave")


# -- what is issued ---------------------------------------------------------------------------------------------------


def test_credentials_are_new_each_time_and_of_the_documented_form(node):
    bob = client(node)
    issued = [
        made()["Credentials"]
        for made in (
            bob.get_session_token,
            lambda: bob.get_federation_token(Name="ann"),
            lambda: bob.assume_role(RoleArn=OPS, RoleSessionName="s1"),
        )
        for _ in range(2)
    ]
    for name in ("AccessKeyId", "SecretAccessKey", "SessionToken"):
        assert len({each[name] for each in issued}) == len(issued)
    claims = [jws.extract_compact(each["SessionToken"].encode()).payload for each in issued]
    assert len({json.loads(each)["jti"] for each in claims}) == len(issued)
    for each in issued:
        assert re.fullmatch("ASIA[A-Z2-7]{16}", each["AccessKeyId"])
        assert key_ids.account_of(each["AccessKeyId"]) == ACME
        assert re.fullmatch("[A-Za-z0-9/+]{40}", each["SecretAccessKey"])
        assert len(each["SessionToken"]) < 4096


def test_a_session_lasts_as_long_as_its_operation_says_when_nothing_is_asked(node):
    bob, now = client(node), time.time()
    lasting = {
        3_600: bob.assume_role(RoleArn=OPS, RoleSessionName="s1"),
        43_200: bob.get_session_token(),
        900: bob.assume_root(TargetPrincipal=GLOBEX, TaskPolicyArn={"arn": TASK}),
    }
    for seconds, answer in lasting.items():
        assert abs(answer["Credentials"]["Expiration"].timestamp() - now - seconds) < 60
    longest = bob.assume_role(RoleArn=OPS, RoleSessionName="s1", DurationSeconds=43_200)
    assert abs(longest["Credentials"]["Expiration"].timestamp() - now - 43_200) < 60
    of_root = client(node, ROOT).get_session_token(DurationSeconds=43_200)
    assert abs(of_root["Credentials"]["Expiration"].timestamp() - now - 3_600) < 60


@pytest.mark.parametrize(
    ("access_key_id", "owner"),
    [(ERIN, GLOBEX), ("AKIA6RVFFB77QAAAAAAA", "999999999999"), ("ASIATFQR7NSCQAAAAAAA", "218007301253")],
)
def test_an_access_key_id_tells_its_account_whoever_asks_and_whether_it_exists_or_not(node, access_key_id, owner):
    assert client(node).get_access_key_info(AccessKeyId=access_key_id)["Account"] == owner


# -- encoded authorization messages -----------------------------------------------------------------------------------


def test_a_sealed_message_opens_for_those_of_its_account_who_may(node):
    cluster_key = bytes.fromhex((node.data_dir / "cluster.key").read_text().strip())
    text = '{"allowed":false,"explicitDeny":true}'
    sealed = denial_messages.seal(denial_messages.message_key(cluster_key), ACME, text, Entropy())
    assert client(node).decode_authorization_message(EncodedMessage=sealed)["DecodedMessage"] == text
    for access_key_id, code in ((ERIN, "InvalidAuthorizationMessageException"), (DAVE, "AccessDenied")):
        with pytest.raises(Exception, match=rf"\({code}\)"):
            client(node, access_key_id).decode_authorization_message(EncodedMessage=sealed)
