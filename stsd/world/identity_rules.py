"""Tags, MFA devices, identity providers and regions of a world: spec 3.2.6, 3.2.9, 3.3, 3.4, 5.4, 7.3.

Each rule is a function that yields faults; `rules.py` lists them. A rule passes over what has not the right form.
"""

from __future__ import annotations

import re
from base64 import b32decode
from binascii import Error as Base32Error
from collections.abc import Iterator
from urllib.parse import urlsplit

from stsd.oidc.jwks import JwksError, VerificationKeys
from stsd.regions import OPT_IN_REGIONS, is_region
from stsd.tags import KEY_CHARACTERS, MAX_KEY, MAX_TAGS, MAX_VALUE, VALUE_CHARACTERS
from stsd.world.entries import ROOT_ACCESS_SERVICE, Entry, accounts, entries, tag_pairs
from stsd.world.faults import Fault, shown
from stsd.world.naming import unique

_SERIAL = re.compile(r"[\w+=/:,.@-]{9,256}", re.ASCII)
_VIRTUAL = re.compile(r"arn:aws:iam::([0-9]{12}):mfa/(?:.+/)?[\w+=,.@-]+", re.ASCII)
_LEAST_SEED_BYTES = 10
_PROVIDER_NAME = re.compile(r"[\w._-]{1,128}", re.ASCII)
_ISSUER = re.compile(
    r"(?P<scheme>https?)://(?:\w(?:[\w.-]*\w)?|\[[0-9A-Fa-f:.]+\])(?P<port>:[0-9]{1,5})?"
    r"(?:/(?:[\w.~!$&'()+,;=:@/-]|%[0-9A-Fa-f]{2})*)?",
    re.ASCII,
)
"""RFC 3986 section 3, without `*`, which no policy could name."""
_ISSUER_LENGTH = 255
_MAX_THUMBPRINTS = 5
_CLIENT_ID_LENGTH = 255
_MAX_CLIENT_IDS = 100
_THUMBPRINT = re.compile(r"[0-9a-fA-F]{40}")
_TAGGED = ("ManagedPolicies", "Users", "Roles", "OpenIDConnectProviders", "SAMLProviders")


def tags(document: object) -> Iterator[Fault]:
    """Tags by spec 7.3: as many as IAM allows, keys once beyond case, none of AWS's own."""
    for kind in _TAGGED:
        for entry in entries(document, kind):
            yield from _tags(entry)


def mfa_devices(document: object) -> Iterator[Fault]:
    """Serial numbers are those of spec 3.0.2 and each once in the world; seeds are base32 (RFC 6238)."""
    found = [device for user in entries(document, "Users") for device in user.items("MFADevices")]
    found += [device for account in accounts(document) for device in account.items("RootMFADevices")]
    for device in found:
        serial = device.text("SerialNumber")
        if "SerialNumber" in device.fields and not _SERIAL.fullmatch(serial):
            allowed = "(allowed: 9 to 256 letters, digits and +=/:,.@_-, as in arn:aws:iam::111122223333:mfa/alice)"
            yield Fault((*device.path, "SerialNumber"), f"{shown(serial, ())} is no serial number {allowed}")
        elif serial.startswith("arn:") and not _is_own(serial, device.account):
            allowed = f"(allowed: arn:aws:iam::{device.account}:mfa/ and a name, or what is no ARN)"
            yield Fault((*device.path, "SerialNumber"), f"{shown(serial, ())} is no device of this account {allowed}")
        if isinstance(device.fields.get("Base32StringSeed"), str) and not _is_seed(device.text("Base32StringSeed")):
            allowed = f"(allowed: at least {_LEAST_SEED_BYTES} bytes in base32, or leave it out to have one made)"
            yield Fault((*device.path, "Base32StringSeed"), f"is no seed {allowed}")
    yield from unique(iter(found), "SerialNumber")


def oidc_providers(document: object) -> Iterator[Fault]:
    """Issuers by their URL, each once in its account, with at least one client id."""
    for account in accounts(document):
        found = list(account.items("OpenIDConnectProviders"))
        for provider in found:
            yield from _issuer(provider)
            yield from _keys(provider)
            clients = list(provider.texts("ClientIDList"))
            if "ClientIDList" in provider.fields and not 0 < len(clients) <= _MAX_CLIENT_IDS:
                said = f"holds {len(clients)} client ids (allowed: 1 to {_MAX_CLIENT_IDS})"
                yield Fault((*provider.path, "ClientIDList"), said)
            for path, client in clients:
                if not 0 < len(client) <= _CLIENT_ID_LENGTH:
                    yield Fault(path, f"is no client id (allowed: 1 to {_CLIENT_ID_LENGTH} characters)")
            thumbprints = list(provider.texts("ThumbprintList"))
            if len(thumbprints) > _MAX_THUMBPRINTS:
                said = f"holds {len(thumbprints)} thumbprints (allowed: at most {_MAX_THUMBPRINTS})"
                yield Fault((*provider.path, "ThumbprintList"), said)
            for path, thumbprint in thumbprints:
                if not _THUMBPRINT.fullmatch(thumbprint):
                    yield Fault(path, f"{shown(thumbprint, ())} is no thumbprint (allowed: 40 hexadecimal digits)")
        yield from unique(iter(found), "Url", _identity)


def saml_providers(document: object) -> Iterator[Fault]:
    """Names of SAML providers, each once in its account, and documents that say whose keys sign."""
    for account in accounts(document):
        found = list(account.items("SAMLProviders"))
        for provider in found:
            name = provider.text("Name")
            if "Name" in provider.fields and not _PROVIDER_NAME.fullmatch(name):
                allowed = "(allowed: 1 to 128 letters, digits and ._-)"
                yield Fault((*provider.path, "Name"), f"{shown(name, ())} is no name of a provider {allowed}")
            yield from _saml_metadata(provider)
        yield from unique(iter(found), "Name")


