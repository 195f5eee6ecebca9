"""The vocabulary of SAML 2.0 and XML signatures, and the prefixes that implementations give its namespaces."""

from __future__ import annotations

_CORE = """
Response Assertion Issuer Status StatusCode StatusMessage StatusDetail Extensions Subject NameID BaseID EncryptedID
SubjectConfirmation SubjectConfirmationData Conditions AudienceRestriction Audience OneTimeUse ProxyRestriction
Condition Advice AssertionIDRef AssertionURIRef EncryptedAssertion AuthnStatement SubjectLocality AuthnContext
AuthnContextClassRef AuthnContextDecl AuthnContextDeclRef AuthenticatingAuthority AttributeStatement Attribute
AttributeValue EncryptedAttribute AuthzDecisionStatement Action Evidence Statement
ID Version IssueInstant Destination Consent InResponseTo Value Format NameQualifier SPNameQualifier SPProvidedID
Method Recipient NotBefore NotOnOrAfter Address DNSName AuthnInstant SessionIndex SessionNotOnOrAfter Name
NameFormat FriendlyName Count type nil schemaLocation lang base space id Id
"""
_SIGNATURES = """
Signature SignedInfo CanonicalizationMethod SignatureMethod Reference Transforms Transform InclusiveNamespaces
PrefixList DigestMethod DigestValue SignatureValue KeyInfo KeyName KeyValue RSAKeyValue Modulus Exponent X509Data
X509Certificate X509SubjectName X509IssuerSerial X509IssuerName X509SerialNumber X509SKI ECKeyValue NamedCurve
PublicKey DEREncodedKeyValue RetrievalMethod Algorithm URI Type Object EncryptedData EncryptedKey EncryptionMethod
CipherData CipherValue CarriedKeyName ReferenceList DataReference MGF OAEPparams KeySize
"""
_USUAL_PREFIXES = """
saml saml1 saml2 samlp saml2p ds dsig ec enc xenc xenc11 md xs xsd xsi xml SOAP-ENV soap soapenv env
a b c d p q t q1 p1 d1p1 d2p1 d3p1 d4p1 d5p1 d6p1 d7p1
"""

NAMES = frozenset((_CORE + _SIGNATURES).split())
PREFIXES = frozenset(_USUAL_PREFIXES.split()) | {f"ns{number}" for number in range(100)}
NAMESPACES = frozenset(
    (
        "urn:oasis:names:tc:SAML:2.0:assertion",
        "urn:oasis:names:tc:SAML:2.0:protocol",
        "http://www.w3.org/2000/09/xmldsig#",
        "http://www.w3.org/2009/xmldsig11#",
        "http://www.w3.org/2001/10/xml-exc-c14n#",
        "http://www.w3.org/2001/04/xmlenc#",
        "http://www.w3.org/2009/xmlenc11#",
        "http://www.w3.org/2001/XMLSchema",
        "http://www.w3.org/2001/XMLSchema-instance",
        "http://www.w3.org/XML/1998/namespace",
        "",
    )
)
