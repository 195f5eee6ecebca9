"""Who signed this request? Answered with public keys alone, for roles with `ConfirmationKey: true` (spec 2.5).

Their session tokens carry the public key of the session's SigV4A signatures (RFC 7800). A resource server that has
judged the token needs no secret and asks nobody.
"""

from __future__ import annotations

from collections.abc import Iterable

from multidict import CIMultiDict

from stsd.authn import sigv4
from stsd.errors import InvalidClientTokenId
from stsd.tokens.key_pairs import public_key
from stsd.verifier.knowledge import Verdict
from stsd.wire.messages import Request


def session_token_of(method: str, target: str, headers: Iterable[tuple[str, str]], now: float) -> str:
    """The session token that a signed request carries, to be verified first. `target` is path and query as received,
    `now` Unix seconds. Raises the errors of `stsd.authn.sigv4.read`; InvalidClientTokenId when there is none."""
    token = sigv4.read(_request(method, target, headers, b""), now).session_token
    if token is None:
        raise InvalidClientTokenId(reason="session_token_missing")
    return token


def check(
    verdict: Verdict,
    method: str,
    target: str,
    headers: Iterable[tuple[str, str]],
    body: bytes,
    *,
    service: str,
    region: str,
    now: float,
) -> None:
    """Check that the holder of the session of `verdict` signed this request with SigV4A, for `service` in `region`.

    `headers` are all header fields as received. Raises StsError: InvalidClientTokenId for a token that is not active,
    is another request's or has no confirmation key, SignatureDoesNotMatch for all else that is wrong.
    """
    request = _request(method, target, headers, body)
    signature = sigv4.read(request, now)
    sigv4.check_scope(signature, service=service, regions=(region,))
    session = verdict.session if verdict.active else None
    if session is None or session.access_key_id != signature.access_key_id:
        raise InvalidClientTokenId(reason="session_token_of_another_key")
    if session.confirmation is None:
        raise InvalidClientTokenId(reason="no_confirmation_key")
    sigv4.verify_with_public_key(request, signature, public_key(*session.confirmation))


def _request(method: str, target: str, headers: Iterable[tuple[str, str]], body: bytes) -> Request:
    path, _, query = target.partition("?")
    return Request(method, path, query, CIMultiDict(headers), body, "")
