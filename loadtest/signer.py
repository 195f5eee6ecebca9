"""Signed STS requests for load: each is signed for itself by `stsd.authn.sigv4`, some ten times faster than an SDK.

A signature is good for 15 minutes (spec 2.3), so a benchmark may sign once and send the same bytes many times; users
of a load test sign every request.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode, urlsplit

import orjson

from loadtest.places import Key, RoleProfile
from stsd.authn import sigv4

VERSION = "2011-06-15"
FORM = "application/x-www-form-urlencoded"
SERVICE = "sts"


def assume_role_body(role: RoleProfile, session_name: str, duration_s: int = 3600) -> bytes:
    """The form of an AssumeRole call."""
    form = {
        "Action": "AssumeRole",
        "Version": VERSION,
        "RoleArn": role.role_arn,
        "RoleSessionName": session_name,
        "DurationSeconds": str(duration_s),
    }
    return urlencode(form | ({"ExternalId": role.external_id} if role.external_id else {})).encode()


def get_caller_identity_body() -> bytes:
    """The form of a GetCallerIdentity call."""
    return urlencode({"Action": "GetCallerIdentity", "Version": VERSION}).encode()


def verify_body(token: str) -> bytes:
    """The body of `POST /v1/verify`, which nobody signs (contract 4)."""
    return orjson.dumps({"token": token})


@dataclass(frozen=True, slots=True)
class Signer:
    """Signs POST requests to one endpoint as one key. `region` is the credential scope's."""

    key: Key
    region: str
    url: str

    def headers(self, body: bytes, now: float | None = None) -> dict[str, str]:
        """The headers of a signed `POST /` with `body`, at `now` (Unix seconds; the present unless given)."""
        return self._signed("/", FORM, body, now)

    def json_headers(self, path: str, body: bytes) -> dict[str, str]:
        """The headers of a signed `POST` of JSON to another path."""
        return self._signed(path, "application/json", body, None)

    def _signed(self, path: str, content_type: str, body: bytes, now: float | None) -> dict[str, str]:
        given = {"content-type": content_type, "host": urlsplit(self.url).netloc}
        return given | sigv4.sign(
            "POST",
            path,
            "",
            given,
            body,
            access_key_id=self.key.access_key_id,
            secret_access_key=self.key.secret_access_key,
            session_token=self.key.session_token,
            region=self.region,
            service=SERVICE,
            amz_date=time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(time.time() if now is None else now)),
        )

    def request(self, body: bytes, now: float | None = None) -> bytes:
        """A whole signed HTTP request as bytes."""
        return post("/", self.headers(body, now), body)


def post(path: str, headers: Mapping[str, str], body: bytes) -> bytes:
    """An HTTP/1.1 POST as bytes."""
    lines = [f"POST {path} HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    return "\r\n".join([*lines, f"content-length: {len(body)}", "", ""]).encode("latin-1") + body


def unsigned_post(url: str, path: str, body: bytes) -> bytes:
    """An HTTP/1.1 POST of JSON as bytes."""
    return post(path, {"host": urlsplit(url).netloc, "content-type": "application/json"}, body)


_CREDENTIALS = re.compile(rb"<AccessKeyId>([^<]+)<.*?<SecretAccessKey>([^<]+)<.*?<SessionToken>([^<]+)<", re.DOTALL)


def key_of(answer: bytes) -> Key | None:
    """The credentials in an AssumeRole answer, None when there are none."""
    found = _CREDENTIALS.search(answer)
    return None if found is None else Key(*(part.decode("ascii") for part in found.groups()))


def session_token_of(answer: bytes) -> str:
    """The session token in an AssumeRole answer. Raises ValueError when there is none."""
    start, end = answer.find(b"<SessionToken>"), answer.find(b"</SessionToken>")
    if start < 0 or end < start:
        raise ValueError("no session token in the answer")
    return answer[start + len(b"<SessionToken>") : end].decode("ascii")
