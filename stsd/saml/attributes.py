"""What the attributes of an assertion ask for (spec 3.3.1) and which condition keys they give (spec 3.3.3)."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha1

from stsd.saml.refused import Refused, invalid
from stsd.saml.response import Assertion

PREFIX = "https://aws.amazon.com/SAML/Attributes/"
NO_PAIR = "SAML Assertion doesn't contain the requested Role and Metadata in the attributes"
NO_SESSION_NAME = "RoleSessionName is required in AuthnResponse"
BAD_SESSION_NAME = "RoleSessionName in AuthnResponse must match [a-zA-Z_0-9+=,.@-]{2,64}"
BAD_SOURCE_IDENTITY = 'Source Identity must match [a-zA-Z_0-9+=,.@-]{2,64} and not begin with "aws:"'
LEAST_DURATION_S = 900
MOST_DURATION_S = 43_200

_NAME = re.compile(r"[a-zA-Z_0-9+=,.@-]{2,64}")
_SECONDS = re.compile(r"[0-9]{3,5}")
_FORMAT_PREFIX = "urn:oasis:names:tc:SAML:2.0:nameid-format:"

_EDU_PERSON = "urn:oid:1.3.6.1.4.1.5923.1.1.1."
_EDU_ORG = "urn:oid:1.3.6.1.4.1.5923.1.2.1."
_CLAIMS = "http://schemas.xmlsoap.org/claims/"
_IDENTITY_CLAIMS = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/"
LISTS: Mapping[str, str] = {
    "urn:oid:2.5.4.3": "saml:cn",
    f"{_EDU_PERSON}1": "saml:edupersonaffiliation",
    f"{_EDU_PERSON}2": "saml:edupersonnickname",
    f"{_EDU_PERSON}3": "saml:edupersonorgdn",
    f"{_EDU_PERSON}4": "saml:edupersonorgunitdn",
    f"{_EDU_PERSON}5": "saml:edupersonprimaryaffiliation",
    f"{_EDU_PERSON}6": "saml:edupersonprincipalname",
    f"{_EDU_PERSON}7": "saml:edupersonentitlement",
    f"{_EDU_PERSON}8": "saml:edupersonprimaryorgunitdn",
    f"{_EDU_PERSON}9": "saml:edupersonscopedaffiliation",
    f"{_EDU_PERSON}10": "saml:edupersontargetedid",
    f"{_EDU_PERSON}11": "saml:edupersonassurance",
    f"{_EDU_ORG}2": "saml:eduorghomepageuri",
    f"{_EDU_ORG}3": "saml:eduorgidentityauthnpolicyuri",
    f"{_EDU_ORG}4": "saml:eduorglegalname",
    f"{_EDU_ORG}5": "saml:eduorgsuperioruri",
    f"{_EDU_ORG}6": "saml:eduorgwhitepagesuri",
}
"""eduPerson and eduOrg attributes: multivalued keys, however many values there are."""
TEXTS: Mapping[str, str] = {
    "urn:oid:2.5.4.3": "saml:commonname",
    "urn:oid:2.5.4.4": "saml:surname",
    "urn:oid:2.5.4.42": "saml:givenname",
    "urn:oid:2.5.4.45": "saml:x500uniqueidentifier",
    "urn:oid:0.9.2342.19200300.100.1.1": "saml:uid",
    "urn:oid:0.9.2342.19200300.100.1.3": "saml:mail",
    "urn:oid:0.9.2342.19200300.100.1.45": "saml:organizationstatus",
    f"{_IDENTITY_CLAIMS}name": "saml:name",
    f"{_CLAIMS}CommonName": "saml:commonname",
    f"{_IDENTITY_CLAIMS}givenname": "saml:givenname",
    f"{_IDENTITY_CLAIMS}surname": "saml:surname",
    f"{_IDENTITY_CLAIMS}emailaddress": "saml:mail",
    "http://schemas.microsoft.com/ws/2008/06/identity/claims/primarygroupsid": "saml:primarygroupsid",
}
"""X.500 attributes and claims of Active Directory: one value is a text, several make the key multivalued."""


def check_pair(assertion: Assertion, role_arn: str, provider_arn: str) -> None:
    """The role and the provider that are asked for are among the pairs, in either order. Raises Refused."""
    pairs = {value.strip() for value in _values(assertion, "Role")}
    if pairs.isdisjoint((f"{role_arn},{provider_arn}", f"{provider_arn},{role_arn}")):
        raise Refused(NO_PAIR, "saml_role_pair")


def session_name(assertion: Assertion) -> str:
    """The name of the role session. Raises Refused."""
    values = _values(assertion, "RoleSessionName")
    if not values:
        raise Refused(NO_SESSION_NAME, "saml_no_session_name")
    if len(values) != 1 or not _NAME.fullmatch(values[0]):
        raise Refused(BAD_SESSION_NAME, "saml_session_name")
    return values[0]


def source_identity(assertion: Assertion) -> str:
    """The source identity that the assertion sets, empty where it sets none. Raises Refused."""
    values = _values(assertion, "SourceIdentity")
    # No colon is a legal character, so that nothing beginning with `aws:` matches.
    if values and (len(values) != 1 or not _NAME.fullmatch(values[0])):
        raise Refused(BAD_SOURCE_IDENTITY, "saml_source_identity")
    return values[0] if values else ""


def longest_s(assertion: Assertion, now: float) -> int:
    """How many seconds the assertion lets a session last at most: SessionDuration and the end of the sign-on, which
    may leave less than the least DurationSeconds (spec 3.3.2). Raises Refused."""
    values = _values(assertion, "SessionDuration")
    most = MOST_DURATION_S
    if values:
        most = int(values[0]) if len(values) == 1 and _SECONDS.fullmatch(values[0]) else 0
        if not LEAST_DURATION_S <= most <= MOST_DURATION_S:
            raise invalid("saml_session_duration")
    if assertion.session_ends_at is not None:
        most = min(most, int(assertion.session_ends_at) - int(now))
    return most


def session_tags(assertion: Assertion) -> tuple[tuple[tuple[str, str], ...], tuple[str, ...]]:
    """The session tags and which of their keys are transitive, as they are asked for. Raises Refused."""
    prefix = f"{PREFIX}PrincipalTag:"
    tags = []
    for name, values in assertion.attributes.items():
        if name.startswith(prefix):
            if len(values) != 1:
                raise invalid("saml_principal_tag")
            tags.append((name.removeprefix(prefix), values[0]))
    return tuple(tags), _values(assertion, "TransitiveTagKeys")


def subject_type(assertion: Assertion) -> str:
    """The format of the subject: of those that SAML 2.0 defines only what is their own (spec 3.3)."""
    return assertion.subject_format.removeprefix(_FORMAT_PREFIX)


def name_qualifier(assertion: Assertion, account: str, provider_name: str) -> str:
    """What makes the subject unique: the hash of issuer, account and provider (spec 3.3)."""
    named = f"{assertion.issuer}{account}/{provider_name}"
    return b64encode(sha1(named.encode(), usedforsecurity=False).digest()).decode()


def persisting_keys(assertion: Assertion, qualifier: str) -> tuple[tuple[str, str], ...]:
    """The condition keys that the session keeps (spec 3.3.3)."""
    return (
        ("saml:sub", assertion.subject),
        ("saml:sub_type", subject_type(assertion)),
        ("saml:namequalifier", qualifier),
    )


def condition_keys(assertion: Assertion, account: str, provider_name: str) -> dict[str, str | tuple[str, ...]]:
    """The further condition keys of the trust policy."""
    keys: dict[str, str | tuple[str, ...]] = {
        "saml:aud": assertion.recipient,
        "saml:iss": assertion.issuer,
        "saml:doc": f"{account}/{provider_name}",
    }
    for name, values in assertion.attributes.items():
        if values and name in LISTS:
            keys[LISTS[name]] = values
        if values and name in TEXTS:
            keys[TEXTS[name]] = values[0] if len(values) == 1 else values
    return keys


def _values(assertion: Assertion, name: str) -> tuple[str, ...]:
    return assertion.attributes.get(PREFIX + name, ())
