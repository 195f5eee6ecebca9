"""AWS Signature Version 4: reading and judging signatures (spec 2.2, 2.3); making them is in signer.

SigV4A requests (spec 2.5) are read and judged here too; what differs in them is in sigv4a.

    read ──────── carrier, algorithm, parts, host, date, window, five-part credential   (spec 2.3, in this order)
    check_scope ─ region, service, terminator, date, all in one message                 (spec 2.2.4)
    verify ────── the HMAC, after the secret was looked up                              (spec 2.2.1)

`now` is real time here (Unix seconds), whatever moves the time of tokens. The value of X-Amz-Expires is ignored: a
presigned request is good for the same quarter of an hour as any other (spec 2.2.3).
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from hashlib import sha256
from typing import Literal

from cryptography.hazmat.primitives.asymmetric import ec

from stsd.authn import canonical_request, sigv4a
from stsd.authn.canonical_request import header_value
from stsd.authn.signer import presign, sign
from stsd.authn.signing_keys import ALGORITHM, TERMINATOR, SigningKeys
from stsd.errors import IncompleteSignature, MissingAuthenticationToken, SignatureDoesNotMatch
from stsd.tokens.key_pairs import ALGORITHM as SIGV4A
from stsd.tokens.key_pairs import derive
from stsd.wire.messages import Headers, Request
from stsd.wire.query import octets, pairs

WINDOW_S = 900

__all__ = ["Signature", "SigningKeys", "check_scope", "presign", "read", "sign", "verify", "verify_with_public_key"]

_BASIC_FORMAT = re.compile("[0-9]{8}T[0-9]{6}Z")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_RFC_1123 = re.compile(
    f"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun), ([0-9]{{2}}) ({'|'.join(_MONTHS)}) ([0-9]{{4}})"
    " ([0-9]{2}):([0-9]{2}):([0-9]{2}) (?:GMT|UTC|[+-]0000)"
)
_FIELD_NAME = re.compile("[a-z0-9!#$%&'*+.^_`|~-]+|:authority")


@dataclass(slots=True)
class Signature:
    """A signature as sent, well-formed and within its window, not yet verified.

    `timestamp` is in ISO 8601 basic format. `token_signed` tells whether the HMAC covers the session token; for
    header requests one that it does not cover counts all the same (spec 2.2.2). One of SigV4A has a `region_set` and
    no region; its set is empty when the signature does not cover it.
    """

    access_key_id: str
    date: str
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str = field(repr=False)
    timestamp: str
    session_token: str | None = field(repr=False)
    token_signed: bool
    carrier: Literal["header", "query"]
    region_set: str | None = None


# -- reading ----------------------------------------------------------------------------------------------------------


def read(request: Request, now: float) -> Signature:
    """The signature that a request carries: in its first Authorization header, else in its query.

    Raises MissingAuthenticationToken, IncompleteSignature, SignatureDoesNotMatch and MalformedInput (spec 2.3).
    """
    authorization = request.headers.get("Authorization")
    if authorization is not None:
        return _read_header(request.headers, authorization, now)
    return _read_query(request.query, now)


def _read_header(headers: Headers, authorization: str, now: float) -> Signature:
    usual = _USUAL.fullmatch(authorization)
    date = headers.get("X-Amz-Date")
    if usual is None or date is None:
        return _read_unusual_header(headers, authorization, headers.get("Date") if date is None else date, now)
    access_key_id, day, region, service, terminator, names, signature = usual.groups()
    signed_headers = _names(names)
    return Signature(
        access_key_id,
        day,
        region,
        service,
        terminator,
        signed_headers,
        signature,
        _judge_time(signed_headers, date, now),
        headers.get("X-Amz-Security-Token"),
        "x-amz-security-token" in signed_headers,
        "header",
    )


_WORD = "([0-9A-Za-z_-]+)"
_USUAL = re.compile(
    f"{ALGORITHM} Credential={'/'.join([_WORD] * 5)}, ?SignedHeaders=([0-9a-z;:-]+), ?Signature={_WORD}"
)
"""How nearly every client writes the header; read at once, which finds the same as reading it part by part."""


def _read_unusual_header(headers: Headers, authorization: str, date: str | None, now: float) -> Signature:
    algorithm, parts = _authorization(authorization)
    if date is None or not ("Credential" in parts and "Signature" in parts and "SignedHeaders" in parts):
        raise _incomplete_header(algorithm, parts, date)
    signed_headers = _names(parts["SignedHeaders"])
    timestamp = _judge_time(signed_headers, date, now)
    if algorithm == ALGORITHM:
        credential, region_set = _credential(parts["Credential"]), None
    else:
        credential = _regionless(parts["Credential"])
        region_set = headers.get("X-Amz-Region-Set", "") if "x-amz-region-set" in signed_headers else ""
    return Signature(
        *credential,
        signed_headers,
        parts["Signature"],
        timestamp,
        headers.get("X-Amz-Security-Token"),
        "x-amz-security-token" in signed_headers,
        "header",
        region_set,
    )


def _authorization(value: str) -> tuple[str, dict[str, str]]:
    """Algorithm and parts of an Authorization header; of a repeated part the last holds (spec 2.2)."""
    algorithm, _, rest = value.strip().partition(" ")
    _check_algorithm(algorithm)
    parts: dict[str, str] = {}
    for text in rest.split(","):
        name, equals, content = text.strip().partition("=")
        if equals:
            parts[name] = content
        elif name:
            raise IncompleteSignature(
                f"'{_shown(name)}' not a valid key=value pair (missing equal-sign) in Authorization header:"
                f" '{_shown(value)}'.",
                reason="authorization_pair",
            )
    return algorithm, parts


def _incomplete_header(algorithm: str, parts: Mapping[str, str], date: str | None) -> IncompleteSignature:
    missing = [
        f"Authorization header requires '{name}' parameter."
        for name in ("Credential", "Signature", "SignedHeaders")
        if name not in parts
    ]
    if date is None:
        missing.append("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    return IncompleteSignature(" ".join((*missing, f"Authorization={algorithm}")), reason="authorization_parts")


def _read_query(query: str, now: float) -> Signature:
    sent: dict[str, str] = {}
    for name, value in pairs(octets(query)) if query else ():
        sent.setdefault(name, value)
    if "X-Amz-Algorithm" not in sent:
        raise MissingAuthenticationToken
    _check_algorithm(sent["X-Amz-Algorithm"])
    required = ("X-Amz-Credential", "X-Amz-Signature", "X-Amz-SignedHeaders", "X-Amz-Date")
    missing = [f"AWS query-string parameters must include '{name}'." for name in required if name not in sent]
    if missing:
        raise IncompleteSignature(" ".join((*missing, "Re-examine the query-string parameters.")), reason="query_parts")
    signed_headers = _names(sent["X-Amz-SignedHeaders"])
    timestamp = _judge_time(signed_headers, sent["X-Amz-Date"], now)
    token = sent.get("X-Amz-Security-Token")
    if sent["X-Amz-Algorithm"] == ALGORITHM:
        credential, region_set = _credential(sent["X-Amz-Credential"]), None
    else:
        credential, region_set = _regionless(sent["X-Amz-Credential"]), sent.get("X-Amz-Region-Set", "")
    return Signature(
        *credential,
        signed_headers,
        sent["X-Amz-Signature"],
        timestamp,
        token,
        token is not None,
        "query",
        region_set,
    )


def _check_algorithm(algorithm: str) -> None:
    if algorithm not in (ALGORITHM, SIGV4A):
        raise IncompleteSignature(f"Unsupported AWS 'algorithm': '{_shown(algorithm)}'.", reason="algorithm")


@lru_cache(maxsize=256)
def _names(signed_headers: str) -> tuple[str, ...]:
    """The names in SignedHeaders. Clients repeat the same few lists, so they are split once."""
    return tuple(signed_headers.split(";"))


def _judge_time(signed_headers: tuple[str, ...], date: str, now: float) -> str:
    """The timestamp in basic format, after the host and the window were checked (spec 2.2.3, 2.3)."""
    if "host" not in signed_headers and ":authority" not in signed_headers:
        raise SignatureDoesNotMatch(
            "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization.", reason="host_not_signed"
        )
    timestamp, signed_at = _time(date)
    arrived_at = int(now)
    if signed_at < arrived_at - WINDOW_S:
        raise SignatureDoesNotMatch(
            f"Signature expired: {timestamp} is now earlier than {_basic(arrived_at - WINDOW_S)}"
            f" ({_basic(arrived_at)} - 15 min.)",
            reason="signature_expired",
        )
    if signed_at > arrived_at + WINDOW_S:
        raise SignatureDoesNotMatch(
            f"Signature not yet current: {timestamp} is still later than {_basic(arrived_at + WINDOW_S)}"
            f" ({_basic(arrived_at)} + 15 min.)",
            reason="signature_not_yet_current",
        )
    return timestamp


@lru_cache(maxsize=1024)
def _time(date: str) -> tuple[str, int]:
    """A date as text in basic format and in Unix seconds. Raises IncompleteSignature."""
    basic = _from_rfc_1123(date) or date
    try:
        if _BASIC_FORMAT.fullmatch(basic):
            return basic, int(datetime.fromisoformat(basic).timestamp())
    except ValueError:
        pass  # a month 13 or a second 60 is as malformed as any other text
    raise IncompleteSignature(
        f"Date must be in ISO-8601 'basic format'. Got '{_shown(date)}'. See http://en.wikipedia.org/wiki/ISO_8601",
        reason="date_format",
    )


def _from_rfc_1123(date: str) -> str | None:
    """Basic format of what the Date header usually holds."""
    match = _RFC_1123.fullmatch(date)
    if match is None:
        return None
    day, month, year, *clock = match.groups()
    return f"{year}{_MONTHS.index(month) + 1:02}{day}T{''.join(clock)}Z"


def _basic(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y%m%dT%H%M%SZ}"


def _credential(text: str) -> tuple[str, str, str, str, str]:
    try:
        access_key_id, date, region, service, terminator = text.split("/")
    except ValueError:
        raise IncompleteSignature(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term,"
            f" got '{_shown(text)}'",
            reason="credential_elements",
        ) from None
    return access_key_id, date, region, service, terminator


def _regionless(text: str) -> tuple[str, str, str, str, str]:
    """The credential of SigV4A, whose scope has no region (spec 2.5)."""
    try:
        access_key_id, date, service, terminator = text.split("/")
    except ValueError:
        raise IncompleteSignature(
            "Credential must have exactly 4 slash-delimited elements, e.g. keyid/date/service/term,"
            f" got '{_shown(text)}'",
            reason="credential_elements",
        ) from None
    return access_key_id, date, "", service, terminator


def _shown(text: str) -> str:
    """What a client sent, fit to be printed: octets that are no UTF-8 become U+FFFD."""
    return text if text.isascii() else octets(text).decode("utf-8", "replace")


# -- judging ----------------------------------------------------------------------------------------------------------


def check_scope(signature: Signature, *, service: str, regions: Collection[str]) -> None:
    """Refuse a credential scope for another region, service, terminator or day; all in one message (spec 2.2.4).

    Raises SignatureDoesNotMatch.
    """
    wrong: list[str] = []
    if signature.region not in regions and not _covers_one(signature.region_set, regions):
        wrong.append("Credential should be scoped to a valid region. ")
    if signature.service != service:
        wrong.append(f"Credential should be scoped to correct service: '{service}'. ")
    if signature.terminator != TERMINATOR:
        sent = _shown(signature.terminator)
        wrong.append(f"Credential should be scoped with a valid terminator: '{TERMINATOR}', not '{sent}'.")
    day = signature.timestamp[:8]
    if signature.date != day:
        between = " " if wrong and not wrong[-1].endswith(" ") else ""
        wrong.append(
            f"{between}Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP:"
            f" '{_shown(signature.date)}' != '{day}', from '{signature.timestamp}'."
        )
    if wrong:
        raise SignatureDoesNotMatch("".join(wrong), reason="credential_scope")


def _covers_one(region_set: str | None, regions: Collection[str]) -> bool:
    return region_set is not None and any(sigv4a.covers(region_set, region) for region in regions)


def verify(request: Request, signature: Signature, secret_access_key: str, keys: SigningKeys) -> None:
    """Compare the signature with the one that the secret makes, or check it with the key pair that the secret makes.
    Raises SignatureDoesNotMatch, MalformedInput."""
    canonical = _canonical(request, signature)
    if signature.region_set is not None:
        signed = sigv4a.string_to_sign(canonical, signature.timestamp, signature.service)
        key_pair = derive(signature.access_key_id, secret_access_key)
        if not sigv4a.is_signed(key_pair.public_key(), signature.signature, signed):
            raise SignatureDoesNotMatch(SignatureDoesNotMatch.WRONG, reason="ecdsa")
        return
    expected = keys.sign(canonical, secret_access_key, signature.timestamp, signature.region, signature.service)
    if not hmac.compare_digest(expected.encode(), octets(signature.signature)):
        raise SignatureDoesNotMatch(SignatureDoesNotMatch.WRONG, reason="hmac")


def verify_with_public_key(request: Request, signature: Signature, public_key: ec.EllipticCurvePublicKey) -> None:
    """Check a SigV4A signature without the secret, with the key of the session token's `cnf` claim. Raises
    SignatureDoesNotMatch, for a signature of SigV4 too; MalformedInput."""
    signed = sigv4a.string_to_sign(_canonical(request, signature), signature.timestamp, signature.service)
    if signature.region_set is None or not sigv4a.is_signed(public_key, signature.signature, signed):
        raise SignatureDoesNotMatch(SignatureDoesNotMatch.WRONG, reason="ecdsa")


def _canonical(request: Request, signature: Signature) -> bytes:
    """The canonical request over what was received. Raises SignatureDoesNotMatch where none can match."""
    names, headers = signature.signed_headers, request.headers
    body_sha256 = sha256(request.body).hexdigest()
    if not _well_formed(names):
        raise SignatureDoesNotMatch(SignatureDoesNotMatch.WRONG, reason="signed_headers")
    if "x-amz-content-sha256" in names and _received(headers, "x-amz-content-sha256") != body_sha256:
        raise SignatureDoesNotMatch(SignatureDoesNotMatch.WRONG, reason="content_sha256")
    lines = "".join([f"{name}:{_received(headers, name)}\n" for name in names])
    return canonical_request.build(request.method, request.path, request.query, lines, ";".join(names), body_sha256)


@lru_cache(maxsize=256)
def _well_formed(names: tuple[str, ...]) -> bool:
    """Names of header fields in lower case, sorted by octet, each once (spec 2.2.1, RFC 9110 section 5.1)."""
    return all(map(_FIELD_NAME.fullmatch, names)) and list(names) == sorted(set(names))


def _received(headers: Headers, name: str) -> str:
    """A header's canonical value; several are joined, and a missing one is empty (spec 2.2.1)."""
    values = headers.getall(name if name != ":authority" else "host", _NO_VALUES)
    return header_value(values[0]) if len(values) == 1 else ",".join(map(header_value, values))


_NO_VALUES: list[str] = []
