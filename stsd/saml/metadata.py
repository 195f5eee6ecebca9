"""The metadata of an identity provider: who speaks, and the certificates of the keys that it signs with (spec 3.3.2).

Certificates count for their keys alone: neither who issued them nor when they expire is looked at.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from stsd.saml import xml
from stsd.saml.xml import DSIG, METADATA, PROTOCOL, Element, XmlError

MAX_CHARACTERS = 1_000_000
MAX_IDENTITY_PROVIDERS = 10
MAX_KEYS = 10
LEAST_RSA_BITS = 1_024


class MetadataError(ValueError):
    """Why a document is no metadata of an identity provider, in words for the operator."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """A certificate that signs for an identity provider, `entity_id`."""

    entity_id: str
    certificate: x509.Certificate


@dataclass(frozen=True, slots=True)
class Metadata:
    """The keys of all identity providers of a document."""

    keys: tuple[SigningKey, ...]

    def speaks_for(self, certificate: x509.Certificate, issuer: str) -> bool:
        """Whether the key of `certificate` is one of the identity provider `issuer`, and not of another one in the
        same document."""
        public = certificate.public_key()
        return any(key.entity_id == issuer and key.certificate.public_key() == public for key in self.keys)


@lru_cache(maxsize=1_024)
def read(document: str) -> Metadata:
    """The metadata in a document, read once. Raises MetadataError."""
    if len(document) > MAX_CHARACTERS:
        raise MetadataError(f"is too long (allowed: at most {MAX_CHARACTERS} characters)")
    try:
        root = xml.parse(document.encode())
    except (XmlError, UnicodeEncodeError):
        raise MetadataError("is no XML without a document type") from None
    found = [entity for entity in _entities(root) if _roles(entity)]
    if not 0 < len(found) <= MAX_IDENTITY_PROVIDERS:
        allowed = f"allowed: 1 to {MAX_IDENTITY_PROVIDERS}, each an EntityDescriptor with an IDPSSODescriptor"
        raise MetadataError(f"holds {len(found)} identity providers ({allowed})")
    keys = tuple(key for entity in found for key in _keys(entity))
    if not 0 < len(keys) <= MAX_KEYS:
        allowed = f"allowed: 1 to {MAX_KEYS} KeyDescriptor with use signing or none, each with an X509Certificate"
        raise MetadataError(f"holds {len(keys)} signing certificates ({allowed})")
    return Metadata(keys)


def _entities(root: Element) -> Iterator[Element]:
    if root.tag == f"{METADATA}EntityDescriptor":
        yield root
    elif root.tag == f"{METADATA}EntitiesDescriptor":
        yield from root.iter(f"{METADATA}EntityDescriptor")
    else:
        raise MetadataError("is no SAML 2.0 metadata (its root is neither EntityDescriptor nor EntitiesDescriptor)")


def _roles(entity: Element) -> list[Element]:
    """The descriptions of an identity provider that speaks SAML 2.0."""
    return [
        role
        for role in xml.children(entity, f"{METADATA}IDPSSODescriptor")
        if PROTOCOL.strip("{}") in role.get("protocolSupportEnumeration", "").split()
    ]


def _keys(entity: Element) -> Iterator[SigningKey]:
    entity_id = entity.get("entityID", "")
    if not entity_id:
        raise MetadataError("has an EntityDescriptor without entityID")
    for role in _roles(entity):
        for descriptor in xml.children(role, f"{METADATA}KeyDescriptor"):
            if descriptor.get("use", "signing") == "signing":
                for element in descriptor.iter(f"{DSIG}X509Certificate"):
                    yield SigningKey(entity_id, _certificate(element, entity_id))


def _certificate(element: Element, entity_id: str) -> x509.Certificate:
    try:
        certificate = x509.load_der_x509_certificate(b64decode("".join(xml.words(element).split()), validate=True))
        key = certificate.public_key()
    except (ValueError, UnsupportedAlgorithm):
        raise MetadataError(f"has an X509Certificate of {entity_id} that cannot be read") from None
    if isinstance(key, rsa.RSAPublicKey) and key.key_size >= LEAST_RSA_BITS:
        return certificate
    if isinstance(key, ec.EllipticCurvePublicKey):
        return certificate
    raise MetadataError(f"has a signing key of {entity_id} that is neither RSA of {LEAST_RSA_BITS} bits or more nor EC")
