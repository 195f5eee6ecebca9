"""AssumeRoleWithSAML: every row of the specification's table, what a session gets, and what trust policies see."""

from __future__ import annotations

import json

import pytest

from stsd.authz import context
from stsd.errors import (
    AccessDenied,
    ExpiredTokenException,
    InvalidIdentityToken,
    InvalidParameterValue,
    ValidationError,
)
from stsd.operations.sts import assume_role, assume_role_with_saml
from stsd.principal import ANYBODY
from stsd.view import View
from tests.operations import acting
from tests.saml import idp
from tests.saml.idp import ISSUER, NOW, PROVIDER, RECIPIENT, ROLE, Says
from tests.world.worlds import ACME, GLOBEX, account, allow, role, world

BEHIND = (
    " (Service: AWSOpenIdDiscoveryService; Status Code: 400; Error Code: AuthSamlInvalidSamlResponseException;"
    " Request ID: id; Proxy: null)"
)
INVALID = f"Invalid base64 SAMLResponse{BEHIND}"


def trusted(provider: str = PROVIDER, actions: object = "sts:AssumeRoleWithSAML", **more: object) -> dict:
    return {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": actions, **more}


def role_for(name: str, *statements: dict, **more: object) -> dict:
    return {"RoleName": name, "AssumeRolePolicyDocument": {"Version": "2012-10-17", "Statement": [*statements]}, **more}


SET = ["sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity"]
WORLD = world(
    account(
        SAMLProviders=[
            {"Name": "corp", "SAMLMetadataDocument": idp.metadata("idp", "ec")},
            {"Name": "other", "SAMLMetadataDocument": idp.metadata("other")},
        ],
        Roles=[
            role_for("engineers", trusted(actions=SET), MaxSessionDuration=7200, Policies={"p": allow("s3:*")}),
            role_for("untagged", trusted()),
            role_for("console", trusted(Condition={"StringEquals": {"SAML:aud": RECIPIENT}})),
            role_for("strangers", trusted(Condition={"StringEquals": {"SAML:sub": "bob"}})),
            role_for("for-other", trusted(f"arn:aws:iam::{ACME}:saml-provider/other")),
            role("everyone", "*"),
            role_for("AWSReservedSSO_Admin_0123456789abcdef", trusted()),
            role_for("next", {"Effect": "Allow", "Principal": {"AWS": ACME}, "Action": "sts:*"}),
        ],
    ),
    account(GLOBEX, SAMLProviders=[{"Name": "corp", "SAMLMetadataDocument": idp.metadata("globex")}]),
)  # fmt: skip


@pytest.fixture(scope="module")
def view() -> View:
    from tests.conftest import seeded

    return acting.view_of(WORLD, seeded(1))


def exchange(view: View, text: str | None = None, *, now: float = NOW, **sent: str):
    parameters = {"RoleArn": ROLE, "PrincipalArn": PROVIDER, "SAMLAssertion": text or idp.encoded(), **sent}
    call = acting.call("AssumeRoleWithSAML", **parameters)
    return assume_role_with_saml.run(call, ANYBODY, acting.request(), view, now)


def said(view: View, error: type[Exception], text: str | None = None, **sent) -> str:
    with pytest.raises(error) as refused:
        exchange(view, text, **sent)
    return str(refused.value)


def other_role(name: str, **says) -> dict[str, str]:
    arn = f"arn:aws:iam::{ACME}:role/{name}"
    attributes = {"Role": [f"{PROVIDER},{arn}"], **says.pop("attributes", {})}
    return {"text": idp.encoded(attributes=attributes, **says), "RoleArn": arn}


def test_the_members_are_those_of_the_model_in_its_order(view):
    found = exchange(
        view,
        idp.encoded(attributes={"PrincipalTag:Team": ["core"], "SourceIdentity": ["alice"]}),
    )
    members = dict(found.members())
    assert list(members) == [
        "Credentials", "AssumedRoleUser", "PackedPolicySize", "Subject", "SubjectType", "Issuer", "Audience",
        "NameQualifier", "SourceIdentity",
    ]  # fmt: skip
    assert (members["Subject"], members["SubjectType"]) == ("alice", "persistent")
    assert (members["Issuer"], members["Audience"]) == (ISSUER, RECIPIENT)
    assert dict(members["AssumedRoleUser"])["Arn"] == f"arn:aws:sts::{ACME}:assumed-role/engineers/alice"
    plain = dict(exchange(view).members())
    assert "PackedPolicySize" not in plain
    assert "SourceIdentity" not in plain


def test_the_name_qualifier_is_the_hash_of_the_specification():
    from stsd.saml import attributes, metadata, response

    says = response.verified(idp.encoded(), metadata.read(idp.metadata()))
    assert attributes.name_qualifier(says, ACME, "idp") == "lo7y64y4U1maldxJFOa22+aCSlc="


@pytest.mark.parametrize(
    ("format_", "type_"),
    [
        ("urn:oasis:names:tc:SAML:2.0:nameid-format:transient", "transient"),
        ("urn:oasis:names:tc:SAML:1.1:nameid-format:x509SubjectName",) * 2,
    ],
)
def test_the_type_of_the_subject_has_no_prefix_of_saml_2(view, format_, type_):
    assert exchange(view, idp.encoded(format=format_)).subject_type == type_


@pytest.mark.parametrize(
    "says",
    [
        {"conditions": ""},
        {"authn": ""},
        {"recipient": None},
        {"not_on_or_after": None},
        {"not_on_or_after": "tomorrow"},
        {"not_on_or_after": "2026-13-01T00:00:00Z"},
        {"format": None},
        {"subject": ""},
        {"issuer": ""},
        {"conditions": '<saml:Conditions NotBefore="yesterday"/>'},
        {"confirmation": '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:sender-vouches"/>'},
        {"confirmation": '<saml:SubjectConfirmation Method="urn:oasis:names:tc:SAML:2.0:cm:bearer"/>' * 2},
        {"confirmation": idp.BEARER.format(f'NotBefore="soon" NotOnOrAfter="{idp.stamp(NOW + 60)}"')},
        {"confirmation": idp.BEARER.format(f'NotOnOrAfter="{idp.stamp(NOW + 60)}"').replace("bearer", "holder-of-key")},
        {"attributes": {"SessionDuration": ["899"]}},
        {"attributes": {"SessionDuration": ["43201"]}},
        {"attributes": {"SessionDuration": ["an hour"]}},
        {"attributes": {"PrincipalTag:Team": ["a", "b"]}},
    ],
)
def test_what_is_not_of_the_right_form(view, says):
    assert said(view, InvalidIdentityToken, idp.encoded(**says)) == INVALID


@pytest.mark.parametrize("text", ["!!!!", "PGE+", "AAAA", idp.text(b"<!DOCTYPE a><a/>"), idp.text(idp.wrap())])
def test_what_is_no_response(view, text):
    assert said(view, InvalidIdentityToken, text) == INVALID


def test_an_encrypted_assertion_or_a_failure_is_refused(view):
    encrypted = idp.etree.Element(f"{{{idp.NAMESPACES['saml']}}}EncryptedAssertion")
    assert said(view, InvalidIdentityToken, idp.text(idp.wrap(encrypted))) == INVALID
    failed = idp.wrap(idp.sign(Says().xml()), status="Responder")
    assert said(view, InvalidIdentityToken, idp.text(failed)) == INVALID


def test_an_assertion_without_a_signature(view):
    unsigned = idp.wrap(idp.etree.fromstring(Says().xml()))
    text = "Response (with optional signature) must contain an assertion with a mandatory signature"
    assert said(view, InvalidIdentityToken, idp.text(unsigned)) == text + BEHIND


@pytest.mark.parametrize("name", ["other", "globex", "attacker"])
def test_a_signature_of_somebody_elses_key(view, name):
    assert said(view, InvalidIdentityToken, idp.encoded(name)) == f"Response signature invalid{BEHIND}"


def test_a_provider_that_does_not_exist(view):
    for arn in (PROVIDER + "x", f"arn:aws:iam::{ACME}:oidc-provider/corp", "twenty characters it is"):
        text = said(view, InvalidIdentityToken, PrincipalArn=arn)
        assert text.startswith(
            "Specified provider doesn't exist (Service: AWSOpenIdDiscoveryService; Status Code: 400;"
        )


def test_an_issuer_that_is_not_the_providers(view):
    text = said(view, InvalidIdentityToken, idp.encoded(issuer="https://evil.example.com"))
    assert text == f"Issuer not present in specified provider{BEHIND}"


@pytest.mark.parametrize(
    "says",
    [
        {"not_on_or_after": idp.stamp(NOW)},
        {"conditions": f'<saml:Conditions NotOnOrAfter="{idp.stamp(NOW)}"/>'},
        {"session_ends": NOW},
    ],
)
def test_what_is_over(view, says):
    text = idp.encoded(**says)
    assert said(view, ExpiredTokenException, text) == "Response has expired"
    exchange(view, text, now=NOW - 1)


PAIR = "SAML Assertion doesn't contain the requested Role and Metadata in the attributes"


@pytest.mark.parametrize("pairs", [[], [ROLE], [f"{ROLE},{PROVIDER}x"], [f"{ROLE}2,{PROVIDER}"], [f"{ROLE},{ROLE}"]])
def test_a_pair_that_the_assertion_has_not(view, pairs):
    assert said(view, InvalidIdentityToken, idp.encoded(attributes={"Role": pairs})) == PAIR


@pytest.mark.parametrize("pair", [f"{ROLE},{PROVIDER}", f"{PROVIDER},{ROLE}", f"\n  {ROLE},{PROVIDER}\n  "])
def test_a_pair_in_either_order_among_others(view, pair):
    exchange(view, idp.encoded(attributes={"Role": ["a,b", pair, "c,d"]}))


@pytest.mark.parametrize(
    ("attributes", "text"),
    [
        ({"RoleSessionName": []}, "RoleSessionName is required in AuthnResponse"),
        ({"RoleSessionName": ["a"]}, "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"),
        ({"RoleSessionName": ["a b"]}, "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"),
        ({"RoleSessionName": ["x" * 65]}, "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"),
        ({"RoleSessionName": ["al", "bo"]}, "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"),
        (
            {"SourceIdentity": ["aws:alice"]},
            'Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"',
        ),
        (
            {"SourceIdentity": ["alice", "bob"]},
            'Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"',
        ),
        ({"SourceIdentity": ["a"]}, 'Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"'),
    ],
)
def test_names_that_are_not_legal(view, attributes, text):
    assert said(view, InvalidIdentityToken, idp.encoded(attributes=attributes)) == text


@pytest.mark.parametrize(
    "name", ["strangers", "for-other", "everyone", "missing", "AWSReservedSSO_Admin_0123456789abcdef"]
)
def test_a_role_that_does_not_let_the_provider_in_reads_like_a_missing_one(view, name):
    assert said(view, AccessDenied, **other_role(name)) == "Not authorized to perform sts:AssumeRoleWithSAML"


@pytest.mark.parametrize(
    ("attributes", "action"),
    [({"PrincipalTag:Team": ["core"]}, "sts:TagSession"), ({"SourceIdentity": ["alice"]}, "sts:SetSourceIdentity")],
)
def test_tags_and_a_source_identity_need_their_actions(view, attributes, action):
    exchange(view, **other_role("untagged"))
    assert (
        said(view, AccessDenied, **other_role("untagged", attributes=attributes))
        == f"Not authorized to perform {action}"
    )


def test_the_schema_comes_first_and_the_assertion_is_never_printed(view):
    text = said(view, ValidationError, "abc", RoleArn="x", DurationSeconds="1")
    assert text.startswith("3 validation errors detected: ")
    assert "Value at 'sAMLAssertion' failed" in text
    assert said(view, ValidationError, RoleArn="arn:twenty-characters") == "arn:twenty-characters is invalid"


def test_durations(view):
    def lasts(text=None, **sent):
        return exchange(view, text, **sent).credentials.expiration - int(NOW)

    assert lasts() == 3600
    assert lasts(DurationSeconds="7200") == 7200
    limited = idp.encoded(attributes={"SessionDuration": ["1800"]})
    assert (lasts(limited), lasts(limited, DurationSeconds="900")) == (1800, 900)
    assert lasts(idp.encoded(attributes={"SessionDuration": ["43200"]})) == 3600
    assert lasts(idp.encoded(session_ends=NOW + 60)) == 60
    assert said(view, ValidationError, limited, DurationSeconds="7201") == (
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    )


def test_of_several_sign_ons_the_first_to_end_ends_the_session(view):
    statements = "".join(
        f'<saml:AuthnStatement AuthnInstant="{idp.stamp(NOW)}"{ends}/>'
        for ends in (f' SessionNotOnOrAfter="{idp.stamp(NOW + seconds)}"' for seconds in (900, 60, 1800))
    )
    assert exchange(view, idp.encoded(authn=statements)).credentials.expiration == NOW + 60


def test_instants_may_be_of_any_zone_and_those_of_none_are_utc(view):
    for instant, ends_s in (("13:00:00+01:00", 0), ("12:01:00", 60), ("12:01:00.5", 60), ("06:31:00-05:30", 60)):
        text = idp.encoded(authn=f'<saml:AuthnStatement SessionNotOnOrAfter="2026-11-23T{instant}"/>')
        if ends_s:
            assert exchange(view, text).credentials.expiration == NOW + ends_s
        else:
            assert said(view, ExpiredTokenException, text) == "Response has expired"


def test_what_aws_does_not_enforce_is_not_enforced(view):
    ahead = f'<saml:Conditions NotBefore="{idp.stamp(NOW + 86_400)}"><saml:OneTimeUse/></saml:Conditions>'
    text = idp.encoded(conditions=ahead, recipient="https://anywhere.example.com/")
    assert exchange(view, text).audience == "https://anywhere.example.com/"
    exchange(view, text)
    assert said(view, AccessDenied, **other_role("console", recipient="https://anywhere.example.com/"))
    exchange(view, **other_role("console"))


def test_the_session_carries_tags_source_identity_and_who_vouched(view):
    attributes = {
        "PrincipalTag:Team": ["core"], "PrincipalTag:Empty": [""], "TransitiveTagKeys": ["team"],
        "SourceIdentity": ["alice"],
    }  # fmt: skip
    issued = exchange(view, idp.encoded(attributes=attributes)).credentials
    caller = acting.session(view, issued.session_token)
    assert caller.session is not None
    assert (caller.session.provider, caller.session.source_identity, caller.session.ancestors) == (
        PROVIDER,
        "alice",
        (),
    )
    keys = context.build(acting.request(), caller, view, NOW)
    assert {name: keys[name] for name in keys if name.startswith("saml:")} == {
        "saml:sub": "alice", "saml:sub_type": "persistent", "saml:namequalifier": exchange(view).name_qualifier,
    }  # fmt: skip
    assert keys["aws:federatedprovider"] == PROVIDER
    assert (keys["aws:principaltag/team"], keys["aws:principaltag/empty"]) == ("core", "")
    call = acting.call("AssumeRole", RoleArn=f"arn:aws:iam::{ACME}:role/next", RoleSessionName="on")
    with pytest.raises(AccessDenied):  # the account is trusted, so the role itself would have to allow it too
        assume_role.run(call, caller, acting.request(), view, NOW)


def test_tags_are_checked_as_those_of_assume_role(view):
    many = {f"PrincipalTag:{number}": ["x"] for number in range(51)}
    assert "at 'tags' failed" in said(view, ValidationError, idp.encoded(attributes=many))
    long = {"PrincipalTag:Team": ["x" * 257]}
    assert "'tags.1.member.value' failed" in said(view, ValidationError, idp.encoded(attributes=long))
    absent = {"TransitiveTagKeys": ["Team"]}
    assert "must be included" in said(view, InvalidParameterValue, idp.encoded(attributes=absent))


def test_session_policies_narrow_and_are_packed(view):
    found = exchange(view, Policy=json.dumps(allow("s3:GetObject")))
    assert found.packed_policy_size is not None
    session = acting.session(view, found.credentials.session_token).session
    assert session is not None
    assert session.filtered
    assert "must have length less than or equal to 2048" in said(view, ValidationError, Policy=" " * 2049)


MAIL = "urn:oid:0.9.2342.19200300.100.1.3"
AFFILIATION = "urn:oid:1.3.6.1.4.1.5923.1.1.1.1"


def test_the_trust_policy_sees_the_provider_the_subject_and_its_attributes(entropy):
    exact = {
        "saml:aud": RECIPIENT, "saml:iss": ISSUER, "saml:sub": "alice", "saml:sub_type": "persistent",
        "saml:doc": f"{ACME}/corp", "saml:mail": "a@example.com", "sts:RoleSessionName": "alice",
        "aws:PrincipalType": "User", "aws:PrincipalAccount": ACME, "aws:userid": PROVIDER,
    }  # fmt: skip
    condition = {
        "StringEquals": exact,
        "ForAnyValue:StringEquals": {"saml:eduPersonAffiliation": "staff"},
        "StringNotEqualsIfExists": {"saml:edupersonaffiliation": "staff"},
        "Null": {"aws:PrincipalArn": "true", "aws:FederatedProvider": "true", "saml:namequalifier": "false"},
    }
    provider = {"Name": "corp", "SAMLMetadataDocument": idp.metadata()}
    view = acting.view_of(
        world(account(SAMLProviders=[provider], Roles=[role_for("engineers", trusted(Condition=condition))])), entropy
    )
    exchange(view, idp.encoded(attributes={MAIL: ["a@example.com"], AFFILIATION: ["staff", "member"]}))
    assert said(view, AccessDenied, idp.encoded(attributes={MAIL: ["b@example.com"], AFFILIATION: ["staff"]}))


def test_a_token_of_the_session_ends_with_the_sign_on(view):
    issued = exchange(view, idp.encoded(session_ends=NOW + 60)).credentials
    opened = view.tokens.open(issued.session_token)
    assert opened.session.expires_at == NOW + 60
