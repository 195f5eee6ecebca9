"""Requests for the tests of SigV4: built, signed and changed afterwards."""

from __future__ import annotations

from typing import Any

from multidict import CIMultiDict

from stsd.authn import sigv4
from stsd.authn.sigv4 import Signature, SigningKeys
from stsd.wire.messages import Request

NOW = 1_795_435_200.0
AMZ_DATE = "20261123T120000Z"
KEY_ID = "AKIDEXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
BODY = b"Action=GetCallerIdentity&Version=2011-06-15"
QUERY = BODY.decode()
HEADERS = {"Host": "sts.amazonaws.com", "Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
SIGNER: dict[str, Any] = {
    "access_key_id": KEY_ID,
    "secret_access_key": SECRET,
    "region": "us-east-1",
    "amz_date": AMZ_DATE,
}


def post(changes: dict[str, str] | None = None, body: bytes = BODY, path: str = "/", query: str = "") -> Request:
    """An unsigned POST with changed headers."""
    return Request("POST", path, query, CIMultiDict({**HEADERS, **(changes or {})}), body, "id")


def signed(headers: dict[str, str] | None = None, body: bytes = BODY, path: str = "/", **signer: Any) -> Request:
    """A POST signed in its Authorization header."""
    present = {**HEADERS, **(headers or {})}
    return post({**present, **sigv4.sign("POST", path, "", present, body, **{**SIGNER, **signer})}, body, path)


def presigned(query: str = QUERY, headers: dict[str, str] | None = None, **signer: Any) -> Request:
    """A GET signed in its query."""
    present = {"Host": "sts.amazonaws.com", **(headers or {})}
    whole = sigv4.presign("GET", "/", query, present, **{**SIGNER, **signer})
    return Request("GET", "/", whole, CIMultiDict(present), b"", "id")


def verify(request: Request, now: float = NOW, secret: str = SECRET) -> Signature:
    """The signature of a request, read and verified."""
    signature = sigv4.read(request, now)
    sigv4.verify(request, signature, secret, SigningKeys())
    return signature


def authorization(request: Request, old: str, new: str) -> Request:
    """The request with its Authorization header changed."""
    request.headers["Authorization"] = request.headers["Authorization"].replace(old, new)  # type: ignore[index]
    return request
