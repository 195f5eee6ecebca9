"""AssumeRoleWithWebIdentity: what a good token gives, what the session carries, and how it is revoked (spec 3.4)."""

from __future__ import annotations

import re

import pytest

from stsd.authz import context
from stsd.oidc.jwks import VerificationKeys
from stsd.oidc.known_keys import source_of
from stsd.operations.sts import assume_role
from stsd.revocation.revocation_set import Revocation, RevocationSet
from stsd.tokens.session_token import MAX_TOKEN_CHARACTERS
from tests.oidc.asking import ROLE, ask, member, node_of, refusal, request
from tests.oidc.issuing import CLIENT, IDENTITY, NOW, PROVIDER, SUBJECT, claims, jwk, jwks, provider, rsa, signed, trust
from tests.oidc.issuing import token as good
from tests.operations import acting
from tests.world.worlds import ACME, account, allow, role, world

BRANCH = {"StringEquals": {f"{IDENTITY}:aud": CLIENT}, "StringLike": {f"{IDENTITY}:sub": "repo:acme/*"}}
KEYS = jwks(jwk(rsa()))


def world_with(**of_provider):
    """A role that trusts one repository; another that asks for a signed-off role; one that a session leads to."""
    next_role = role("next", principal=ROLE, AssumeRolePolicyDocument=None)
    next_role["AssumeRolePolicyDocument"] = {
        "Version": "2012-10-17",
        "Statement": {
            "Effect": "Allow",
            "Principal": {"AWS": ROLE},
            "Action": ["sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity"],
            "Condition": {"StringEquals": {"aws:PrincipalTag/Team": "x", f"{IDENTITY}:sub": SUBJECT,
                                           "aws:FederatedProvider": PROVIDER}},
        },
    }  # fmt: skip
    federated = {"StringEquals": {"sts:RoleAuthorizedByIdp": "true"}}
    multi = {
        "ForAnyValue:StringEquals": {f"{IDENTITY}:amr": ["hwk"]},
        "StringEquals": {
            f"{IDENTITY}:aud": "other-client",
            "aws:PrincipalType": "User",
            "aws:PrincipalAccount": ACME,
            "aws:userid": PROVIDER,
            "sts:RoleSessionName": "run-7",
        },
        "ForAllValues:StringEquals": {f"{IDENTITY}:oaud": ["a", "b"]},
        "Null": {"aws:PrincipalArn": "true"},
    }
    own = [{"PolicyName": "Read", "Document": allow("s3:GetObject")}]
    return world(
        account(
            OpenIDConnectProviders=[provider(**of_provider)],
            ManagedPolicies=own,
            Roles=[
                {
                    "RoleName": "builder", "Path": "/ci/", "MaxSessionDuration": 7200,
                    "AssumeRolePolicyDocument": trust("sts:TagSession", "sts:SetSourceIdentity", condition=BRANCH),
                },
                {"RoleName": "authorized", "AssumeRolePolicyDocument": trust(condition=federated)},
                {"RoleName": "strong", "AssumeRolePolicyDocument": trust(condition=multi)},
                next_role,
            ],
        )
    )  # fmt: skip


@pytest.fixture(scope="module")
def node():
    return node_of(world_with(Jwks=KEYS))


def arn(name: str) -> str:
    return f"arn:aws:iam::{ACME}:role/{name}"


def session_of(node, response):
    return acting.session(node.view, member(response, "SessionToken"))


