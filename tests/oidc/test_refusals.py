"""Every row of spec 3.4.1, asked of a node, with its exact text; and tokens that attackers would send."""

from __future__ import annotations

import hashlib
import hmac
import json

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.oidc import issuing
from tests.oidc.asking import ROLE, ask, member, node_of, refusal
from tests.oidc.issuing import ISSUER, NOW, claims, ec, encoded, jwk, jwks, provider, rsa, signed, token, trust
from tests.world.worlds import ACME, GLOBEX, account, role, world

NO_JWT = "The ID Token provided is not a valid JWT. (You may see this error if you sent an Access Token)"
NOT_VALID = (
    "The web identity token provided could not be validated. See the AssumeRoleWithWebIdentity documentation for"
    " requirements."
)
NO_KEY = (
    "Couldn't retrieve verification key from your identity provider,  please reference AssumeRoleWithWebIdentity"
    " documentation for requirements"
)
DENIED = "Not authorized to perform sts:AssumeRoleWithWebIdentity"
OTHER_ISSUER = "https://other.example.com"
KEYS = jwks(
    jwk(rsa(), "k1"), jwk(ec("P-256"), "e256"), jwk(ec("P-384"), "e384"), jwk(ec("P-521"), "e521"),
    jwk(rsa("encryption"), "enc", use="enc"),
)  # fmt: skip
BUILDER = {"RoleName": "builder", "Path": "/ci/", "AssumeRolePolicyDocument": trust()}


@pytest.fixture(scope="module")
def node():
    return node_of(
        world(
            account(
                OpenIDConnectProviders=[
                    provider(Jwks=KEYS),
                    provider(OTHER_ISSUER, Jwks=jwks(jwk(rsa("other"), "k1"), jwk(rsa("other2"), "k2"))),
                ],
                OutboundWebIdentityFederation=True,
                Roles=[
                    BUILDER,
                    role("anyone", principal="*"),
                    {"RoleName": "tagged", "AssumeRolePolicyDocument": trust("sts:TagSession")},
                ],
            ),
            account(
                GLOBEX,
                OpenIDConnectProviders=[provider(Jwks=jwks(jwk(rsa("globex"), "k1")))],
                Roles=[
                    {
                        **BUILDER,
                        "AssumeRolePolicyDocument": trust(
                            federated=f"arn:aws:iam::{GLOBEX}:oidc-provider/{issuing.IDENTITY}"
                        ),
                    }
                ],
            ),
        )
    )


def invalid(text: str) -> tuple[int, str, str]:
    return 400, "InvalidIdentityToken", text


def expired(text: str) -> tuple[int, str, str]:
    return 400, "ExpiredTokenException", text


@pytest.mark.parametrize(
    "sent",
    [
        "abcd",
        "ab.cd",
        f"{token()}.more",
        f"{encoded({'alg': 'RS256'})}.{encoded(b'no json')}.AAAA",
        f"{encoded({'alg': 'RS256'})}.{encoded([1])}.AAAA",
        f"{encoded([])}.{encoded(claims())}.AAAA",
        token().replace(".", "=.", 1),
        token() + "\n",
        signed(claims(), crit=["exp"]),
        signed(claims(), crit=[]),
        signed(claims(), kid=7),
        "é" + token(),
    ],
)
def test_what_is_no_jwt(node, sent):
    assert refusal(node, sent) == invalid(NO_JWT)


@pytest.mark.parametrize("name", ["iss", "sub", "aud", "iat", "exp"])
def test_a_claim_is_missing(node, name):
    assert refusal(node, token(**{name: ...})) == invalid(f"Missing a required claim: {name}")


@pytest.mark.parametrize("value", ["", [], [""], None])
def test_an_audience_is_empty(node, value):
    assert refusal(node, token(aud=value)) == invalid("Claim is not allowed to be empty: aud")


@pytest.mark.parametrize("name", ["iat", "exp", "nbf"])
@pytest.mark.parametrize("value", [None, 1.5, float(NOW), "1.5", "soon", "", True, [], {}, "1_0", " 1", "٣"])
def test_a_time_is_no_integer(node, name, value):
    assert refusal(node, token(**{name: value})) == invalid("Invalid timestamp in token claims.")


