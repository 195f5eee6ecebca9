"""Which keys of a JWK Set verify tokens, and what is read of the documents of a provider (spec 3.4.1)."""

from __future__ import annotations

import json
from base64 import b64encode
from datetime import UTC, datetime, timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.x509.oid import NameOID

from stsd.oidc import discovery
from stsd.oidc.discovery import DocumentError
from stsd.oidc.jwks import JwksError, UnknownKey, UnusableKey, VerificationKeys
from stsd.oidc.known_keys import Source
from tests.oidc.issuing import ISSUER, ec, encoded, jwk, jwks, rsa

SOURCE = Source(ISSUER, False, ())
PRIVATE = Source("http://localhost:9", True, ())


def certificate(key) -> str:
    """A self-signed certificate, as `x5c` has them."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "key")])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key, 1, now, now + timedelta(days=1))
        .sign(key.private_key, hashes.SHA256())
        .public_bytes(serialization.Encoding.DER)
    )
    return b64encode(made).decode()


def usable(*keys) -> list[str]:
    return list(VerificationKeys(jwks(*keys)).usable())


def test_the_kid_finds_the_key():
    keys = VerificationKeys(jwks(jwk(rsa(), "a"), jwk(ec(), "b")))
    assert keys.find("b").as_dict(private=False)["x"] == jwk(ec())["x"]
    with pytest.raises(UnknownKey):
        keys.find("c")


def test_a_token_without_kid_needs_a_set_with_one_key_that_has_one():
    assert VerificationKeys(jwks(jwk(rsa(), "a"))).find(None)
    for several in (jwks(jwk(rsa(), "a"), jwk(ec(), "b")), jwks(jwk(rsa(), "a"), jwk(ec(), None)), jwks()):
        with pytest.raises(UnusableKey):
            VerificationKeys(several).find(None)


def test_a_key_without_kid_is_not_usable():
    with pytest.raises(UnusableKey):
        VerificationKeys(jwks(jwk(rsa(), None))).find(None)


def test_the_last_key_with_a_kid_counts_whether_it_is_usable_or_not():
    keys = VerificationKeys(jwks(jwk(rsa("first"), "a"), jwk(rsa("second"), "a")))
    assert keys.find("a").as_dict(private=False)["n"] == jwk(rsa("second"))["n"]
    with pytest.raises(UnusableKey):
        VerificationKeys(jwks(jwk(rsa(), "a"), jwk(rsa(), "a", use="enc"))).find("a")


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, True),
        ({"use": "sig"}, True),
        ({"alg": "RS512"}, True),
        ({"alg": "RSA-OAEP"}, True),
        ({"use": "enc"}, False),
        ({"use": None}, False),
        ({"key_ops": ["verify"]}, False),
        ({"key_ops": []}, False),
        ({"n": "!!!!"}, False),
        ({"n": 7}, False),
        ({"e": ""}, False),
        ({"e": "A" * 300 + "AQAB"}, False),
        ({"n": "A" * 2000}, False),
        ({"kty": "oct", "k": "c2VjcmV0"}, False),
        ({"kty": "EC"}, False),
        ({"kty": ["RSA"]}, False),
        ({"x5c": []}, False),
        ({"x5c": ["AAAA"]}, False),
    ],
)
def test_members_of_a_key_that_matter(more, expected):
    assert bool(usable(jwk(rsa(), "a") | more)) is expected


def test_a_certificate_must_be_of_the_key():
    assert usable(jwk(rsa(), "a", x5c=[certificate(rsa())]), jwk(ec(), "b", x5c=[certificate(ec())])) == ["a", "b"]
    assert usable(jwk(rsa(), "a", x5c=[certificate(rsa("stranger"))])) == []


def test_short_keys_and_other_curves_are_not_usable():
    numbers = generate_private_key(65_537, 1024).public_key().public_numbers()
    short = {"kty": "RSA", "kid": "a", "n": encoded(numbers.n.to_bytes(128, "big")), "e": "AQAB"}
    padded = short | {"kid": "c", "n": encoded(numbers.n.to_bytes(256, "big"))}
    assert usable(short, padded, jwk(ec("secp256k1"), "b")) == []


def test_a_point_that_is_not_on_the_curve_is_not_usable():
    assert usable(jwk(ec(), "a") | {"y": jwk(ec())["x"]}) == []


def test_more_than_a_hundred_rsa_keys_disable_rsa_alone():
    many = [jwk(rsa(), f"r{number}") for number in range(100)]
    assert len(usable(*many, jwk(ec(), "e"))) == 101
    assert usable(*many, jwk(rsa(), "one more"), jwk(ec(), "e")) == ["e"]


@pytest.mark.parametrize("content", [None, [], {}, {"keys": {}}, {"keys": [1]}])
def test_what_is_no_jwk_set(content):
    with pytest.raises(JwksError):
        VerificationKeys(content)


METADATA = {
    "issuer": ISSUER, "jwks_uri": f"{ISSUER}/keys", "response_types_supported": ["id_token"],
    "subject_types_supported": ["public"], "id_token_signing_alg_values_supported": ["RS256"],
}  # fmt: skip


def test_the_metadata_leads_to_the_keys():
    assert discovery.configuration_url("https://a/b/") == "https://a/b/.well-known/openid-configuration"
    assert discovery.jwks_uri(json.dumps(METADATA).encode(), SOURCE) == f"{ISSUER}/keys"


@pytest.mark.parametrize("missing", METADATA)
def test_metadata_lacks_a_member(missing):
    rest = {name: value for name, value in METADATA.items() if name != missing}
    with pytest.raises(DocumentError, match=missing):
        discovery.jwks_uri(json.dumps(rest).encode(), SOURCE)


@pytest.mark.parametrize(
    "changed",
    [
        {"issuer": "https://other.example.com"},
        {"issuer": ISSUER + "/"},
        {"jwks_uri": "http://ci.example.com/keys"},
        {"jwks_uri": "file:///etc/passwd"},
        {"jwks_uri": "https://user:secret@ci.example.com/keys"},
        {"jwks_uri": "https://"},
        {"jwks_uri": "https://[::1/keys"},
        {"jwks_uri": 7},
    ],
)
def test_metadata_that_is_not_believed(changed):
    with pytest.raises(DocumentError):
        discovery.jwks_uri(json.dumps(METADATA | changed).encode(), SOURCE)


def test_http_is_for_providers_with_private_addresses():
    local = METADATA | {"issuer": PRIVATE.url, "jwks_uri": "http://localhost:9/keys"}
    assert discovery.jwks_uri(json.dumps(local).encode(), PRIVATE) == "http://localhost:9/keys"


@pytest.mark.parametrize("document", [b"", b"<html>", b"[]", b"\xff", b"[" * 100_000])
def test_documents_that_are_none(document):
    for read in (discovery.keys, lambda found: discovery.jwks_uri(found, SOURCE)):
        with pytest.raises(DocumentError):
            read(document)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "192.0.2.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "64:ff9b::7f00:1", "2002:7f00:1::", "fd00:ec2::254",
        "2001:db8::1", "::7f00:1", "::ffff:0:7f00:1", "64:ff9b:1::a00:1", "fec0::1", "localhost", "",
    ],
)  # fmt: skip
def test_addresses_that_are_not_of_the_internet(address):
    assert not discovery.is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_public_addresses(address):
    assert discovery.is_public(address)


@pytest.mark.parametrize(
    ("told", "seconds"),
    [
        ("", 3600), ("public", 3600), ("public, max-age=7200", 7200), ("max-age=1", 300), ("max-age=999999999", 86_400),
        ("no-store", 300), ("no-cache, max-age=7200", 300), ("Max-Age=900", 900), ("s-maxage=7200", 3600),
        ("max-age=-1", 3600), ('max-age="900"', 900),
    ],
)  # fmt: skip
def test_how_long_keys_are_fresh(told, seconds):
    assert discovery.fresh_s(told) == seconds
