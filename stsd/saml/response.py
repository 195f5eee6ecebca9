"""A SAML response from base64 to what its assertion says (spec 3.3, 3.3.2).

The steps are AWS's: is it a response with one assertion of the right form; is the assertion signed; do the signatures
verify with the provider's keys; is the provider the one that speaks. All of it is read twice, before the signature to
tell a malformed response from a forged one, and then from the element that was signed, which is what counts.

Each response has a thread of its own, for which the caller waits. libxml2 keeps every name that it has seen, element,
attribute, prefix and namespace, in a dictionary that lives as long as the thread, and lxml has no other way around it:
in a thread that stays, whoever sends names that nobody has sent before makes a node grow.
"""

from __future__ import annotations

import re
from base64 import b64decode
from binascii import Error as Base64Error
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime

from stsd.saml import signature, xml
from stsd.saml.metadata import Metadata
from stsd.saml.refused import NO_PROVIDER, NOT_SIGNED, WRONG_ISSUER, Refused, invalid
from stsd.saml.xml import ASSERTION, DSIG, PROTOCOL, Element, XmlError

BEARER = "urn:oasis:names:tc:SAML:2.0:cm:bearer"
SUCCESS = "urn:oasis:names:tc:SAML:2.0:status:Success"

_INSTANT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Assertion:
    """What an assertion says. Instants are Unix seconds; `expires_at` is the earliest NotOnOrAfter, `session_ends_at`
    the earliest SessionNotOnOrAfter. `recipient` is the one of its bearer confirmation; attributes are by Name."""

    id: str
    issuer: str
    subject: str = field(repr=False)
    subject_format: str
    recipient: str
    expires_at: float
    session_ends_at: float | None
    attributes: Mapping[str, tuple[str, ...]] = field(repr=False)


def verified(encoded: str, metadata: Metadata | None) -> Assertion:
    """The assertion of the response in base64 as it was signed, by a key of the provider that is its issuer and whose
    metadata is given; None where there is no such provider. Raises Refused."""
    with ThreadPoolExecutor(1) as thread:
        found = thread.submit(_found, encoded, metadata).result()
    if isinstance(found, Refused):
        raise found
    return found


def _found(encoded: str, metadata: Metadata | None) -> Assertion | Refused:
    """Of a refusal only the words leave the thread: its traceback would keep the tree, and the tree the names."""
    try:
        return _verified(encoded, metadata)
    except Refused as refused:
        return Refused(refused.text, refused.reason)


def _verified(encoded: str, metadata: Metadata | None) -> Assertion:
    root, unverified = _open(encoded)
    if metadata is None:
        raise Refused(NO_PROVIDER, "saml_no_provider")
    certificates = [key.certificate for key in metadata.keys]
    if xml.children(root, f"{DSIG}Signature"):
        signature.verify(root, certificates)
    signed, certificate = signature.verify(unverified, certificates)
    assertion = _read(signed)
    if not metadata.speaks_for(certificate, assertion.issuer):
        raise Refused(WRONG_ISSUER, "saml_issuer")
    return assertion


def _open(encoded: str) -> tuple[Element, Element]:
    """A response of the right form and its signed assertion, which nobody has vouched for yet. Raises Refused."""
    try:
        root = xml.admitted(b64decode("".join(encoded.split()), validate=True))
        assertion = _assertion(root)
    except (Base64Error, ValueError) as error:
        raise invalid(f"saml_{error}" if isinstance(error, XmlError) else "saml_base64") from None
    signature.check_ids(root)
    _read(assertion)
    if not xml.children(assertion, f"{DSIG}Signature"):
        raise Refused(NOT_SIGNED, "saml_not_signed")
    return root, assertion


def _assertion(root: Element) -> Element:
    """The one assertion, a child of the response; there is no other one anywhere. Raises XmlError."""
    if root.tag != f"{PROTOCOL}Response":
        raise XmlError("no_response")
    xml.attribute(root, "ID")
    for status in xml.children(root, f"{PROTOCOL}Status"):
        if xml.only(status, f"{PROTOCOL}StatusCode").get("Value") != SUCCESS:
            raise XmlError("not_a_success")
    if next(root.iter(f"{ASSERTION}EncryptedAssertion"), None) is not None:
        # No provider of a world has a private key that would open one.
        raise XmlError("encrypted_assertion")
    assertion = xml.only(root, f"{ASSERTION}Assertion")
    if sum(1 for _ in root.iter(f"{ASSERTION}Assertion")) != 1:
        raise XmlError("several_assertions")
    holders = (root, assertion)
    if any(found.getparent() not in holders for found in root.iter(f"{DSIG}Signature")):
        raise XmlError("signature_elsewhere")
    return assertion


def _read(assertion: Element) -> Assertion:
    try:
        return _says(assertion)
    except XmlError as error:
        raise invalid(f"saml_{error}") from None


def _says(assertion: Element) -> Assertion:
    if assertion.get("Version") != "2.0":
        raise XmlError("version")
    subject = xml.only(assertion, f"{ASSERTION}Subject")
    name = xml.only(subject, f"{ASSERTION}NameID")
    confirmation = xml.only(subject, f"{ASSERTION}SubjectConfirmation")
    if confirmation.get("Method") != BEARER:
        raise XmlError("no_bearer")
    bearer = xml.only(confirmation, f"{ASSERTION}SubjectConfirmationData")
    conditions = xml.only(assertion, f"{ASSERTION}Conditions")
    for element in (bearer, conditions):
        # One in the future is accepted (spec 3.3.2), one that is no instant is not.
        _instant(element, "NotBefore")
    statements = xml.children(assertion, f"{ASSERTION}AuthnStatement")
    if not statements:
        raise XmlError("no_AuthnStatement")
    ends = [end for end in (_instant(each, "SessionNotOnOrAfter") for each in statements) if end is not None]
    xml.attribute(bearer, "NotOnOrAfter")
    expiries = [end for end in (_instant(each, "NotOnOrAfter") for each in (bearer, conditions)) if end is not None]
    return Assertion(
        id=xml.attribute(assertion, "ID"),
        issuer=xml.words(xml.only(assertion, f"{ASSERTION}Issuer")),
        subject=xml.words(name),
        subject_format=xml.attribute(name, "Format"),
        recipient=xml.attribute(bearer, "Recipient"),
        expires_at=min(expiries),
        session_ends_at=min(ends, default=None),
        attributes=_attributes(assertion),
    )


def _attributes(assertion: Element) -> Mapping[str, tuple[str, ...]]:
    """Values by Name; one that is not plain text, as an eduPersonTargetedID may be, is passed over."""
    found: dict[str, tuple[str, ...]] = {}
    for statement in xml.children(assertion, f"{ASSERTION}AttributeStatement"):
        for each in xml.children(statement, f"{ASSERTION}Attribute"):
            values = (xml.text(value) for value in xml.children(each, f"{ASSERTION}AttributeValue"))
            name = xml.attribute(each, "Name")
            found[name] = (*found.get(name, ()), *(value for value in values if value is not None))
    return found


def _instant(element: Element, name: str) -> float | None:
    """An instant in Unix seconds, UTC unless it says otherwise (SAML core 1.3.3); None where it is not given."""
    text = element.get(name)
    if text is None:
        return None
    try:
        if not _INSTANT.fullmatch(text):
            raise ValueError(text)
        at = datetime.fromisoformat(text)
        return (at if at.tzinfo else at.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        raise XmlError(f"malformed_{name}") from None