@pytest.mark.parametrize(
    ("changed", "refused"),
    [
        ({"iat": NOW + 600}, invalid(f"Token issued in the future: {NOW + 600}")),
        ({"iat": NOW + 301}, invalid(f"Token issued in the future: {NOW + 301}")),
        (
            {"nbf": NOW + 301},
            invalid(
                f"Token not yet valid: current date/time {NOW + 300} must be after or equal to the not-before date/time"
                f" {NOW + 301}"
            ),
        ),
        (
            {"exp": NOW - 300},
            expired(
                f"Token expired: current date/time {NOW - 300} must be before the expiration date/time {NOW - 300}"
            ),
        ),
        ({"iat": NOW - 86_701}, expired(f"Token too old: {NOW - 86_701}")),
        (
            {"aud": [issuing.CLIENT, "b"]},
            invalid("Token audience contains more than one audience while authorized party is not present"),
        ),
        ({"iss": "https://issuer"}, invalid("No OpenIDConnect provider found in your account for https://issuer")),
        ({"iss": "issuer"}, invalid("No OpenIDConnect provider found in your account for https://issuer")),
        (
            {"iss": ISSUER.replace("https", "http")},
            invalid(f"No OpenIDConnect provider found in your account for {ISSUER.replace('https', 'http')}"),
        ),
        ({"iss": ISSUER + "/"}, invalid(f"No OpenIDConnect provider found in your account for {ISSUER}/")),
        ({"iss": None}, invalid(NOT_VALID)),
        ({"aud": "stranger"}, invalid(NOT_VALID)),
        ({"aud": 7}, invalid(NOT_VALID)),
        ({"aud": [issuing.CLIENT, "b"], "azp": "stranger"}, invalid(NOT_VALID)),
        ({"azp": "stranger"}, invalid(NOT_VALID)),
        ({"azp": ""}, invalid(NOT_VALID)),
        ({"azp": 7}, invalid(NOT_VALID)),
        ({"sub": None}, (500, "InternalFailure", "Unknown error validating third-party token")),
        ({"sub": ["a"]}, invalid(NOT_VALID)),
        ({"sub": True}, invalid(NOT_VALID)),
        ({"sub": {"a": 1}}, invalid(NOT_VALID)),
        ({"https://aws.amazon.com/roles": [ROLE + "x"]}, (403, "AccessDenied", DENIED)),
        *(({"https://aws.amazon.com/roles": told}, (403, "AccessDenied", DENIED))
          for told in ({}, {ROLE: True}, [[ROLE]], [], "", f"{ROLE},{ROLE}", 7, False)),
        (
            {"https://aws.amazon.com/source_identity": "aws:me"},
            invalid('Source Identity must match [a-zA-Z_0-9+=,.@-]{2,256} and not begin with "aws:"'),
        ),
        ({"https://aws.amazon.com/source_identity": "me"}, (403, "AccessDenied",
         "Not authorized to perform sts:SetSourceIdentity")),
        ({"https://aws.amazon.com/tags/principal_tags/Team": "x"}, (403, "AccessDenied",
         "Not authorized to perform sts:TagSession")),
    ],
)  # fmt: skip
def test_claims_that_are_refused(node, changed, refused):
    assert refusal(node, token(**changed)) == refused


@pytest.mark.parametrize(
    "changed",
    [
        {"iat": NOW + 300},
        {"nbf": NOW + 300},
        {"exp": NOW - 299},
        {"iat": str(NOW), "exp": str(NOW + 1), "nbf": str(NOW)},
        {"iat": NOW - 86_700},
        {"aud": [issuing.CLIENT]},
        {"aud": ["b", "c"], "azp": "other-client"},
        {"azp": None},
        {"iss": issuing.IDENTITY},
        {"sub": ""},
        {"sub": "x" * 300},
        {"https://aws.amazon.com/roles": ["a", ROLE]},
        {"https://aws.amazon.com/roles": f"a;{ROLE}"},
    ],
)
def test_claims_that_pass(node, changed):
    assert ask(node, token(**changed)).status == 200


