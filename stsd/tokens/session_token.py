"""Session tokens: a Session as a signed JWS (RFC 7515 compact form, RFC 8037 EdDSA), versioned by its type.

Anyone with the JWKS can verify one. The secret access key is not in it: it is derived from a key that only nodes
hold, the access key id and the token's own id, so that a node stores nothing when it issues (contract 7).

Claims beside `iss sub iat exp jti` (RFC 7519):

| claim | meaning |
|---|---|
| `iat_ms` | issue instant in Unix milliseconds; cut-offs compare with it |
| `access_key_id`, `region` | the credential this token belongs to; the region that issued it |
| `kind`, `uid`, `role` | kind of principal, its stable unique id, the role's ARN with path for role sessions |
| `ancestors` | `[access key id, ARN, issue instant in ms, region]` of what it was chained from, oldest first |
| `policies`, `policy_arns` | session policies as JSON texts; ARNs of managed ones |
| `source_identity`, `mfa_at` | when there is one |
| `tags`, `transitive` | session tags as an object; the keys of those that pass on |
| `provider`, `provider_keys` | the identity provider, by ARN or built-in host; the condition keys that persist |
| `token_version` | 1 for tokens that are valid in default regions only; absent means 2 |
| `cnf` | public key of the session's SigV4A signatures (RFC 7800), for roles that ask for it |
| `task_policy` | ARN of the task policy of an AssumeRoot session |
| `padding` | nothing: it makes the token as long as was asked for |
"""

from __future__ import annotations

from binascii import Error as Base64Error
from binascii import a2b_base64, b2a_base64
from hashlib import blake2b
from typing import Any, Literal

import orjson
from nacl.bindings import crypto_sign, crypto_sign_open
from nacl.exceptions import BadSignatureError

from stsd.principal import Ancestor, Kind, Principal, Session
from stsd.tokens.keyset import TOKEN_TYPE, KeySet, TokenKey
from stsd.tokens.published_keys import PublishedKeys

Reason = Literal["malformed", "unknown_key", "bad_signature", "not_yet_valid", "expired"]

MAX_TOKEN_CHARACTERS = 16_384
"""Longer than any token that we issue; bounds the work that an unauthenticated request can cause."""
CLOCK_SKEW_S = 2
"""How far ahead the issuing region's clock may be before a token counts as not yet valid (contract 10)."""
CURRENT_VERSION = 2
"""Of tokens that are valid in every region that is enabled (spec 5.3)."""
_SIGNATURE_BYTES = 64
_SIGNATURE_CHARACTERS = 86
_LAST_CHARACTERS = frozenset("AQgw")


class TokenError(Exception):
    """A token that is not accepted; `reason` is a word of contract 4, `/v1/verify`."""

    def __init__(self, reason: Reason) -> None:
        super().__init__(reason)
        self.reason: Reason = reason


def sign(session: Session, key: TokenKey, least_characters: int = 0) -> str:
    """The session token of `session`, signed with `key`, of at least so many characters."""
    content = orjson.dumps(_claims(session))
    if least_characters:
        content = _padded(content, least_characters - len(key.header) - 1 - _SIGNATURE_CHARACTERS)
    payload = b2a_base64(content, newline=False).rstrip(b"=")
    signed = key.header.encode() + payload.translate(TO_URL)
    signature = crypto_sign(signed, key.expanded)[:_SIGNATURE_BYTES]
    encoded = b2a_base64(signature, newline=False)[:_SIGNATURE_CHARACTERS]
    return (signed + b"." + encoded.translate(TO_URL)).decode("ascii")


def verify(token: str, keys: KeySet | PublishedKeys) -> tuple[Session, bytes]:
    """The session and the claims, as the JSON that was signed, of a token whose signature holds.

    Time is checked by `check_time`.

    Raises TokenError: malformed, unknown_key or bad_signature, the first that applies.
    """
    signed, _, signature_text = token.rpartition(".")
    dot = signed.find(".") + 1
    key = keys.by_header.get(signed[:dot])
    if key is None:
        raise TokenError(_why_no_key(token))
    try:
        message = signed.encode("ascii")
        crypto_sign_open(_decode_signature(signature_text) + message, key.public)
        # What we signed is well-formed, so nothing after this line is hostile.
        payload = a2b_base64(message[dot:].translate(_FROM_URL) + b"==")
        return _session(orjson.loads(payload), key.kid), payload
    except BadSignatureError:
        raise TokenError(_why_bad(signed[dot:])) from None
    except (ValueError, KeyError, TypeError):
        raise TokenError("malformed") from None


def check_time(session: Session, now: float) -> None:
    """Raises TokenError not_yet_valid or expired. Expiry has no tolerance (spec 6.1)."""
    if session.issued_at_ms > (now + CLOCK_SKEW_S) * 1000:
        raise TokenError("not_yet_valid")
    if now >= session.expires_at:
        raise TokenError("expired")


def secret_access_key(key: TokenKey, access_key_id: str, token_id: str) -> str:
    """The 40-character secret that belongs to a session token; only holders of the token key can derive it."""
    material = f"{access_key_id}/{token_id}".encode()
    digest = blake2b(material, key=key.secrets_key, digest_size=30).digest()
    return b2a_base64(digest, newline=False).decode("ascii")


