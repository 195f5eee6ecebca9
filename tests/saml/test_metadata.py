"""Metadata of identity providers: who speaks, with which keys, and what is wrong with a document."""

from __future__ import annotations

import pytest

from stsd import world as worlds
from stsd.saml import metadata
from stsd.saml.metadata import MetadataError
from tests.saml import idp
from tests.saml.idp import descriptor, entities, entity
from tests.world.worlds import account, world


def test_keys_for_signing_and_for_everything_count_and_those_for_encryption_do_not():
    document = entity(descriptor("idp"), descriptor("ec", ""), descriptor("other", 'use="encryption"'))
    found = metadata.read(document)
    assert [key.certificate for key in found.keys] == [idp.certificate("idp"), idp.certificate("ec")]
    assert {key.entity_id for key in found.keys} == {idp.ISSUER}
    assert found.speaks_for(idp.certificate("ec"), idp.ISSUER)
    assert not found.speaks_for(idp.certificate("other"), idp.ISSUER)
    assert metadata.read(document) is found


def test_a_document_may_hold_several_providers_and_service_providers():
    other = entity(descriptor("other"), entity_id="https://other.example.com")
    service = other.replace("IDPSSODescriptor", "SPSSODescriptor")
    found = metadata.read(entities(idp.metadata(), service, entities(other)))
    assert [key.entity_id for key in found.keys] == [idp.ISSUER, "https://other.example.com"]


def test_ten_keys_and_ten_providers_are_the_most():
    metadata.read(entity(*[descriptor("idp")] * 10))
    metadata.read(entities(*[idp.metadata()] * 10))


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ("", "is no XML without a document type"),
        ("<a", "is no XML without a document type"),
        ("<!DOCTYPE x>" + idp.metadata(), "is no XML without a document type"),
        ("<x/>", "its root is neither EntityDescriptor nor EntitiesDescriptor"),
        (entities(), "holds 0 identity providers"),
        (entity(descriptor("idp"), protocol="urn:oasis:names:tc:SAML:1.1:protocol"), "holds 0 identity providers"),
        (entities(*[idp.metadata()] * 11), "holds 11 identity providers"),
        (entity(), "holds 0 signing certificates"),
        (entity(descriptor("idp", 'use="encryption"')), "holds 0 signing certificates"),
        (entity(*[descriptor("idp")] * 11), "holds 11 signing certificates"),
        (entity(descriptor("idp"), entity_id=""), "without entityID"),
        (entity(descriptor("idp", content="AAAA")), f"X509Certificate of {idp.ISSUER} that cannot be read"),
        (entity(descriptor("idp", content="!")), "cannot be read"),
        (entity(descriptor("idp", content="")), "cannot be read"),
        (entity(descriptor("weak")), "neither RSA of 1024 bits or more nor EC"),
        ("<a>" + "x" * 1_000_000 + "</a>", "is too long"),
    ],
)
def test_a_fault_of_the_world_tells_what_is_wrong(document, said):
    with pytest.raises(MetadataError, match=said):
        metadata.read(document)
    told = [
        str(each)
        for each in worlds.check(world(account(SAMLProviders=[{"Name": "corp", "SAMLMetadataDocument": document}])))
    ]
    assert len(told) == 1
    assert told[0].startswith("Accounts[0].SAMLProviders[0].SAMLMetadataDocument: ")
    assert said in told[0]
