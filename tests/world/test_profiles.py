from configparser import RawConfigParser

import pytest
from botocore import configloader

from stsd.world import materialise, profiles
from tests.world.worlds import (
    ACME,
    GLOBEX,
    Entropy,
    account,
    allow,
    deny,
    key,
    role,
    trust,
    user,
    world,
)

ENDPOINTS = {"global": "http://127.0.0.1:8700", "us-east-1": "http://127.0.0.1:8701", "eu-west-1": "http://[::1]:8702"}
REGIONS = ("us-east-1", "eu-west-1")
GLOBAL = {"region": "us-east-1", "endpoint_url": ENDPOINTS["global"]}


def read(tmp_path, document: dict, **options) -> tuple[dict, dict]:
    """The two files as botocore reads them: credentials by profile, config by profile."""
    filled = materialise(document, Entropy())
    texts = profiles.render(filled, **({"endpoints": ENDPOINTS, "regions": REGIONS} | options))
    for name, text in zip(("credentials", "config"), texts, strict=True):
        RawConfigParser(strict=True).read_string(text)  # a section twice would be an error
        (tmp_path / name).write_text(text)
    config = configloader.load_config(str(tmp_path / "config"))["profiles"]
    return configloader.raw_config_parse(str(tmp_path / "credentials")), config


def small_world() -> dict:
    return world(
        account(Alias="acme", Users=[user("alice", Administrator=True), user("bob")]),
        account(GLOBEX, Users=[user("erin"), user("robot", AccessKeys=[])]),
    )


def test_there_is_a_profile_per_user_with_keys_and_the_administrators(tmp_path):
    credentials, config = read(tmp_path, small_world())
    expected = {"admin", "admin@us-east-1", "admin@eu-west-1", "acme-alice", "acme-bob", f"{GLOBEX}-erin"}
    assert set(credentials) == set(config) == expected


def test_the_admin_profiles_are_the_administrator_at_the_global_and_at_each_regional_endpoint(tmp_path):
    credentials, config = read(tmp_path, small_world())
    assert credentials["admin"] == credentials["acme-alice"] == credentials["admin@eu-west-1"]
    assert credentials["admin"] != credentials["acme-bob"]
    assert config["admin"] == config["acme-bob"] == GLOBAL
    assert config["admin@eu-west-1"] == {"region": "eu-west-1", "endpoint_url": ENDPOINTS["eu-west-1"]}


def test_a_single_node_is_everybodys_endpoint_in_its_own_region(tmp_path):
    endpoints = dict.fromkeys(("global", "eu-west-1"), "http://127.0.0.1:8711")
    _, config = read(tmp_path, small_world(), endpoints=endpoints, regions=["eu-west-1"], global_region="eu-west-1")
    assert config["admin"] == config["admin@eu-west-1"] == config["acme-bob"]
    assert config["admin"] == {"region": "eu-west-1", "endpoint_url": "http://127.0.0.1:8711"}


def test_secrets_are_in_the_credentials_file_alone():
    filled = materialise(small_world(), Entropy())
    credentials, config = profiles.render(filled, endpoints=ENDPOINTS, regions=REGIONS)
    (made,) = filled["Accounts"][0]["Users"][1]["AccessKeys"]
    assert made["SecretAccessKey"] in credentials
    assert made["SecretAccessKey"] not in config
    assert made["AccessKeyId"] not in config


def test_names_and_secrets_of_every_allowed_form_are_read_back(tmp_path):
    name, secret = "b+o=b,@x.y_z-", "%(x)s#;=\"'[]\\:/!~" + "x" * 23
    document = world(account(Alias="acme", Users=[user(name, AccessKeys=[key() | {"SecretAccessKey": secret}])]))
    credentials, config = read(tmp_path, document)
    assert credentials[f"acme-{name}"]["aws_secret_access_key"] == secret
    assert config[f"acme-{name}"] == GLOBAL


