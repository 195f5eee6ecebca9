"""An identity provider for tests: keys, metadata, and responses that are signed in every way that a test needs."""

from __future__ import annotations

import random
from base64 import b64encode
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any
from xml.sax.saxutils import escape

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID
from lxml import etree
from signxml import SignatureReference, XMLSigner, methods
from signxml.algorithms import CanonicalizationMethod

from tests.world.worlds import ACME

NOW = 1_795_435_200.0
ROLE = f"arn:aws:iam::{ACME}:role/engineers"
PROVIDER = f"arn:aws:iam::{ACME}:saml-provider/corp"
RECIPIENT = "https://signin.aws.amazon.com/saml"
ISSUER = "https://idp.example.com/metadata"
ATTRIBUTES = "https://aws.amazon.com/SAML/Attributes/"
PERSISTENT = "urn:oasis:names:tc:SAML:2.0:nameid-format:persistent"
NAMESPACES = {
    "saml": "urn:oasis:names:tc:SAML:2.0:assertion",
    "samlp": "urn:oasis:names:tc:SAML:2.0:protocol",
    "ds": "http://www.w3.org/2000/09/xmldsig#",
}
_DECLARED = f'xmlns:saml="{NAMESPACES["saml"]}" xmlns:samlp="{NAMESPACES["samlp"]}"'
EXCLUSIVE = CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0


BEARER = (
    '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">'
    f'<saml:SubjectConfirmationData Recipient="{RECIPIENT}" {{}}/></saml:SubjectConfirmation>'
)
"""A confirmation of the subject, for further attributes."""


@lru_cache
def key(name: str) -> Any:
    """The private key of a name, always the same; of an elliptic curve if the name says so."""
    choice = random.Random(name)
    if name.startswith("ec"):
        return ec.derive_private_key(choice.getrandbits(250), ec.SECP256R1())
    bits = 384 if name.startswith("weak") else 1024
    p, q = _prime(choice, bits), _prime(choice, bits)
    d = pow(65_537, -1, (p - 1) * (q - 1))
    public = rsa.RSAPublicNumbers(65_537, p * q)
    dmp1, dmq1, iqmp = rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q)
    return rsa.RSAPrivateNumbers(p, q, d, dmp1, dmq1, iqmp, public).private_key()


def _prime(choice: random.Random, bits: int) -> int:
    while True:
        candidate = choice.getrandbits(bits) | 3 << bits - 2 | 1
        if all(candidate % small for small in range(3, 2_000, 2)) and all(
            pow(base, candidate - 1, candidate) == 1 for base in (2, 3, 5)
        ):
            return candidate


@lru_cache
def certificate(name: str) -> x509.Certificate:
    """A certificate of `key(name)`; it expired long ago, which nobody may mind."""
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateBuilder(subject, subject, key(name).public_key(), len(name))
    made = made.not_valid_before(datetime(2001, 1, 1, tzinfo=UTC)).not_valid_after(datetime(2002, 1, 1, tzinfo=UTC))
    return made.sign(key(name), hashes.SHA256())


def pem(name: str) -> str:
    return certificate(name).public_bytes(serialization.Encoding.PEM).decode()


def in_base64(name: str) -> str:
    return b64encode(certificate(name).public_bytes(serialization.Encoding.DER)).decode()


def descriptor(name: str, use: str = 'use="signing"', content: str | None = None) -> str:
    data = in_base64(name) if content is None else content
    return (
        f'<md:KeyDescriptor {use}><ds:KeyInfo xmlns:ds="{NAMESPACES["ds"]}"><ds:X509Data>'
        f"<ds:X509Certificate>{data}</ds:X509Certificate></ds:X509Data></ds:KeyInfo></md:KeyDescriptor>"
    )


def entity(*descriptors: str, entity_id: str = ISSUER, protocol: str = NAMESPACES["samlp"]) -> str:
    return (
        f'<md:EntityDescriptor xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata" entityID="{entity_id}">'
        f'<md:IDPSSODescriptor protocolSupportEnumeration="{protocol}">{"".join(descriptors)}'
        '<md:SingleSignOnService Binding="urn:oasis:names:tc:SAML:2.0:bindings:HTTP-POST" Location="https://i/sso"/>'
        "</md:IDPSSODescriptor></md:EntityDescriptor>"
    )


def entities(*documents: str) -> str:
    name = "md:EntitiesDescriptor"
    return f'<{name} xmlns:md="urn:oasis:names:tc:SAML:2.0:metadata">{"".join(documents)}</{name}>'


def metadata(*names: str) -> str:
    """The metadata of the provider with these keys."""
    return entity(*map(descriptor, names or ("idp",)))