@pytest.mark.parametrize(
    "tags",
    [
        {"https://aws.amazon.com/tags": "x"},
        {"https://aws.amazon.com/tags": {"principal_tags": ["Team"]}},
        {"https://aws.amazon.com/tags": {"principal_tags": {"Team": "x"}}},
        {"https://aws.amazon.com/tags": {"principal_tags": {"Team": []}}},
        {"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["x", "y"]}}},
        {"https://aws.amazon.com/tags": {"principal_tags": {"Team": [7]}}},
        {"https://aws.amazon.com/tags": {"transitive_tag_keys": "Team"}},
        {"https://aws.amazon.com/tags/principal_tags/Team": ["x"]},
        {"https://aws.amazon.com/tags/principal_tags/": "x"},
        {"https://aws.amazon.com/tags/transitive_tag_keys": [1]},
        {"https://aws.amazon.com/tags/principal_tags/Team": "x" * 257},
        {f"https://aws.amazon.com/tags/principal_tags/{n}": "x" for n in range(51)},
    ],
)
def test_tags_of_a_wrong_shape(node, tags):
    said = "principal_tags passed in claim is not in correct format."
    assert refusal(node, token(**tags), RoleArn=f"arn:aws:iam::{ACME}:role/tagged") == invalid(said)


def test_tags_follow_the_rules_of_session_tags(node):
    tagged = f"arn:aws:iam::{ACME}:role/tagged"
    twice = token(**{f"https://aws.amazon.com/tags/principal_tags/{key}": "x" for key in ("team", "Team")})
    said = "Duplicate tag keys found. Please note that Tag keys are case insensitive."
    assert refusal(node, twice, RoleArn=tagged) == (400, "InvalidParameterValue", said)
    unknown = token(**{"https://aws.amazon.com/tags/transitive_tag_keys": ["Team"]})
    said = "The specified transitive tag key must be included in the requested tags."
    assert refusal(node, unknown, RoleArn=tagged) == (400, "InvalidParameterValue", said)


def test_a_missing_role_and_a_role_that_trusts_somebody_else_read_the_same(node):
    for arn in (f"arn:aws:iam::{ACME}:role/none", f"arn:aws:iam::{ACME}:role/anyone"):
        assert refusal(node, token(), RoleArn=arn) == (403, "AccessDenied", DENIED)


def test_the_provider_is_that_of_the_roles_account(node):
    nowhere = "arn:aws:iam::999999999999:role/ci/builder"
    said = f"No OpenIDConnect provider found in your account for {ISSUER}"
    assert refusal(node, token(), RoleArn=nowhere) == invalid(said)
    assert refusal(node, token(), RoleArn="arn:aws:iam::not-an-arn") == (
        400, "ValidationError", "arn:aws:iam::not-an-arn is invalid",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("provider_id", "refused"),
    [
        ("www.amazon.com", invalid("Provided Token is not a Login With Amazon token")),
        ("graph.facebook.com", (403, "IDPRejectedClaim", "The identity provider rejected the token.")),
        ("accounts.example.com", (403, "AccessDenied", DENIED)),
    ],
)
def test_providers_of_access_tokens(node, provider_id, refused):
    assert refusal(node, token(), ProviderId=provider_id) == refused


# What attackers send.


def test_no_signature_and_signatures_with_what_everybody_knows(node):
    none = f"{encoded({'alg': 'none', 'kid': 'k1'})}.{encoded(claims())}."
    assert refusal(node, none) == invalid(NOT_VALID)
    assert refusal(node, none + "AAAA") == invalid(NOT_VALID)
    for secret in (
        rsa().public_key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo),
        rsa().public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo),
        json.dumps(jwk(rsa())).encode(),
        b"",
    ):
        start = f"{encoded({'alg': 'HS256', 'kid': 'k1'})}.{encoded(claims())}"
        forged = f"{start}.{encoded(hmac.digest(secret, start.encode(), hashlib.sha256))}"
        assert refusal(node, forged) == invalid(NOT_VALID)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [
        (rsa(), "PS256", "k1"),
        (rsa(), "RS256", "e256"),
        (ec("P-256"), "ES256", "k1"),
        (ec("P-256"), "ES256", "e384"),
        (ec("secp256k1"), "ES256K", "e256"),
        (rsa("stranger"), "RS256", "k1"),
        (ec("P-256", "stranger"), "ES256", "e256"),
    ],
)
def test_an_algorithm_or_a_key_that_is_not_that_of_the_kid(node, key, algorithm, kid):
    assert refusal(node, signed(claims(), key, algorithm, kid=kid)) == invalid(NOT_VALID)


