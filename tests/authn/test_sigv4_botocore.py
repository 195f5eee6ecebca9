"""botocore as the reference: what it signs is accepted, and what is signed here is what it would have signed."""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, datetime
from unittest import mock
from urllib.parse import quote, urlencode, urlsplit

import botocore.auth
import pytest
from botocore.auth import SigV4Auth, SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from hypothesis import assume, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from stsd.authn import sigv4
from stsd.authn.signer import UNSIGNED_HEADERS
from stsd.errors import SignatureDoesNotMatch
from stsd.wire.messages import Request
from tests.authn.requests import AMZ_DATE, KEY_ID, NOW, verify

HOST = "sts.eu-west-1.amazonaws.com:8711"
REGION = "eu-west-1"
OWN = {"host", "date", "x-amz-date", "x-amz-security-token", "x-amz-content-sha256", "content-type", "content-length"}

words = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=20)
fresh_names = words.filter(lambda name: not name.startswith("X-Amz-"))
parameters = st.lists(st.tuples(fresh_names, words), max_size=5)
tokens = st.none() | st.text("ABCabc123/+=.-_", min_size=1, max_size=80)
secrets = st.text("ABCabc123/+", min_size=1, max_size=40)
bodies = st.binary(max_size=60) | words.map(str.encode)
paths = st.lists(st.text("ab.~-_%20é /", max_size=4), max_size=4).map(lambda parts: "/" + quote("/".join(parts)))
names = st.text("abcXYZ019-_", min_size=1, max_size=12).filter(
    lambda name: name.lower() not in OWN | UNSIGNED_HEADERS and name.strip() == name
)
values = st.text(st.characters(codec="utf-8", min_codepoint=0x21, exclude_categories=("Z", "Cc")), max_size=6)
spaced = st.lists(values, max_size=4).map("  ".join) | st.lists(values, max_size=4).map("\t ".join)


def unique(headers: dict[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in {name.lower(): name for name in headers}.values()}


extra_headers = st.dictionaries(names, spaced, max_size=4).map(unique)


def at_noon() -> AbstractContextManager[object]:
    moment = datetime.fromtimestamp(NOW, UTC)
    return mock.patch.object(botocore.auth, "get_current_datetime", return_value=moment)


def by_botocore(auth: type[SigV4Auth], request: AWSRequest, secret: str, token: str | None) -> AWSRequest:
    with at_noon():
        auth(Credentials(KEY_ID, secret, token), "sts", REGION).add_auth(request)
    return request


def received(request: AWSRequest, body: bytes = b"") -> Request:
    """What a server would see of a request that botocore signed."""
    url = urlsplit(request.url)
    headers = CIMultiDict([("Host", HOST), *((name, value.strip(" \t")) for name, value in request.headers.items())])
    return Request(request.method, url.path, url.query, headers, body, "id")


@given(parameters, extra_headers, bodies, paths, tokens, secrets)
def test_what_botocore_signs_in_a_header_is_accepted(query, headers, body, path, token, secret):
    url = f"https://{HOST}{path}?{urlencode(query, quote_via=quote)}"
    request = AWSRequest("POST", url, {**headers, "Content-Type": "text/x"}, body)
    signature = verify(received(by_botocore(SigV4Auth, request, secret, token), body), secret=secret)
    assert (signature.session_token, signature.region, signature.carrier) == (token, REGION, "header")
    assert signature.token_signed is (token is not None)


@given(bodies, secrets)
def test_what_botocore_signs_with_a_date_header_is_accepted(body, secret):
    request = AWSRequest("POST", f"https://{HOST}/", {"Date": "to be replaced"}, body)
    sent = received(by_botocore(SigV4Auth, request, secret, None), body)
    assert "X-Amz-Date" not in sent.headers
    assert verify(sent, secret=secret).timestamp == AMZ_DATE


@given(st.dictionaries(fresh_names.filter(bool), words, max_size=5), extra_headers, tokens, secrets)
def test_what_botocore_presigns_is_accepted(query, headers, token, secret):
    request = AWSRequest("GET", f"https://{HOST}/?{urlencode(query)}", headers)
    signature = verify(received(by_botocore(SigV4QueryAuth, request, secret, token)), secret=secret)
    assert (signature.session_token, signature.carrier) == (token, "query")


@given(parameters, extra_headers, bodies, paths, tokens, secrets)
def test_headers_are_signed_as_botocore_signs_them(query, headers, body, path, token, secret):
    text = urlencode(query, quote_via=quote)
    request = by_botocore(SigV4Auth, AWSRequest("POST", f"https://{HOST}{path}?{text}", headers, body), secret, token)
    added = sigv4.sign(
        "POST",
        path,
        text,
        {"Host": HOST, **headers},
        body,
        access_key_id=KEY_ID,
        secret_access_key=secret,
        session_token=token,
        region=REGION,
        amz_date=AMZ_DATE,
    )
    assert {name: request.headers[name] for name in added} == added


@given(st.dictionaries(fresh_names.filter(bool), words, max_size=5), extra_headers, tokens, secrets)
def test_queries_are_presigned_as_botocore_presigns_them(query, headers, token, secret):
    text = urlencode(query)
    request = by_botocore(SigV4QueryAuth, AWSRequest("GET", f"https://{HOST}/?{text}", headers), secret, token)
    whole = sigv4.presign(
        "GET",
        "/",
        text,
        {"Host": HOST, **headers},
        access_key_id=KEY_ID,
        secret_access_key=secret,
        session_token=token,
        region=REGION,
        amz_date=AMZ_DATE,
        expires_s=3600,
    )
    assert sorted(whole.split("&")) == sorted(urlsplit(request.url).query.split("&"))


@given(parameters, extra_headers, bodies, secrets, secrets)
def test_what_botocore_signs_is_accepted_for_its_own_secret_alone(query, headers, body, secret, other):
    assume(secret != other)
    url = f"https://{HOST}/?{urlencode(query, quote_via=quote)}"
    request = by_botocore(SigV4Auth, AWSRequest("POST", url, headers, body), secret, None)
    with pytest.raises(SignatureDoesNotMatch):
        verify(received(request, body), secret=other)
