"""AssumeRoleWithSAML with the stock SDK against a running node: a real login, and every row of the error table."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from lxml import etree

from tests.compat import simplesamlphp
from tests.compat.simplesamlphp import SERVICE, SimpleSAMLphp
from tests.running import RunningNode, running_node, sts_with
from tests.saml import idp
from tests.saml.idp import ATTRIBUTES, PROVIDER, ROLE, Says
from tests.world.worlds import ACME, account, world

pytestmark = pytest.mark.processes
TRUST = {
    "Version": "2012-10-17",
    "Statement": {
        "Effect": "Allow",
        "Principal": {"Federated": [PROVIDER, f"{PROVIDER}-php"]},
        "Action": ["sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity"],
        "Condition": {"StringEquals": {"SAML:aud": "https://signin.aws.amazon.com/saml"}},
    },
}
CLOSED = {**TRUST, "Statement": {**TRUST["Statement"], "Effect": "Deny"}}


def serving(folder, **providers: str):
    path = folder / "world.json"
    listed = [{"Name": name.replace("_", "-"), "SAMLMetadataDocument": text} for name, text in providers.items()]
    roles = [
        {"RoleName": "engineers", "AssumeRolePolicyDocument": TRUST},
        {"RoleName": "closed", "AssumeRolePolicyDocument": CLOSED},
    ]
    path.write_text(json.dumps(world(account(SAMLProviders=listed, Roles=roles))))
    return running_node(folder / "data", "--world", str(path))


def anonymous(node: RunningNode):
    config = Config(signature_version=UNSIGNED, retries={"total_max_attempts": 1})
    return boto3.client("sts", region_name=node.region, endpoint_url=node.url, config=config)


def test_a_login_at_simplesamlphp_becomes_a_session(tmp_path):
    attributes = {
        f"{ATTRIBUTES}Role": [f"{ROLE},{PROVIDER}-php"], f"{ATTRIBUTES}RoleSessionName": ["alice"],
        f"{ATTRIBUTES}PrincipalTag:Team": ["core"], f"{ATTRIBUTES}SourceIdentity": ["alice@example.com"],
        f"{ATTRIBUTES}SessionDuration": ["1200"], "uid": ["alice"],
    }  # fmt: skip
    (tmp_path / "idp").mkdir()
    with (
        simplesamlphp.running(tmp_path / "idp", attributes) as provider,
        serving(tmp_path, corp_php=provider.metadata()) as node,
    ):
        call = {"RoleArn": ROLE, "PrincipalArn": f"{PROVIDER}-php"}
        for service in (SERVICE, f"{SERVICE}:unsigned-response"):
            answer = anonymous(node).assume_role_with_saml(**call, SAMLAssertion=provider.login(service))
            assert answer["SubjectType"] == "transient"
            assert (answer["Issuer"], answer["Audience"]) == (simplesamlphp.ENTITY_ID, simplesamlphp.RECIPIENT)
            assert answer["SourceIdentity"] == "alice@example.com"
            assert answer["PackedPolicySize"] > 0
            assert 1100 < answer["Credentials"]["Expiration"].timestamp() - time.time() <= 1200
            identity = sts_with(answer["Credentials"], node.url, node.region).get_caller_identity()
            assert identity["Arn"] == f"arn:aws:sts::{ACME}:assumed-role/engineers/alice"
        assert refused_of(node, provider, "unsigned-assertion", call).startswith("Response (with optional signature)")
        assert refused_of(node, provider, "encrypted", call).startswith("Invalid base64 SAMLResponse")


def refused_of(node: RunningNode, provider: SimpleSAMLphp, service: str, call: dict[str, str]) -> str:
    with pytest.raises(ClientError) as refused:
        anonymous(node).assume_role_with_saml(**call, SAMLAssertion=provider.login(f"{SERVICE}:{service}"))
    message: str = refused.value.response["Error"]["Message"]
    return message


@pytest.fixture(scope="module")
def node(tmp_path_factory) -> Iterator[RunningNode]:
    with serving(tmp_path_factory.mktemp("saml"), corp=idp.metadata()) as started:
        yield started


def now_says(**more) -> str:
    return idp.encoded(now=time.time(), **more)


def closed(**more) -> dict[str, str]:
    arn = f"arn:aws:iam::{ACME}:role/closed"
    return {"RoleArn": arn, "SAMLAssertion": now_says(attributes={"Role": [f"{arn},{PROVIDER}"]}, **more)}


INVALID, EXPIRED = "InvalidIdentityToken", "ExpiredTokenException"
ROWS = {
    "not_base64": (lambda: {"SAMLAssertion": "!!!!"}, 400, INVALID, "Invalid base64 SAMLResponse (Service: AWSOpen"),
    "not_signed": (
        lambda: {"SAMLAssertion": idp.text(idp.wrap(etree.fromstring(Says(now=time.time()).xml())))},
        400, INVALID, "Response (with optional signature) must contain an assertion with a mandatory signature (Serv",
    ),
    "forged": (lambda: {"SAMLAssertion": idp.encoded("attacker")}, 400, INVALID, "Response signature invalid (Service"),
    "no_provider": (lambda: {"PrincipalArn": f"{PROVIDER}2"}, 400, INVALID, "Specified provider doesn't exist (Serv"),
    "wrong_issuer": (
        lambda: {"SAMLAssertion": now_says(issuer="https://x.example.com")},
        400, INVALID, "Issuer not present in specified provider (Service: AWSOpenIdDiscoveryService; Status Code: 400",
    ),
    "expired": (lambda: {"SAMLAssertion": idp.encoded(now=time.time() - 900)}, 400, EXPIRED, "Response has expired"),
    "no_pair": (
        lambda: {"SAMLAssertion": now_says(attributes={"Role": ["a,b"]})},
        400, INVALID, "SAML Assertion doesn't contain the requested Role and Metadata in the attributes",
    ),
    "no_session_name": (
        lambda: {"SAMLAssertion": now_says(attributes={"RoleSessionName": []})},
        400, INVALID, "RoleSessionName is required in AuthnResponse",
    ),
    "session_name": (
        lambda: {"SAMLAssertion": now_says(attributes={"RoleSessionName": ["a b"]})},
        400, INVALID, "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}",
    ),
    "source_identity": (
        lambda: {"SAMLAssertion": now_says(attributes={"SourceIdentity": ["aws:a"]})},
        400, INVALID, 'Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"',
    ),
    "not_trusted": (closed, 403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML"),
    "duration": (
        lambda: {"DurationSeconds": 3601},
        400, "ValidationError", "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    ),
}  # fmt: skip


@pytest.mark.parametrize(("sent", "status", "code", "text"), ROWS.values(), ids=ROWS)
def test_every_refusal_over_http(node, sent, status, code, text):
    call = {"RoleArn": ROLE, "PrincipalArn": PROVIDER, "SAMLAssertion": now_says()} | sent()
    with pytest.raises(ClientError) as refused:
        anonymous(node).assume_role_with_saml(**call)
    answer = refused.value.response
    assert (answer["ResponseMetadata"]["HTTPStatusCode"], answer["Error"]["Code"]) == (status, code)
    assert answer["Error"]["Message"].startswith(text)
    if "(Serv" in text:
        assert answer["Error"]["Message"].endswith(
            f"; Request ID: {answer['ResponseMetadata']['RequestId']}; Proxy: null)"
        )


def test_the_largest_assertion_fits_in_a_request(node):
    roles = [f"arn:aws:iam::{ACME}:role/{number:03}-{'x' * 60},{PROVIDER}" for number in range(350)]
    text = now_says(attributes={"Role": [*roles, f"{ROLE},{PROVIDER}"]})
    assert 80_000 < len(text) <= 100_000
    answer = anonymous(node).assume_role_with_saml(RoleArn=ROLE, PrincipalArn=PROVIDER, SAMLAssertion=text)
    assert answer["AssumedRoleUser"]["Arn"] == f"arn:aws:sts::{ACME}:assumed-role/engineers/alice"
