import copy
import json

import pytest

from stsd import key_ids
from stsd.world import WorldError, check, default_text, load, materialise
from tests.world.worlds import (
    ACME,
    ADMINISTRATOR_ACCESS,
    GLOBEX,
    Entropy,
    account,
    key,
    role,
    user,
    user_world,
    world,
)


def users(document: dict) -> list[dict]:
    return [user for account in document["Accounts"] for user in account.get("Users", [])]


def two_accounts() -> dict:
    return world(
        account(Users=[user("alice", Administrator=True), user("bob")], Roles=[role("deploy")]),
        account(GLOBEX, Users=[user("bob")], Roles=[role("deploy")]),
    )


def test_ids_and_keys_that_are_left_out_are_made_and_carry_their_account():
    filled = materialise(two_accounts(), Entropy())
    for part in filled["Accounts"]:
        shared = key_ids.new_unique_id("AIDA", part["Id"], Entropy())[4:12]
        for entry in part["Users"]:
            (made,) = entry["AccessKeys"]
            assert entry["UserId"].startswith(f"AIDA{shared}")
            assert made["AccessKeyId"].startswith(f"AKIA{shared}")
            assert key_ids.account_of(made["AccessKeyId"]) == part["Id"]
            assert (len(made["SecretAccessKey"]), made["Status"]) == (40, "Active")
        for entry in part["Roles"]:
            assert entry["RoleId"].startswith(f"AROA{shared}")


def test_everything_that_is_made_differs():
    filled = materialise(two_accounts(), Entropy())
    keys = [key for entry in users(filled) for key in entry["AccessKeys"]]
    assert len({key["AccessKeyId"] for key in keys}) == len({key["SecretAccessKey"] for key in keys}) == 3
    assert len({entry["UserId"] for entry in users(filled)}) == 3


def test_what_is_given_stays():
    given = user_world(
        Administrator=True,
        UserId="AIDACKCEVSQ6C2EXAMPLE",
        AccessKeys=[key("AKIAIOSFODNN7EXAMPLE", CreateDate="2026-01-01T00:00:00Z")],
    )
    assert materialise(given, Entropy()) == given


def test_an_empty_list_of_access_keys_stays_empty():
    filled = materialise(world(account(Users=[user("robot", AccessKeys=[])])), Entropy())
    assert users(filled)[0]["AccessKeys"] == []


def test_the_same_entropy_gives_the_same_world_and_another_a_different_one():
    document = two_accounts()
    before = copy.deepcopy(document)
    assert materialise(document, Entropy("a")) == materialise(document, Entropy("a"))
    assert materialise(document, Entropy("a")) != materialise(document, Entropy("b"))
    assert document == before


@pytest.mark.parametrize("document", [two_accounts(), world(account()), load(default_text(), "default.yaml")])
def test_a_materialised_world_is_a_world_that_nothing_is_left_to_fill_in(document):
    filled = materialise(document, Entropy("a"))
    assert check(filled) == []
    assert materialise(filled, Entropy("b")) == filled
    assert json.loads(json.dumps(filled)) == filled


def test_where_nobody_is_marked_an_administrator_is_added_to_the_first_account():
    filled = materialise(world(account(Users=[user("bob")]), account(GLOBEX)), Entropy())
    bob, admin = users(filled)
    assert (bob["UserName"], "Administrator" in bob) == ("bob", False)
    assert (admin["UserName"], admin["Administrator"]) == ("admin", True)
    assert admin["AttachedPolicies"] == [ADMINISTRATOR_ACCESS]
    assert len(admin["AccessKeys"]) == 1


def test_a_user_admin_with_administrator_access_is_the_administrator():
    filled = materialise(world(account(Users=[user("admin", AttachedPolicies=[ADMINISTRATOR_ACCESS])])), Entropy())
    assert [(entry["UserName"], entry["Administrator"]) for entry in users(filled)] == [("admin", True)]


def test_what_an_alias_shares_gets_ids_of_its_own():
    text = f'Accounts:\n- Id: "{ACME}"\n  Users: &u [{{UserName: bob}}]\n- Id: "{GLOBEX}"\n  Users: *u\n'
    filled = materialise(load(text, "world.yaml"), Entropy())
    ids = [entry["UserId"] for entry in users(filled) if entry["UserName"] == "bob"]
    assert len(set(ids)) == 2


def test_a_fresh_id_is_never_one_that_is_given():
    first = materialise(user_world(Administrator=True), Entropy())
    taken = users(first)[0]["UserId"]
    document = world(account(Users=[user("bob", Administrator=True), user("zoe", UserId=taken)]))
    assert check(materialise(document, Entropy())) == []


def test_entropy_that_repeats_itself_is_refused_instead_of_giving_an_id_twice():
    with pytest.raises(ValueError, match="repeats itself"):
        materialise(two_accounts(), lambda n: b"\0" * n)


def test_a_wrong_world_is_refused_with_every_fault():
    document = world(account("1"), account(Alias="?"))
    with pytest.raises(WorldError) as caught:
        materialise(document, Entropy())
    assert [fault.place for fault in caught.value.faults] == ["Accounts[0].Id", "Accounts[1].Alias"]