def stamp(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Says:
    """What an assertion says; a test changes what it is about. Attributes without the prefix are AWS's."""

    now: float = NOW
    issuer: str = ISSUER
    subject: str = "alice"
    format: str | None = PERSISTENT
    recipient: str | None = RECIPIENT
    conditions: str | None = None
    confirmation: str | None = None
    not_on_or_after: str | None = "+300"
    authn: str = '<saml:AuthnStatement AuthnInstant="{now}"{ends}><saml:AuthnContext/></saml:AuthnStatement>'
    session_ends: float | None = None
    attributes: dict[str, list[str]] = field(default_factory=dict)
    id: str = "_a1"

    def xml(self) -> str:
        """The assertion without a signature."""
        now, later = stamp(self.now), stamp(self.now + 300)
        all_attributes = {"Role": [f"{ROLE},{PROVIDER}"], "RoleSessionName": ["alice"]} | self.attributes
        attributes = "".join(
            f'<saml:Attribute Name="{escape(name if ":" in name[:6] else ATTRIBUTES + name)}">'
            + "".join(f"<saml:AttributeValue>{escape(value)}</saml:AttributeValue>" for value in values)
            + "</saml:Attribute>"
            for name, values in all_attributes.items()
        )
        format_ = "" if self.format is None else f' Format="{self.format}"'
        recipient = "" if self.recipient is None else f' Recipient="{self.recipient}"'
        ends_at = later if self.not_on_or_after == "+300" else self.not_on_or_after
        ends = "" if ends_at is None else f' NotOnOrAfter="{ends_at}"'
        confirmation = self.confirmation or (
            '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer">'
            f"<saml:SubjectConfirmationData{recipient}{ends}/></saml:SubjectConfirmation>"
        )
        conditions = self.conditions if self.conditions is not None else (
            f'<saml:Conditions NotBefore="{now}" NotOnOrAfter="{later}"><saml:AudienceRestriction>'
            "<saml:Audience>urn:somebody:else</saml:Audience></saml:AudienceRestriction></saml:Conditions>"
        )  # fmt: skip
        session = "" if self.session_ends is None else f' SessionNotOnOrAfter="{stamp(self.session_ends)}"'
        return (
            f'<saml:Assertion {_DECLARED} ID="{self.id}" Version="2.0" IssueInstant="{now}">'
            f"<saml:Issuer>{self.issuer}</saml:Issuer>"
            f"<saml:Subject><saml:NameID{format_}>{self.subject}</saml:NameID>{confirmation}</saml:Subject>"
            f"{conditions}{self.authn.format(now=now, ends=session)}"
            f"<saml:AttributeStatement>{attributes}</saml:AttributeStatement></saml:Assertion>"
        )


class _Signer(XMLSigner):
    """Signs with SHA-1 as well, as old identity providers do."""

    def check_deprecated_methods(self) -> None:
        """They are wanted here."""


def sign(
    document: str | Any, name: str = "idp", *, algorithm: str = "rsa-sha256", digest: str = "sha256", **more: Any
) -> Any:
    """The element with an enveloped signature over it, after the Issuer as the schema wants it."""
    element = etree.fromstring(document) if isinstance(document, str) else document
    signer = _Signer(
        method=methods.enveloped, signature_algorithm=algorithm, digest_algorithm=digest,
        c14n_algorithm=more.pop("c14n", EXCLUSIVE),
    )  # fmt: skip
    secret = more.pop("secret", None) or key(name)
    chain = {} if isinstance(secret, bytes) else {"cert": pem(name)}
    reference = SignatureReference(f"#{element.get('ID')}", inclusive_ns_prefixes=[])
    signed = signer.sign(
        element, key=secret, reference_uri=[reference], id_attribute="ID",
        inclusive_ns_prefixes=more.pop("prefixes", None), **chain,
    )  # fmt: skip
    signature = signed.find("ds:Signature", NAMESPACES)
    signed.insert(1, signature)
    return signed


def wrap(*assertions: Any, status: str = "Success", issuer: str = "https://elsewhere.example.com") -> Any:
    """A Response around assertions; its own issuer may be another one."""
    root = etree.fromstring(
        f'<samlp:Response {_DECLARED} ID="_r1" Version="2.0" IssueInstant="{stamp(NOW)}" Destination="https://x/">'
        f"<saml:Issuer>{issuer}</saml:Issuer>"
        f'<samlp:Status><samlp:StatusCode Value="urn:oasis:names:tc:SAML:2.0:status:{status}"/></samlp:Status>'
        "</samlp:Response>"
    )
    root.extend(assertions)
    return root


def text(root: Any) -> str:
    """As a client sends it."""
    return b64encode(root if isinstance(root, bytes) else etree.tostring(root)).decode()


def response(says: Says | None = None, name: str = "idp", **signing: Any) -> Any:
    """A good response: its assertion signed with the key of that name."""
    return wrap(sign((says or Says()).xml(), name, **signing))


def encoded(name: str = "idp", **says: Any) -> str:
    """A good response that says so, in base64."""
    return text(response(Says(**says), name))