def _claims(session: Session) -> dict[str, object]:
    principal = session.principal
    claims: dict[str, object] = {
        "iss": session.issuer,
        "sub": principal.arn,
        "iat": session.issued_at_ms // 1000,
        "exp": session.expires_at,
        "jti": session.token_id,
        "iat_ms": session.issued_at_ms,
        "access_key_id": session.access_key_id,
        "region": session.region,
        "account": principal.account,
        "kind": principal.kind,
        "uid": principal.unique_id,
        "ancestors": [(a.access_key_id, a.arn, a.issued_at_ms, a.region) for a in session.ancestors],
    }
    if principal.policy_arn != principal.arn:
        claims["role"] = principal.policy_arn
    if session.session_policies:
        claims["policies"] = session.session_policies
    if session.session_policy_arns:
        claims["policy_arns"] = session.session_policy_arns
    if session.source_identity:
        claims["source_identity"] = session.source_identity
    if session.mfa_at is not None:
        claims["mfa_at"] = session.mfa_at
    if session.tags:
        claims["tags"] = dict(session.tags)
    if session.transitive:
        claims["transitive"] = session.transitive
    if session.provider:
        claims["provider"], claims["provider_keys"] = session.provider, dict(session.provider_keys)
    if session.token_version != CURRENT_VERSION:
        claims["token_version"] = session.token_version
    if session.task_policy:
        claims["task_policy"] = session.task_policy
    if session.confirmation is not None:
        x, y = session.confirmation
        claims["cnf"] = {"jwk": {"kty": "EC", "crv": "P-256", "x": x, "y": y}}
    return claims


def _padded(content: bytes, characters: int) -> bytes:
    """A JSON object that has at least so many characters in base64, and no more than the claim by itself makes it."""
    missing = -(-characters * 3 // 4) - len(content)
    claim = b',"padding":"%s"' % (b"." * (missing - len(b',"padding":""')))
    return content if missing <= 0 else content[:-1] + claim + b"}"


def _session(claims: dict[str, Any], kid: str) -> Session:
    session = Session(
        access_key_id=claims["access_key_id"],
        principal=_principal(claims),
        token_id=claims["jti"],
        key_id=kid,
        issuer=claims["iss"],
        region=claims["region"],
        issued_at_ms=claims["iat_ms"],
        expires_at=claims["exp"],
        ancestors=tuple([Ancestor(*ancestor) for ancestor in claims["ancestors"]]),
        session_policies=tuple(claims.get("policies", ())),
        session_policy_arns=tuple(claims.get("policy_arns", ())),
        source_identity=claims.get("source_identity", ""),
        mfa_at=claims.get("mfa_at"),
        token_version=claims.get("token_version", CURRENT_VERSION),
    )
    if "tags" in claims:
        session.tags = tuple(claims["tags"].items())
        session.transitive = tuple(claims.get("transitive", ()))
    if "provider" in claims:
        session.provider = claims["provider"]
        session.provider_keys = tuple((key, _value(value)) for key, value in claims["provider_keys"].items())
    session.task_policy = claims.get("task_policy", "")
    if "cnf" in claims:
        session.confirmation = (claims["cnf"]["jwk"]["x"], claims["cnf"]["jwk"]["y"])
    return session


def _value(told: str | list[str]) -> str | tuple[str, ...]:
    return told if isinstance(told, str) else tuple(told)


def _principal(claims: dict[str, Any]) -> Principal:
    arn, kind, unique_id = claims["sub"], claims["kind"], claims["uid"]
    last = arn.rpartition("/")[2]
    policy_arn = claims.get("role", arn)
    return Principal(
        kind=kind,
        account=claims["account"],
        arn=arn,
        user_id=_user_id(kind, unique_id, claims["account"], last),
        policy_arn=policy_arn,
        unique_id=unique_id,
        name=policy_arn.rpartition("/")[2],
    )


def _user_id(kind: Kind, unique_id: str, account: str, last: str) -> str:
    """`aws:userid` by spec 2.7.3; `last` is the session's or the federated user's name."""
    if kind == "assumed_role":
        return f"{unique_id}:{last}"
    return f"{account}:{last}" if kind == "federated_user" else unique_id


def _why_no_key(token: str) -> Reason:
    """A token of ours under a key that we do not hold is `unknown_key`; anything else is `malformed`."""
    parts = token.split(".")
    try:
        header = orjson.loads(_decode(parts[0]))
        orjson.loads(_decode(parts[1]))
        _decode_signature(parts[2])
    except (ValueError, IndexError):
        return "malformed"
    ours = isinstance(header, dict) and header.get("alg") == "EdDSA" and header.get("typ") == TOKEN_TYPE
    return "unknown_key" if len(parts) == 3 and ours and isinstance(header.get("kid"), str) else "malformed"


def _why_bad(payload: str) -> Reason:
    """A payload that is no JSON is `malformed`; one that somebody else could have written has a `bad_signature`."""
    try:
        orjson.loads(_decode(payload))
    except ValueError:
        return "malformed"
    return "bad_signature"


TO_URL = bytes.maketrans(b"+/", b"-_")
"""From base64's alphabet to that of base64url (RFC 4648 section 5)."""
_FROM_URL = bytes.maketrans(b"-_+/", b"+/\x00\x00")


def _decode(text: str) -> bytes:
    """Base64url without padding (RFC 7515 section 2), strictly: no other alphabet, no white space."""
    try:
        return a2b_base64(text.encode("ascii").translate(_FROM_URL) + b"=" * (-len(text) % 4), strict_mode=True)
    except Base64Error as error:
        raise ValueError("not base64url") from error


def _decode_signature(text: str) -> bytes:
    """64 bytes in the one canonical spelling: the last character carries two bits, its spare four are zero."""
    if len(text) != _SIGNATURE_CHARACTERS or text[-1] not in _LAST_CHARACTERS:
        raise ValueError("not a signature")
    return _decode(text)
