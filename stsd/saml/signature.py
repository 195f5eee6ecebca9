"""XML signatures in the narrow profile of SAML core 5.4: enveloped, of the very element that is read.

Checked before the library looks at a key, because it would follow what the message says:
1. One ds:Signature, a child of the element that it signs; no comments, objects or anything unknown in it.
2. One reference, `#` and the ID of that element; no ID is there twice in the document.
3. The transforms are enveloped-signature and exclusive canonicalisation, in this order, and nothing else.
   At most MAX_PREFIXES prefixes are named for it: it searches them all at every element, in time that grows with the
   square of their number, before any key is looked at.
4. Algorithms from the lists below. SHA-1 is for the RSA-SHA1 of old identity providers, for nothing newer.
5. The key is one of the provider's metadata; what KeyInfo says is not looked at.
What is read afterwards is what the library gives back: the octets that were signed, parsed anew.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from lxml import etree
from signxml.algorithms import DigestAlgorithm, SignatureMethod
from signxml.verifier import SignatureConfiguration, XMLVerifier

from stsd.saml import xml
from stsd.saml.refused import BAD_SIGNATURE, Refused, invalid
from stsd.saml.xml import DSIG, EXC_C14N, Element, XmlError

ENVELOPED = "http://www.w3.org/2000/09/xmldsig#enveloped-signature"
EXCLUSIVE = ("http://www.w3.org/2001/10/xml-exc-c14n#", "http://www.w3.org/2001/10/xml-exc-c14n#WithComments")
MAX_PREFIXES = 32
MODERN_DIGESTS = frozenset((DigestAlgorithm.SHA256, DigestAlgorithm.SHA384, DigestAlgorithm.SHA512))
METHODS: dict[str, tuple[type, frozenset[DigestAlgorithm]]] = {
    SignatureMethod.RSA_SHA256.value: (rsa.RSAPublicKey, MODERN_DIGESTS),
    SignatureMethod.RSA_SHA384.value: (rsa.RSAPublicKey, MODERN_DIGESTS),
    SignatureMethod.RSA_SHA512.value: (rsa.RSAPublicKey, MODERN_DIGESTS),
    SignatureMethod.ECDSA_SHA256.value: (ec.EllipticCurvePublicKey, MODERN_DIGESTS),
    SignatureMethod.ECDSA_SHA384.value: (ec.EllipticCurvePublicKey, MODERN_DIGESTS),
    SignatureMethod.ECDSA_SHA512.value: (ec.EllipticCurvePublicKey, MODERN_DIGESTS),
    SignatureMethod.RSA_SHA1.value: (rsa.RSAPublicKey, MODERN_DIGESTS | {DigestAlgorithm.SHA1}),
}
"""Signature algorithm to the kind of key it takes and the digests of references that go with it."""


def check_ids(root: Element) -> None:
    """No ID may be there twice, in whatever case it is spelt. Raises Refused."""
    ids = Counter(
        value
        for element in root.iter(etree.Element)
        for name, value in element.attrib.items()
        if xml.local(str(name)).lower() == "id"
    )
    if any(count > 1 for count in ids.values()):
        raise invalid("duplicate_id")


def verify(signed: Element, certificates: Iterable[x509.Certificate]) -> tuple[Element, x509.Certificate]:
    """What the signature in `signed` covers, which is all of it but the signature, and whose key it was. Raises
    Refused."""
    kind, digests, method = _profile(signed)
    for certificate in certificates:
        if isinstance(certificate.public_key(), kind):
            found = _verified(signed, certificate, method, digests)
            if found is not None:
                return found, certificate
    raise Refused(BAD_SIGNATURE, "saml_signature")


def _verified(
    signed: Element, certificate: x509.Certificate, method: SignatureMethod, digests: frozenset[DigestAlgorithm]
) -> Element | None:
    allowed = SignatureConfiguration(
        require_x509=True,
        location="./",
        expect_references=1,
        signature_methods=frozenset((method,)),
        digest_algorithms=digests,
        ignore_ambiguous_key_info=True,
        verification_time=certificate.not_valid_before_utc,  # keys do not expire (spec 3.3.2)
    )
    try:
        result = XMLVerifier().verify(
            signed, x509_cert=certificate, expect_config=allowed, id_attribute="ID", parser=xml.parser(),
            validate_schema=False,  # the profile above is narrower than the schema
        )  # fmt: skip
    except Exception:  # whatever a library makes of a hostile document, it is not a good signature
        return None
    found = result.signed_xml if not isinstance(result, list) else None
    if found is None or found.tag != signed.tag or found.get("ID") != signed.get("ID"):
        return None
    return found


def _profile(signed: Element) -> tuple[type, frozenset[DigestAlgorithm], SignatureMethod]:
    """The algorithms of the signature in `signed`, if all of it is as it has to be. Raises Refused."""
    try:
        signature = xml.only(signed, f"{DSIG}Signature")
        _check_shape(signature)
        info = xml.only(signature, f"{DSIG}SignedInfo")
        reference = xml.only(info, f"{DSIG}Reference")
        transforms = xml.children(xml.only(reference, f"{DSIG}Transforms"), f"{DSIG}Transform")
        method = xml.only(info, f"{DSIG}SignatureMethod").get("Algorithm", "")
        if reference.get("URI") != f"#{xml.attribute(signed, 'ID')}":
            raise XmlError("reference")
        if len(transforms) != 2 or transforms[0].get("Algorithm") != ENVELOPED:
            raise XmlError("transforms")
        for canonicalisation in (transforms[1], xml.only(info, f"{DSIG}CanonicalizationMethod")):
            if canonicalisation.get("Algorithm") not in EXCLUSIVE:
                raise XmlError("canonicalisation")
        if method not in METHODS:
            raise XmlError("signature_algorithm")
    except XmlError as error:
        raise Refused(BAD_SIGNATURE, f"saml_signature_{error}") from None
    kind, digests = METHODS[method]
    return kind, digests, SignatureMethod(method)


_SHAPE: dict[str, tuple[str, ...]] = {
    "Signature": ("SignedInfo", "SignatureValue", "KeyInfo"),
    "SignedInfo": ("CanonicalizationMethod", "SignatureMethod", "Reference"),
    "CanonicalizationMethod": ("InclusiveNamespaces",),
    "SignatureMethod": (),
    "Reference": ("Transforms", "DigestMethod", "DigestValue"),
    "Transforms": ("Transform", "Transform"),
    "Transform": ("InclusiveNamespaces",),
    "DigestMethod": (),
}
"""What may stand in an element of a signature, in this order; the rest has text or is KeyInfo."""


def _check_shape(element: Element) -> None:
    if any(not isinstance(child.tag, str) for child in element):
        raise XmlError("comment")
    allowed = iter(_SHAPE.get(xml.local(str(element.tag)), ()))
    for child in element:
        name = xml.local(str(child.tag))
        namespace = EXC_C14N if name == "InclusiveNamespaces" else DSIG
        if child.tag != namespace + name or name not in allowed:
            raise XmlError("shape")
        if child.get("PrefixList", "").count(" ") >= MAX_PREFIXES:
            raise XmlError("prefixes")
        if name != "KeyInfo":
            _check_shape(child)