@pytest.mark.parametrize(
    ("statuses", "expected"), [(["Inactive", "Active"], 1), (["Active", "Active"], 0), (["Inactive", "Inactive"], 0)]
)
def test_a_profile_has_the_first_key_that_works_if_any_does(tmp_path, statuses, expected):
    ids = ["AKIAIOSFODNN7EXAMPLE", "AKIAJAAAAAAAAAAAAAAA"]
    keys = [key(key_id, Status=status) for key_id, status in zip(ids, statuses, strict=True)]
    credentials, _ = read(tmp_path, world(account(Users=[user("bob", AccessKeys=keys)])))
    assert credentials[f"{ACME}-bob"]["aws_access_key_id"] == ids[expected]


BOB = f"arn:aws:iam::{ACME}:user/bob"
ERIN = f"arn:aws:iam::{GLOBEX}:user/erin"
DEPLOY = f"arn:aws:iam::{ACME}:role/deploy"


def role_profile(tmp_path, *roles: dict, bob: dict | None = None, erin: dict | None = None, name: str = "acme-deploy"):
    """The profile of a role of acme, or None; `bob` and `erin` are inline policies of users of the two accounts."""
    document = world(
        account(
            Alias="acme",
            Users=[user("alice", Administrator=True), user("bob", Policies={"p": bob} if bob else {})],
            Roles=list(roles),
        ),
        account(GLOBEX, Alias="globex", Users=[user("erin", Policies={"p": erin} if erin else {})]),
    )
    credentials, config = read(tmp_path, document)
    assert name not in credentials
    return config.get(name)


def test_a_role_profile_uses_the_user_that_the_trust_policy_names(tmp_path):
    found = role_profile(tmp_path, role(principal=BOB))
    assert found == {"role_arn": DEPLOY, "source_profile": "acme-bob", **GLOBAL}


@pytest.mark.parametrize(
    ("principal", "policies", "source"),
    [
        (ACME, {"bob": allow(resource=DEPLOY)}, "acme-bob"),
        (f"arn:aws:iam::{ACME}:root", {"bob": allow("STS:Assume*", "arn:aws:iam::*:role/dep*")}, "acme-bob"),
        (ACME, {}, "acme-alice"),
        (ACME, {"bob": allow(resource=f"{DEPLOY}x")}, "acme-alice"),
        (ACME, {"bob": allow("sts:GetCallerIdentity")}, "acme-alice"),
        (ERIN, {"erin": allow()}, "globex-erin"),
        (GLOBEX, {"erin": allow()}, "globex-erin"),
    ],
)
def test_a_role_profile_uses_a_user_whose_policies_allow_it(tmp_path, principal, policies, source):
    assert role_profile(tmp_path, role(principal=principal), **policies)["source_profile"] == source


@pytest.mark.parametrize(
    ("principal", "policies"),
    [
        (ERIN, {}),
        (GLOBEX, {"erin": allow(resource=f"{DEPLOY}/x")}),
        (GLOBEX, {"erin": {"Version": "2012-10-17", "Statement": [*allow()["Statement"], *deny()["Statement"]]}}),
        (BOB, {"bob": deny("*", "*")}),
        ("999999999999", {}),
    ],
)
def test_a_role_that_nobody_may_assume_has_no_profile(tmp_path, principal, policies):
    assert role_profile(tmp_path, role(principal=principal), **policies) is None


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"aws:PrincipalTag/team": "blue"}},
        {"Bool": {"aws:MultiFactorAuthPresent": "false"}},
        {"NumericLessThan": {"aws:MultiFactorAuthAge": "0"}},
        {"NumericGreaterThan": {"aws:MultiFactorAuthAge": "60"}},
        {"Bool": {"aws:MultiFactorAuthPresent": "true"}, "IpAddress": {"aws:SourceIp": "10.0.0.0/8"}},
    ],
)
def test_a_trust_policy_that_asks_for_more_than_an_external_id_and_a_code_gives_no_profile(tmp_path, condition):
    assert role_profile(tmp_path, guarded(condition)) is None


