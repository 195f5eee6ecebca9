"""POST /v1/verify: is this session token good, here and now? Answered from memory, for anyone who holds the token.

"Here" is the endpoint that was asked: what /v1/verify calls active is what the Query API takes at the same URL.

The reasons are given in the order of contract 4: what the token is, then time, then revocation, then its principal.
"""

from __future__ import annotations

from collections import Counter

import orjson

from stsd.errors import RevocationStateStale, ValidationError
from stsd.principal import Session
from stsd.regions import takes
from stsd.revocation.replica import Replica, TokenShapeError
from stsd.tokens import session_token
from stsd.tokens.cache import Verified
from stsd.tokens.session_token import TokenError
from stsd.view import View
from stsd.wire import json_api
from stsd.wire.messages import Endpoint, Request, Response

OPERATION = "verify"
MEMBERS = ("token", "tokens", "at_least")
MAX_TOKENS = 1_000


def run(request: Request, view: View, now: float) -> Response:
    """Verify one token, or up to 1,000. Raises ValidationError, MalformedInput, RevocationStateStale or
    ServiceUnavailable."""
    view.check_joined()
    content = json_api.parse(request.body, MEMBERS)
    if "at_least" in content:
        _check_fresh(content["at_least"], view.replica)
    if ("token" in content) == ("tokens" in content):
        raise ValidationError("Exactly one of token and tokens is required", reason="token_members")
    if "token" in content:
        result, body = verdict(_text(content["token"], "token"), view, now, request.endpoint)
        results = {result: 1}
    else:
        told = [_text(token, "tokens") for token in _list(content["tokens"])]
        verdicts = [verdict(token, view, now, request.endpoint) for token in told]
        body = b'{"results":[' + b",".join(body for _, body in verdicts) + b"]}"
        results = Counter(result for result, _ in verdicts)
    return Response(200, body, json_api.CONTENT_TYPE, operation=OPERATION, event={"tokens": results})


def verdict(token: str, view: View, now: float, endpoint: Endpoint) -> tuple[str, bytes]:
    """`active` or the reason against one token, and the answer about it as JSON."""
    result, verified = check(token, view, now, endpoint)
    if verified is None:
        return result, orjson.dumps({"active": False, "reason": result})
    return result, _active(verified)


def check(token: str, view: View, now: float, endpoint: Endpoint) -> tuple[str, Verified | None]:
    """`active` and the verified token, or the first reason against it."""
    try:
        verified = view.tokens.open(token)
        session_token.check_time(verified.session, now)
    except TokenError as error:
        return error.reason, None
    if view.revocations.check(verified.session, now) is not None:
        return "revoked", None
    if view.holder(verified.session.principal) is None:
        return "principal_gone", None
    if endpoint == "regional" and not _enabled(verified.session, view):
        return "region_not_enabled", None
    return "active", verified


def _enabled(session: Session, view: View) -> bool:
    """Whether a token is valid in this region: an opt-in region takes none of version 1, and none of an account that
    has not opted in. Behind the global endpoint it is us-east-1, whichever region answers (spec 5.3, 5.4)."""
    return takes(view.region, session.token_version) and view.is_open_to(session.principal.account)


def _active(verified: Verified) -> bytes:
    """A positive answer; the claims are told as they were signed, so nothing is serialised twice."""
    session = verified.session
    members = orjson.dumps(
        {
            "active": True,
            "principal": session.principal.arn,
            "account": session.principal.account,
            "access_key_id": session.access_key_id,
            "expires_at": session.expires_at,
        }
    )
    return members[:-1] + b',"claims":' + verified.claims + b"}"


def _check_fresh(at_least: object, replica: Replica) -> None:
    try:
        fresh = isinstance(at_least, str) and replica.fresh_enough(at_least)
    except TokenShapeError:
        raise ValidationError("at_least is not a revocation token", reason="at_least") from None
    if not isinstance(at_least, str):
        raise ValidationError("at_least is not a revocation token", reason="at_least")
    if not fresh:
        raise RevocationStateStale("This node has not heard of that revocation yet", reason="stale")


def _text(value: object, name: str) -> str:
    if not isinstance(value, str):
        raise ValidationError(f"{name} must hold text", reason="token_type")
    return value


def _list(value: object) -> list[object]:
    if not isinstance(value, list) or len(value) > MAX_TOKENS:
        raise ValidationError(f"tokens must be a list of at most {MAX_TOKENS}", reason="tokens_type")
    return value