def enabled_regions(document: object) -> Iterator[Fault]:
    """What an account enables is an opt-in region (spec 5.4); all others are enabled by themselves."""
    for account in accounts(document):
        for path, region in account.texts("EnabledRegions"):
            if not is_region(region) or region not in OPT_IN_REGIONS:
                allowed = f"(allowed: {', '.join(sorted(OPT_IN_REGIONS))})"
                yield Fault(path, f"{shown(region, ())} is no opt-in region {allowed}")


def organization(document: object) -> Iterator[Fault]:
    """The accounts that an organization names are in the world; administrators are delegated for what is there."""
    found = document.get("Organization") if isinstance(document, dict) else None
    if not isinstance(found, dict):
        return
    entry = Entry(("Organization",), found)
    known = [account.account for account in accounts(document)]
    named = [((*entry.path, "ManagementAccount"), entry.text("ManagementAccount"))]
    named += [((*one.path, "Account"), one.text("Account")) for one in entry.items("DelegatedAdministrators")]
    for path, account in named:
        if account and account not in known:
            yield Fault(path, f"{shown(account, ())} is no account of this world (known: {', '.join(known)})")
    for one in entry.items("DelegatedAdministrators"):
        service = one.fields.get("Service")
        if isinstance(service, str) and service != ROOT_ACCESS_SERVICE:
            said = f"{shown(service, ())} is no service that has administrators here (allowed: {ROOT_ACCESS_SERVICE})"
            yield Fault((*one.path, "Service"), said)


def _tags(entry: Entry) -> Iterator[Fault]:
    path, pairs = (*entry.path, "Tags"), tag_pairs(entry)
    if len(pairs) > MAX_TAGS:
        yield Fault(path, f"holds {len(pairs)} tags (allowed: at most {MAX_TAGS})")
    seen: dict[str, str] = {}
    for key, value in pairs:
        if not (0 < len(key) <= MAX_KEY and KEY_CHARACTERS.fullmatch(key)) or key.lower().startswith("aws:"):
            allowed = f"(allowed: 1 to {MAX_KEY} letters, digits, spaces and _.:/=+-@, not beginning with aws:)"
            yield Fault(path, f"{shown(key, ())} is no tag key {allowed}")
        elif seen.setdefault(key.lower(), key) != key or sum(key == other for other, _ in pairs) > 1:
            yield Fault(path, f"the key {shown(key, ())} is there more than once (keys differ beyond case)")
        if len(value) > MAX_VALUE or not VALUE_CHARACTERS.fullmatch(value):
            allowed = f"(allowed: at most {MAX_VALUE} letters, digits, spaces and _.:/=+-@)"
            yield Fault(path, f"the value of {shown(key, ())} is no tag value {allowed}")


def _issuer(provider: Entry) -> Iterator[Fault]:
    """Spec 7.3: no port, no query; a provider in the operator's own network may be http and have a port."""
    url = provider.text("Url")
    private = provider.fields.get("AllowPrivateAddress") is True
    if isinstance(provider.fields.get("Url"), str) and not _is_issuer(url, private):
        allowed = "http:// or https://host:port/path" if private else "https://host/path without a port"
        allowed += f" of at most {_ISSUER_LENGTH} characters, without user and query"
        yield Fault((*provider.path, "Url"), f"{shown(url, ())} is no issuer (allowed: {allowed})")


def _is_issuer(url: str, private: bool) -> bool:
    found = _ISSUER.fullmatch(url)
    if found is None or len(url) > _ISSUER_LENGTH:
        return False
    try:
        port = urlsplit(url).port
    except ValueError:
        return False
    return port != 0 and (private or (found["scheme"] == "https" and port is None))


def _is_own(serial_number: str, account: str) -> bool:
    """Whether an ARN is that of a virtual device of the account (spec 7.3)."""
    found = _VIRTUAL.fullmatch(serial_number)
    return found is not None and found[1] == account


def _identity(url: str) -> str:
    """What names an issuer in its ARN, the URL without its scheme; of a host case says nothing (spec 3.4.1, 7.3)."""
    host, slash, path = url.partition("://")[2].partition("/")
    return host.lower() + slash + path


def _saml_metadata(provider: Entry) -> Iterator[Fault]:
    # Here and not above: only worlds with a provider need an XML parser, which is slow to import.
    from stsd.saml.metadata import MetadataError, read

    document = provider.fields.get("SAMLMetadataDocument")
    if isinstance(document, str):
        try:
            read(document)
        except MetadataError as error:
            yield Fault((*provider.path, "SAMLMetadataDocument"), str(error))


def _keys(provider: Entry) -> Iterator[Fault]:
    """Given keys verify something: no others are looked for."""
    path = (*provider.path, "Jwks")
    if not isinstance(provider.fields.get("Jwks"), dict):
        return
    try:
        usable = any(VerificationKeys(provider.fields["Jwks"]).usable())
    except JwksError as error:
        yield Fault(path, f"is no JWK Set: {error}")
        return
    if not usable:
        yield Fault(path, "has no usable key (allowed: RSA of 2048 bits or more, P-256, P-384, P-521; each with a kid)")


def _is_seed(text: str) -> bool:
    try:
        return len(b32decode(text, casefold=True)) >= _LEAST_SEED_BYTES
    except (Base32Error, ValueError):
        return False
