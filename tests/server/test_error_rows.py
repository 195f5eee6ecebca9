"""Every row of the error tables of the specification that the service emits, over HTTP (spec 1.4 to 1.6)."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests

from stsd import errors
from stsd.errors import FAULT_NAMESPACE, STS_NAMESPACE
from tests.running import wait_for
from tests.server.rows import (
    AS_ROOT,
    BOB,
    DEPLOY,
    ERIN,
    EVE,
    GLOBAL,
    INFO,
    INVALID,
    JOAN,
    OFF,
    OPEN,
    READ_OF_GLOBEX,
    ROOT,
    ROOT_TASK,
    SECRET,
    TAGGED,
    WEB,
    WHO,
    Row,
    assume,
    error_of,
    send,
)
from tests.world.worlds import ACME, GLOBEX, allow

pytestmark = pytest.mark.processes
WRONG = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key"
    " and signing method. Consult the service documentation for details."
)
WRONGLY = {"secret_access_key": "y" * 40}


def clause(value: str, path: str, said: str) -> str:
    return f"1 validation error detected: Value {value} at '{path}' failed to satisfy constraint: Member must {said}"


def tags(count: int) -> dict[str, str]:
    named = ((number, name, value) for number in range(count) for name, value in (("Key", str(number)), ("Value", "v")))
    return {f"Tags.member.{number + 1}.{name}": value for number, name, value in named}


MFA = "MultiFactorAuthentication failed,"
BOTH = f"{MFA} must provide both MFA serial number and one time pass code."
UNABLE = (
    f"{MFA} unable to validate MFA code.  Please verify your MFA serial number is valid and associated with this user."
)
DEVICE = {"SerialNumber": f"arn:aws:iam::{ACME}:mfa/none"}
TRADE = {"Action": "GetDelegatedAccessToken", "TradeInToken": "t"}
ROWS = [
    # 1.4
    Row("unknown action", {"Action": "X"}, 400, "InvalidAction", "Could not find operation X for version 2011-06-15",
        namespace=FAULT_NAMESPACE),
    Row("no version", {"Action": "GetCallerIdentity", "Version": ""}, 400, "InvalidAction",
        "Could not find operation GetCallerIdentity for version ", namespace=FAULT_NAMESPACE),
    Row("another version", {"Action": "GetCallerIdentity", "Version": "2010-05-08"}, 400, "InvalidAction",
        "Could not find operation GetCallerIdentity for version 2010-05-08", namespace=FAULT_NAMESPACE),
    Row("unknown action and a wrong signature", {"Action": "X"}, 400, "InvalidAction",
        "Could not find operation X for version 2011-06-15", namespace=FAULT_NAMESPACE, signed=WRONGLY),
    Row("AssumeRoot at the global endpoint", AS_ROOT, 400, "InvalidAction", "Unknown Operation",
        namespace=FAULT_NAMESPACE, endpoint=GLOBAL),
    Row("GetWebIdentityToken at the global endpoint", WEB, 400, "InvalidAction",
        "Operation not supported on STS global endpoint", namespace=FAULT_NAMESPACE, endpoint=GLOBAL),
    Row("GetDelegatedAccessToken at the global endpoint", TRADE, 400, "InvalidAction",
        "Operation not supported on STS global endpoint", namespace=FAULT_NAMESPACE, endpoint=GLOBAL),
    Row("malformed integer", assume(DurationSeconds="1.5"), 400, "MalformedInput", None),
    Row("empty integer", assume(DurationSeconds=""), 400, "MalformedInput", "missing value for decimal type"),
    Row("index 0", assume(**{"Tags.member.0.Key": "a"}), 400, "MalformedInput", None),
    Row("index eleven beyond the end", assume(**{"PolicyArns.member.11.arn": DEPLOY}), 400, "MalformedInput", None),
    Row("malformed input and a wrong signature", assume(DurationSeconds="x"), 403, "SignatureDoesNotMatch", WRONG,
        signed=WRONGLY),
    Row("malformed input of who may not", assume(DurationSeconds="x"), 400, "MalformedInput", None, key=EVE),
    Row("tag twice", assume(**tags(1), **{"Tags.member.2.Key": "0", "Tags.member.2.Value": ""}), 400,
        "InvalidParameterValue", "Duplicate tag keys found. Please note that Tag keys are case insensitive."),
    Row("transitive key without tags", assume(**{"TransitiveTagKeys.member.1": "a"}), 400, "InvalidParameterValue",
        "The specified transitive tag key must be included in the requested tags."),
    Row("transitive key of no tag", assume(**tags(1), **{"TransitiveTagKeys.member.1": "a"}), 400,
        "InvalidParameterValue", "The specified transitive tag key must be included in the requested tags."),
    Row("tag key of AWS", assume(**{"Tags.member.1.Key": "AWS:a", "Tags.member.1.Value": ""}), 400,
        "InvalidParameterValue", "Tag keys may not begin with aws:"),
    Row("not signed", WHO, 403, "MissingAuthenticationToken", "Request is missing Authentication Token", signs=False),
    Row("wrong signature", WHO, 403, "SignatureDoesNotMatch", WRONG, signed=WRONGLY),
    Row("scope of another region", WHO, 403, "SignatureDoesNotMatch", "Credential should be scoped to a valid region. ",
        signed={"region": "eu-west-1"}),
    Row("scope of another region and service", WHO, 403, "SignatureDoesNotMatch",
        "Credential should be scoped to a valid region. Credential should be scoped to correct service: 'sts'. ",
        signed={"region": "eu-west-1", "service": "s3"}),
    Row("scope of another service", WHO, 403, "SignatureDoesNotMatch",
        "Credential should be scoped to correct service: 'sts'. ", signed={"service": "s3"}),
    Row("scope of the node's region at the global endpoint", WHO, 403, "SignatureDoesNotMatch",
        "Credential should be scoped to a valid region. ", node="opt_in", endpoint=GLOBAL,
        signed={"region": "af-south-1"}),
    Row("scope of another region and an unknown key", WHO, 403, "SignatureDoesNotMatch",
        "Credential should be scoped to a valid region. ", key="AKIARTX3GSDSQZZZZZZZ", signed={"region": "eu-west-1"}),
    Row("unknown key", WHO, 403, "InvalidClientTokenId", INVALID, key="AKIARTX3GSDSQZZZZZZZ"),
    Row("inactive key", WHO, 403, "InvalidClientTokenId", INVALID, key=OFF, signed={"secret_access_key": "wrong"}),
    Row("token of nobody", WHO, 403, "InvalidClientTokenId", INVALID, key="ASIARTX3GSDSQZZZZZZZ",
        signed={"session_token": "a.b.c"}),
    Row("surplus token", WHO, 403, "InvalidClientTokenId", INVALID, signed={"session_token": "a.b.c"}),
    Row("no identity policy", {**INFO, "Action": "DecodeAuthorizationMessage", "EncodedMessage": "m"}, 403,
        "AccessDenied", f"User: arn:aws:iam::{ACME}:user/eve is not authorized to perform:"
        " sts:DecodeAuthorizationMessage because no identity-based policy allows the sts:DecodeAuthorizationMessage"
        " action", key=EVE),
    Row("explicit deny", INFO, 403, "AccessDenied", f"User: arn:aws:iam::{ACME}:user/eve is not authorized to perform:"
        " sts:GetAccessKeyInfo with an explicit deny in an identity-based policy", key=EVE),
    Row("federated user that may not be", {"Action": "GetFederationToken", "Name": "ann"}, 403, "AccessDenied",
        f"User: arn:aws:iam::{ACME}:user/eve is not authorized to perform: sts:GetFederationToken on resource:"
        f" arn:aws:sts::{ACME}:federated-user/ann because no identity-based policy allows the sts:GetFederationToken"
        " action", key=EVE),
    Row("web identity token of who may not", WEB, 403, "AccessDenied", f"User: arn:aws:iam::{ACME}:user/eve is not"
        f" authorized to perform: sts:GetWebIdentityToken on resource: arn:aws:sts::{ACME}:self because no"
        " identity-based policy allows the sts:GetWebIdentityToken action", key=EVE),
    Row("trade-in token of nobody", TRADE, 403, "AccessDenied",
        "The trade-in token included in the request is invalid."),
    *(Row(f"root user of {what}", {**AS_ROOT, "TargetPrincipal": target, **more}, 403, "AccessDenied",
        f"User: arn:aws:iam::{ACME}:user/{who} is not authorized to perform: sts:AssumeRoot on resource:"
        f" arn:aws:iam::{target}:root", key=key) for what, target, who, key, more in (
        ("an account that is no member", "999999999999", "bob", BOB, {}),
        ("the management account", ACME, "bob", BOB, {}),
        ("a member, for who may not", GLOBEX, "eve", EVE, {}),
        ("a member, for a task that is not enabled", GLOBEX, "bob", BOB,
            {"TaskPolicyArn.arn": "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"}))),
    Row("MFA code without a serial number", assume(TokenCode="123456"), 403, "AccessDenied", BOTH),
    Row("serial number without an MFA code", assume(**DEVICE), 403, "AccessDenied", BOTH),
    Row("MFA code without a serial number, for a user session", {"Action": "GetSessionToken", "TokenCode": "123456"},
        403, "AccessDenied", BOTH),
    Row("serial number without an MFA code, for a user session", {"Action": "GetSessionToken", **DEVICE}, 403,
        "AccessDenied", BOTH),
    Row("MFA device of nobody", assume(**DEVICE, TokenCode="123456"), 403, "AccessDenied", UNABLE),
    Row("role that refuses", assume(), 403, "AccessDenied", f"User: arn:aws:iam::{ACME}:user/eve is not authorized to"
        f" perform: sts:AssumeRole on resource: {DEPLOY}", key=EVE),
    *(Row(f"role that refuses, asked for {what}", assume(**more), 403, "AccessDenied", f"User: arn:aws:iam::{ACME}:user"
        f"/eve is not authorized to perform: sts:AssumeRole on resource: {DEPLOY}", key=EVE) for what, more in {
        "more than its maximum": {"DurationSeconds": "7201"},
        "a managed policy that is not there": {"PolicyArns.member.1.arn": f"arn:aws:iam::{ACME}:policy/none"},
        "a policy that does not pack": {"Policy": json.dumps(allow("s3:" + "a" * 4000))}}.items()),
    Row("role that is not there", assume(RoleArn=DEPLOY + "2"), 403, "AccessDenied", f"User: arn:aws:iam::{ACME}:user"
        f"/bob is not authorized to perform: sts:AssumeRole on resource: {DEPLOY}2"),
    Row("role of another partition", assume(RoleArn=DEPLOY.replace(":aws:", ":aws-cn:")), 403, "AccessDenied",
        f"User: arn:aws:iam::{ACME}:user/bob is not authorized to perform: sts:AssumeRole on resource:"
        f" {DEPLOY.replace(':aws:', ':aws-cn:')}"),
    Row("source identity that the trust does not allow", assume(RoleArn=TAGGED, SourceIdentity="bob"), 403,
        "AccessDenied", f"User: arn:aws:iam::{ACME}:user/bob is not authorized to perform: sts:SetSourceIdentity on"
        f" resource: {TAGGED}"),
    Row("tags that the trust does not allow", assume(RoleArn=TAGGED, **tags(1)), 403, "AccessDenied",
        f"User: arn:aws:iam::{ACME}:user/bob is not authorized to perform: sts:TagSession on resource: {TAGGED}"),
    Row("root assumes", {"Action": "AssumeRole"}, 403, "AccessDenied", "Roles may not be assumed by root accounts.",
        key=ROOT),
    Row("region not enabled", WHO, 403, "RegionDisabledException", "STS is not activated in this region for"
        f" account:{ACME}. Your account administrator can activate STS in this region using the IAM Console.",
        node="opt_in", signed={"region": "af-south-1"}),
    # 1.5
    Row("message that does not open", {"Action": "DecodeAuthorizationMessage", "EncodedMessage": "m"}, 400,
        "InvalidAuthorizationMessageException", "Message is not valid"),
    Row("policy that is none", assume(Policy="{"), 400, "MalformedPolicyDocument", "Syntax errors in policy."),
    *(Row(f"managed policy {why}", assume(RoleArn=OPEN, **{"PolicyArns.member.1.arn": arn}), 400,
        "MalformedPolicyDocument", f"Policy {arn} does not exist or is not attachable.") for why, arn in {
        "that is not there": f"arn:aws:iam::{ACME}:policy/none", "of another account": READ_OF_GLOBEX}.items()),
    Row("policy of a federated user that is none", {"Action": "GetFederationToken", "Name": "ann", "Policy": "{"}, 400,
        "MalformedPolicyDocument", "Syntax errors in policy."),
    Row("tags too large", assume(RoleArn=OPEN, **{f"Tags.member.{n}.{name}": str(n) + "v" * 250 * (name == "Value")
        for n in range(1, 10) for name in ("Key", "Value")}), 400, "PackedPolicyTooLarge",
        "Packed size of session tags consumes 497% of allotted space."),
    Row("policy too large", assume(Policy=json.dumps(allow("s3:" + "a" * 4000))), 400, "PackedPolicyTooLarge",
        "Packed policy consumes 134% of allotted space, please use smaller policy."),
    Row("outbound federation is off", WEB, 403, "OutboundWebIdentityFederationDisabledException",
        "OutboundWebIdentityFederation is disabled.", key=ERIN),
    Row("outbound federation is off, for who may not ask", WEB, 403, "OutboundWebIdentityFederationDisabledException",
        "OutboundWebIdentityFederation is disabled.", key=JOAN),
    Row("payload too large", {**WEB, **{f"Tags.member.{n}.{name}": f"{n}" + "v" * (100 if name == "Key" else 250)
        for n in range(1, 51) for name in ("Key", "Value")}}, 400, "JWTPayloadSizeExceededException",
        "The claims of the token exceed 14984 bytes."),
    # 1.6
    Row("required", {"Action": "AssumeRole"}, 400, "ValidationError", "2 validation errors detected: Value null at"
        " 'roleArn' failed to satisfy constraint: Member must not be null; Value null at 'roleSessionName' failed to"
        " satisfy constraint: Member must not be null"),
    Row("constraint and a wrong signature", assume(RoleSessionName="x"), 403, "SignatureDoesNotMatch", WRONG,
        signed=WRONGLY),
    Row("constraint for who may not assume", assume(RoleSessionName="x"), 400, "ValidationError",
        clause("'x'", "roleSessionName", "have length greater than or equal to 2"), key=EVE),
    Row("min length", assume(RoleSessionName="x"), 400, "ValidationError",
        clause("'x'", "roleSessionName", "have length greater than or equal to 2")),
    Row("max length", assume(RoleSessionName="x" * 65), 400, "ValidationError",
        clause(f"'{'x' * 65}'", "roleSessionName", "have length less than or equal to 64")),
    Row("pattern", assume(RoleSessionName="a b"), 400, "ValidationError",
        clause("'a b'", "roleSessionName", r"satisfy regular expression pattern: [\w+=,.@-]*")),
    Row("min int", assume(DurationSeconds="899"), 400, "ValidationError",
        clause("'899'", "durationSeconds", "have value greater than or equal to 900")),
    Row("max int", assume(DurationSeconds="43201"), 400, "ValidationError",
        clause("'43201'", "durationSeconds", "have value less than or equal to 43200")),
    Row("list length", assume(**tags(51)), 400, "ValidationError", clause(
        "'[" + ", ".join(f"Tag(key={n}, value=v)" for n in range(51)) + "]'", "tags",
        "have length less than or equal to 50")),
    Row("element of a list", assume(**{"PolicyArns.member.1.arn": "short"}), 400, "ValidationError",
        clause("'short'", "policyArns.1.member.arn", "have length greater than or equal to 20")),
    Row("scalar-list element", {**WEB, "Audience.member.1": ""}, 400, "ValidationError", clause("'[]'", "audience",
        "satisfy constraint: [Member must have length less than or equal to 1000, Member must have length greater than"
        " or equal to 1]")),
    Row("null element", assume(**{"PolicyArns.member.2.arn": DEPLOY}), 400, "ValidationError",
        clause("null", "policyArns.1.member", "not be null")),
    Row("sensitive", {**assume(WebIdentityToken="s3c"), "Action": "AssumeRoleWithWebIdentity"}, 400, "ValidationError",
        clause("", "webIdentityToken", "have length greater than or equal to 4").replace("  ", " ")),
    Row("source identity of 257", assume(SourceIdentity="x" * 257), 400, "ValidationError",
        clause(f"'{'x' * 257}'", "sourceIdentity", "have length less than or equal to 256")),
    Row("short and no ARN", assume(RoleArn="arn:aws:iam"), 400, "ValidationError",
        clause("'arn:aws:iam'", "roleArn", "have length greater than or equal to 20")),
    *(Row(f"no ARN: {why}", assume(RoleArn=arn), 400, "ValidationError", f"{arn} is invalid") for why, arn in {
        "colons": "arn:aws:iam::no-resource", "partition": f"arn::iam::{ACME}:role/deploy",
        "service": f"arn:aws:::{ACME}:role/deploy", "resource": f"arn:aws:iam::{ACME}:",
        "prefix": f"urn:aws:iam::{ACME}:role/deploy"}.items()),
    Row("access key id of the old form that nobody has", {**INFO, "AccessKeyId": "AKIAIOSFODNN7EXAMPLE"}, 400,
        "ValidationError", "The access key id AKIAIOSFODNN7EXAMPLE is not known"),
    Row("role's maximum", assume(DurationSeconds="7201"), 400, "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."),
    Row("target principal", {**AS_ROOT, "TargetPrincipal": "somebody else"}, 400, "ValidationError",
        "Request must contain a valid target principal"),
    Row("task policy", {**AS_ROOT, "TaskPolicyArn.arn": ROOT_TASK + "x"}, 400, "ValidationError",
        "Request must contain valid AWS managed task policy ARN"),
    Row("signing algorithm", {**WEB, "SigningAlgorithm": "HS256"}, 400, "ValidationError", "Requested SigningAlgorithm"
        " is not supported. See the GetWebIdentityToken documentation for supported algorithms"),
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_a_refusal_is_as_the_specification_has_it(nodes, row):
    answer = send(row, nodes)
    assert (answer.status_code, *error_of(answer, row.namespace)) == (row.status, row.code, row.message)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.id)
def test_it_is_the_same_as_json(nodes, row):
    answer = send(row, nodes, Accept="application/json")
    assert answer.headers["Content-Type"] == "application/json"
    told = answer.json()
    assert told["RequestId"] == answer.headers["x-amzn-RequestId"]
    message = {} if row.message is None else {"Message": row.message}
    assert (answer.status_code, told["Error"]) == (row.status, {"Code": row.code, "Type": "Sender", **message})


def test_an_action_without_a_version(nodes):
    answer = send(Row("", {"Action": "GetCallerIdentity", "Version": ""}, 400, "", ""), nodes)
    assert answer.status_code == 400
    unversioned = requests.get(nodes["node"].url + "/?Action=GetCallerIdentity", timeout=5)
    said = error_of(unversioned, FAULT_NAMESPACE)
    assert said == ("InvalidAction", "Could not find operation GetCallerIdentity for version NO_VERSION_SPECIFIED")


@pytest.mark.parametrize(("minutes", "said"), [(-20, "Signature expired: "), (20, "Signature not yet current: ")])
def test_a_signature_outside_its_window(nodes, minutes, said):
    at = (datetime.now(UTC) + timedelta(minutes=minutes)).strftime("%Y%m%dT%H%M%SZ")
    row = Row("", WHO, 403, "SignatureDoesNotMatch", "", signed={"amz_date": at})
    code, message = error_of(send(row, nodes), STS_NAMESPACE)
    assert code == "SignatureDoesNotMatch"
    assert message is not None
    assert message.startswith(f"{said}{at} is ")
    assert message.endswith(" 15 min.)")


def test_an_incomplete_signature(nodes):
    answer = requests.post(
        nodes["node"].url,
        WHO | {"Version": "2011-06-15"},
        headers={"Authorization": "AWS4-HMAC-SHA256 Credential=a/b/c/d/e"},
        timeout=5,
    )
    said = (
        "Authorization header requires 'Signature' parameter. Authorization header requires 'SignedHeaders' parameter."
        " Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        " Authorization=AWS4-HMAC-SHA256"
    )
    assert (answer.status_code, *error_of(answer, STS_NAMESPACE)) == (400, "IncompleteSignature", said)


def test_an_account_over_its_quota_is_throttled(nodes):
    row = replace(ROWS[0], sent=WHO, node="quota")
    answers = [send(row, nodes) for _ in range(5)]
    assert answers[0].status_code == 200
    throttled = [answer for answer in answers if answer.status_code != 200]
    assert throttled
    assert {(answer.status_code, *error_of(answer, STS_NAMESPACE)) for answer in throttled} == {
        (400, "Throttling", "Rate exceeded")
    }


OTHER_ROWS = {
    "test_session_rows.py": {"ExpiredToken", "SessionDurationEscalationException"},
    "test_signature_rows.py": {"IncompleteSignature"},
    "test_error_rows.py": {"Throttling"},
    "test_web_identity_rows.py": {
        "InvalidIdentityToken", "ExpiredTokenException", "IDPCommunicationError", "IDPRejectedClaim", "InternalFailure",
    },
    "test_mfa.py": {"ServiceUnavailable"},
}  # fmt: skip
"""Codes that take more than one request, by the file of tests over HTTP that reaches them."""
ELSEWHERE = {errors.BareAnswer, errors.RevocationStateStale}
"""No refusals of the Query API: an answer without an error, and one of /v1/verify."""


def test_every_error_that_there_is_has_a_row():
    for file, codes in OTHER_ROWS.items():
        text = Path(__file__).with_name(file).read_text()
        assert all(f'"{code}"' in text for code in codes)
    there_are = {error.code for error in errors.StsError.__subclasses__() if error not in ELSEWHERE}
    assert there_are == {row.code for row in ROWS}.union(*OTHER_ROWS.values())


SECRETS = {
    "token code": assume(SerialNumber=f"arn:aws:iam::{ACME}:mfa/none", TokenCode="918273"),
    "trade-in token": {"Action": "GetDelegatedAccessToken", "TradeInToken": "s3cr3t-trade-in"},
    "assertion": {"Action": "AssumeRoleWithSAML", "RoleArn": DEPLOY, "PrincipalArn": f"arn:aws:iam::{ACME}:saml-"
        "provider/none", "SAMLAssertion": "s3cr3t-assertion"},
    "short assertion": {"Action": "AssumeRoleWithSAML", "RoleArn": DEPLOY, "SAMLAssertion": "s3c"},
    "identity token": {"Action": "AssumeRoleWithWebIdentity", "RoleArn": DEPLOY, "RoleSessionName": "s1",
        "WebIdentityToken": "s3cr3t.identity.token"},
    "context": assume(**{"ProvidedContexts.member.1.ProviderArn": "short",
        "ProvidedContexts.member.1.ContextAssertion": "s3c"}),
    "message": {"Action": "DecodeAuthorizationMessage", "EncodedMessage": "s3cr3t-message"},
}  # fmt: skip


@pytest.mark.parametrize("sent", SECRETS.values(), ids=SECRETS)
def test_a_refusal_tells_no_secret_and_its_event_one_reason(nodes, sent):
    node = nodes["node"]
    log = node.data_dir.parent / f"{node.data_dir.name}.log"
    before = len(log.read_text())
    answer = send(Row("", sent, 0, "", ""), nodes)
    assert answer.status_code in (400, 403)
    request_id = answer.headers["x-amzn-RequestId"]
    lines = wait_for(
        lambda: [line for line in log.read_text()[before:].splitlines() if request_id in line], "the log event"
    )
    assert len(lines) == 1
    assert lines[0].count(" reason=") == 1
    for secret in ("s3c", "918273", SECRET):
        assert secret not in answer.text
        assert secret not in lines[0]