def test_the_answer(node):
    answer = ask(node, good())
    assert (answer.status, answer.operation) == (200, "AssumeRoleWithWebIdentity")
    names = re.findall(
        r"^    <(\w+)>", answer.body.decode().partition("</AssumeRoleWithWebIdentityResult>")[0], re.MULTILINE
    )
    assert names == [
        "Credentials", "SubjectFromWebIdentityToken", "AssumedRoleUser", "PackedPolicySize", "Provider", "Audience",
    ]  # fmt: skip
    assert member(answer, "SubjectFromWebIdentityToken") == SUBJECT
    assert member(answer, "Provider") == PROVIDER
    assert member(answer, "Audience") == CLIENT
    assert member(answer, "Arn") == f"arn:aws:sts::{ACME}:assumed-role/builder/run-7"
    builder = node.view.directory.roles[ROLE]
    assert member(answer, "AssumedRoleId") == f"{builder.role_id}:run-7"
    assert member(answer, "AccessKeyId").startswith("ASIA")
    assert member(answer, "Expiration") == "2026-11-23T13:00:00Z"


def test_the_session_does_not_end_with_the_token_and_may_be_had_again(node):
    token = good(exp=NOW + 1)
    assert member(ask(node, token, DurationSeconds="7200"), "Expiration") == "2026-11-23T14:00:00Z"
    assert member(ask(node, token), "Expiration") == "2026-11-23T13:00:00Z"
    said = "The requested DurationSeconds exceeds the MaxSessionDuration set for this role."
    assert refusal(node, token, DurationSeconds="7201") == (400, "ValidationError", said)


