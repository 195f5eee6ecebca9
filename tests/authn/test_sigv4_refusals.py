"""Signatures that are refused before any key is looked up: every row of specification 2.3, in its order."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from stsd.authn import sigv4
from stsd.authn.sigv4 import SigningKeys
from stsd.errors import (
    IncompleteSignature,
    MalformedInput,
    MissingAuthenticationToken,
    SignatureDoesNotMatch,
    StsError,
)
from stsd.wire import xml
from stsd.wire.messages import Request
from tests.authn.requests import AMZ_DATE, BODY, HEADERS, NOW, SECRET, authorization, post, presigned, signed

PARTS = {
    "Credential": "AKIDEXAMPLE/20261123/us-east-1/sts/aws4_request",
    "SignedHeaders": "host",
    "Signature": "0" * 64,
}
DATE = {"X-Amz-Date": AMZ_DATE}
QUERY_PARTS = {f"X-Amz-{name}": value for name, value in PARTS.items()} | DATE
REGION = "Credential should be scoped to a valid region. "
SERVICE = "Credential should be scoped to correct service: 'sts'. "
TERMINATOR = "Credential should be scoped with a valid terminator: 'aws4_request', not 'aws5_request'."
DAY = (
    "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
    " '20261122' != '20261123', from '20261123T120000Z'."
)


def header(parts: dict[str, str], others: dict[str, str] | None = None) -> Request:
    text = ", ".join(f"{name}={value}" for name, value in parts.items())
    return post({"Authorization": f"AWS4-HMAC-SHA256 {text}", **(DATE if others is None else others)})


def carried(parts: dict[str, str]) -> Request:
    text = "&".join(f"{name}={value}" for name, value in {"X-Amz-Algorithm": "AWS4-HMAC-SHA256", **parts}.items())
    return Request("GET", "/", text, CIMultiDict(HEADERS), b"", "id")


def refused(request: Request, error: type[StsError], now: float = NOW) -> str:
    with pytest.raises(error) as caught:
        sigv4.read(request, now)
    assert caught.value.message is not None
    return caught.value.message


def scope_message(scope: str) -> str:
    request = authorization(signed(), "20261123/us-east-1/sts/aws4_request", scope)
    with pytest.raises(SignatureDoesNotMatch) as caught:
        sigv4.check_scope(sigv4.read(request, NOW), service="sts", regions=("us-east-1",))
    assert caught.value.message is not None
    return caught.value.message


# -- carrier and algorithm --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "request_", [post(), post(query="a=1"), post({"X-Amz-Security-Token": "t", **DATE}), post(query="X-Amz-Date=x")]
)
def test_a_request_without_a_carrier_is_not_signed(request_):
    assert refused(request_, MissingAuthenticationToken) == "Request is missing Authentication Token"


def test_the_body_is_no_carrier():
    request = post(body=BODY + b"&X-Amz-Algorithm=AWS4-HMAC-SHA256")
    assert refused(request, MissingAuthenticationToken)


@pytest.mark.parametrize(
    "algorithm", ["AWS4-HMAC-SHA512", "AWS4-ECDSA-P384-SHA384", "aws4-hmac-sha256", "Bearer", "Basic", ""]
)
def test_any_other_algorithm_is_unsupported_whatever_else_is_wrong(algorithm):
    message = f"Unsupported AWS 'algorithm': '{algorithm}'."
    assert (
        refused(post({"Authorization": f"{algorithm} nothing".strip() if algorithm else ""}), IncompleteSignature)
        == message
    )
    assert refused(carried({"X-Amz-Algorithm": algorithm}), IncompleteSignature) == message


# -- parts ------------------------------------------------------------------------------------------------------------


def test_every_missing_part_of_the_header_is_told_in_order():
    message = refused(post({"Authorization": "AWS4-HMAC-SHA256"}), IncompleteSignature)
    assert message == (
        "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' parameter."
        " Authorization header requires 'SignedHeaders' parameter. Authorization header requires existence of either"
        " a 'X-Amz-Date' or a 'Date' header. Authorization=AWS4-HMAC-SHA256"
    )


@pytest.mark.parametrize("name", PARTS)
def test_one_missing_part_of_the_header_is_told(name):
    parts = {part: value for part, value in PARTS.items() if part != name}
    assert refused(header(parts), IncompleteSignature) == (
        f"Authorization header requires '{name}' parameter. Authorization=AWS4-HMAC-SHA256"
    )


def test_a_header_without_any_date_is_incomplete():
    assert refused(header(PARTS, {}), IncompleteSignature) == (
        "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
        " Authorization=AWS4-HMAC-SHA256"
    )


def test_a_part_without_an_equal_sign_is_told_with_the_header():
    assert refused(post({"Authorization": "AWS4-HMAC-SHA256 foo"}), IncompleteSignature) == (
        "'foo' not a valid key=value pair (missing equal-sign) in Authorization header: 'AWS4-HMAC-SHA256 foo'."
    )


def test_every_missing_part_of_the_query_is_told_in_order():
    assert refused(carried({}), IncompleteSignature) == (
        "AWS query-string parameters must include 'X-Amz-Credential'."
        " AWS query-string parameters must include 'X-Amz-Signature'."
        " AWS query-string parameters must include 'X-Amz-SignedHeaders'."
        " AWS query-string parameters must include 'X-Amz-Date'. Re-examine the query-string parameters."
    )


@pytest.mark.parametrize("name", QUERY_PARTS)
def test_one_missing_part_of_the_query_is_told(name):
    parts = {part: value for part, value in QUERY_PARTS.items() if part != name}
    assert refused(carried(parts), IncompleteSignature) == (
        f"AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
    )


# -- host, date, window -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("names", ["", "x-amz-date", "Host", "hosts;x-amz-date", "host,x"])
def test_a_host_that_is_not_signed_is_refused_before_the_date_is_read(names):
    message = "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
    for request in (
        carried({**QUERY_PARTS, "X-Amz-SignedHeaders": names, "X-Amz-Date": "x"}),
        header({**PARTS, "SignedHeaders": names.partition(",")[0] + "x"}, {"X-Amz-Date": "x"}),
    ):
        assert refused(request, SignatureDoesNotMatch) == message


@pytest.mark.parametrize(
    "date",
    [
        "2026-11-23", "2026-11-23T12:00:00Z", "20261123T120000", "20261123T120000z", "20261123T120000Z ",
        "20261323T120000Z", "20261123T120060Z", "20260229T120000Z", "00001123T120000Z", "٢0261123T120000Z", "", "now",
        "1795435200", "é\udcff", "Mon, 23 Nov 2026 12:00:00 CET", "Mon, 31 Feb 2026 12:00:00 GMT",
        "Mon, 3 Nov 2026 12:00:00 GMT", "9" * 9000,
    ],
)  # fmt: skip
def test_a_date_in_another_form_is_malformed(date):
    shown = date.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    assert refused(header(PARTS, {"X-Amz-Date": date, "Date": AMZ_DATE}), IncompleteSignature) == (
        f"Date must be in ISO-8601 'basic format'. Got '{shown}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def test_the_window_is_fifteen_minutes_inclusive():
    for request in (signed(), presigned()):
        for now in (NOW - 900, NOW - 900.0, NOW + 900, NOW + 900.999):
            assert sigv4.read(request, now)
        for now in (NOW - 900.5, NOW - 901, NOW + 901):
            assert refused(request, SignatureDoesNotMatch, now)


def test_an_expired_signature_is_told_with_the_window():
    for request in (signed(amz_date="20261123T114000Z"), presigned(amz_date="20261123T114000Z")):
        assert refused(request, SignatureDoesNotMatch) == (
            "Signature expired: 20261123T114000Z is now earlier than 20261123T114500Z (20261123T120000Z - 15 min.)"
        )


def test_a_signature_of_the_future_is_told_with_the_window():
    for request in (signed(amz_date="20261123T122000Z"), presigned(amz_date="20261123T122000Z")):
        assert refused(request, SignatureDoesNotMatch, NOW + 0.9) == (
            "Signature not yet current: 20261123T122000Z is still later than 20261123T121500Z"
            " (20261123T120000Z + 15 min.)"
        )


def test_the_window_is_judged_before_the_credential():
    request = header({**PARTS, "Credential": "x/y"}, {"X-Amz-Date": "20251123T120000Z"})
    assert refused(request, SignatureDoesNotMatch).startswith("Signature expired: ")


# -- credential and scope ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("credential", ["x/y", "", "a/b/c/d", "a/b/c/d/e/f", "AKIDEXAMPLE"])
def test_a_credential_has_five_parts(credential):
    message = (
        "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term,"
        f" got '{credential}'"
    )
    assert refused(header({**PARTS, "Credential": credential}), IncompleteSignature) == message
    assert refused(carried({**QUERY_PARTS, "X-Amz-Credential": credential}), IncompleteSignature) == message


@pytest.mark.parametrize(
    ("scope", "message"),
    [
        ("20261123/eu-west-1/sts/aws4_request", REGION),
        ("20261123//sts/aws4_request", REGION),
        ("20261123/US-EAST-1/sts/aws4_request", REGION),
        ("20261123/us-east-1/iam/aws4_request", SERVICE),
        ("20261123/eu-west-1/iam/aws4_request", REGION + SERVICE),
        ("20261123/us-east-1/sts/aws5_request", TERMINATOR),
        ("20261122/us-east-1/sts/aws4_request", DAY),
        ("20261123/eu-west-1/sts/aws5_request", REGION + TERMINATOR),
        ("20261122/eu-west-1/sts/aws4_request", REGION + DAY),
        ("20261122/us-east-1/sts/aws5_request", f"{TERMINATOR} {DAY}"),
        ("20261122/eu-west-1/iam/aws5_request", f"{REGION}{SERVICE}{TERMINATOR} {DAY}"),
    ],
)
def test_everything_wrong_with_a_scope_is_told_at_once(scope, message):
    assert scope_message(scope) == message


def test_a_scope_may_be_one_of_several_regions():
    signature = sigv4.read(signed(region="eu-west-1"), NOW)
    assert sigv4.check_scope(signature, service="sts", regions={"us-east-1", "eu-west-1"}) is None
    with pytest.raises(SignatureDoesNotMatch):
        sigv4.check_scope(signature, service="sts", regions=())


def test_statuses_are_those_of_the_specification():
    assert (IncompleteSignature.status, SignatureDoesNotMatch.status, MissingAuthenticationToken.status) == (
        400,
        403,
        403,
    )


# -- hostile requests -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", ["X-Amz-Algorithm=%", "X-Amz-Algorithm=%ff", "\udcff=1", "a=%C3%28"])
def test_a_query_that_cannot_be_decoded_is_malformed(query):
    with pytest.raises(MalformedInput):
        sigv4.read(post(query=query), NOW)
    request = signed(path="/v1/revocations")
    request.query = query
    with pytest.raises(MalformedInput):
        sigv4.verify(request, sigv4.read(request, NOW), SECRET, SigningKeys())


def judge(request: Request) -> None:
    """Everything that is done with a signature; a refusal must be fit to be sent."""
    try:
        signature = sigv4.read(request, NOW)
        with suppress(SignatureDoesNotMatch):
            sigv4.check_scope(signature, service="sts", regions=("us-east-1",))
        sigv4.verify(request, signature, SECRET, SigningKeys())
    except StsError as error:
        xml.render_error(error, "id")
        (error.message or "").encode()


octets = st.binary(max_size=80).map(lambda sent: sent.decode("utf-8", "surrogateescape"))


@given(st.dictionaries(st.sampled_from(
    ["Authorization", "X-Amz-Date", "Date", "Host", "X-Amz-Security-Token", "X-Amz-Content-Sha256"]), octets),
    octets, octets, octets, st.binary(max_size=50))  # fmt: skip
def test_arbitrary_octets_are_refused_in_the_words_of_the_protocol(headers, method, path, query, body):
    judge(Request(method, path, query, CIMultiDict(headers), body, "id"))


@given(st.sampled_from(sorted(PARTS)), octets, octets)
def test_arbitrary_octets_in_one_part_are_refused_in_the_words_of_the_protocol(name, value, token):
    judge(header({**PARTS, name: value}, {**DATE, "X-Amz-Security-Token": token}))
    judge(header({**PARTS, "SignedHeaders": f"host;{value}"}))
    judge(header({**PARTS, "Credential": f"{value}/20261123/us-east-1/sts/aws4_request"}))
    judge(carried({**QUERY_PARTS, f"X-Amz-{name}": value}))
