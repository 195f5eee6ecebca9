"""SigV4 signatures: the vectors of specification 2.6, and what a signature covers (2.2.1, 2.2.2)."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from stsd.authn import canonical_request, sigv4
from stsd.authn.sigv4 import SigningKeys
from stsd.errors import MissingAuthenticationToken, SignatureDoesNotMatch, StsError
from stsd.wire.messages import Request
from tests.authn.requests import (
    AMZ_DATE,
    BODY,
    HEADERS,
    KEY_ID,
    NOW,
    SECRET,
    authorization,
    post,
    presigned,
    signed,
    verify,
)

VECTORS = Path(__file__).parent.parent / "vectors" / "sigv4"


def vector(name: str) -> dict:
    return json.loads((VECTORS / f"{name}.json").read_text())


def credentials(of: dict) -> dict:
    names = ("access_key_id", "secret_access_key", "session_token", "region")
    return {name: of[name] for name in names} | {"amz_date": of["timestamp"]}


def refused(request: Request, reason: str) -> None:
    with pytest.raises(SignatureDoesNotMatch) as caught:
        verify(request)
    assert caught.value.message == SignatureDoesNotMatch.WRONG
    assert caught.value.reason == reason


# -- vectors ----------------------------------------------------------------------------------------------------------


def test_the_header_vector_holds_at_every_stage():
    given = vector("header")
    body = given["body"].encode()
    lines = "".join(
        f"{name.lower()}:{value}\n" for name, value in {**given["headers"], "x-amz-date": given["timestamp"]}.items()
    )
    names, body_sha256 = "content-type;host;x-amz-date", sha256(body).hexdigest()
    canonical = canonical_request.build("POST", "/", given["query"], lines, names, body_sha256)
    assert canonical.decode() == given["canonical_request"]
    assert sha256(canonical).hexdigest() == given["canonical_request_sha256"]
    added = sigv4.sign("POST", "/", "", given["headers"], body, **credentials(given))
    assert added["Authorization"].endswith(f"Signature={given['signature']}")
    request = Request("POST", "/", "", CIMultiDict(given["headers"] | added), body, "id")
    assert verify(request).signature == given["signature"]


def test_the_presigned_vector_holds_at_every_stage():
    given = vector("presigned")
    whole = sigv4.presign(
        "GET", "/", given["query"], given["headers"], expires_s=given["expires_s"], **credentials(given)
    )
    line = f"host:{given['headers']['Host']}\n"
    canonical = canonical_request.build("GET", "/", whole, line, "host", sha256(b"").hexdigest())
    assert canonical.decode() == given["canonical_request"]
    assert sha256(canonical).hexdigest() == given["canonical_request_sha256"]
    request = Request("GET", "/", whole, CIMultiDict(given["headers"]), b"", "id")
    signature = verify(request)
    assert signature.signature == given["signature"]
    assert signature.session_token == given["session_token"]


# -- what is read -----------------------------------------------------------------------------------------------------


def test_a_signature_tells_its_parts():
    signature = sigv4.read(signed(session_token="T/+="), NOW)
    assert signature.access_key_id == KEY_ID
    assert (signature.date, signature.region, signature.service) == ("20261123", "us-east-1", "sts")
    assert signature.signed_headers == ("content-type", "host", "x-amz-date", "x-amz-security-token")
    assert signature.timestamp == AMZ_DATE
    assert (signature.session_token, signature.token_signed, signature.carrier) == ("T/+=", True, "header")


def test_a_presigned_request_tells_its_carrier_and_token():
    signature = verify(presigned(session_token="T/+="))
    assert (signature.session_token, signature.token_signed, signature.carrier) == ("T/+=", True, "query")
    assert verify(presigned()).session_token is None


def test_neither_signature_nor_token_shows_in_a_repr():
    signature = sigv4.read(signed(session_token="SECRET-TOKEN"), NOW)
    assert "SECRET-TOKEN" not in repr(signature)
    assert signature.signature not in repr(signature)
    assert SECRET not in repr(SigningKeys())


def test_the_authorization_header_beats_the_query():
    request = signed(session_token="of the header")
    request.query = presigned(session_token="of the query").query
    signature = sigv4.read(request, NOW)
    assert (signature.carrier, signature.session_token) == ("header", "of the header")


def test_of_several_carriers_the_first_is_read_and_of_several_keys_in_one_the_last():
    request = signed()
    request.headers.add("Authorization", "AWS4-HMAC-SHA256 nothing")
    assert verify(request)
    assert verify(authorization(signed(), "Credential=", "Credential=a/b/c/d/e, Credential="))
    repeated = presigned()
    repeated.query += "&X-Amz-Algorithm=x&X-Amz-Date=x"
    assert sigv4.read(repeated, NOW).timestamp == AMZ_DATE


@pytest.mark.parametrize(("old", "new"), [(", ", ","), (", ", " ,  "), ("AWS4-HMAC-SHA256 ", " AWS4-HMAC-SHA256   ")])
def test_blanks_between_the_parts_do_not_matter(old, new):
    assert verify(authorization(signed(), old, new))


@pytest.mark.parametrize("date", ["Mon, 23 Nov 2026 12:00:00 GMT", "Mon, 23 Nov 2026 12:00:00 -0000", AMZ_DATE])
def test_a_date_header_serves_without_an_x_amz_date(date):
    request = signed()
    headers = CIMultiDict({name: value for name, value in request.headers.items() if name != "X-Amz-Date"})
    headers["Date"] = date
    assert sigv4.read(Request("POST", "/", "", headers, BODY, "id"), NOW).timestamp == AMZ_DATE


def test_x_amz_date_beats_date():
    assert verify(signed({"Date": "Mon, 23 Nov 2020 12:00:00 GMT"})).timestamp == AMZ_DATE


@pytest.mark.parametrize("expires_s", [0, 1, 60, 900, 3600, 604_800])
def test_the_value_of_x_amz_expires_is_ignored(expires_s):
    request = presigned(expires_s=expires_s)
    for now in (NOW - 900, NOW, NOW + 900):
        assert verify(request, now)
    for now in (NOW - 901, NOW + 901):
        with pytest.raises(SignatureDoesNotMatch, match=r"^Signature (expired|not yet current): "):
            sigv4.read(request, now)


def test_a_presigned_request_may_do_without_x_amz_expires():
    request = presigned()
    unsigned = request.query.partition("&X-Amz-Signature=")[0].replace("&X-Amz-Expires=900", "")
    line = f"host:{HEADERS['Host']}\n"
    canonical = canonical_request.build("GET", "/", unsigned, line, "host", sha256(b"").hexdigest())
    request.query = f"{unsigned}&X-Amz-Signature={SigningKeys().sign(canonical, SECRET, AMZ_DATE, 'us-east-1', 'sts')}"
    assert "X-Amz-Expires" not in request.query
    assert verify(request)


def test_sigv2_is_no_signature():
    request = Request("GET", "/", "AWSAccessKeyId=a&Signature=b&SignatureVersion=2", CIMultiDict(HEADERS), b"", "id")
    with pytest.raises(MissingAuthenticationToken):
        sigv4.read(request, NOW)


# -- what is covered --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "change",
    [
        {"method": "GET"},
        {"path": "/v1/revocations"},
        {"query": "a=1"},
        {"body": BODY + b"&"},
        {"body": b""},
        {"headers": {"Host": "sts.eu-west-1.amazonaws.com"}},
        {"headers": {"Content-Type": "application/json"}},
        {"headers": {"X-Amz-Date": "20261123T120001Z"}},
        {"headers": {"X-Amz-Security-Token": "another"}},
    ],
    ids=str,
)
def test_any_change_of_what_is_signed_is_noticed(change):
    request = signed(session_token="token")
    for name, value in change.get("headers", {}).items():
        request.headers[name] = value
    for name in change.keys() - {"headers"}:
        setattr(request, name, change[name])
    refused(request, "hmac")


@pytest.mark.parametrize("secret", [SECRET[:-1], SECRET.lower(), "", "é"])
def test_another_secret_is_refused(secret):
    with pytest.raises(SignatureDoesNotMatch):
        verify(signed(), secret=secret)


@pytest.mark.parametrize("region", ["eu-west-1", "us-east-2", ""])
def test_a_signature_over_another_region_is_refused(region):
    refused(authorization(signed(), "/us-east-1/", f"/{region}/"), "hmac")


@pytest.mark.parametrize("forged", ["", "0" * 64, "é" * 64, "\udcff", "x" * 10_000])
def test_a_signature_of_any_other_form_is_refused(forged):
    request = signed()
    genuine = sigv4.read(request, NOW).signature
    refused(authorization(request, genuine, forged), "hmac")


def test_a_signature_in_upper_case_is_refused():
    request = signed()
    genuine = sigv4.read(request, NOW).signature
    refused(authorization(request, genuine, genuine.upper()), "hmac")


def test_an_unsigned_header_may_change():
    request = signed()
    request.headers["User-Agent"] = "anything"
    request.headers["X-Amz-User-Agent"] = "anything"
    assert verify(request)


def test_a_signed_header_that_is_missing_counts_as_empty():
    request = signed({"X-Custom": ""})
    del request.headers["X-Custom"]
    assert verify(request)
    request = signed({"X-Custom": "something"})
    del request.headers["X-Custom"]
    refused(request, "hmac")


@pytest.mark.parametrize(
    ("sent", "received"),
    [
        ("a b", "  a   b  "),
        ('"a b"', '"a    b"'),
        ("a b", "a\tb"),
        ("a b c", "a\r\n  b\r\n\tc"),
        ("é", "é "),
        ("", "   "),
    ],
)
def test_blanks_in_a_header_are_folded_and_trimmed(sent, received):
    request = signed({"X-Custom": sent})
    request.headers["X-Custom"] = received
    assert verify(request)


def test_octets_that_are_no_utf8_are_signed_as_they_came():
    received = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")
    assert verify(signed({"X-Custom": received}))
    assert b"x-custom:caf\xe9 \xff\n" in canonical_request.build("POST", "/", "", f"x-custom:{received}\n", "", "")


def test_repeated_headers_are_joined_in_arrival_order():
    request = signed({"X-Custom": "b,a,c"})
    request.headers.popall("X-Custom")
    for value in (" b ", "a", " c"):
        request.headers.add("X-Custom", value)
    assert verify(request)


def test_the_host_may_be_signed_as_authority():
    request = post({"X-Amz-Date": AMZ_DATE})
    keys, names = SigningKeys(), ":authority;x-amz-date"
    lines = f":authority:{HEADERS['Host']}\nx-amz-date:{AMZ_DATE}\n"
    canonical = canonical_request.build("POST", "/", "", lines, names, sha256(BODY).hexdigest())
    signature = keys.sign(canonical, SECRET, AMZ_DATE, "us-east-1", "sts")
    request.headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20261123/us-east-1/sts/aws4_request,"
        f"SignedHeaders={names},Signature={signature}"
    )
    assert verify(request)


@pytest.mark.parametrize(
    "names",
    [
        "host;content-type;x-amz-date",
        "Content-Type;host;x-amz-date",
        "content-type;host;host;x-amz-date",
        ";content-type;host;x-amz-date",
        "content-type;host;x-amz-date;",
        "content-type;host;x amz date",
        "content-type;host;x-amz-date:\n",
        "content-type;host;é",
    ],
)
def test_signed_headers_are_lower_case_names_in_order(names):
    refused(authorization(signed(), "content-type;host;x-amz-date", names), "signed_headers")


# -- the body's hash and the session token ----------------------------------------------------------------------------


def test_a_signed_body_hash_is_accepted_when_it_is_the_bodys():
    assert verify(signed({"X-Amz-Content-Sha256": sha256(BODY).hexdigest()}))


@pytest.mark.parametrize(
    "declared", ["UNSIGNED-PAYLOAD", sha256(b"").hexdigest(), sha256(BODY).hexdigest().upper(), "", "\udcff"]
)
def test_a_signed_body_hash_that_is_not_the_bodys_is_refused(declared):
    refused(signed({"X-Amz-Content-Sha256": declared}), "content_sha256")


def test_a_request_signed_over_unsigned_payload_is_refused():
    declared = {"X-Amz-Content-Sha256": "UNSIGNED-PAYLOAD", "X-Amz-Date": AMZ_DATE}
    names = "host;x-amz-content-sha256;x-amz-date"
    lines = f"host:{HEADERS['Host']}\nx-amz-content-sha256:UNSIGNED-PAYLOAD\nx-amz-date:{AMZ_DATE}\n"
    canonical = canonical_request.build("POST", "/", "", lines, names, "UNSIGNED-PAYLOAD")
    signature = SigningKeys().sign(canonical, SECRET, AMZ_DATE, "us-east-1", "sts")
    request = post(declared)
    request.headers["Authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={KEY_ID}/20261123/us-east-1/sts/aws4_request,"
        f"SignedHeaders={names},Signature={signature}"
    )
    refused(request, "content_sha256")


def test_an_unsigned_body_hash_does_not_matter():
    request = signed()
    request.headers["X-Amz-Content-Sha256"] = "UNSIGNED-PAYLOAD"
    assert verify(request)


def test_a_session_token_added_after_signing_is_read_as_not_covered():
    request = signed()
    request.headers["X-Amz-Security-Token"] = "added"
    signature = verify(request)
    assert (signature.session_token, signature.token_signed) == ("added", False)


# -- paths and queries ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "canonical"),
    [
        ("", "/"),
        ("/", "/"),
        ("//", "/"),
        ("/./", "/"),
        ("/a/../", "/"),
        ("/../..", "/"),
        ("/v1/revocations", "/v1/revocations"),
        ("/a//b/./c/../d/", "/a/b/d/"),
        ("/a%20b", "/a%2520b"),
        ("/~a-b_c.d", "/~a-b_c.d"),
        ("/é\udcff", "/%C3%A9%FF"),
    ],
)
def test_a_path_is_normalised_and_encoded_once_more(path, canonical):
    built = canonical_request.build("GET", path, "", "", "", "")
    assert built.split(b"\n")[1] == canonical.encode()


@pytest.mark.parametrize(
    ("query", "canonical"),
    [
        ("", ""),
        ("b=2&a=1", "a=1&b=2"),
        ("a=2&a=1&A=3", "A=3&a=1&a=2"),
        ("a", "a="),
        ("a=b=c", "a=b%3Dc"),
        ("a=x+y&b=x%2By", "a=x%20y&b=x%2By"),
        ("a=%7e%2d&b=%c3%a9é", "a=~-&b=%C3%A9%C3%A9"),
        ("a=1&X-Amz-Signature=s&X-Amz-%53ignature=s", "a=1"),
        ("a-=1&a=2", "a=2&a-=1"),
        ("%C3%A9=1&z=2", "%C3%A9=1&z=2"),
    ],
)
def test_a_query_is_decoded_encoded_and_sorted(query, canonical):
    assert canonical_request.query_string(query) == canonical


def test_a_request_to_another_path_is_signed_over_that_path():
    request = signed(path="/v1/revocations")
    assert verify(request)
    request.path = "/v1/verify"
    refused(request, "hmac")


# -- signing keys -----------------------------------------------------------------------------------------------------


def test_signing_keys_are_kept_and_the_oldest_goes_first():
    keys = SigningKeys(limit=2)
    first = keys.sign(b"x", "a", AMZ_DATE, "us-east-1", "sts")
    for secret in "bcd":
        keys.sign(b"x", secret, AMZ_DATE, "us-east-1", "sts")
    assert len(keys) == 2
    assert keys.sign(b"x", "a", AMZ_DATE, "us-east-1", "sts") == first


@pytest.mark.parametrize(
    "other",
    [
        ("b", AMZ_DATE, "us-east-1", "sts"),
        ("a", "20261124T120000Z", "us-east-1", "sts"),
        ("a", AMZ_DATE, "us-east-2", "sts"),
        ("a", AMZ_DATE, "us-east-1", "iam"),
    ],
)
def test_a_kept_signing_key_serves_one_secret_and_one_scope(other):
    keys = SigningKeys()
    alone = SigningKeys().sign(b"x", *other)
    assert keys.sign(b"x", "a", AMZ_DATE, "us-east-1", "sts") != alone
    assert keys.sign(b"x", *other) == alone


def test_what_carries_a_request_may_change_is_not_signed():
    request = signed({"User-Agent": "x", "Expect": "100-continue", "Traceparent": "y"})
    assert sigv4.read(request, NOW).signed_headers == ("content-type", "host", "x-amz-date")


def test_a_presigned_request_covers_extra_headers_and_its_query():
    request = presigned(headers={"x-k8s-aws-id": "cluster"})
    assert verify(request).signed_headers == ("host", "x-k8s-aws-id")
    request.headers["x-k8s-aws-id"] = "another"
    refused(request, "hmac")
    request = presigned()
    request.query = request.query.replace("Expires=900", "Expires=901")
    refused(request, "hmac")


words = st.one_of(
    st.text("azAZ09_-", min_size=0, max_size=4), st.sampled_from(["us-east-1", "sts", "aws4_request", "é", "a/b"])
)
parts = st.one_of(
    st.lists(words, min_size=4, max_size=6).map(lambda found: "Credential=" + "/".join(found)),
    st.lists(st.sampled_from(["host", "x-amz-date", "X-Amz-Date", "", "a b"]), max_size=3).map(
        lambda names: "SignedHeaders=" + ";".join(names)
    ),
    words.map("Signature={}".format),
    st.sampled_from(["", "Credential", "Other=1", "=", " "]),
)
authorizations = st.builds(
    lambda algorithm, found, between: algorithm + between.join(found),
    st.sampled_from(["AWS4-HMAC-SHA256 ", "AWS4-HMAC-SHA256", "AWS4-HMAC-SHA256  ", "AWS3 "]),
    st.one_of(
        st.tuples(parts, parts, parts),
        st.tuples(
            st.just("Credential=AKIDEXAMPLE/20261123/us-east-1/sts/aws4_request"),
            st.just("SignedHeaders=host;x-amz-date"),
            words.map("Signature={}".format),
        ),
    ),
    st.sampled_from([", ", ",", " , ", ",  ", ""]),
)


def read_or_refused(read, *arguments):
    try:
        return read(*arguments)
    except StsError as error:
        return type(error), error.message, error.reason


@given(authorizations)
@example("AWS4-HMAC-SHA256 Credential=A/20261123/us-east-1/sts/aws4_request, SignedHeaders=host, Signature=ab\n")
def test_the_usual_form_of_the_header_reads_as_any_other_form_does(authorization):
    sent = CIMultiDict({"X-Amz-Date": AMZ_DATE, "Authorization": authorization})
    at_once = read_or_refused(sigv4._read_header, sent, authorization, NOW)
    assert at_once == read_or_refused(sigv4._read_unusual_header, sent, authorization, AMZ_DATE, NOW)
