"""Known attacks on SAML service providers: none gets in, none changes who is believed to have signed in."""

from __future__ import annotations

import copy
from base64 import b64decode, b64encode

import pytest
from cryptography.hazmat.primitives import serialization
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree

from stsd.saml import metadata, response
from stsd.saml.refused import BAD_SIGNATURE, INVALID, NOT_SIGNED, WRONG_ISSUER, Refused
from tests.saml import idp
from tests.saml.idp import NAMESPACES, Says

TRUSTED = metadata.read(idp.metadata())
DS, SAML, SAMLP = (f"{{{NAMESPACES[prefix]}}}" for prefix in ("ds", "saml", "samlp"))


def verified(root) -> response.Assertion:
    return response.verified(root if isinstance(root, str) else idp.text(root), TRUSTED)


def refusal(root) -> Refused:
    with pytest.raises(Refused) as refused:
        verified(root)
    return refused.value


def evil(id_: str = "_evil"):
    """The attacker's own assertion, unsigned."""
    return etree.fromstring(Says(subject="mallory", id=id_).xml())


def without_signature(assertion):
    signature = assertion.find("ds:Signature", NAMESPACES)
    assertion.remove(signature)
    return signature


def wrapped(form: int):
    """Signature wrapping by Somorovsky et al., "On Breaking SAML", forms 1 to 8."""
    good = idp.response() if form > 2 else idp.sign(idp.response())
    if form in (1, 2):
        # The signed response is moved into, or beside, the signature of the attacker's response.
        signature = good.find("ds:Signature", NAMESPACES)
        original = copy.deepcopy(good)
        original.remove(original.find("ds:Signature", NAMESPACES))
        good.set("ID", "_r2")
        good.replace(good.find("saml:Assertion", NAMESPACES), evil())
        if form == 1:
            signature.append(original)
        else:
            good.insert(1, original)
        return good
    signed = good.find("saml:Assertion", NAMESPACES)
    if form == 3:  # before it
        good.insert(2, evil())
    elif form == 4:  # around it
        outer = evil()
        outer.append(signed)
        good.append(outer)
    elif form == 5:  # the signature changes sides, the signed one goes to the end
        outer = evil()
        outer.insert(1, without_signature(signed))
        good.insert(2, outer)
    elif form == 6:  # the signed one in the signature of the attacker's
        outer = evil()
        signature = without_signature(signed)
        outer.insert(1, signature)
        signature.append(signed)
        good.append(outer)
    elif form == 7:  # the signed one hidden in Extensions
        extensions = etree.Element(f"{SAMLP}Extensions")
        extensions.append(signed)
        good.insert(1, extensions)
        good.append(evil())
    else:  # the signed one in ds:Object of the attacker's signature
        outer = evil()
        signature = without_signature(signed)
        outer.insert(1, signature)
        hidden = etree.SubElement(signature, f"{DS}Object")
        hidden.append(signed)
        good.append(outer)
    return good


@pytest.mark.parametrize("form", range(1, 9))
def test_signature_wrapping(form):
    assert refusal(wrapped(form)).text in (INVALID, BAD_SIGNATURE)


@pytest.mark.parametrize("form", range(4, 9))
def test_signature_wrapping_with_the_id_of_the_signed_one(form):
    root = wrapped(form)
    for assertion in root.iter(f"{SAML}Assertion"):
        assertion.set("ID", "_a1")
    assert refusal(root).text == INVALID


@pytest.mark.parametrize("hidden_in", ["Advice", "SubjectConfirmationData"])
def test_an_assertion_within_an_assertion_is_not_read(hidden_in):
    outer = evil()
    good = idp.sign(Says().xml())
    holder = next(outer.iter(f"{SAML}{hidden_in}"), None)
    if holder is None:
        holder = etree.SubElement(outer, f"{SAML}{hidden_in}")
    outer.insert(1, without_signature(good))
    holder.append(good)
    assert refusal(idp.wrap(outer)).text == INVALID


