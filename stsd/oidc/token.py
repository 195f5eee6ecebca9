"""ID tokens (OpenID Connect Core 1.0 section 2), judged in the order and in the words of spec 3.4.1.

`read` looks at the form, the claims and the times; `check_audience` at whom the token is for; `verify` at the
signature. Until `verify` has returned, nothing in a token is true, and no answer tells more than spec 3.4.1 does.
"""

from __future__ import annotations

import re
from base64 import urlsafe_b64decode
from dataclasses import dataclass, field
from typing import Any

import orjson
from joserfc.errors import JoseError
from joserfc.jwk import ECKey
from joserfc.jws import JWSRegistry

from stsd.directory import OpenIDConnectProvider
from stsd.errors import ExpiredTokenException, InvalidIdentityToken
from stsd.oidc.jwks import PublicKey

ALGORITHMS = {
    "RS256": "RSA",
    "RS384": "RSA",
    "RS512": "RSA",
    "ES256": "P-256",
    "ES384": "P-384",
    "ES512": "P-521",
}
"""What may sign a token, and the kind of key that it takes: a key never serves an algorithm of another kind."""
SKEW_S = 300
MAX_AGE_S = 86_400
"""How long after `iat` a token is taken at most, whatever its `exp` says; the skew comes on top."""
REQUIRED = ("iss", "sub", "aud", "iat", "exp")

NO_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
NOT_VALID = (
    "The web identity token provided could not be validated. See the AssumeRoleWithWebIdentity documentation for"
    " requirements."
)
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity"
    " documentation for requirements"
)
_BASE64URL = re.compile(r"[A-Za-z0-9_-]*")
_INTEGER = re.compile(r"-?[0-9]{1,18}")
_REGISTRY = JWSRegistry(algorithms=list(ALGORITHMS))


@dataclass(slots=True)
class IdToken:
    """A token whose claims have the right form. `issuer` is `iss` as it was sent; `audience` is whom it is for, `azp`
    when there is one, and `audiences` is its `aud`."""

    issuer: str
    audience: str
    audiences: tuple[str, ...]
    claims: dict[str, Any] = field(repr=False)
    header: dict[str, Any] = field(repr=False)
    signed: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    @property
    def kid(self) -> str | None:
        """The key that the token names (RFC 7515 section 4.1.4)."""
        return self.header.get("kid")

    @property
    def authorized_party(self) -> str | None:
        """`azp`, where there is one."""
        return self.claims.get("azp")


def read(text: str, now: float) -> IdToken:
    """A token at `now` (Unix seconds). Raises InvalidIdentityToken, ExpiredTokenException."""
    header, claims, signed, signature = _open(text)
    for name in REQUIRED:
        if name not in claims:
            raise _invalid(f"Missing a required claim: {name}", "missing_claim")
    audiences, azp = _audiences(claims["aud"]), claims.get("azp")
    _check_times(claims, int(now))
    if azp is None and len(audiences) > 1:
        raise _invalid(
            "Token audience contains more than one audience while authorized party is not present", "several_audiences"
        )
    if not isinstance(claims["iss"], str) or not isinstance(azp, str | None):
        raise _invalid(NOT_VALID, "claim_type")
    return IdToken(claims["iss"], audiences[0] if azp is None else azp, audiences, claims, header, signed, signature)


def check_audience(token: IdToken, provider: OpenIDConnectProvider) -> None:
    """The token is for a client of the account (OpenID Connect Core section 3.1.3.7). Raises InvalidIdentityToken."""
    if token.audience not in provider.client_ids:
        raise _invalid(NOT_VALID, "audience")


def verify(token: IdToken, key: PublicKey) -> None:
    """The signature holds, under an algorithm of this kind of key (RFC 7515 section 5.2). Raises
    InvalidIdentityToken."""
    algorithm = token.header.get("alg")
    if not isinstance(algorithm, str) or algorithm not in ALGORITHMS:
        raise _invalid(NOT_VALID, "algorithm")
    if ALGORITHMS[algorithm] != (key.curve_name if isinstance(key, ECKey) else key.key_type):
        raise _invalid(NOT_VALID, "key_kind")
    try:
        good = _REGISTRY.get_alg(algorithm).verify(token.signed, token.signature, key)
    except (JoseError, ValueError):
        good = False
    if not good:
        raise _invalid(NOT_VALID, "signature")


def _open(text: str) -> tuple[dict[str, Any], dict[str, Any], bytes, bytes]:
    """Header, claims, what was signed and the signature of a compact JWS. Of claims that are there twice the last
    counts; a critical header is not understood (RFC 7515 section 4.1.11)."""
    parts = text.split(".")
    try:
        header_text, payload_text, signature_text = parts
        header, claims = orjson.loads(_decode(header_text)), orjson.loads(_decode(payload_text))
        signature = _decode(signature_text)
    except ValueError:
        raise _invalid(NO_JWT, "no_jwt") from None
    if not isinstance(header, dict) or not isinstance(claims, dict) or "crit" in header:
        raise _invalid(NO_JWT, "no_jwt")
    if not isinstance(header.get("kid"), str | None):
        raise _invalid(NO_JWT, "no_jwt")
    return header, claims, f"{header_text}.{payload_text}".encode("ascii"), signature


def _decode(text: str) -> bytes:
    """Base64url without padding (RFC 7515 section 2). Raises ValueError."""
    if not _BASE64URL.fullmatch(text):
        raise ValueError("not base64url")
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def _audiences(told: object) -> tuple[str, ...]:
    values = told if isinstance(told, list) else [told]
    if told is None or not values or all(value == "" for value in values):
        raise _invalid("Claim is not allowed to be empty: aud", "empty_audience")
    if not all(isinstance(value, str) for value in values):
        raise _invalid(NOT_VALID, "claim_type")
    return tuple(values)


def _check_times(claims: dict[str, Any], now: int) -> None:
    issued_at, expires_at = _instant(claims["iat"]), _instant(claims["exp"])
    not_before = _instant(claims["nbf"]) if "nbf" in claims else None
    if issued_at > now + SKEW_S:
        raise _invalid(f"Token issued in the future: {issued_at}", "issued_in_the_future")
    if not_before is not None and not_before > now + SKEW_S:
        raise _invalid(
            f"Token not yet valid: current date/time {now + SKEW_S} must be after or equal to the not-before date/time"
            f" {not_before}",
            "not_yet_valid",
        )
    if expires_at <= now - SKEW_S:
        raise ExpiredTokenException(
            f"Token expired: current date/time {now - SKEW_S} must be before the expiration date/time {expires_at}",
            reason="token_expired",
        )
    if issued_at < now - SKEW_S - MAX_AGE_S:
        raise ExpiredTokenException(f"Token too old: {issued_at}", reason="token_too_old")


def _instant(value: object) -> int:
    """Unix seconds, as an integer or the text of one."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and _INTEGER.fullmatch(value):
        return int(value)
    raise _invalid("Invalid timestamp in token claims.", "timestamp")


def _invalid(message: str, reason: str) -> InvalidIdentityToken:
    return InvalidIdentityToken(message, reason=f"token_{reason}")
