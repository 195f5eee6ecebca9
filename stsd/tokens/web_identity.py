"""Web identity tokens: JWTs of an account's own issuer, which any OpenID Connect relying party verifies (spec 3.11)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey

from stsd.directory import TokenIssuer

RSA_KID = "RSA_0"
EC_KID = "EC384_0"
ALGORITHMS = ("RS256", "ES384")
CLAIMS = ("aud", "exp", "iat", "iss", "jti", "sub", "https://sts.amazonaws.com/")


def issuer_url(service: str, issuer: TokenIssuer) -> str:
    """The `iss` of an account's tokens; `service` is the issuer of session tokens, a URL."""
    return f"{service}/{issuer.id}"


def token_id(entropy: Callable[[int], bytes]) -> str:
    """A random UUID (RFC 9562 section 5.4); `entropy(n)` gives n random bytes."""
    return str(UUID(bytes=entropy(16), version=4))


def sign(claims: dict[str, Any], algorithm: str, issuer: TokenIssuer) -> str:
    """A JWT (RFC 7519) under the issuer's key for `algorithm`, one of ALGORITHMS."""
    kid = RSA_KID if algorithm == "RS256" else EC_KID
    header = {"alg": algorithm, "kid": kid, "typ": "JWT"}
    return jwt.encode(header, claims, _keys(issuer)[kid], algorithms=[algorithm])


def jwks(issuer: TokenIssuer) -> dict[str, list[dict[str, Any]]]:
    """The public keys (RFC 7517 section 5)."""
    keys = _keys(issuer)
    rsa = {**keys[RSA_KID].as_dict(private=False), "kid": RSA_KID, "use": "sig"}
    ec = {**keys[EC_KID].as_dict(private=False), "kid": EC_KID, "use": "sig", "alg": "ES384"}
    return {"keys": [rsa, ec]}


def discovery(service: str, issuer: TokenIssuer) -> dict[str, Any]:
    """The issuer's metadata (OpenID Connect Discovery 1.0 section 3)."""
    url = issuer_url(service, issuer)
    return {
        "issuer": url,
        "jwks_uri": f"{url}/.well-known/jwks.json",
        "claims_supported": list(CLAIMS),
        "id_token_signing_alg_values_supported": list(ALGORITHMS),
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
    }


_imported: dict[str, dict[str, RSAKey | ECKey]] = {}


def _keys(issuer: TokenIssuer) -> dict[str, RSAKey | ECKey]:
    """The issuer's keys by kid; an issuer keeps them for life, so they are imported once."""
    keys = _imported.get(issuer.id)
    if keys is None:
        keys = {RSA_KID: RSAKey.import_key(issuer.rsa_key), EC_KID: ECKey.import_key(issuer.ec_key)}
        _imported[issuer.id] = keys
    return keys