def test_a_comment_does_not_cut_the_subject():
    signed = idp.response(Says(subject="alice@example.com.evil.example"))
    cut = etree.tostring(signed).replace(b"example.com.evil", b"example.com<!-- -->.evil")
    assert verified(idp.text(cut)).subject == "alice@example.com.evil.example"
    split = etree.tostring(signed).replace(b"example.com.evil", b"example.com<?x y?>.evil")
    assert refusal(idp.text(split)).text == BAD_SIGNATURE


def test_a_comment_or_instruction_that_was_signed_does_not_cut_the_subject():
    signed = idp.response(
        Says(subject="alice<!-- c -->@example.com<?p q?>.evil"),
        c14n=idp.CanonicalizationMethod.EXCLUSIVE_XML_CANONICALIZATION_1_0_WITH_COMMENTS,
    )
    assert verified(signed).subject == "alice@example.com.evil"


def test_a_comment_in_the_digest_is_refused():
    root = idp.response()
    value = next(root.iter(f"{DS}DigestValue"))
    value.append(etree.Comment("x"))
    assert refusal(root).text == BAD_SIGNATURE


@pytest.mark.parametrize(
    "prologue",
    [
        "<!DOCTYPE samlp:Response>",
        '<!DOCTYPE r [<!ENTITY x "alice">]>',
        '<!DOCTYPE r [<!ENTITY x SYSTEM "file:///etc/passwd">]>',
        '<!DOCTYPE r SYSTEM "http://127.0.0.1:1/x.dtd">',
        '<!DOCTYPE r [<!ENTITY % p SYSTEM "http://127.0.0.1:1/x.dtd"> %p;]>',
        '<!DOCTYPE r [<!ENTITY a "lol">' + "".join(
            f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(9)
        ) + "]>",
        "<!DOCTYPE r [<!ATTLIST saml:Assertion ID ID #IMPLIED>]>",
    ],
)  # fmt: skip
def test_document_types_and_entities(prologue):
    document = etree.tostring(idp.response()).decode()
    for subject in ("alice", "&x;", "&j;"):
        refused = refusal(
            idp.text((prologue + document.replace(">alice</saml:NameID", f">{subject}</saml:NameID")).encode())
        )
        assert (refused.text, refused.reason) == (INVALID, "saml_document_type")


def test_an_entity_without_a_document_type():
    document = etree.tostring(idp.response()).replace(b">alice</saml:NameID", b">&x;</saml:NameID")
    assert refusal(idp.text(document)).reason == "saml_no_xml"


@pytest.mark.parametrize("encoding", ["utf-16", "utf-7", "iso-8859-1"])
def test_another_encoding_is_not_a_way_around_the_gate(encoding):
    document = f'<?xml version="1.0" encoding="{encoding}"?><!DOCTYPE r>' + etree.tostring(idp.response()).decode()
    assert refusal(idp.text(document.encode(encoding))).text == INVALID


@pytest.mark.parametrize("algorithm", ["hmac-sha256", "hmac-sha1", "hmac-sha512"])
def test_an_hmac_with_the_public_key_is_no_signature(algorithm):
    public = idp.certificate("idp").public_key()
    pem, der = (
        public.public_bytes(form, serialization.PublicFormat.SubjectPublicKeyInfo)
        for form in (serialization.Encoding.PEM, serialization.Encoding.DER)
    )
    for secret in (pem, der, idp.pem("idp").encode()):
        forged = idp.wrap(idp.sign(Says(subject="mallory").xml(), algorithm=algorithm, secret=secret))
        assert refusal(forged).reason == "saml_signature_signature_algorithm"


def changed_signature(path: str, attribute: str, value: str):
    root = idp.response()
    root.find(f".//{path}", NAMESPACES).set(attribute, value)
    return root


