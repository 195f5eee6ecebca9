"""Defects of a signature over HTTP, in the texts and statuses of specification 2.2.3 to 2.3."""

from __future__ import annotations

import time
from typing import Any

import pytest
import requests

from stsd.authn import sigv4
from stsd.errors import STS_NAMESPACE, SignatureDoesNotMatch
from tests.authn import test_sigv4a as common_runtime
from tests.running import RunningNode, signing
from tests.server.rows import GLOBAL, INVALID, WHO, Row, error_of, send

pytestmark = pytest.mark.processes
BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
INCOMPLETE, MISMATCH = (400, "IncompleteSignature"), (403, "SignatureDoesNotMatch")
FIVE = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got 'x/y'"
HOST = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
ALGORITHM = "Unsupported AWS 'algorithm': 'AWS4-HMAC-SHA512'."
DATE = "Date must be in ISO-8601 'basic format'. Got '2026-11-23'. See http://en.wikipedia.org/wiki/ISO_8601"
TERMINATOR = "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."
WRONG = SignatureDoesNotMatch.WRONG


def signed(node: RunningNode, **more: str) -> dict[str, str]:
    """Headers of a signed request."""
    headers = {"Host": node.url.partition("://")[2], **FORM, **more}
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    how = {**node.keys("acme-bob"), "region": node.region, "amz_date": now}
    return headers | sigv4.sign("POST", "/", "", headers, BODY, **how)


def told(answer: requests.Response) -> tuple[Any, str | None]:
    code, message = error_of(answer, STS_NAMESPACE)
    return (answer.status_code, code), message


def posted(node: RunningNode, headers: dict[str, str]) -> tuple[Any, str | None]:
    return told(requests.post(node.url, BODY, headers=headers, timeout=5))


def test_the_request_without_a_defect_is_answered(node):
    assert requests.post(node.url, BODY, headers=signed(node), timeout=5).status_code == 200


@pytest.mark.parametrize(
    ("old", "new", "refusal"),
    [
        ("AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA512 ", (INCOMPLETE, ALGORITHM)),
        ("content-type;host;", "content-type;", (MISMATCH, HOST)),
        ("content-type;host;", "host;content-type;", (MISMATCH, WRONG)),
        ("/aws4_request", "/aws5_request", (MISMATCH, TERMINATOR)),
        ("Signature=", "Signature=0", (MISMATCH, WRONG)),
    ],
)
def test_a_defect_in_the_authorization_header(node, old, new, refusal):
    headers = signed(node)
    assert headers["Authorization"].count(old) == 1
    headers["Authorization"] = headers["Authorization"].replace(old, new)
    assert posted(node, headers) == refusal


def test_a_credential_of_another_form(node):
    headers = signed(node)
    first, _, rest = headers["Authorization"].partition(", SignedHeaders")
    headers["Authorization"] = f"{first.partition('=')[0]}=x/y, SignedHeaders{rest}"
    assert posted(node, headers) == (INCOMPLETE, FIVE)


def test_a_part_without_an_equal_sign(node):
    said = "'foo' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 foo'."
    assert posted(node, {**signed(node), "Authorization": "AWS4-HMAC-SHA256 foo"}) == (INCOMPLETE, said)


def test_a_date_of_another_form_and_one_of_another_day_than_the_scopes(node):
    headers = signed(node)
    assert posted(node, {**headers, "X-Amz-Date": "2026-11-23"}) == (INCOMPLETE, DATE)
    date = headers["X-Amz-Date"]
    headers["Authorization"] = headers["Authorization"].replace(f"/{date[:8]}/", "/20200101/")
    said = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
    assert posted(node, headers) == (MISMATCH, f"{said} '20200101' != '{date[:8]}', from '{date}'.")


