"""GetWebIdentityToken: an ID token about the caller, for whom the account's discovery document convinces (3.11)."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from stsd.authz import authorize, context
from stsd.authz.context import Context
from stsd.authz.evaluate import Decision
from stsd.directory import TokenIssuer
from stsd.errors import (
    JWTPayloadSizeExceededException,
    OutboundWebIdentityFederationDisabledException,
    SessionDurationEscalationException,
    ValidationError,
)
from stsd.operations.sts import session_tags
from stsd.operations.sts.session_tags import SessionTags
from stsd.principal import Caller
from stsd.tokens import web_identity
from stsd.view import View
from stsd.wire import constraints
from stsd.wire.messages import Request
from stsd.wire.query import Call
from stsd.wire.xml import Members, Timestamp

ACTION = "sts:GetWebIdentityToken"
TAG_ACTION = "sts:TagGetWebIdentityToken"
DEFAULT_DURATION_S = 300
MAX_PAYLOAD_BYTES = 14_984
CLAIM = "https://sts.amazonaws.com/"


@dataclass(slots=True)
class Result:
    """The token and when it expires, in Unix seconds."""

    token: str = field(repr=False)
    expiration: int

    def members(self) -> Members:
        """In the order of the model."""
        return (("WebIdentityToken", self.token), ("Expiration", Timestamp(self.expiration)))


def run(call: Call, caller: Caller, request: Request, view: View, now: float) -> Result:
    """A signed ID token. Raises the errors of spec 3.11; what the account has not enabled is told before who may not,
    as whatever is no question of permission (spec 1.1.2)."""
    arguments = constraints.validate("GetWebIdentityToken", call.parameters)
    algorithm, audience = arguments["SigningAlgorithm"], tuple(arguments["Audience"])
    if algorithm not in web_identity.ALGORITHMS:
        raise ValidationError(
            "Requested SigningAlgorithm is not supported. See the GetWebIdentityToken documentation for supported"
            " algorithms",
            reason="signing_algorithm",
        )
    passed = tuple((tag["Key"], tag["Value"]) for tag in arguments.get("Tags", ()))
    session_tags.check(passed, reserved=True)
    issuer = _issuer(caller, view)
    duration_s: int = arguments.get("DurationSeconds", DEFAULT_DURATION_S)
    keys = context.build(request, caller, view, now)
    keys["sts:identitytokenaudience"] = audience
    keys["sts:signingalgorithm"] = algorithm
    keys["sts:durationseconds"] = str(duration_s)
    _authorize(caller, SessionTags(passed), keys, view)
    expiration = int(now) + duration_s
    if caller.session is not None and expiration > caller.session.expires_at:
        raise SessionDurationEscalationException(
            "The requested token would outlive the session that asks for it.", reason="outlives_session"
        )
    claims = {
        "iss": web_identity.issuer_url(view.issuer, issuer),
        "sub": caller.principal.policy_arn,
        "aud": audience[0] if len(audience) == 1 else list(audience),
        "iat": int(now),
        "exp": expiration,
        "jti": web_identity.token_id(view.entropy),
        CLAIM: _about(caller, passed, keys, view),
    }
    if len(orjson.dumps(claims)) > MAX_PAYLOAD_BYTES:
        raise JWTPayloadSizeExceededException(
            f"The claims of the token exceed {MAX_PAYLOAD_BYTES} bytes.", reason="payload_size"
        )
    return Result(web_identity.sign(claims, algorithm, issuer), expiration)


def _issuer(caller: Caller, view: View) -> TokenIssuer:
    account = view.directory.accounts.get(caller.principal.account)
    if account is None or account.token_issuer is None:
        raise OutboundWebIdentityFederationDisabledException(
            "OutboundWebIdentityFederation is disabled.", reason="outbound_federation_disabled"
        )
    return account.token_issuer


def _authorize(caller: Caller, tags: SessionTags, keys: Context, view: View) -> None:
    resource = f"arn:aws:sts::{caller.principal.account}:self"
    if caller.principal.kind not in ("user", "assumed_role"):
        raise authorize.denial(caller, ACTION, resource, Decision("implicit_deny", "no_identity_allow"))
    tags.add_to(keys)
    authorize.by_identity(caller, ACTION, resource, keys, view)
    if tags.passed:
        authorize.by_identity(caller, TAG_ACTION, resource, keys, view)


def _about(caller: Caller, passed: session_tags.Tags, keys: Context, view: View) -> dict[str, Any]:
    """What the token tells of its subject; what there is not is left out. The organization of a world has no id, so
    there are no `org_id` and no `ou_path`."""
    principal, session = caller.principal, caller.session
    tags = dict(getattr(view.holder(principal), "tags", {}))
    if session is not None:
        lower = {key.lower() for key, _ in session.tags}
        tags = {key: value for key, value in tags.items() if key.lower() not in lower} | dict(session.tags)
    told: dict[str, Any] = {
        "aws_account": principal.account,
        "source_region": keys["aws:requestedregion"],
        "principal_id": principal.policy_arn,
        "principal_tags": tags,
        "request_tags": dict(passed),
    }
    if session is not None:
        expires = datetime.fromtimestamp(session.expires_at, UTC)
        told["original_session_exp"] = expires.strftime("%Y-%m-%dT%H:%M:%SZ")
        told["source_identity"] = session.source_identity
        told["federated_provider"] = session.provider
    return {name: value for name, value in told.items() if value}