@pytest.mark.parametrize(
    ("path", "algorithm", "reason"),
    [
        ("ds:SignatureMethod", "", "signature_algorithm"),
        ("ds:SignatureMethod", "none", "signature_algorithm"),
        ("ds:SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#rsa-md5", "signature_algorithm"),
        ("ds:SignatureMethod", "http://www.w3.org/2000/09/xmldsig#dsa-sha1", "signature_algorithm"),
        ("ds:SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#ecdsa-sha1", "signature_algorithm"),
        ("ds:SignatureMethod", "http://www.w3.org/2001/04/xmldsig-more#rsa-sha224", "signature_algorithm"),
        ("ds:CanonicalizationMethod", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "canonicalisation"),
        ("ds:Transform[2]", "http://www.w3.org/TR/2001/REC-xml-c14n-20010315", "canonicalisation"),
        ("ds:Transform[2]", "http://www.w3.org/TR/1999/REC-xslt-19991116", "canonicalisation"),
        ("ds:Transform[1]", "http://www.w3.org/TR/1999/REC-xpath-19991116", "transforms"),
        ("ds:Transform[1]", "http://www.w3.org/2002/06/xmldsig-filter2", "transforms"),
        ("ds:Transform[1]", "http://www.w3.org/2000/09/xmldsig#base64", "transforms"),
    ],
)
def test_algorithms_and_transforms_that_are_not_allowed(path, algorithm, reason):
    refused = refusal(changed_signature(path, "Algorithm", algorithm))
    assert (refused.text, refused.reason) == (BAD_SIGNATURE, f"saml_signature_{reason}")


@pytest.mark.parametrize(
    "digest", ["http://www.w3.org/2001/04/xmldsig-more#md5", "http://www.w3.org/2000/09/xmldsig#sha1"]
)
def test_digests_that_are_not_allowed(digest):
    assert refusal(changed_signature("ds:DigestMethod", "Algorithm", digest)).text == BAD_SIGNATURE


def test_a_weak_digest_under_a_modern_signature():
    assert refusal(idp.response(digest="sha1")).text == BAD_SIGNATURE


@pytest.mark.parametrize("algorithm", ["rsa-sha256", "rsa-sha384", "rsa-sha512", "rsa-sha1"])
def test_the_algorithms_that_are_allowed(algorithm):
    digest = algorithm.removeprefix("rsa-")
    assert verified(idp.response(algorithm=algorithm, digest=digest)).subject == "alice"


def test_elliptic_curves():
    trusted = metadata.read(idp.metadata("idp", "ec"))
    text = idp.text(idp.response(None, "ec", algorithm="ecdsa-sha256"))
    assert response.verified(text, trusted).subject == "alice"


def test_a_stylesheet_in_a_transform_is_never_run():
    root = idp.response()
    transform = next(root.iter(f"{DS}Transform"))
    etree.SubElement(transform, "{http://www.w3.org/1999/XSL/Transform}stylesheet", version="1.0")
    assert refusal(root).reason == "saml_signature_shape"


def test_an_xpath_transform_hides_nothing():
    root = idp.response()
    transforms = next(root.iter(f"{DS}Transforms"))
    more = etree.SubElement(transforms, f"{DS}Transform", Algorithm="http://www.w3.org/TR/1999/REC-xpath-19991116")
    etree.SubElement(more, f"{DS}XPath").text = "not(ancestor-or-self::saml:Subject)"
    assert refusal(root).text == BAD_SIGNATURE


@pytest.mark.parametrize("kept", [[], [0], [1]])
def test_both_transforms_are_needed(kept):
    root = idp.response()
    transforms = next(root.iter(f"{DS}Transforms"))
    transforms[:] = [each for number, each in enumerate(transforms) if number in kept]
    assert refusal(root).reason == "saml_signature_transforms"


