"""What an identity provider publishes: its metadata (OpenID Connect Discovery 1.0 section 3) and its JWK Set, as the
bytes that it sent. Nothing of them is believed that the provider does not say of itself.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import Any
from urllib.parse import urlsplit

import orjson

from stsd.oidc.jwks import JwksError, VerificationKeys
from stsd.oidc.known_keys import Source

REQUIRED = (
    "issuer",
    "jwks_uri",
    "response_types_supported",
    "subject_types_supported",
    "id_token_signing_alg_values_supported",
)
MIN_FRESH_S, DEFAULT_FRESH_S, MAX_FRESH_S = 300, 3_600, 86_400
"""How long a JWK Set counts as fresh, whatever its `Cache-Control` says."""
_MAX_AGE = re.compile(r"(?:^|[\s,])max-age=\"?([0-9]{1,10})", re.IGNORECASE)
_NOT_KEPT = re.compile(r"(?:^|[\s,])(?:no-store|no-cache)(?:$|[\s,])", re.IGNORECASE)
_NAT64 = ip_network("64:ff9b::/96")


class DocumentError(ValueError):
    """A document that is not used; the text says why."""


def configuration_url(issuer: str) -> str:
    """Where the metadata is (section 4)."""
    return issuer.removesuffix("/") + "/.well-known/openid-configuration"


def jwks_uri(document: bytes, source: Source) -> str:
    """Where the metadata says that the keys are. Raises DocumentError."""
    metadata = _object(document)
    missing = [name for name in REQUIRED if name not in metadata]
    if missing:
        raise DocumentError(f"the metadata lacks {', '.join(missing)}")
    if metadata["issuer"] != source.url:
        raise DocumentError("the metadata is of another issuer")
    uri = metadata["jwks_uri"]
    if not isinstance(uri, str) or not may_be_fetched(uri, source):
        raise DocumentError("jwks_uri is no https URL")
    return uri


def keys(document: bytes) -> VerificationKeys:
    """The keys of a JWK Set. Raises DocumentError."""
    try:
        return VerificationKeys(_object(document))
    except JwksError as error:
        raise DocumentError(str(error)) from None


def may_be_fetched(url: str, source: Source) -> bool:
    """Whether a URL is https, or http where the operator has allowed private addresses."""
    try:
        parts = urlsplit(url)
        named = bool(parts.hostname) and parts.port != 0
    except ValueError:
        return False
    schemes = ("https", "http") if source.allow_private_address else ("https",)
    return named and parts.scheme in schemes and parts.username is None and parts.password is None


def is_public(address: str) -> bool:
    """Whether an IP address is one of the internet, also the IPv4 address inside an IPv6 one (RFC 6890). Reserved are
    all IPv6 addresses but 2000::/3, among them the older forms with an IPv4 address inside (RFC 4291 section 4)."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inside = _embedded(found)
    if inside is not None:
        return is_public(str(inside))
    site_local = isinstance(found, IPv6Address) and found.is_site_local
    return found.is_global and not (found.is_multicast or found.is_reserved or site_local)


def _embedded(address: IPv4Address | IPv6Address) -> IPv4Address | None:
    """What a mapped, 6to4, Teredo or NAT64 address leads to."""
    if isinstance(address, IPv4Address):
        return None
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)


def fresh_s(cache_control: str) -> int:
    """How long a JWK Set is fresh, in seconds, by its `Cache-Control` (RFC 9111) and within bounds."""
    if _NOT_KEPT.search(cache_control):
        return MIN_FRESH_S
    told = _MAX_AGE.search(cache_control)
    return min(max(int(told[1]), MIN_FRESH_S), MAX_FRESH_S) if told else DEFAULT_FRESH_S


def _object(document: bytes) -> dict[str, Any]:
    try:
        content = orjson.loads(document)
    except ValueError:
        raise DocumentError("it is no JSON") from None
    if not isinstance(content, dict):
        raise DocumentError("it is no JSON object")
    return content