@pytest.mark.parametrize(
    ("key", "algorithm", "kid"),
    [(rsa(), f"RS{size}", "k1") for size in (256, 384, 512)]
    + [(ec("P-256"), "ES256", "e256"), (ec("P-384"), "ES384", "e384"), (ec("P-521"), "ES512", "e521")],
)
def test_every_algorithm_that_is_accepted(node, key, algorithm, kid):
    assert ask(node, signed(claims(), key, algorithm, kid=kid)).status == 200


def test_keys_that_a_token_brings_along_count_for_nothing(node):
    stranger = rsa("stranger")
    header = {"jwk": jwk(stranger), "jku": "https://evil.example.com/keys", "x5u": "https://evil.example.com/c"}
    assert refusal(node, signed(claims(), stranger, **header)) == invalid(NOT_VALID)


@pytest.mark.parametrize("kid", ["", "K1", "k1 ", "../k1", "enc", None])
def test_a_kid_that_leads_to_no_key(node, kid):
    assert refusal(node, signed(claims(), kid=kid)) == invalid(NO_KEY)


def test_a_key_of_one_issuer_or_account_does_not_speak_for_another(node):
    assert refusal(node, signed(claims(), rsa("other"))) == invalid(NOT_VALID)
    assert refusal(node, signed(claims(iss=OTHER_ISSUER), rsa())) == invalid(NOT_VALID)
    assert refusal(node, signed(claims(iss=OTHER_ISSUER), rsa("other"))) == (403, "AccessDenied", DENIED)
    theirs = ROLE.replace(ACME, GLOBEX)
    assert refusal(node, signed(claims(), rsa("globex"))) == invalid(NOT_VALID)
    assert refusal(node, signed(claims(), rsa()), RoleArn=theirs) == invalid(NOT_VALID)
    assert ask(node, signed(claims(), rsa("globex")), RoleArn=theirs).status == 200


@pytest.mark.parametrize("part", [0, 1, 2])
def test_a_changed_bit_anywhere(node, part):
    parts = token().split(".")
    changed = bytearray(parts[part].encode())
    for at in range(0, len(changed), 37):
        other = bytearray(changed)
        other[at] = ord("A") if other[at] != ord("A") else ord("B")
        sent = ".".join([*parts[:part], other.decode(), *parts[part + 1 :]])
        assert ask(node, sent).status in (400, 403)


def test_of_a_claim_that_is_there_twice_the_last_counts(node):
    payload = json.dumps(claims())
    twice = ('{"sub": "first", ' + payload[1:-1] + ', "sub": 12345678}').encode()
    answer = ask(node, signed(twice))
    assert member(answer, "SubjectFromWebIdentityToken") == "12345678"


def test_a_token_of_an_accounts_own_issuer_is_not_taken_back():
    """Even where the operator has registered that very issuer, with its true keys."""
    plain = node_of(world(account(OutboundWebIdentityFederation=True, Roles=[BUILDER])))
    issuer = plain.view.directory.accounts[ACME].token_issuer
    assert issuer is not None
    url = f"https://sts.test/{issuer.id}"
    own = account(
        OutboundWebIdentityFederation=True,
        OpenIDConnectProviders=[provider(url, Jwks=KEYS)],
        Roles=[{**BUILDER, "AssumeRolePolicyDocument": trust(
            federated=f"arn:aws:iam::{ACME}:oidc-provider/{url.partition('://')[2]}")}],
    )  # fmt: skip
    node = node_of(world(own))
    assert node.view.directory.accounts[ACME].token_issuer.id == issuer.id
    assert refusal(node, token(iss=url)) == invalid(NOT_VALID)


def test_a_token_over_the_limit_is_refused_unread_and_not_printed(node):
    status, code, message = refusal(node, token(sub="x" * 20_000))
    assert (status, code) == (400, "ValidationError")
    assert "webIdentityToken" in message
    assert "xxx" not in message
    assert refusal(node, "a" * 4)[2] == NO_JWT
    deep = signed(b'{"iss":' + b"[" * 12_000)
    assert refusal(node, deep) == invalid(NO_JWT)