def test_a_few_prefixes_may_be_canonicalised_inclusively():
    signed = idp.response(
        Says(attributes={"PrincipalTag:Team": ["core"]}), prefixes=["saml", "samlp", "xs", "#default"]
    )
    assert next(signed.iter("{*}InclusiveNamespaces")).get("PrefixList") == "saml samlp xs #default"
    assert verified(signed).subject == "alice"


@pytest.mark.parametrize("holder", ["CanonicalizationMethod", "Transform"])
def test_many_prefixes_would_make_canonicalisation_quadratic(holder):
    root = idp.response()
    method = list(root.iter(f"{DS}{holder}"))[-1]
    prefixes = " ".join(["ds"] * 33)
    etree.SubElement(method, "{http://www.w3.org/2001/10/xml-exc-c14n#}InclusiveNamespaces", PrefixList=prefixes)
    assert refusal(root).reason == "saml_signature_prefixes"


@pytest.mark.parametrize("uri", ["", "#_r1", "#", "#xpointer(id('_a1'))", "http://127.0.0.1:1/", "##_a1", None])
def test_a_reference_to_anything_but_the_assertion(uri):
    root = idp.response()
    reference = next(root.iter(f"{DS}Reference"))
    del reference.attrib["URI"]
    if uri is not None:
        reference.set("URI", uri)
    assert refusal(root).reason == "saml_signature_reference"


def test_a_second_reference():
    root = idp.response()
    info = next(root.iter(f"{DS}SignedInfo"))
    info.append(copy.deepcopy(info.find("ds:Reference", NAMESPACES)))
    assert refusal(root).reason == "saml_signature_shape"


@pytest.mark.parametrize("name", ["ID", "Id", "id", "{urn:x}ID"])
def test_an_id_that_is_there_twice(name):
    root = idp.response()
    root.find("samlp:Status", NAMESPACES).set(name, "_a1")
    assert refusal(root).reason == "duplicate_id"


def test_two_assertions_of_which_both_are_signed():
    both = [idp.sign(Says(id=id_).xml()) for id_ in ("_a1", "_a2")]
    assert refusal(idp.wrap(*both)).text == INVALID


def test_a_signature_that_is_neither_the_responses_nor_the_assertions():
    root = idp.response()
    copied = copy.deepcopy(next(root.iter(f"{DS}Signature")))
    extensions = etree.Element(f"{SAMLP}Extensions")
    extensions.append(copied)
    root.insert(1, extensions)
    assert refusal(root).reason == "saml_signature_elsewhere"


def test_an_assertion_of_another_version():
    assert refusal(idp.wrap(idp.sign(Says().xml().replace('Version="2.0"', 'Version="1.1"')))).reason == "saml_version"


def test_what_is_read_is_what_the_verification_gives_back(monkeypatch):
    found = etree.fromstring(Says(subject="who was signed").xml())
    monkeypatch.setattr(response.signature, "verify", lambda *_: (found, idp.certificate("idp")))
    assert verified(idp.response(Says(subject="who was sent"))).subject == "who was signed"


def test_two_signatures_in_an_assertion():
    root = idp.response()
    assertion = root.find("saml:Assertion", NAMESPACES)
    assertion.append(copy.deepcopy(assertion.find("ds:Signature", NAMESPACES)))
    assert refusal(root).text == BAD_SIGNATURE


def test_only_the_response_is_signed():
    assert refusal(idp.sign(idp.wrap(etree.fromstring(Says().xml())))).text == NOT_SIGNED


def test_the_signature_of_the_response_has_to_verify_when_it_is_there():
    assert verified(idp.sign(idp.response())).subject == "alice"
    assert refusal(idp.sign(idp.response(), "attacker")).text == BAD_SIGNATURE
    changed = idp.sign(idp.response())
    changed.find("saml:Issuer", NAMESPACES).text = "https://another.example.com"
    assert refusal(changed).text == BAD_SIGNATURE