def guarded(condition):
    return {"RoleName": "deploy", "AssumeRolePolicyDocument": trust([BOB, ERIN], Condition=condition)}


PRESENT = {"Bool": {"aws:MultiFactorAuthPresent": "true"}}


def test_a_code_of_somebody_without_a_device_cannot_be_asked_for(tmp_path):
    document = world(
        account(Alias="acme", Users=[user("alice", Administrator=True), user("bob")], Roles=[guarded(PRESENT)]),
        account(GLOBEX, Alias="globex", Users=[user("erin", Policies={"p": allow()})]),
    )
    assert "acme-deploy" not in read(tmp_path, document)[1]


@pytest.mark.parametrize(
    ("condition", "external_id"),
    [
        (PRESENT, None),
        ({"Bool": {"AWS:MultifactorAuthPresent": True}}, None),
        ({"BoolIfExists": {"aws:MultiFactorAuthPresent": "true"}}, None),
        ({"Null": {"aws:MultiFactorAuthAge": "false"}, **PRESENT}, None),
        ({"NumericLessThan": {"aws:MultiFactorAuthAge": 3600}}, None),
        ({"NumericLessThanEquals": {"aws:MultiFactorAuthAge": "60"}, **PRESENT}, None),
        ({**PRESENT, "StringEquals": {"sts:ExternalId": "secret-1"}}, "secret-1"),
    ],
)
def test_a_role_profile_has_the_device_whose_code_is_asked_for(tmp_path, condition, external_id):
    serial = f"arn:aws:iam::{ACME}:mfa/bob"
    bob = user("bob", MFADevices=[{"SerialNumber": serial}])
    document = world(
        account(Alias="acme", Users=[user("alice", Administrator=True), bob], Roles=[guarded(condition)]),
        account(GLOBEX, Alias="globex", Users=[user("erin", Policies={"p": allow()})]),
    )
    found = read(tmp_path, document)[1]["acme-deploy"]
    assert found["source_profile"] == "acme-bob"
    assert (found["mfa_serial"], found.get("external_id")) == (serial, external_id)


@pytest.mark.parametrize("given", ["secret-1", ["secret-1", "secret-2"]])
def test_a_role_profile_has_the_external_id_that_is_asked_for(tmp_path, given):
    condition = {"StringEquals": {"STS:externalid": given}}
    wanted = {"RoleName": "deploy", "AssumeRolePolicyDocument": trust(BOB, Condition=condition)}
    assert role_profile(tmp_path, wanted)["external_id"] == "secret-1"


def test_a_role_that_only_another_role_may_assume_is_reached_through_it_in_any_order(tmp_path):
    first, second = role("first", BOB), role("second", f"arn:aws:iam::{ACME}:role/first")
    for roles in ((first, second), (second, first)):
        assert role_profile(tmp_path, *roles, name="acme-second")["source_profile"] == "acme-first"
        assert role_profile(tmp_path, *roles, name="acme-first")["source_profile"] == "acme-bob"


def test_roles_that_only_lead_to_each_other_have_no_profile(tmp_path):
    ring = [role("deploy", f"arn:aws:iam::{ACME}:role/b"), role("b", DEPLOY)]
    assert role_profile(tmp_path, *ring) is None


def test_a_role_does_not_take_the_profile_of_a_user(tmp_path):
    found = role_profile(tmp_path, role("bob", BOB), role("next", f"arn:aws:iam::{ACME}:role/bob"), name="acme-next")
    assert found is None


def test_two_roles_of_the_same_profile_name_do_not_spoil_the_file(tmp_path):
    document = world(
        account(Alias="a-b-c", Users=[user("alice", Administrator=True)], Roles=[role("d")]),
        account(GLOBEX, Alias="a-b", Users=[user("erin", Policies={"p": allow()})], Roles=[role("c-d", GLOBEX)]),
    )
    _, config = read(tmp_path, document)
    assert config["a-b-c-d"]["source_profile"] == "a-b-c-alice"