def test_limits_of_the_role_do_not_show_to_strangers(node):
    stranger = good(sub="repo:globex/x")
    denied = (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
    assert refusal(node, stranger, DurationSeconds="7201") == denied
    assert refusal(node, stranger, RoleArn=arn("none"), DurationSeconds="7201") == denied


def test_the_party_that_is_authorized_decides(node):
    answer = ask(node, good(aud=["a", "b"], azp="other-client", amr=["pwd", "hwk"]), RoleArn=arn("strong"))
    assert member(answer, "Audience") == "other-client"
    session = session_of(node, answer).session
    assert dict(session.provider_keys) == {
        f"{IDENTITY}:sub": SUBJECT, f"{IDENTITY}:aud": "other-client", f"{IDENTITY}:amr": ("pwd", "hwk"),
    }  # fmt: skip
    for changed in ({"amr": ["pwd"]}, {"azp": CLIENT}, {"aud": ["c"]}):
        token = good(**{"aud": ["a", "b"], "azp": "other-client", "amr": ["hwk"]} | changed)
        assert ask(node, token, RoleArn=arn("strong")).status == 403


@pytest.mark.parametrize("roles", [[arn("authorized")], f"{arn('x')};{arn('authorized')}"])
def test_a_role_that_the_provider_has_to_name(node, roles):
    assert ask(node, good(**{"https://aws.amazon.com/roles": roles}), RoleArn=arn("authorized")).status == 200
    assert ask(node, good(), RoleArn=arn("authorized")).status == 403


@pytest.mark.parametrize(
    "tags",
    [
        {"https://aws.amazon.com/tags": {"principal_tags": {"Team": ["x"]}, "transitive_tag_keys": ["Team"]}},
        {
            "https://aws.amazon.com/tags/principal_tags/Team": "x",
            "https://aws.amazon.com/tags/transitive_tag_keys": ["team"],
        },
    ],
    ids=["nested", "flattened"],
)
def test_tags_and_source_identity_go_on_through_the_chain(node, tags):
    answer = ask(node, good(**tags, **{"https://aws.amazon.com/source_identity": "ann"}))
    assert member(answer, "SourceIdentity") == "ann"
    caller = session_of(node, answer)
    assert caller.session.tags == (("Team", "x"),)
    call = acting.call("AssumeRole", RoleArn=arn("next"), RoleSessionName="after")
    chained = assume_role.run(call, caller, acting.request(), node.view, acting.NOW)
    assert chained.source_identity == "ann"
    session = acting.session(node.view, chained.credentials.session_token).session
    assert (session.tags, session.transitive) == ((("Team", "x"),), ("Team",))
    assert [ancestor.access_key_id for ancestor in session.ancestors] == [caller.access_key_id]


def test_a_session_has_no_ancestors_and_no_mfa(node):
    session = session_of(node, ask(node, good())).session
    assert (session.ancestors, session.mfa_at, session.provider) == ((), None, PROVIDER)
    assert session.principal.policy_arn == ROLE


@pytest.mark.parametrize(
    ("sent", "least", "most"),
    [({}, 24, 26), ({"sub": "repo:acme/" + "x" * 290}, 34, 34)],
    ids=["nothing", "a subject of 300 characters"],
)
def test_the_packed_size_is_always_told(node, sent, least, most):
    assert least <= int(member(ask(node, good(**sent)), "PackedPolicySize")) <= most


def test_the_packed_size_grows_and_has_an_end(node):
    plain = int(member(ask(node, good()), "PackedPolicySize"))
    policy = '{"Statement":{"Effect":"Allow","Action":"*","Resource":"*"}}'
    assert int(member(ask(node, good(), Policy=policy), "PackedPolicySize")) == plain + 4
    status, code, message = refusal(node, good(sub="repo:acme/" + "x" * 3000), Policy=policy)
    assert (status, code) == (400, "PackedPolicyTooLarge")
    assert re.fullmatch(r"Packed policy consumes \d+% of allotted space, please use smaller policy.", message)
    tags = {f"https://aws.amazon.com/tags/principal_tags/{n}": "x" * 250 for n in range(3)}
    assert refusal(node, good(**tags))[2].startswith("Packed size of session tags consumes ")


@pytest.mark.parametrize("subject", ["x" * 3_000, "x" * 8_000, '"' * 4_000, "ä" * 2_000])
def test_a_long_subject_alone_fills_the_budget_and_passes(node, subject):
    answer = ask(node, good(sub="repo:acme/" + subject))
    assert (answer.status, member(answer, "PackedPolicySize")) == (200, "100")
    assert len(member(answer, "SessionToken")) < MAX_TOKEN_CHARACTERS
    session = session_of(node, answer).session
    assert dict(session.provider_keys)[f"{IDENTITY}:sub"] == "repo:acme/" + subject


@pytest.mark.parametrize("subject", ["x" * 8_200, '"' * 4_100, "\x01" * 1_400])
def test_a_subject_that_no_token_could_carry_is_refused(node, subject):
    assert refusal(node, good(sub="repo:acme/" + subject))[:2] == (400, "PackedPolicyTooLarge")


GOOGLE = "accounts.google.com"


@pytest.fixture(scope="module")
def googles():
    """Roles that trust Google, by its host and by the ARN of the provider that the account lists."""
    named = f"arn:aws:iam::{ACME}:oidc-provider/{GOOGLE}"
    asks = {"StringEquals": {f"{GOOGLE}:aud": CLIENT, "aws:userid": GOOGLE}}
    return node_of(
        world(
            account(
                OpenIDConnectProviders=[provider(f"https://{GOOGLE}", Jwks=KEYS), provider(Jwks=KEYS)],
                Roles=[
                    {"RoleName": "host", "AssumeRolePolicyDocument": trust(federated=GOOGLE, condition=asks)},
                    {"RoleName": "named", "AssumeRolePolicyDocument": trust(federated=named)},
                ],
            )
        )
    )


@pytest.mark.parametrize("role_name", ["host", "named"])
@pytest.mark.parametrize("issuer", [GOOGLE, f"https://{GOOGLE}"])
def test_a_built_in_provider_is_called_by_its_host(googles, role_name, issuer):
    answer = ask(googles, good(iss=issuer), RoleArn=arn(role_name))
    assert (answer.status, member(answer, "Provider")) == (200, GOOGLE)
    assert answer.event["principal"] == GOOGLE
    caller = session_of(googles, answer)
    assert caller.session.provider == GOOGLE
    assert context.build(acting.request(), caller, googles.view, NOW)["aws:federatedprovider"] == GOOGLE


@pytest.mark.parametrize("role_name", ["host", "named"])
def test_another_issuer_does_not_come_as_the_built_in_one(googles, role_name):
    assert refusal(googles, good(), RoleArn=arn(role_name))[:2] == (403, "AccessDenied")


def test_session_policies(node):
    given = {"PolicyArns.member.1.arn": f"arn:aws:iam::{ACME}:policy/Read", "Policy": '{"Statement":[]}'}
    assert refusal(node, good(), Policy="{")[1] == "MalformedPolicyDocument"
    assert refusal(node, good(), **{"PolicyArns.member.1.arn": f"arn:aws:iam::{ACME}:policy/None"})[1] == (
        "MalformedPolicyDocument"
    )
    given["Policy"] = '{"Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'
    session = session_of(node, ask(node, good(), **given)).session
    assert session.session_policy_arns == (f"arn:aws:iam::{ACME}:policy/Read",)
    assert session.session_policies == (given["Policy"],)


@pytest.mark.parametrize(
    ("kind", "subject"),
    [
        ("role", ROLE),
        ("account", ACME),
        ("source_identity", f"{ACME}/ann"),
        ("session", f"arn:aws:sts::{ACME}:assumed-role/builder/run-7"),
    ],
)
def test_cut_offs_reach_the_session_though_it_has_no_ancestors(node, kind, subject):
    caller = session_of(node, ask(node, good(**{"https://aws.amazon.com/source_identity": "ann"})))
    revocations = RevocationSet()
    assert revocations.check(caller.session, NOW) is None
    revocations.add(Revocation(kind, subject, (NOW + 1) * 1000, NOW + 129_600), "us-east-1", NOW)
    assert revocations.check(caller.session, NOW) is not None


def test_a_signature_on_the_request_is_ignored(node):
    asked = request(good())
    asked.headers["authorization"] = "AWS4-HMAC-SHA256 Credential=nobody"
    assert node.respond(asked, NOW, NOW).status == 200


def test_keys_that_are_not_here_are_wanted_once():
    node = node_of(world_with())
    known = node.view.provider_keys.fetched
    (found,) = node.view.directory.oidc_providers.values()
    source = source_of(found)
    assert source is not None
    assert ask(node, good()).keys_wanted == found
    unreachable = "The identity provider could not be reached to validate the token."
    assert refusal(node, good(), waited=True) == (400, "IDPCommunicationError", unreachable)
    for failure, code, message in (
        ("unreachable", "IDPCommunicationError", unreachable),
        (
            "thumbprint",
            "InvalidIdentityToken",
            "OpenIDConnect provider's HTTPS certificate doesn't match configured thumbprint",
        ),
        (
            "content",
            "InvalidIdentityToken",
            "Couldn't retrieve verification key from your identity provider,  please reference"
            " AssumeRoleWithWebIdentity documentation for requirements",
        ),
    ):
        known[source] = failure
        assert ask(node, good()).keys_wanted == found
        assert refusal(node, good(), waited=True) == (400, code, message)
    known[source] = VerificationKeys(KEYS)
    assert ask(node, good()).status == 200
    new_key = signed(claims(), rsa("new"), kid="k2")
    assert ask(node, new_key).keys_wanted == found
    assert refusal(node, new_key, waited=True)[1] == "InvalidIdentityToken"
    known[source] = VerificationKeys(jwks(jwk(rsa("new"), "k2")))
    assert ask(node, new_key).status == 200


@pytest.mark.parametrize("changed", [{"aud": "stranger"}, {"exp": NOW - 400}, {"iss": "https://elsewhere.example"}])
def test_what_is_refused_anyway_waits_for_no_keys(changed):
    assert ask(node_of(world_with()), good(**changed)).keys_wanted is None


def test_given_keys_are_never_asked_for_again(node):
    assert ask(node, signed(claims(), rsa("new"), kid="k2")).keys_wanted is None