def test_the_key_in_the_message_is_not_believed():
    forged = idp.response(Says(subject="mallory"), "attacker")
    assert refusal(forged).text == BAD_SIGNATURE
    for name, certificate in (("attacker", "idp"), ("idp", "attacker")):
        # Whatever certificate the message names, the key that signed decides.
        root = idp.response(None, name)
        next(root.iter(f"{DS}X509Certificate")).text = idp.in_base64(certificate)
        if name == "idp":
            assert verified(root).subject == "alice"
        else:
            assert refusal(root).text == BAD_SIGNATURE


def test_a_key_of_another_provider_in_the_same_document_speaks_for_itself_alone():
    other = "https://other.example.com"
    trusted = metadata.read(idp.entities(idp.metadata(), idp.entity(idp.descriptor("other"), entity_id=other)))
    assert response.verified(idp.encoded("other", issuer=other), trusted).issuer == other
    with pytest.raises(Refused, match=WRONG_ISSUER):
        response.verified(idp.encoded("other"), trusted)


@pytest.mark.parametrize("change", ["text", "attribute", "element", "namespace"])
def test_what_was_changed_after_signing(change):
    root = idp.response()
    assertion = root.find("saml:Assertion", NAMESPACES)
    if change == "text":
        next(assertion.iter(f"{SAML}NameID")).text = "mallory"
    elif change == "attribute":
        next(assertion.iter(f"{SAML}SubjectConfirmationData")).set("NotOnOrAfter", "2099-01-01T00:00:00Z")
    elif change == "element":
        statement = next(assertion.iter(f"{SAML}AttributeStatement"))
        statement.append(copy.deepcopy(statement[0]))
    else:
        next(assertion.iter(f"{SAML}NameID")).tag = "{urn:x}NameID"
    assert refusal(root).text in (BAD_SIGNATURE, INVALID)


GOOD = etree.tostring(idp.sign(idp.response(Says(attributes={"PrincipalTag:Team": ["core"]}))))
READ = verified(idp.text(GOOD))
PIECES = [
    b"",
    b" ",
    b"<!-- -->",
    b"<?p q?>",
    b"mallory",
    b"<saml:NameID>mallory</saml:NameID>",
    b"]]>",
    b"<![CDATA[x]]>",
]


@settings(max_examples=300)
@given(st.data())
def test_no_accepted_mutation_changes_what_is_read(data):
    changed = bytearray(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(changed) - 1))
        end = min(len(changed), start + data.draw(st.integers(0, 40)))
        piece = data.draw(
            st.one_of(
                st.sampled_from(PIECES),
                st.binary(min_size=1, max_size=4),
                st.integers(0, len(GOOD) - 60).flatmap(lambda at: st.just(GOOD[at : at + 60])),
            )
        )
        changed[start:end] = piece
    try:
        found = verified(idp.text(bytes(changed)))
    except Refused:
        return
    assert found == READ


@settings(max_examples=150)
@given(st.data())
def test_no_accepted_rearrangement_changes_what_is_read(data):
    root = etree.fromstring(GOOD)
    elements = list(root.iter(etree.Element))
    for _ in range(data.draw(st.integers(1, 4))):
        moved = data.draw(st.sampled_from(elements[1:]))
        target = data.draw(st.sampled_from(elements))
        piece = copy.deepcopy(moved) if data.draw(st.booleans()) else moved
        if piece is moved and target in moved.iter():
            continue
        target.insert(data.draw(st.integers(0, len(target))), piece)
    try:
        found = verified(root)
    except Refused:
        return
    assert found == READ


def test_base64_takes_line_breaks_and_nothing_else():
    text = b64encode(GOOD).decode()
    lines = "\r\n".join(text[at : at + 76] for at in range(0, len(text), 76))
    assert verified(lines) == READ
    assert b64decode(text) == GOOD
    for wrong in (text[:-5], text + "!", text.replace("A", "-", 1), "", "äöü1", GOOD.decode()):
        assert refusal(wrong).text == INVALID
