from dataclasses import FrozenInstanceError

import pytest

from stsd.world import directory, materialise
from tests.world.worlds import (
    ACME,
    ADMINISTRATOR_ACCESS,
    GLOBEX,
    Entropy,
    account,
    allow,
    key,
    role,
    user,
    world,
)


def build(*accounts: dict):
    return directory(materialise(world(*accounts), Entropy()))


def names(policies) -> list[str]:
    return [named.name for named in policies]


def test_accounts_are_found_by_id():
    found = build(account(Alias="acme", Email="a@acme.example"), account(GLOBEX))
    assert (found.accounts[ACME].alias, found.accounts[ACME].email) == ("acme", "a@acme.example")
    assert (found.accounts[GLOBEX].alias, found.accounts[GLOBEX].email) == ("", "")
    assert "999999999999" not in found.accounts


def test_a_user_is_found_by_arn_and_by_id_and_is_one_principal():
    found = build(account(Users=[user("bob", Path="/dev/", UserId="AIDACKCEVSQ6C2EXAMPLE")]))
    arn = f"arn:aws:iam::{ACME}:user/dev/bob"
    bob = found.users[arn]
    assert bob is found.users_by_id["AIDACKCEVSQ6C2EXAMPLE"]
    assert (bob.account, bob.name, bob.path, bob.administrator) == (ACME, "bob", "/dev/", False)
    principal = bob.principal
    assert (principal.kind, principal.account, principal.name) == ("user", ACME, "bob")
    assert principal.arn == principal.policy_arn == arn
    assert principal.user_id == principal.unique_id == "AIDACKCEVSQ6C2EXAMPLE"


def test_arns_compare_exactly():
    found = build(account(Users=[user("bob")], Roles=[role("deploy")]))
    assert f"arn:aws:iam::{ACME}:user/Bob" not in found.users
    assert f"arn:aws:iam::{ACME}:role/Deploy" not in found.roles


def test_a_role_has_its_trust_policy_and_an_hour_where_nothing_else_is_said():
    roles = [
        role("deploy", Path="/ci/", RoleId="AROADBQP57FF2AEXAMPLE"),
        role("slow", Description="d", MaxSessionDuration=7200.0),
    ]
    found = build(account(Roles=roles))
    deploy = found.roles[f"arn:aws:iam::{ACME}:role/ci/deploy"]
    assert deploy is found.roles_by_id["AROADBQP57FF2AEXAMPLE"]
    assert (deploy.account, deploy.name, deploy.path, deploy.description) == (ACME, "deploy", "/ci/", "")
    assert deploy.max_session_duration == 3600
    assert deploy.trust.policy.kind == "trust"
    slow = found.roles[f"arn:aws:iam::{ACME}:role/slow"]
    assert (slow.description, slow.max_session_duration) == ("d", 7200)


def test_access_keys_lead_to_their_user_and_say_whether_they_are_active():
    keys = [key("AKIAIOSFODNN7EXAMPLE"), key(Status="Inactive")]
    found = build(account(Users=[user("bob", AccessKeys=keys)]), account(GLOBEX, Users=[user("erin", AccessKeys=[])]))
    old = found.access_keys["AKIAIOSFODNN7EXAMPLE"]
    assert old.user is found.users[f"arn:aws:iam::{ACME}:user/bob"]
    assert (old.active, old.secret_access_key) == (True, "x" * 40)
    assert not found.access_keys["AKIARTX3GSDSQAAAAAAA"].active
    assert {access_key.user.name for access_key in found.access_keys.values()} == {"bob", "admin"}


def test_a_user_has_its_own_policies_the_attached_ones_and_those_of_its_groups():
    managed = {"PolicyName": "shared", "Path": "/x/", "Document": allow()}
    shared = f"arn:aws:iam::{ACME}:policy/x/shared"
    group = {"GroupName": "developers", "Policies": {"of-group": allow()}, "AttachedPolicies": [shared]}
    bob = user("bob", Groups=["developers"], Policies={"own": allow()}, AttachedPolicies=[shared])
    found = build(account(ManagedPolicies=[managed], Groups=[group, {"GroupName": "unused"}], Users=[bob]))
    assert names(found.users[f"arn:aws:iam::{ACME}:user/bob"].policies) == ["own", shared, "of-group"]


def test_policies_of_the_same_name_are_kept_apart():
    group = {"GroupName": "g", "Policies": {"p": allow("sts:*")}}
    found = build(account(Groups=[group], Users=[user("bob", Groups=["g"], Policies={"p": allow("s3:*")})]))
    assert names(found.users[f"arn:aws:iam::{ACME}:user/bob"].policies) == ["p", "p"]


@pytest.mark.parametrize("attached", [[], [ADMINISTRATOR_ACCESS]])
def test_an_administrator_has_administrator_access_once(attached):
    found = build(account(Users=[user("alice", Administrator=True, AttachedPolicies=attached)]))
    alice = found.users[f"arn:aws:iam::{ACME}:user/alice"]
    assert alice.administrator
    assert names(alice.policies) == [ADMINISTRATOR_ACCESS]


def test_a_role_has_its_own_and_attached_policies():
    found = build(account(Roles=[role(Policies={"own": allow()}, AttachedPolicies=[ADMINISTRATOR_ACCESS])]))
    assert names(found.roles[f"arn:aws:iam::{ACME}:role/deploy"].policies) == ["own", ADMINISTRATOR_ACCESS]


def test_managed_policies_are_found_by_arn_with_those_of_aws():
    found = build(account(ManagedPolicies=[{"PolicyName": "p", "Document": allow()}]))
    arn = f"arn:aws:iam::{ACME}:policy/p"
    assert found.managed_policy(arn).name == arn
    assert found.managed_policy(ADMINISTRATOR_ACCESS).name == ADMINISTRATOR_ACCESS
    assert found.managed_policy(f"arn:aws:iam::{GLOBEX}:policy/p") is None


def test_a_directory_cannot_be_changed():
    found = build(account())
    with pytest.raises(TypeError):
        found.users["x"] = None
    with pytest.raises(FrozenInstanceError):
        found.users = {}


def test_nothing_prints_a_secret():
    found = build(account(Users=[user("bob", AccessKeys=[key()])]))
    assert "x" * 40 not in repr(found)
