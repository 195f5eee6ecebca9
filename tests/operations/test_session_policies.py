"""What session policies may take as they are sent, where the operation is not AssumeRole (spec 3.2.5)."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from stsd.errors import PackedPolicyTooLarge
from stsd.operations.sts import (
    assume_role,
    assume_role_with_saml,
    assume_role_with_web_identity,
    get_federation_token,
)
from stsd.operations.sts.packing import PLAINTEXT_CHARACTERS
from stsd.principal import ANYBODY
from tests.conftest import seeded
from tests.oidc import issuing
from tests.operations import acting
from tests.saml import idp
from tests.world.worlds import ACME, account, allow, role, user, world

BOB = f"arn:aws:iam::{ACME}:user/bob"
MANAGED = f"arn:aws:iam::{ACME}:policy/Read"
TRUSTS = {
    "for-users": role("for-users", principal=BOB),
    "for-tokens": {"RoleName": "for-tokens", "AssumeRolePolicyDocument": issuing.trust()},
    "for-assertions": {
        "RoleName": "for-assertions",
        "AssumeRolePolicyDocument": {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"Federated": idp.PROVIDER},
                "Action": "sts:AssumeRoleWithSAML",
            },
        },
    },
}
WORLD = world(
    account(
        Users=[user("bob", Policies={"all": allow("*")})],
        ManagedPolicies=[{"PolicyName": "Read", "Document": allow("s3:GetObject")}],
        SAMLProviders=[{"Name": "corp", "SAMLMetadataDocument": idp.metadata()}],
        OpenIDConnectProviders=[issuing.provider(Jwks=issuing.jwks(issuing.jwk(issuing.rsa())))],
        Roles=list(TRUSTS.values()),
    )
)
VIEW = acting.view_of(WORLD, seeded(1))
Ask = Callable[..., Any]


def arn(name: str) -> str:
    return f"arn:aws:iam::{ACME}:role/{name}"


def assumed(**sent: str) -> Any:
    call = acting.call("AssumeRole", RoleArn=arn("for-users"), RoleSessionName="s1", **sent)
    return assume_role.run(call, acting.user(VIEW, BOB), acting.request(), VIEW, acting.NOW)


def federated(**sent: str) -> Any:
    call = acting.call("GetFederationToken", Name="ann", **sent)
    return get_federation_token.run(call, acting.user(VIEW, BOB), acting.request(), VIEW, acting.NOW)


def by_token(**sent: str) -> Any:
    call = acting.call(
        "AssumeRoleWithWebIdentity", RoleArn=arn("for-tokens"), RoleSessionName="s1",
        WebIdentityToken=issuing.token(), **sent,
    )  # fmt: skip
    return assume_role_with_web_identity.run(call, ANYBODY, acting.request(), VIEW, issuing.NOW)


def by_assertion(**sent: str) -> Any:
    role_arn = arn("for-assertions")
    assertion = idp.encoded(attributes={"Role": [f"{idp.PROVIDER},{role_arn}"]})
    call = acting.call(
        "AssumeRoleWithSAML", RoleArn=role_arn, PrincipalArn=idp.PROVIDER, SAMLAssertion=assertion, **sent
    )
    return assume_role_with_saml.run(call, ANYBODY, acting.request(), VIEW, idp.NOW)


def padded(characters: int) -> str:
    """A session policy of so many characters, most of which pack to nothing."""
    return json.dumps(allow("s3:GetObject")).ljust(characters)


LIMITED = pytest.mark.parametrize("ask", [federated, by_token, by_assertion])


@LIMITED
def test_the_inline_policy_and_the_arns_of_managed_ones_share_what_may_be_sent(ask: Ask):
    ask(Policy=padded(PLAINTEXT_CHARACTERS - len(MANAGED)), PolicyArns__member__1__arn=MANAGED)
    with pytest.raises(PackedPolicyTooLarge, match=r"^Packed policy consumes 101% of allotted space, please use"):
        ask(Policy=padded(PLAINTEXT_CHARACTERS - len(MANAGED) + 1), PolicyArns__member__1__arn=MANAGED)


def test_assume_role_takes_any_text_that_packs():
    assumed(Policy=padded(10 * PLAINTEXT_CHARACTERS), PolicyArns__member__1__arn=MANAGED)
