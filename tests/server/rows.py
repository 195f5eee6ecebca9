"""One row of the error tables of the specification, and how it is sent to a node and read (spec 1.3)."""

from __future__ import annotations

import time
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import requests

from stsd.authn import sigv4
from stsd.errors import STS_NAMESPACE
from stsd.wire import forwarded
from tests.running import RunningNode
from tests.world.worlds import ACME, GLOBEX, account, allow, deny, key, role, user, world

SECRET = "x" * 40
BOB, EVE, ROOT, OFF = (f"AKIARTX3GSDSQ{letter * 7}" for letter in "BCDE")
ERIN, JOAN = "AKIAWO645SY5OAAAAAAA", "AKIAWO645SY5OBBBBBBB"
DEPLOY = f"arn:aws:iam::{ACME}:role/deploy"
OPEN = f"arn:aws:iam::{ACME}:role/open"
TAGGED = f"arn:aws:iam::{ACME}:role/tagged"
GLOBAL = "global"
READ_OF_GLOBEX = f"arn:aws:iam::{GLOBEX}:policy/Read"
SECOND = f"arn:aws:iam::{ACME}:role/second"
MAY_SET = ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"]
SETS = {"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": MAY_SET}
LETS_SET = {"Version": "2012-10-17", "Statement": SETS}
ACCOUNTS = world(
    account(
        OutboundWebIdentityFederation=True,
        RootAccessKeys=[key(ROOT)],
        Users=[
            user("bob", Administrator=True, AccessKeys=[key(BOB), key(OFF, Status="Inactive")]),
            user("eve", AccessKeys=[key(EVE)], Policies={"no": deny("sts:GetAccessKeyInfo")}),
        ],
        Roles=[
            role("deploy", MaxSessionDuration=7200, Policies={"all": allow("*")}),
            {"RoleName": "open", "AssumeRolePolicyDocument": LETS_SET, "Policies": {"all": allow("*")}},
            {"RoleName": "second", "AssumeRolePolicyDocument": LETS_SET},
            role("tagged", f"arn:aws:iam::{ACME}:user/bob"),
        ],
    ),
    account(
        GLOBEX,
        ManagedPolicies=[{"PolicyName": "Read", "Document": allow("s3:GetObject")}],
        Users=[
            user("erin", AccessKeys=[key(ERIN)], Policies={"all": allow("*")}),
            user("joan", AccessKeys=[key(JOAN)]),
        ],
    ),
)
WORLD = {
    **ACCOUNTS,
    "Organization": {"ManagementAccount": ACME, "CentralizedRootAccess": ["RootCredentialsManagement"]},
}
ROOT_TASK = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
AS_ROOT = {"Action": "AssumeRoot", "TargetPrincipal": GLOBEX, "TaskPolicyArn.arn": ROOT_TASK}
WHO = {"Action": "GetCallerIdentity"}
INFO = {"Action": "GetAccessKeyInfo", "AccessKeyId": BOB}
WEB = {"Action": "GetWebIdentityToken", "Audience.member.1": "a", "SigningAlgorithm": "RS256"}
INVALID = "The security token included in the request is invalid."


@dataclass(frozen=True)
class Row:
    """One row: what is sent, and what comes back. `message` None is no Message element."""

    id: str
    sent: dict[str, str]
    status: int
    code: str
    message: str | None
    key: str = BOB
    namespace: str = STS_NAMESPACE
    signed: dict[str, Any] = field(default_factory=dict)
    endpoint: str = "regional"
    node: str = "node"
    signs: bool = True


def assume(**more: str) -> dict[str, str]:
    return {"Action": "AssumeRole", "RoleArn": DEPLOY, "RoleSessionName": "s1", **more}


def send(row: Row, nodes: dict[str, RunningNode], **headers: str) -> requests.Response:
    node = nodes[row.node]
    body = urlencode({"Version": "2011-06-15", **row.sent}).encode()
    given = {"Host": node.url.partition("://")[2], "Content-Type": "application/x-www-form-urlencoded", **headers}
    if row.signs:
        how = {
            "access_key_id": row.key,
            "secret_access_key": SECRET,
            "region": "us-east-1",
            "service": "sts",
            "session_token": None,
            "amz_date": time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()),
            **row.signed,
        }
        given |= sigv4.sign("POST", "/", "", given, body, **how)
    if row.endpoint == GLOBAL:
        cluster_key = bytes.fromhex((node.data_dir / "cluster.key").read_text().strip())
        binding = given["Authorization"]
        router_key = forwarded.router_key(cluster_key)
        given[forwarded.HEADER] = forwarded.mark(router_key, "global", "192.0.2.1", True, time.time(), binding)
    return requests.post(node.url, body, headers=given, timeout=10)


def error_of(answer: requests.Response, namespace: str) -> tuple[str, str | None]:
    """Code and message of a refusal whose envelope is as spec 1.3 says."""
    assert answer.headers["Content-Type"] == "text/xml"
    root = ET.fromstring(answer.text)
    assert root.tag == f"{{{namespace}}}ErrorResponse"
    assert [child.tag for child in root] == [f"{{{namespace}}}Error", f"{{{namespace}}}RequestId"]
    assert root.findtext(f"{{{namespace}}}RequestId") == answer.headers["x-amzn-RequestId"]
    error = root.find(f"{{{namespace}}}Error")
    assert error is not None
    assert error.findtext(f"{{{namespace}}}Type") == ("Sender" if answer.status_code < 500 else "Receiver")
    return error.findtext(f"{{{namespace}}}Code") or "", error.findtext(f"{{{namespace}}}Message")