@pytest.mark.parametrize("present", ["X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date"])
def test_a_presigned_request_that_lacks_all_parts_but_one(node, present):
    names = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    query = {"Action": "GetCallerIdentity", "Version": "2011-06-15", "X-Amz-Algorithm": "AWS4-HMAC-SHA256"}
    lacking = [f"AWS query-string parameters must include '{name}'." for name in names if name != present]
    answer = requests.get(node.url, {**query, present: "x"}, timeout=5)
    assert told(answer) == (INCOMPLETE, " ".join((*lacking, "Re-examine the query-string parameters.")))


def test_a_body_hash_that_is_signed_has_to_be_the_bodys(node):
    for declared in ("UNSIGNED-PAYLOAD", "0" * 64):
        assert posted(node, signed(node, **{"X-Amz-Content-Sha256": declared})) == (MISMATCH, WRONG)


def test_the_host_does_not_name_the_region(node):
    headers = {"Host": "sts.eu-west-1.amazonaws.com", **FORM}
    now = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime())
    for region, status in (("us-east-1", 200), ("eu-west-1", 403)):
        how = {**node.keys("acme-bob"), "region": region, "amz_date": now}
        added = sigv4.sign("POST", "/", "", headers, BODY, **how)
        assert requests.post(node.url, BODY, headers=headers | added, timeout=5).status_code == status


@pytest.mark.parametrize("body", [b"Action=GetCallerIdentity&x=%ff", b"Action=X&x=%zz", b"Action=X&x=\xff"])
def test_what_cannot_be_decoded_is_malformed_before_action_and_signature_are_looked_at(node, body):
    answer = requests.post(node.url, body, headers=FORM, timeout=5)
    assert told(answer) == ((400, "MalformedInput"), None)


@pytest.mark.parametrize("query", [False, True], ids=["header", "presigned"])
def test_a_request_signed_for_several_regions_at_once(node, query):
    keys = node.keys("acme-bob")

    def answer(regions: str, secret: str) -> requests.Response:
        sent = common_runtime.sign(keys["access_key_id"], secret, regions=regions, query=query, at=time.time())
        url = f"{node.url}/?{sent.query}" if query else node.url
        return requests.request(sent.method, url, data=sent.body, headers=dict(sent.headers.items()), timeout=5)

    assert answer("us-*,eu-west-1", keys["secret_access_key"]).status_code == 200
    assert told(answer("us-*,eu-west-1", "y" * 40)) == (MISMATCH, WRONG)
    said = "Credential should be scoped to a valid region. "
    assert told(answer("eu-*", keys["secret_access_key"])) == (MISMATCH, said)


def test_a_session_signs_for_several_regions_at_once_unless_its_token_is_of_version_1(node):
    keys = node.keys("acme-bob")

    def issued(endpoint: str) -> dict[str, Any]:
        own = {"secret_access_key": keys["secret_access_key"]}
        row = Row("", {"Action": "GetSessionToken"}, 200, "", "", keys["access_key_id"], signed=own, endpoint=endpoint)
        answer = send(row, {"node": node}, Accept="application/json").json()
        return signing(answer["GetSessionTokenResponse"]["GetSessionTokenResult"]["Credentials"])

    def answer(session: dict[str, Any], query: bool, token: str | None) -> requests.Response:
        key_id, secret = session["access_key_id"], session["secret_access_key"]
        sent = common_runtime.sign(key_id, secret, token, regions="us-*,eu-west-1", query=query, at=time.time())
        url = f"{node.url}/?{sent.query}" if query else node.url
        return requests.request(sent.method, url, data=sent.body, headers=dict(sent.headers.items()), timeout=5)

    second, first = issued("regional"), issued(GLOBAL)
    refused = (403, "InvalidClientTokenId"), INVALID
    for query in (False, True):
        assert answer(second, query, second["session_token"]).status_code == 200
        assert told(answer(first, query, first["session_token"])) == refused
        assert told(answer(second, query, None)) == refused
        assert told(answer(second, query, first["session_token"])) == refused
    # It is not the token: SigV4 signs with it.
    signer = dict(first)
    row = Row("", WHO, 200, "", "", signer.pop("access_key_id"), signed=signer)
    assert send(row, {"node": node}).status_code == 200
