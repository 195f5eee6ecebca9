"""Refusals that need a session, over HTTP: what its kind, its policies, tags, source identity and end do not allow."""

from __future__ import annotations

import json
from typing import Any

import pytest
import requests

from stsd.errors import STS_NAMESPACE
from tests.running import RunningNode, post_signed, signing, sts_with
from tests.server.rows import (
    AS_ROOT,
    BOB,
    DEPLOY,
    ERIN,
    GLOBAL,
    INFO,
    INVALID,
    OPEN,
    SECOND,
    SECRET,
    WEB,
    WHO,
    Row,
    assume,
    error_of,
    send,
)
from tests.world.worlds import ACME, GLOBEX, allow, deny

pytestmark = pytest.mark.processes


def client(node: RunningNode) -> Any:
    return sts_with({"AccessKeyId": BOB, "SecretAccessKey": SECRET, "SessionToken": None}, node.url, "us-east-1")


def refused_of(
    nodes: dict[str, RunningNode], issued: dict[str, Any], node: str = "node", region: str = "us-east-1", **sent: str
) -> Any:
    """Status, code and message of what a session is refused; keyword `__` stands for the dot of a parameter."""
    signer = {**signing(issued), "region": region}
    key_id = signer.pop("access_key_id")
    sent = {name.replace("__", "."): text for name, text in sent.items()}
    answer = send(Row("", sent, 0, "", "", key=key_id, signed=signer, node=node), nodes)
    return (answer.status_code, *error_of(answer, STS_NAMESPACE))


def test_refusals_of_a_users_session(nodes):
    issued = client(nodes["node"]).get_session_token(DurationSeconds=900)["Credentials"]

    def refused(**sent: str) -> Any:
        return refused_of(nodes, issued, **sent)

    said = "Cannot call GetSessionToken with session credentials"
    assert refused(Action="GetSessionToken") == (403, "AccessDenied", said)
    said = "Cannot call GetFederationToken with session credentials"
    assert refused(Action="GetFederationToken", Name="ann") == (403, "AccessDenied", said)
    said = "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining."
    assert refused(**assume(DurationSeconds="7200")) == (400, "ValidationError", said)
    assert refused(**WEB, DurationSeconds="3600") == (
        403, "SessionDurationEscalationException", "The requested token would outlive the session that asks for it.",
    )  # fmt: skip
    changed = {**issued, "SessionToken": issued["SessionToken"][:-8] + "AAAAAAAA"}
    assert refused_of(nodes, changed, **WHO) == (403, "InvalidClientTokenId", INVALID)


def test_refusals_of_a_role_session_that_carries_tags_and_a_source_identity(nodes):
    tag = {"Key": "Dept", "Value": "eng"}
    issued = client(nodes["node"]).assume_role(
        RoleArn=OPEN, RoleSessionName="s1", SourceIdentity="bob", Tags=[tag], TransitiveTagKeys=["Dept"]
    )["Credentials"]

    def refused(**sent: str) -> Any:
        return refused_of(nodes, issued, **assume(**sent))

    said = "The source identity is already set for this assume role session"
    assert refused(RoleArn=SECOND, SourceIdentity="eve") == (400, "ValidationError", said)
    said = (
        "One of the specified transitive tag keys can't be set because it conflicts with a transitive tag key from the"
        " calling session."
    )
    again = {"Tags__member__1__Key": "dept", "Tags__member__1__Value": "hr"}
    assert refused(RoleArn=SECOND, **again) == (400, "InvalidParameterValue", said)
    said = f"User: arn:aws:sts::{ACME}:assumed-role/open/s1 is not authorized to perform: sts:TagSession on resource:"
    assert refused(RoleArn=DEPLOY) == (403, "AccessDenied", f"{said} {DEPLOY}")


