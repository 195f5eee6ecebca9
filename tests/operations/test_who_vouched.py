"""The log names the identity provider that vouched for an anonymous caller, once that is proved and not before."""

from __future__ import annotations

from urllib.parse import urlencode

import pytest
from multidict import CIMultiDict

from stsd.wire.messages import Request
from tests.oidc import issuing
from tests.oidc.asking import ask, node_of
from tests.oidc.issuing import claims, jwk, jwks, provider, rsa, signed, token, trust
from tests.operations.test_assume_role_with_saml import WORLD
from tests.saml import idp
from tests.saml.idp import PROVIDER, ROLE
from tests.world.worlds import ACME, account, role, world


@pytest.fixture(scope="module")
def builds():
    builder = {"RoleName": "builder", "Path": "/ci/", "AssumeRolePolicyDocument": trust()}
    keys = jwks(jwk(rsa(), "k1"))
    providers = [provider(Jwks=keys)]
    return node_of(world(account(OpenIDConnectProviders=providers, Roles=[builder, role("anyone", principal="*")])))


def test_a_token(builds):
    vouched = {"principal": issuing.PROVIDER}
    assert ask(builds, token()).event == vouched
    refused = ask(builds, token(), RoleArn=f"arn:aws:iam::{ACME}:role/anyone")
    assert (refused.status, refused.event["principal"]) == (403, issuing.PROVIDER)
    assert "principal" not in ask(builds, signed(claims(), rsa("stranger"))).event
    assert "principal" not in ask(builds, token(aud="stranger")).event


@pytest.fixture(scope="module")
def sign_ons():
    return node_of(WORLD)


@pytest.mark.parametrize(
    ("key", "role_arn", "status", "named"),
    [
        ("idp", ROLE, 200, True),
        ("idp", ROLE.replace("engineers", "strangers"), 403, True),
        ("attacker", ROLE, 400, False),
    ],
)
def test_an_assertion(sign_ons, key, role_arn, status, named):
    fields = {
        "Action": "AssumeRoleWithSAML", "Version": "2011-06-15", "RoleArn": role_arn, "PrincipalArn": PROVIDER,
        "SAMLAssertion": idp.encoded(key, attributes={"Role": [f"{role_arn},{PROVIDER}"]}),
    }  # fmt: skip
    headers = CIMultiDict({"content-type": "application/x-www-form-urlencoded"})
    answer = sign_ons.respond(Request("POST", "/", "", headers, urlencode(fields).encode(), "id"), idp.NOW, idp.NOW)
    assert answer.status == status
    assert answer.event.get("principal") == (PROVIDER if named else None)
