"""Who is calling: a signed request becomes a Caller, by the numbered checks of spec 2.4, in their order.

Every refusal carries a reason for the log; what the client is told never says more than AWS does.
"""

from __future__ import annotations

from stsd.authn import sigv4
from stsd.authn.sigv4 import Signature, SigningKeys
from stsd.errors import ExpiredToken, InvalidClientTokenId, RegionDisabledException
from stsd.principal import Caller
from stsd.regions import takes
from stsd.revocation.revocation_set import Denial
from stsd.tokens import session_token
from stsd.tokens.cache import Verified
from stsd.tokens.session_token import TokenError
from stsd.view import GLOBAL_ENDPOINT_REGION, View
from stsd.wire.messages import Request

TEMPORARY_PREFIX = "ASIA"


def authenticate(
    request: Request, view: View, signing_keys: SigningKeys, now: float, wall_now: float, service: str = "sts"
) -> Caller:
    """The principal behind a request. `now` moves token expiry, `wall_now` the SigV4 window (contract 8).

    Raises the errors of spec 2.3 and 2.4, and ServiceUnavailable of a node that cannot know what is revoked.
    """
    view.check_joined()
    signature = sigv4.read(request, wall_now)
    # 1. The credential scope names this service and the region of the endpoint that was called (2.2.4).
    region = GLOBAL_ENDPOINT_REGION if request.endpoint == "global" else view.region
    sigv4.check_scope(signature, service=service, regions=(region,))
    if signature.access_key_id.startswith(TEMPORARY_PREFIX):
        caller = _temporary(request, signature, view, signing_keys, now)
    else:
        caller = _long_term(request, signature, view, signing_keys, now)
    # 8. The caller's account has opted in to this region (5.4).
    if request.endpoint == "regional" and not view.is_open_to(caller.principal.account):
        raise RegionDisabledException(caller.principal.account)
    return caller


def _long_term(request: Request, signature: Signature, view: View, signing_keys: SigningKeys, now: float) -> Caller:
    key = view.directory.access_keys.get(signature.access_key_id)
    # 2. The key exists, is active and is not revoked; asked before the HMAC and before any token is looked at.
    if key is None:
        raise InvalidClientTokenId(reason="unknown_access_key")
    if not key.active:
        raise InvalidClientTokenId(reason="inactive_access_key")
    refuse(view.revocations.check_key(signature.access_key_id, now))
    # 5. The HMAC matches.
    sigv4.verify(request, signature, key.secret_access_key, signing_keys)
    # 6. A long-term key comes without a session token.
    if signature.session_token is not None:
        raise InvalidClientTokenId(reason="surplus_session_token")
    return Caller(key.user.principal, key.access_key_id)


def _temporary(request: Request, signature: Signature, view: View, signing_keys: SigningKeys, now: float) -> Caller:
    # 2. The session token is there, authentic and bound to this access key id.
    verified = _open(signature, view)
    session = verified.session
    # 3. It has not expired, and nothing revokes it or what it was chained from.
    try:
        session_token.check_time(session, now)
    except TokenError as error:
        if error.reason == "expired":
            raise ExpiredToken(reason="expired") from None
        raise InvalidClientTokenId(reason=error.reason) from None
    refuse(view.revocations.check(session, now))
    # 4. Its user or role still exists, by stable id.
    if view.holder(session.principal) is None:
        raise InvalidClientTokenId(reason="principal_gone")
    # 5. The HMAC matches.
    sigv4.verify(request, signature, verified.secret_access_key(), signing_keys)
    # 7. Tokens of version 1 are valid in default regions only (5.3), and not with SigV4A (2.5).
    elsewhere = request.endpoint == "regional" and not takes(view.region, session.token_version)
    if elsewhere or (session.token_version == 1 and signature.region_set is not None):
        raise InvalidClientTokenId(reason="token_version")
    return Caller(session.principal, session.access_key_id, session)


def _open(signature: Signature, view: View) -> Verified:
    if signature.session_token is None:
        raise InvalidClientTokenId(reason="session_token_missing")
    try:
        verified = view.tokens.open(signature.session_token)
    except TokenError as error:
        raise InvalidClientTokenId(reason=error.reason) from None
    if verified.session.access_key_id != signature.access_key_id:
        raise InvalidClientTokenId(reason="session_token_of_another_key")
    return verified


def refuse(denial: Denial | None) -> None:
    """Raise the error that a revocation's kind asks for (contract 6)."""
    if denial is None:
        return
    reason = f"revoked_{denial.revocation.kind}"
    raise ExpiredToken(reason=reason) if denial.error == "ExpiredToken" else InvalidClientTokenId(reason=reason)