@pytest.mark.parametrize(
    ("policy", "because"),
    [
        (allow("s3:*"), "because no session policy allows the sts:GetAccessKeyInfo action"),
        (deny("sts:GetAccessKeyInfo"), "with an explicit deny in a session policy"),
    ],
    ids=["none allows", "one denies"],
)
def test_a_refusal_by_a_session_policy_says_so(nodes, policy, because):
    issued = client(nodes["node"]).assume_role(RoleArn=OPEN, RoleSessionName="s1", Policy=json.dumps(policy))
    said = f"User: arn:aws:sts::{ACME}:assumed-role/open/s1 is not authorized to perform: sts:GetAccessKeyInfo"
    assert refused_of(nodes, issued["Credentials"], **INFO) == (403, "AccessDenied", f"{said} {because}")


def test_a_session_as_root_user_of_a_member_may_what_its_task_is(nodes):
    answer = send(Row("", AS_ROOT, 200, "", ""), nodes, Accept="application/json").json()
    issued = answer["AssumeRootResponse"]["AssumeRootResult"]["Credentials"]
    member = sts_with(issued, nodes["node"].url, "us-east-1").get_caller_identity()
    assert (member["Arn"], member["Account"]) == (f"arn:aws:iam::{GLOBEX}:root", GLOBEX)

    root = f"User: arn:aws:iam::{GLOBEX}:root is not authorized to perform:"
    none = "because no identity-based policy allows the sts:GetAccessKeyInfo action"
    assert refused_of(nodes, issued, **INFO) == (403, "AccessDenied", f"{root} sts:GetAccessKeyInfo {none}")
    roles = (403, "AccessDenied", "Roles may not be assumed by root accounts.")
    assert refused_of(nodes, issued, **assume()) == roles

    # A user who may everything revokes in the account; of the root user's rights the task policy leaves what it names.
    subject = {"access_key_id": "ASIAWO645SY5OZZZZZZZ"}
    url = nodes["node"].url
    erin = {"access_key_id": ERIN, "secret_access_key": SECRET}
    assert post_signed(url, "/v1/revocations", subject, erin, "us-east-1").status_code == 200
    refused = post_signed(url, "/v1/revocations", subject, signing(issued), "us-east-1")
    assert refused.status_code == 403
    said = f"{root} stsd:Revoke on resource: arn:aws:stsd::{GLOBEX}:access-key/{subject['access_key_id']}"
    assert refused.json()["error"]["code"] == "AccessDenied"
    assert refused.json()["error"]["message"] == f"{said} because no session policy allows the stsd:Revoke action"


def test_a_token_of_the_global_endpoint_is_invalid_in_an_opt_in_region_before_the_region_is_told(nodes):
    row = Row("", {"Action": "GetSessionToken"}, 200, "", "", node="opt_in", endpoint=GLOBAL)
    answer = send(row, nodes, Accept="application/json").json()
    issued = answer["GetSessionTokenResponse"]["GetSessionTokenResult"]["Credentials"]
    assert refused_of(nodes, issued, node="opt_in", region="af-south-1", **WHO) == (
        403,
        "InvalidClientTokenId",
        INVALID,
    )


OVER = (403, "ExpiredToken", "The security token included in the request is expired")


def test_a_session_that_is_over_by_time_is_told_whatever_its_signature(nodes):
    node = nodes["clock"]
    issued = client(node).get_session_token(DurationSeconds=900)["Credentials"]
    assert requests.post(f"{node.url}/_test/clock", json={"advance": 900}, timeout=5).ok
    for credentials in (issued, {**issued, "SecretAccessKey": "y" * 40}):
        assert refused_of(nodes, credentials, node="clock", **WHO) == OVER


def test_a_session_that_is_over_by_a_cut_off_is_told_the_same(nodes):
    node, bob = nodes["clock"], {"access_key_id": BOB, "secret_access_key": SECRET}
    issued = client(node).assume_role(RoleArn=OPEN, RoleSessionName="s1")["Credentials"]
    assert post_signed(node.url, "/v1/revocations", {"role_arn": OPEN}, bob, "us-east-1").ok
    assert refused_of(nodes, issued, node="clock", **WHO) == OVER
